//! Server-sent events: what happens on the server, told to a page that stays open (WHATWG HTML, 9.2).
//!
//! A page listens with `new EventSource("/news")`. The browser connects again by itself when the connection ends, and then says which
//! event was the last that it got.
//!
//! ```
//! use demijohn_web::events::{Event, Events, LastEventId};
//! use demijohn_web::{get, Application};
//!
//! async fn count(last: Option<LastEventId>) -> Events {
//!     let first = last.and_then(|last| last.as_str().parse::<u32>().ok()).map_or(1, |n| n + 1);
//!     Events::write(async move |out| {
//!         for n in first..=3 {
//!             out.send(Event::new(format!("{n} of 3")).id(n)).await?;
//!         }
//!         Ok(())
//!     })
//! }
//!
//! # demijohn_web::test::block_on(async {
//! let client = Application::new().route("/count", get(count)).test_client();
//! let answer = client.get("/count").header("Last-Event-ID", "2").await;
//! assert_eq!(answer.text(), "id: 3\ndata: 3 of 3\n\n");
//! # });
//! ```
//!
//! What many clients are told goes through a channel of tokio's. Here a client that is too slow misses some of it:
//!
//! ```
//! use demijohn_web::State;
//! use demijohn_web::events::Events;
//! use tokio::sync::broadcast::{self, error::RecvError};
//!
//! async fn prices(State(prices): State<broadcast::Sender<f64>>) -> Events {
//!     let mut prices = prices.subscribe();
//!     Events::write(async move |out| {
//!         loop {
//!             match prices.recv().await {
//!                 Ok(price) => out.send_json(&price).await?,
//!                 Err(RecvError::Lagged(_)) => {}
//!                 Err(RecvError::Closed) => return Ok(()),
//!             }
//!         }
//!     })
//! }
//! # let _ = demijohn_web::get(prices);
//! ```
//!
//! # What is looked after
//! - **Silence.** After 15 seconds without an event a comment goes out, which keeps proxies from giving the connection up and shows a client
//!   that is gone.
//! - **The end.** A client that goes away ends what makes the events, within about a second: its future or stream is dropped. A server that
//!   stops ends them too, and the browser connects again, to the next one.
//! - **Whose they are.** When the handler looked at the session of somebody who is logged in, the events end with that session, within
//!   `SESSION_RECHECK_SECONDS` (30) after a logout or a new password.
//! - **Slow clients.** [`Sender::send`] waits until the event before was taken.
//! - **Fields.** Text of any kind fits into an event's data. Its name and its id are of one line: an event with another one is not sent, and
//!   ends the answer with an error in the log.
//! - **Whoever is between.** The answer is not cached and not compressed, and proxies are asked not to hold it back.

use crate::stream::{self, EndsWithServer, Streamed};
use bytes::Bytes;
use demijohn_core::extract::{Operation, Parameter};
use demijohn_core::{Body, BoxError, Error, Extract, Fault, Place, Rejection, Reply, Request, Response, Result};
use futures_core::Stream;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue};
use http_body::Frame;
use pin_project_lite::pin_project;
use serde_core::Serialize;
use std::fmt::{Display, Write};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::{Instant, Sleep};

/// How long nothing may be said.
const SILENCE: Duration = Duration::from_secs(15);

/// One event.
///
/// ```
/// use demijohn_web::events::{Event, Events};
/// use demijohn_web::{get, Application};
/// use std::time::Duration;
///
/// async fn greeting() -> Events {
///     let event = Event::new("two\nlines").name("greeting").id(7).retry(Duration::from_secs(2));
///     Events::write(async move |out| out.send(event).await)
/// }
///
/// # demijohn_web::test::block_on(async {
/// let client = Application::new().route("/", get(greeting)).test_client();
/// assert_eq!(client.get("/").await.text(), "event: greeting\nid: 7\nretry: 2000\ndata: two\ndata: lines\n\n");
/// # });
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct Event {
    name: Option<String>,
    id: Option<String>,
    retry: Option<Duration>,
    comment: Option<String>,
    data: Option<String>,
}

impl Event {
    /// An event with this data, which reaches the page's listeners as `event.data`.
    pub fn new(data: impl Into<String>) -> Event {
        Event {
            data: Some(data.into()),
            ..Event::default()
        }
    }

    /// An event whose data is a value as JSON.
    ///
    /// # Errors
    /// 500 when the value cannot be written as JSON.
    pub fn json<T: Serialize + ?Sized>(value: &T) -> Result<Event> {
        Ok(Event::new(serde_json::to_string(value)?))
    }

