//! One connection: its requests, how long they are waited for, and its end.

use super::accept::Door;
use crate::admit::Head;
use crate::dispatch::Engine;
use crate::patience::{Patience, Verdict};
use crate::proxy;
use crate::stream::EndsWithServer;
use crate::transport::Transport;
use crate::wire::{Streaming, Wire};
use demijohn_core::{Body, Request};
use http::StatusCode;
use http::header::{CONNECTION, HeaderMap, HeaderName, HeaderValue};
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::net::TcpStream;

/// hyper gives up on a head somewhere beyond this: later than [`Framing`](crate::framing::Framing), which answers.
const MAX_HEAD_BYTES: usize = 64 << 10;

/// How long a connection without a request stays open after the end began. A client may be sending its next request at this
/// moment: it is answered, and told that it was the last.
const FAREWELL: Duration = Duration::from_secs(1);

pub(super) async fn connection(mut stream: TcpStream, mut peer: SocketAddr, door: Door) {
    // Answers are small and complete: waiting to fill a packet only delays them.
    let _ = stream.set_nodelay(true);
    let proxies = Engine::of(&door.site).proxies.as_ref();
    if proxies.is_some_and(|proxies| proxies.speaks_protocol(peer.ip())) {
        let said = within(door.limits.times.head, proxy::read_protocol(&mut stream)).await;
        match said {
            Some(Ok(client)) => peer = client.unwrap_or(peer),
            Some(Err(error)) => return tracing::warn!("a proxy at {peer} does not say for whom it speaks: {error}"),
            None => return,
        }
    }
    #[cfg(feature = "tls")]
    if let Some(tls) = &door.tls {
        let Some(stream) = Box::pin(tls.handshake(stream, door.limits.times.head)).await else {
            return;
        };
        let is_http2 = super::tls::speaks_http2(&stream);
        let stream = Transport::Tls(Box::new(stream));
        return match is_http2 {
            true => Box::pin(super::http2::serve(stream, peer, door)).await,
            false => Box::pin(http1(stream, peer, door)).await,
        };
    }
    http1(Transport::Plain(stream), peer, door).await;
}

/// Nothing when it takes longer.
async fn within<F: Future>(time: Option<Duration>, future: F) -> Option<F::Output> {
    match time {
        Some(time) => tokio::time::timeout(time, future).await.ok(),
        None => Some(future.await),
    }
}

async fn http1(stream: Transport, peer: SocketAddr, door: Door) {
    let Door { site, stop, limits, .. } = door;
    let is_secure = stream.is_secure();
    let (wire, back) = Wire::new(stream);
    let busy = wire.busy();
    let watched = wire.busy();
    let ending = stop.clone();
    #[cfg(feature = "websocket")]
    let sockets = crate::websocket::Upgrades::default();
    #[cfg(feature = "websocket")]
    let opened = sockets.clone();
    let service = hyper::service::service_fn(move |request: http::Request<hyper::body::Incoming>| {
        let site = Arc::clone(&site);
        // Known before anybody asks whose request it is, or whether there is such a page.
        let seen = match busy.body_is_broken() {
            true => Head::Broken,
            false => Head::Inspected,
        };
        let answering = busy.begin();
        let stop = ending.clone();
        #[cfg(feature = "websocket")]
        let opened = opened.clone();
        async move {
            let (mut head, body) = request.into_parts();
            #[cfg(feature = "websocket")]
            let upgrade = head.extensions.get().cloned();
            if answering.has_underscores() {
                drop_ambiguous(&mut head.headers);
            }
            let body = match http_body::Body::is_end_stream(&body) {
                true => Body::empty(),
                false => Body::stream(body),
            };
            let mut request = Request::new(head, body, Arc::clone(&site), Some(peer));
            request.set_secure(is_secure);
            answering.set_handling(true);
            let overdue = |_: &mut Context<'_>| answering.is_overdue();
            let engine = Engine::of(&site);
            let mut response = engine.answer_unless(request, seen, overdue).await;
            answering.set_handling(false);
            if response.status() == StatusCode::SWITCHING_PROTOCOLS {
                answering.switch();
                #[cfg(feature = "websocket")]
                opened.put(upgrade, &mut response);
            } else if stop.begun() {
                response
                    .headers_mut()
                    .insert(CONNECTION, HeaderValue::from_static("close"));
            }
            if response.body().is_stream() {
                let ends = response.extensions_mut().remove::<EndsWithServer>().is_some();
                response = response.map(|body| {
                    let body = Streaming::new(body, answering);
                    Body::stream(match ends {
                        true => body.until(async move { stop.wait().await }),
                        false => body,
                    })
                });
            }
            Ok::<_, Infallible>(response)
        }
    });
    let mut patience = Patience::new(watched, limits.times);
    let mut too_slow = false;
    let result = {
        let mut http = http1::Builder::new();
        // Not `pipeline_flush`: it keeps answers back while bytes of the client are left, and loses them when those are no HTTP.
        http.max_buf_size(MAX_HEAD_BYTES)
            // Answers are small: head and body in one buffer and one plain write cost less than a list of buffers.
            .writev(false)
            .header_read_timeout(None);
        let mut connection = pin!(http.serve_connection(TokioIo::new(wire), service).with_upgrades());
        let mut seat = stop.seat();
        let mut farewell = None;
        let mut told = false;
        let too_slow = &mut too_slow;
        poll_fn(|cx| {
            seat.take(cx.waker());
            if !told && stop.begun() {
                let farewell = farewell.get_or_insert_with(|| Box::pin(tokio::time::sleep(FAREWELL)));
                if farewell.as_mut().poll(cx).is_ready() {
                    told = true;
                    connection.as_mut().graceful_shutdown();
                }
            }
            let polled = connection.as_mut().poll(cx);
            let verdict = match &mut patience {
                Some(patience) if polled.is_pending() => patience.poll(cx),
                _ => Verdict::GoOn,
            };
            if verdict == Verdict::Over {
                *too_slow = true;
                return Poll::Ready(Ok(()));
            }
            polled
        })
        .await
    };
    if let Err(error) = &result {
        tracing::debug!("connection of {peer}: {error}");
    }
    #[cfg(feature = "websocket")]
    sockets.run(stop).await;
    back.close(too_slow).await;
}

/// Drops headers with `_` in their names. A proxy that sets or removes `X-User` lets `X_User` pass, and much software takes
/// the two for one.
pub(super) fn drop_ambiguous(headers: &mut HeaderMap) {
    let is_ambiguous = |name: &&HeaderName| name.as_str().contains('_');
    if headers.keys().any(|name| is_ambiguous(&name)) {
        let names: Vec<HeaderName> = headers.keys().filter(is_ambiguous).cloned().collect();
        for name in names {
            headers.remove(name);
        }
    }
}
