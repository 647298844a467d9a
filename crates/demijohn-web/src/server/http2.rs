//! HTTP/2, which clients agree on by ALPN; in the clear there is none.
//!
//! What a frame may be and when is hyper's and h2's to know. Here are the bounds that keep one connection from costing more than its share
//! (RFC 9113, 10.5), and what makes its requests look like all others.

use super::accept::Door;
use super::connection::drop_ambiguous;
use crate::admit::Head;
use crate::dispatch::Engine;
use crate::framing::{MAX_FIELDS_BYTES, MAX_TARGET_BYTES};
use crate::patience::{Patience, Verdict};
use crate::stream::EndsWithServer;
use crate::transport::Transport;
use crate::wire::{Busy, Inbound, Outbound, Watched};
use demijohn_core::{Bag, Body, Request, Response};
use http::header::{CONNECTION, HOST, HeaderValue};
use http::request::Parts;
use http::{StatusCode, Uri};
use hyper::server::conn::http2;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

/// Requests of a connection at a time.
const MAX_STREAMS: u32 = 100;
/// A larger list of headers is answered 431 before it is kept. (Each field counts 32 bytes more than it has; what is really too
/// much, the site tells.)
const MAX_HEADER_LIST_BYTES: u32 = (MAX_FIELDS_BYTES + MAX_TARGET_BYTES + (4 << 10)) as u32;
/// What is kept of an answer that the client does not take yet, for each request.
const MAX_SEND_BYTES: usize = 64 << 10;
/// Requests that were taken back before they were seen, and requests that we had to reset: more of them end the connection.
const MAX_PENDING_RESETS: usize = 20;
const MAX_OWN_RESETS: usize = 100;
/// A client that has taken back so many requests, and more than it has let be answered, is not interested in answers.
const MAX_CANCELLED: usize = 200;
/// How often a silent client is asked whether it is there, and how long it may take to say so.
const PING: Duration = Duration::from_secs(20);

/// Tasks of the thread that the connection belongs to.
#[derive(Clone, Copy)]
struct Here;

impl<F: Future<Output = ()> + 'static> hyper::rt::Executor<F> for Here {
    fn execute(&self, future: F) {
        tokio::task::spawn_local(future);
    }
}