    /// Nothing but a comment, which no listener hears of.
    pub fn comment(text: impl Into<String>) -> Event {
        Event {
            comment: Some(text.into()),
            ..Event::default()
        }
    }

    /// Which of the page's listeners hear of it: `source.addEventListener("name", ..)`; `message` unless set. Of one line.
    pub fn name(mut self, name: impl Into<String>) -> Event {
        self.name = Some(name.into());
        self
    }

    /// What [`LastEventId`] is when the browser connects again. Of one line, without NUL.
    pub fn id(mut self, id: impl Display) -> Event {
        self.id = Some(id.to_string());
        self
    }

    /// How long the browser waits from now on before it connects again.
    pub fn retry(mut self, wait: Duration) -> Event {
        self.retry = Some(wait);
        self
    }

    /// As it is sent.
    fn encode(&self) -> Result<Bytes> {
        let mut text = String::with_capacity(self.data.as_ref().map_or(0, String::len) + 64);
        for line in self.comment.iter().flat_map(|text| lines(text)) {
            field(&mut text, "", line);
        }
        for (field_name, value) in [("event", &self.name), ("id", &self.id)] {
            let Some(value) = value else { continue };
            if value.contains(['\r', '\n']) || (field_name == "id" && value.contains('\0')) {
                return Err(Error::internal(format!(
                    "{value:?} cannot be the `{field_name}` of an event: it is of one line, and an id has no NUL"
                )));
            }
            field(&mut text, field_name, value);
        }
        if let Some(wait) = self.retry {
            // Writing to a string does not fail.
            let _ = writeln!(text, "retry: {}", wait.as_millis());
        }
        for line in self.data.iter().flat_map(|text| lines(text)) {
            field(&mut text, "data", line);
        }
        text.push('\n');
        Ok(text.into())
    }
}

impl From<String> for Event {
    fn from(data: String) -> Event {
        Event::new(data)
    }
}

impl From<&str> for Event {
    fn from(data: &str) -> Event {
        Event::new(data)
    }
}

fn field(text: &mut String, name: &str, line: &str) {
    text.push_str(name);
    // The one space after the colon is no part of the value, whatever the value begins with.
    text.push_str(": ");
    text.push_str(line);
    text.push('\n');
}

/// Lines as readers of events take them: parted by CR, LF, or both.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let Some(end) = text.find(['\r', '\n']) else {
            return rest.take();
        };
        let length = if text[end..].starts_with("\r\n") { 2 } else { 1 };
        rest = Some(&text[end + length..]);
        Some(&text[..end])
    })
}

/// An answer of events; see the [module](self).
pub struct Events {
    body: Body,
    silence: Option<Duration>,
}

impl Events {
    fn of(events: Streamed) -> Events {
        Events {
            body: events.into_body(),
            silence: Some(SILENCE),
        }
    }

    /// From a stream of events, or of texts that become the data of one each.
    pub fn new<S>(events: S) -> Events
    where
        S: Stream + Send + 'static,
        S::Item: Into<Event>,
    {
        let encode = |event: S::Item| event.into().encode();
        Events::of(Streamed::fallible(Encoded { events, encode }))
    }

    /// From a stream that can fail. A failure cuts the answer off, and the browser connects again.
    pub fn fallible<S, T, E>(events: S) -> Events
    where
        S: Stream<Item = Result<T, E>> + Send + 'static,
        T: Into<Event>,
        E: Into<Error>,
    {
        let encode = |event: Result<T, E>| event.map_err(Into::into)?.into().encode();
        Events::of(Streamed::fallible(Encoded { events, encode }))
    }

    /// From a function that sends events. It waits while the client has not taken the last one, and is dropped when the client is gone.
    pub fn write<F, Fut>(write: F) -> Events
    where
        F: FnOnce(Sender) -> Fut,
        Fut: Future<Output = Result<()>> + Send + 'static,
    {
        Events::of(Streamed::write(|out| write(Sender(out))))
    }

    /// After how much silence a comment goes out, in place of 15 seconds; `None` for never.
    #[must_use]
    pub fn keep_alive(mut self, silence: impl Into<Option<Duration>>) -> Events {
        self.silence = silence.into();
        self
    }
}

