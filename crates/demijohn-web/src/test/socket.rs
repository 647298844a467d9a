//! Sockets of the test client.

use super::response::Pages;
use super::{TestRequest, TestResponse};
use crate::server::Stop;
use crate::websocket::{CLIENT_BUFFER_BYTES, Close, Message, Switch};
use demijohn_core::Response;
use futures_core::Stream;
use futures_sink::Sink;
use http::StatusCode;
use http::header::{HeaderMap, SEC_WEBSOCKET_PROTOCOL};
use serde_core::Serialize;
use serde_core::de::DeserializeOwned;
use std::future::poll_fn;
use std::pin::Pin;
use std::time::Duration;
use tokio::io::DuplexStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Message as Wire, Role, WebSocketConfig};

/// After so long a test that waits has waited in vain.
const PATIENCE: Duration = Duration::from_secs(30);

/// A socket to be opened by `.await`; see `TestClient::websocket`.
#[must_use = "a socket is opened by `.await`"]
pub struct SocketRequest {
    request: TestRequest,
    origin: Option<String>,
}

impl SocketRequest {
    pub(super) fn new(request: TestRequest) -> SocketRequest {
        let request = request
            .header("connection", "Upgrade")
            .header("upgrade", "websocket")
            .header("sec-websocket-version", "13")
            .header("sec-websocket-key", "ZGVtaWpvaG4tdGVzdC1rZQ==");
        SocketRequest {
            request,
            origin: Some("http://localhost".into()),
        }
    }

    /// A header.
    ///
    /// # Panics
    /// When it is no valid header.
    #[track_caller]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.request = self.request.header(name, value);
        self
    }

    /// Offers sub-protocols: `"chat, superchat"`.
    ///
    /// # Panics
    /// When it is no valid header.
    #[track_caller]
    pub fn subprotocols(self, names: &str) -> Self {
        self.header("sec-websocket-protocol", names)
    }

    /// As a page of this origin asks for it, in place of the site's own; `None` as a program that is no browser.
    pub fn origin<'a>(mut self, origin: impl Into<Option<&'a str>>) -> Self {
        self.origin = origin.into().map(str::to_owned);
        self
    }

    /// The answer of a site that opens no socket.
    ///
    /// # Panics
    /// When it does.
    pub async fn refused(self) -> TestResponse {
        let (response, pages) = self.send().await;
        let response = TestResponse::read(response, pages).await;
        assert_ne!(
            response.status(),
            StatusCode::SWITCHING_PROTOCOLS,
            "the socket was opened"
        );
        response
    }

    /// The connection after the handshake, to send what no client sends.
    ///
    /// # Panics
    /// When the socket is refused.
    pub async fn raw(self) -> DuplexStream {
        self.open().await.0
    }

    async fn send(self) -> (Response, Pages) {
        let request = match self.origin {
            Some(origin) => self.request.header("origin", &origin),
            None => self.request,
        };
        let client = request.client.clone();
        let (response, pages) = request.dispatch().await;
        client.keep_cookies(response.headers());
        (response, pages)
    }

    async fn open(self) -> (DuplexStream, HeaderMap, Stop) {
        let (mut response, pages) = self.send().await;
        let switch = match response.status() {
            StatusCode::SWITCHING_PROTOCOLS => Switch::detach(&mut response),
            _ => None,
        };
        let Some(switch) = switch else {
            let response = TestResponse::read(response, pages).await;
            panic!("no socket was opened: {} {}", response.status(), response.text());
        };
        let (ours, theirs) = tokio::io::duplex(64 << 10);
        let stop = Stop::new();
        tokio::spawn(switch.throw(Box::new(theirs), stop.clone()));
        (ours, response.headers().clone(), stop)
    }

    async fn connect(self) -> TestSocket {
        let (connection, headers, stop) = self.open().await;
        let config = WebSocketConfig::default()
            .read_buffer_size(CLIENT_BUFFER_BYTES)
            .write_buffer_size(0);
        TestSocket {
            stream: WebSocketStream::from_raw_socket(connection, Role::Client, Some(config)).await,
            headers,
            stop,
        }
    }
}

impl IntoFuture for SocketRequest {
    type Output = TestSocket;
    type IntoFuture = Pin<Box<dyn Future<Output = TestSocket> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.connect())
    }
}

/// An open socket of a test. What goes wrong panics: it is the test's failure.
#[must_use = "a socket that is dropped breaks off"]
pub struct TestSocket {
    stream: WebSocketStream<DuplexStream>,
    headers: HeaderMap,
    stop: Stop,
}

impl TestSocket {
    /// The headers of the handshake's answer.
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// The sub-protocol that was agreed on.
    pub fn subprotocol(&self) -> Option<&str> {
        self.headers.get(SEC_WEBSOCKET_PROTOCOL)?.to_str().ok()
    }