pub(super) async fn serve(stream: Transport, peer: SocketAddr, door: Door) {
    let Door { site, stop, limits, .. } = door;
    let busy = Busy::multiplexed();
    let watched = Watched::new(stream, busy.clone());
    let handler_time = limits.times.handler;
    let service = {
        let (busy, stop) = (busy.clone(), stop.clone());
        hyper::service::service_fn(move |request: http::Request<hyper::body::Incoming>| {
            let site = Arc::clone(&site);
            let stop = stop.clone();
            let answering = busy.begin();
            let mut cancelled = Cancelled(Some(busy.clone()));
            let (inbound, watching) = (busy.clone(), busy.clone());
            async move {
                let (head, body) = request.into_parts();
                let body = match http_body::Body::is_end_stream(&body) {
                    true => Body::empty(),
                    false => Body::stream(Inbound::new(body, inbound)),
                };
                let mut overdue = handler_time.map(|time| Overdue::new(time, watching));
                let is_overdue = |cx: &mut Context<'_>| overdue.as_mut().is_some_and(|overdue| overdue.poll(cx));
                let mut response = answer(head, body, &site, peer, is_overdue).await;
                cancelled.was_answered();
                // The connection goes on, whatever the answer says; what ends it is the client's doing or ours.
                response.headers_mut().remove(CONNECTION);
                if response.status() == StatusCode::SWITCHING_PROTOCOLS {
                    *response.status_mut() = StatusCode::NOT_IMPLEMENTED;
                }
                let ends = response.extensions_mut().remove::<EndsWithServer>().is_some();
                Ok::<_, Infallible>(response.map(|body| {
                    let body = Outbound::new(body, answering);
                    match ends {
                        true => body.until(async move { stop.wait().await }),
                        false => body,
                    }
                }))
            }
        })
    };
    let mut http = http2::Builder::new(Here);
    http.timer(TokioTimer::new())
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(MAX_HEADER_LIST_BYTES)
        .max_pending_accept_reset_streams(MAX_PENDING_RESETS)
        .max_local_error_reset_streams(MAX_OWN_RESETS)
        .max_send_buf_size(MAX_SEND_BYTES)
        .keep_alive_interval(PING)
        .keep_alive_timeout(PING);
    let mut connection = pin!(http.serve_connection(TokioIo::new(watched), service));
    let mut patience = Patience::new(busy.clone(), limits.times);
    let mut seat = stop.seat();
    let mut told = false;
    let result = poll_fn(|cx| {
        seat.take(cx.waker());
        if !told && stop.begun() {
            told = true;
            connection.as_mut().graceful_shutdown();
        }
        let polled = connection.as_mut().poll(cx);
        if polled.is_ready() {
            return polled;
        }
        if busy.cancelled() > MAX_CANCELLED && busy.cancelled() > busy.answered() / 2 {
            tracing::warn!(target: "demijohn::security", %peer, "a client takes back more requests than it lets be answered");
            return Poll::Ready(Ok(()));
        }
        match patience.as_mut().map_or(Verdict::GoOn, |patience| patience.poll(cx)) {
            Verdict::GoOn => Poll::Pending,
            Verdict::Over if !told && busy.is_idle() => {
                told = true;
                connection.as_mut().graceful_shutdown();
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            Verdict::Over | Verdict::Told => Poll::Ready(Ok(())),
        }
    })
    .await;
    if let Err(error) = result {
        tracing::debug!("connection of {peer}: {error}");
    }
}

/// When a handler has taken too long, with no byte from the client meanwhile.
struct Overdue {
    time: Duration,
    next: Pin<Box<tokio::time::Sleep>>,
    busy: Busy,
    read: usize,
}

impl Overdue {
    fn new(time: Duration, busy: Busy) -> Overdue {
        Overdue {
            time,
            next: Box::pin(tokio::time::sleep(time)),
            read: busy.read(),
            busy,
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> bool {
        while self.next.as_mut().poll(cx).is_ready() {
            let read = self.busy.read();
            if read == self.read {
                return true;
            }
            self.read = read;
            self.next.as_mut().reset(tokio::time::Instant::now() + self.time);
        }
        false
    }
}

/// Counts a request whose answer nobody waited for.
struct Cancelled(Option<Busy>);

impl Cancelled {
    fn was_answered(&mut self) {
        self.0 = None;
    }
}

impl Drop for Cancelled {
    fn drop(&mut self) {
        if let Some(busy) = &self.0 {
            busy.cancel();
        }
    }
}

async fn answer(
    mut head: Parts,
    body: Body,
    site: &Arc<Bag>,
    peer: SocketAddr,
    is_overdue: impl FnMut(&mut Context<'_>) -> bool,
) -> Response {
    as_of_http1(&mut head);
    drop_ambiguous(&mut head.headers);
    let mut request = Request::new(head, body, Arc::clone(site), Some(peer));
    request.set_secure(true);
    Engine::of(site).answer_unless(request, Head::Unknown, is_overdue).await
}

/// The host in its header and the target as a path, as requests of HTTP/1 have them: so nothing else needs to know.
fn as_of_http1(head: &mut Parts) {
    // CONNECT has no path; like everything odd it is refused where all requests are.
    let (Some(authority), Some(path)) = (head.uri.authority(), head.uri.path_and_query()) else {
        return;
    };
    let Ok(host) = HeaderValue::from_str(authority.as_str()) else {
        return;
    };
    let agrees = |name: &HeaderValue| name.as_bytes().eq_ignore_ascii_case(host.as_bytes());
    head.uri = Uri::from(path.clone());
    match head.headers.get_all(HOST).iter().all(agrees) {
        true => drop(head.headers.insert(HOST, host)),
        // Two hosts are refused, too.
        false => drop(head.headers.append(HOST, host)),
    }
}
