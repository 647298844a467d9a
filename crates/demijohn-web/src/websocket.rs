//! WebSockets (RFC 6455): conversations with a client over one connection, both ways.
//!
//! A handler takes a [`WebSocketUpgrade`] beside its other extractors and answers with [`WebSocketUpgrade::on_upgrade`]. What is
//! given to it runs as long as the socket is open.
//!
//! ```
//! use demijohn_web::{get, Application, Path, Response, WebSocket, WebSocketUpgrade};
//!
//! async fn echo(upgrade: WebSocketUpgrade, Path(name): Path<String>) -> Response {
//!     upgrade.on_upgrade(async move |mut socket: WebSocket| {
//!         socket.send(format!("Hello, {name}!")).await?;
//!         while let Some(message) = socket.recv().await? {
//!             socket.send(message).await?;
//!         }
//!         Ok(())
//!     })
//! }
//!
//! # demijohn_web::test::block_on(async {
//! let client = Application::new().route("/echo/{name}", get(echo)).test_client();
//! let mut socket = client.websocket("/echo/Ann").await;
//! assert_eq!(socket.recv_text().await, "Hello, Ann!");
//! socket.send("again").await;
//! assert_eq!(socket.recv_text().await, "again");
//! socket.close(1000).await;
//! # });
//! ```
//!
//! # What is looked after
//! - **Who may open one.** Browsers let pages of every site open sockets to every other, with its cookies. So the header `Origin` must
//!   be the site's own origin, or one of `WEBSOCKET_TRUSTED_ORIGINS`. A client that sends none is no browser: it is let in when it
//!   brings no cookies either.
//! - **How large messages are.** One of more than `WEBSOCKET_MAX_MESSAGE_BYTES` (1 MB) ends the socket with code 1009.
//! - **How long it may be silent.** Clients are pinged every `WEBSOCKET_PING_SECONDS` (20); one that nothing is heard of for
//!   `WEBSOCKET_IDLE_SECONDS` (60) is given up.
//! - **Whose it is.** When the handshake looked at the session of somebody who is logged in, the socket ends with that session: a logout or
//!   a new password closes it with 1008 within `SESSION_RECHECK_SECONDS` (30).
//! - **Slow clients.** [`WebSocket::send`] waits until the message before it was taken; a handler that does not receive keeps the client
//!   from sending. So neither piles up messages.
//! - **The end.** What the handler's function returns is said to the client as a close code: 1000 for `Ok`, 1011 for an error or a
//!   panic, which are logged and end that socket alone, 1007 or 1008 with the error's text for an error that the client may read
//!   ([`Error::bad_request`](crate::Error::bad_request), [`Error::forbidden`](crate::Error::forbidden)). A server that stops says 1001
//!   and gives handlers five seconds to end.
//!
//! Messages are not compressed. Over HTTP/2 there are none (RFC 8441): browsers open a connection of HTTP/1.1 for them.
//! The session and other things that are saved at the end of a request are saved with the handshake; what the socket changes in
//! them later is not.

mod drive;
mod handshake;
mod lengths;
mod rules;
mod slot;
mod switch;

pub use handshake::WebSocketUpgrade;

pub(crate) use drive::CLIENT_BUFFER_BYTES;
pub(crate) use rules::{Rules, add_checks, declare};
pub(crate) use switch::{Switch, Upgrades};

use bytes::Bytes;
use demijohn_core::{Error, Result};
use serde_core::Serialize;
use serde_core::de::DeserializeOwned;
use slot::Slot;
use std::fmt;
use std::future::poll_fn;
use std::sync::Arc;
use tokio::sync::mpsc;

/// One message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// Text.
    Text(String),
    /// Bytes.
    Bytes(Bytes),
}

impl Message {
    /// The content of either kind.
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Message::Text(text) => text.as_bytes(),
            Message::Bytes(bytes) => bytes,
        }
    }

    /// The text; `None` for bytes.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Message::Text(text) => Some(text),
            Message::Bytes(_) => None,
        }
    }
}

impl From<String> for Message {
    fn from(text: String) -> Self {
        Message::Text(text)
    }
}

impl From<&str> for Message {
    fn from(text: &str) -> Self {
        Message::Text(text.to_owned())
    }
}

impl From<Bytes> for Message {
    fn from(bytes: Bytes) -> Self {
        Message::Bytes(bytes)
    }
}

impl From<Vec<u8>> for Message {
    fn from(bytes: Vec<u8>) -> Self {
        Message::Bytes(bytes.into())
    }
}

/// How a socket was closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Close {
    /// The code (RFC 6455, 7.4): 1000 as planned, 1001 going away, 1005 when none was said, 1006 when the connection broke off.
    pub code: u16,
    /// A text for developers, often empty.
    pub reason: String,
}

impl Close {
    fn new(code: u16, reason: impl Into<String>) -> Close {
        Close {
            code,
            reason: reason.into(),
        }
    }
}

/// The error of a socket whose client is gone, or has broken the protocol. It ends the handler without a line in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disconnected {
    close: Close,
}

impl Disconnected {
    /// How it came: 1006 when the connection broke off, or the code that the client was told.
    pub fn close(&self) -> &Close {
        &self.close
    }
}

impl fmt::Display for Disconnected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the socket is closed: {} ({})", self.close.reason, self.close.code)
    }
}

impl std::error::Error for Disconnected {}

/// Why a socket came to its end.
#[derive(Clone, Debug)]
pub(crate) enum End {
    /// Closed by one side or the other, in good order.
    Closed(Close),
    /// Broken off, or broken.
    Broken(Close),
}