impl Reply for Events {
    fn reply(self, _: &Request) -> Result<Response> {
        let mut response = Response::new(Body::stream(Audible {
            body: self.body,
            silence: self.silence,
            alarm: None,
        }));
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache, no-store"));
        // nginx and others gather answers before they pass them on.
        headers.insert(
            HeaderName::from_static("x-accel-buffering"),
            HeaderValue::from_static("no"),
        );
        response.extensions_mut().insert(EndsWithServer);
        Ok(response)
    }

    fn describe(operation: &mut Operation) {
        operation.produces.push("text/event-stream");
    }
}

/// Where [`Events::write`] sends events to.
pub struct Sender(stream::Sender);

impl Sender {
    /// Sends an event, when the one before it was taken.
    ///
    /// # Errors
    /// 500 for an event whose name or id is not of one line; and when the client is gone.
    pub async fn send(&self, event: impl Into<Event>) -> Result<()> {
        self.0.send(event.into().encode()?).await
    }

    /// Sends a value as JSON.
    ///
    /// # Errors
    /// 500 when the value cannot be written as JSON; and when the client is gone.
    pub async fn send_json<T: Serialize + ?Sized>(&self, value: &T) -> Result<()> {
        self.send(Event::json(value)?).await
    }
}

/// The id of the last event that a browser got before it connected again. The first time there is none, so take an
/// `Option<LastEventId>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastEventId(String);

impl LastEventId {
    const NAME: &'static str = "last-event-id";

    /// The id. It came from the client, which may have made it up.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Extract for LastEventId {
    async fn extract(request: &mut Request) -> Result<Self, Rejection> {
        let header = request.headers().get(LastEventId::NAME);
        // Browsers send it in UTF-8.
        let text = header.and_then(|value| std::str::from_utf8(value.as_bytes()).ok());
        match text.filter(|text| !text.is_empty()) {
            Some(text) => Ok(LastEventId(text.to_owned())),
            None => Err(Rejection::fault(Fault::new(
                Place::Header,
                LastEventId::NAME,
                "is missing",
            ))),
        }
    }

    fn describe(operation: &mut Operation) {
        operation.parameters.push(Parameter {
            name: LastEventId::NAME.to_owned(),
            place: Place::Header,
            required: true,
            schema_type: "string",
            format: "",
        });
    }
}

pin_project! {
    struct Encoded<S, F> {
        #[pin]
        events: S,
        encode: F,
    }
}

impl<S, F> Stream for Encoded<S, F>
where
    S: Stream,
    F: FnMut(S::Item) -> Result<Bytes>,
{
    type Item = Result<Bytes, &'static str>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.project();
        let encoded = this.events.poll_next(cx).map(|event| event.map(this.encode));
        encoded.map(|bytes| {
            bytes.map(|bytes| {
                bytes.map_err(|error| {
                    tracing::error!("events failed: {error}");
                    "the events failed"
                })
            })
        })
    }
}

/// Events, with a comment now and then where there are none.
struct Audible {
    body: Body,
    silence: Option<Duration>,
    /// Rings when it has been silent; set with the first look.
    alarm: Option<Pin<Box<Sleep>>>,
}

impl http_body::Body for Audible {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.get_mut();
        let next = Pin::new(&mut this.body).poll_frame(cx);
        let Some(silence) = this.silence else { return next };
        let alarm = this.alarm.get_or_insert_with(|| Box::pin(tokio::time::sleep(silence)));
        if next.is_ready() {
            alarm.as_mut().reset(Instant::now() + silence);
            return next;
        }
        if alarm.as_mut().poll(cx).is_pending() {
            return Poll::Pending;
        }
        alarm.as_mut().reset(Instant::now() + silence);
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b":\n\n")))))
    }
}

#[cfg(test)]
mod tests {
    use super::{Event, lines};

    #[test]
    fn every_line_end_parts_lines() {
        let split = |text: &'static str| lines(text).collect::<Vec<_>>();
        assert_eq!(split(""), [""]);
        assert_eq!(split("a"), ["a"]);
        assert_eq!(split("a\nb\rc\r\nd"), ["a", "b", "c", "d"]);
        assert_eq!(split("\n"), ["", ""]);
        assert_eq!(split("a\n\r\n\r"), ["a", "", "", ""]);
    }

    #[test]
    fn what_no_event_can_be() {
        for event in [
            Event::new("x").name("a\nb"),
            Event::new("x").name("a\r"),
            Event::new("x").id("\n"),
            Event::new("x").id("a\0"),
        ] {
            assert!(event.encode().is_err(), "{event:?}");
        }
    }
}