    /// Sends text or bytes.
    ///
    /// # Panics
    /// When the socket is closed.
    pub async fn send(&mut self, message: impl Into<Message>) {
        let message = match message.into() {
            Message::Text(text) => Wire::text(text),
            Message::Bytes(bytes) => Wire::binary(bytes),
        };
        self.send_wire(message).await;
    }

    /// Sends a value as JSON.
    ///
    /// # Panics
    /// When the value cannot be written as JSON, or the socket is closed.
    pub async fn send_json<T: Serialize + ?Sized>(&mut self, value: &T) {
        let text = serde_json::to_string(value).expect("a value that JSON can hold");
        self.send(text).await;
    }

    /// The next message.
    ///
    /// # Panics
    /// When the socket is closed, or none comes for half a minute.
    pub async fn recv(&mut self) -> Message {
        match self.next().await {
            Ok(message) => message,
            Err(close) => panic!("the socket was closed: {} {}", close.code, close.reason),
        }
    }

    /// The next message, which is text.
    ///
    /// # Panics
    /// When it is not, and as [`recv`](Self::recv).
    pub async fn recv_text(&mut self) -> String {
        match self.recv().await {
            Message::Text(text) => text,
            Message::Bytes(bytes) => panic!("bytes came in place of text: {bytes:?}"),
        }
    }

    /// The next message, read as JSON.
    ///
    /// # Panics
    /// When it is no such JSON, and as [`recv`](Self::recv).
    pub async fn recv_json<T: DeserializeOwned>(&mut self) -> T {
        let message = self.recv().await;
        serde_json::from_slice(message.as_bytes()).unwrap_or_else(|error| panic!("no such JSON ({error}): {message:?}"))
    }

    /// How the site closes the socket.
    ///
    /// # Panics
    /// When a message comes first, or nothing for half a minute.
    pub async fn recv_close(&mut self) -> Close {
        match self.next().await {
            Ok(message) => panic!("a message came: {message:?}"),
            Err(close) => close,
        }
    }

    /// True when nothing comes for so long.
    pub async fn is_silent(&mut self, time: Duration) -> bool {
        tokio::time::timeout(time, self.next_unbounded()).await.is_err()
    }

    /// Closes the socket, and gives the code that the site closes it with: the same one, if all is well.
    ///
    /// # Panics
    /// When the site does not answer for half a minute.
    pub async fn close(&mut self, code: u16) -> u16 {
        let frame = CloseFrame {
            code: code.into(),
            reason: "".into(),
        };
        self.send_wire(Wire::Close(Some(frame))).await;
        loop {
            // What was on its way comes first.
            if let Err(close) = self.next().await {
                return close.code;
            }
        }
    }

    /// Begins the end of the server, as far as this socket can tell.
    pub fn stop_server(&self) {
        self.stop.begin();
    }

    async fn send_wire(&mut self, message: Wire) {
        let sent = async {
            poll_fn(|cx| Pin::new(&mut self.stream).poll_ready(cx)).await?;
            Pin::new(&mut self.stream).start_send(message)?;
            poll_fn(|cx| Pin::new(&mut self.stream).poll_flush(cx)).await
        };
        let sent = tokio::time::timeout(PATIENCE, sent).await;
        match sent {
            Ok(Ok(())) => {}
            Ok(Err(error)) => panic!("nothing can be sent: {error}"),
            Err(_) => panic!("the site takes no message"),
        }
    }

    async fn next(&mut self) -> Result<Message, Close> {
        tokio::time::timeout(PATIENCE, self.next_unbounded())
            .await
            .unwrap_or_else(|_| panic!("nothing came for {} s", PATIENCE.as_secs()))
    }

    async fn next_unbounded(&mut self) -> Result<Message, Close> {
        let broken = |reason: String| Close { code: 1006, reason };
        loop {
            match poll_fn(|cx| Pin::new(&mut self.stream).poll_next(cx)).await {
                Some(Ok(Wire::Text(text))) => return Ok(Message::Text(text.as_str().to_owned())),
                Some(Ok(Wire::Binary(bytes))) => return Ok(Message::Bytes(bytes)),
                Some(Ok(Wire::Close(close))) => {
                    // The answer to it goes out with the next look.
                    let _ = poll_fn(|cx| Pin::new(&mut self.stream).poll_flush(cx)).await;
                    return Err(match close {
                        Some(close) => Close {
                            code: close.code.into(),
                            reason: close.reason.as_str().to_owned(),
                        },
                        None => Close {
                            code: 1005,
                            reason: String::new(),
                        },
                    });
                }
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(broken(error.to_string())),
                None => return Err(broken("the connection ended".into())),
            }
        }
    }
}