impl End {
    fn close(&self) -> &Close {
        match self {
            End::Closed(close) | End::Broken(close) => close,
        }
    }
}

/// What goes from the handler to the client.
#[derive(Debug)]
pub(crate) enum Out {
    Message(Message),
    Close(Close),
}

/// An open socket, as the function given to [`WebSocketUpgrade::on_upgrade`] gets it.
#[derive(Debug)]
pub struct WebSocket {
    incoming: Arc<Slot>,
    outgoing: mpsc::Sender<Out>,
    subprotocol: Option<String>,
}

impl WebSocket {
    /// The next message; `None` when the socket was closed, by the client or because the server stops: [`closed`](Self::closed) tells.
    ///
    /// A future that is dropped before it is ready has lost nothing, so this can stand in `select!`.
    ///
    /// # Errors
    /// [`Disconnected`] when the connection broke off, the client was silent for too long or broke the protocol. It is passed on by `?`.
    pub async fn recv(&mut self) -> Result<Option<Message>> {
        match poll_fn(|cx| self.incoming.poll_take(cx)).await {
            Ok(message) => Ok(Some(message)),
            Err(End::Closed(_)) => Ok(None),
            Err(End::Broken(close)) => Err(Disconnected { close }.into()),
        }
    }

    /// The next message, read as JSON; `None` when the socket was closed.
    ///
    /// # Errors
    /// 400 when it is no such JSON: passed on by `?`, it closes the socket with 1007; and what [`recv`](Self::recv) fails with.
    pub async fn recv_json<T: DeserializeOwned>(&mut self) -> Result<Option<T>> {
        let Some(message) = self.recv().await? else {
            return Ok(None);
        };
        let value = serde_json::from_slice(message.as_bytes());
        value.map(Some).map_err(|error| {
            let place = format!("line {} column {}", error.line(), error.column());
            Error::bad_request(format!("the message is not the JSON that is expected here ({place})"))
                .with_source(error)
        })
    }

    /// Sends a message: text (`String`, `&str`) or bytes (`Bytes`, `Vec<u8>`). It waits until the one before it was taken.
    ///
    /// # Errors
    /// [`Disconnected`] when the socket is closed.
    pub async fn send(&self, message: impl Into<Message>) -> Result<()> {
        send(&self.outgoing, &self.incoming, Out::Message(message.into())).await
    }

    /// Sends a value as JSON, in a message of text.
    ///
    /// # Errors
    /// 500 when the value cannot be written as JSON, and what [`send`](Self::send) fails with.
    pub async fn send_json<T: Serialize + ?Sized>(&self, value: &T) -> Result<()> {
        self.send(serde_json::to_string(value)?).await
    }

    /// Closes the socket with a code (1000, or 3000 to 4999 for codes of your own) and a text of at most 123 bytes for developers; what is
    /// longer is cut. What was sent before arrives before.
    ///
    /// # Errors
    /// 500 for a code that must not be sent, and what [`send`](Self::send) fails with.
    pub async fn close(&self, code: u16, reason: &str) -> Result<()> {
        if !may_send(code) {
            return Err(Error::internal(format!("{code} is no code to close a socket with")));
        }
        let close = Close::new(code, cut(reason));
        send(&self.outgoing, &self.incoming, Out::Close(close)).await
    }

    /// A second sender of the same socket, for tasks and lists of your own. It holds nothing open: when the handler has ended, it
    /// fails.
    pub fn sender(&self) -> Sender {
        Sender {
            outgoing: self.outgoing.clone(),
            incoming: Arc::clone(&self.incoming),
        }
    }

    /// How it was closed; `None` while it is open.
    pub fn closed(&self) -> Option<Close> {
        self.incoming.ended().map(|end| end.close().clone())
    }

    /// The sub-protocol that was agreed on.
    pub fn subprotocol(&self) -> Option<&str> {
        self.subprotocol.as_deref()
    }
}

impl Drop for WebSocket {
    fn drop(&mut self) {
        self.incoming.leave();
    }
}

/// Sends to a socket from elsewhere; see [`WebSocket::sender`].
#[derive(Clone, Debug)]
pub struct Sender {
    outgoing: mpsc::Sender<Out>,
    incoming: Arc<Slot>,
}

impl Sender {
    /// As [`WebSocket::send`].
    ///
    /// # Errors
    /// [`Disconnected`] when the socket is closed.
    pub async fn send(&self, message: impl Into<Message>) -> Result<()> {
        send(&self.outgoing, &self.incoming, Out::Message(message.into())).await
    }

    /// As [`WebSocket::send_json`].
    ///
    /// # Errors
    /// 500 when the value cannot be written as JSON, and [`Disconnected`].
    pub async fn send_json<T: Serialize + ?Sized>(&self, value: &T) -> Result<()> {
        self.send(serde_json::to_string(value)?).await
    }
}

async fn send(outgoing: &mpsc::Sender<Out>, incoming: &Slot, out: Out) -> Result<()> {
    outgoing.send(out).await.map_err(|_| {
        let close = match incoming.ended() {
            Some(end) => end.close().clone(),
            None => Close::new(1006, "the handler has ended"),
        };
        Disconnected { close }.into()
    })
}

/// Codes that may stand in a frame (RFC 6455, 7.4).
fn may_send(code: u16) -> bool {
    matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999)
}

/// What fits into a close frame.
fn cut(reason: &str) -> &str {
    &reason[..reason.floor_char_boundary(123)]
}
