//! The server: listeners, connections, and a gentle end.
//!
//! In production one runtime per core has a listener of its own on the same port (SO_REUSEPORT), so the kernel spreads
//! connections and no request crosses threads. In development one is enough.

use crate::admit::Head;
use crate::app::Ready;
use crate::dispatch::Engine;
use crate::wire::{Patience, Streaming, Wire};
use demijohn_core::site::Lifecycle;
use demijohn_core::{Bag, Body, Error, Request, Result};
use http::StatusCode;
use http::header::{CONNECTION, HeaderMap, HeaderName, HeaderValue};
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use socket2::{Domain, Protocol, Socket, Type};
use std::collections::HashMap;
use std::convert::Infallible;
use std::future::poll_fn;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Poll, Waker};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};

/// How a site is served.
#[derive(Clone, Debug)]
pub struct Serve {
    address: String,
    workers: usize,
    joins: bool,
    limits: Limits,
}

/// What a listener gives its connections.
#[derive(Clone, Copy, Debug)]
struct Limits {
    grace: Duration,
    head: Option<Duration>,
}

impl Serve {
    /// On this address, `127.0.0.1:8000`; port 0 takes a free one.
    pub fn on(address: impl Into<String>) -> Serve {
        Serve {
            address: address.into(),
            workers: 1,
            joins: false,
            limits: Limits {
                grace: Duration::from_secs(30),
                head: Some(Duration::from_secs(10)),
            },
        }
    }

    /// With so many runtimes, one thread each; 0 means one per core.
    #[must_use]
    pub fn workers(mut self, workers: usize) -> Serve {
        self.workers = match workers {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            n => n,
        };
        self
    }

    /// Shares the port with a process that shares it too, so that the next one serves before the last one ends. Without it a
    /// port that is taken is an error. (Both must belong to the same user; where the system cannot do it, nothing changes.)
    #[must_use]
    pub fn reuse_port(mut self) -> Serve {
        self.joins = true;
        self
    }

    /// How long requests may go on after the signal to stop; 30 seconds unless set.
    #[must_use]
    pub fn grace(mut self, grace: Duration) -> Serve {
        self.limits.grace = grace;
        self
    }

    /// How long the head of a request may take, from the end of the one before: so this is also how long an idle connection is
    /// kept. 10 seconds unless set, and with `None` for ever.
    #[must_use]
    pub fn head_timeout(mut self, timeout: impl Into<Option<Duration>>) -> Serve {
        self.limits.head = timeout.into();
        self
    }

    /// Opens the listeners.
    ///
    /// # Errors
    /// An address that is none, or is taken, in words that say what to do.
    pub fn bind(self) -> Result<Bound> {
        let Serve {
            address,
            workers,
            joins,
            limits,
        } = self;
        let wanted = resolve(&address)?;
        let shared = workers > 1 || joins;
        if workers > 1 && !joins && wanted.port() != 0 {
            // A shared port hides that another program is on it, so look first.
            drop(listen(wanted, false).map_err(|error| explain(error, &address))?);
        }
        let first = listen(wanted, shared).map_err(|error| explain(error, &address))?;
        // With port 0 the others take the port that the first was given.
        let bound = first.local_addr()?;
        let mut listeners = vec![first];
        for _ in 1..workers {
            listeners.push(listen(bound, true).map_err(|error| explain(error, &address))?);
        }
        Ok(Bound {
            listeners,
            address: bound,
            limits,
        })
    }
}

/// Open listeners, ready to serve.
pub struct Bound {
    listeners: Vec<std::net::TcpListener>,
    address: SocketAddr,
    limits: Limits,
}

impl Bound {
    /// The address that clients reach.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until SIGTERM or SIGINT, then lets requests finish. A second signal ends the program at once.
    ///
    /// # Errors
    /// When a runtime cannot be made, or a start hook fails.
    pub fn run(self, ready: &Ready) -> Result<()> {
        let site = Arc::clone(ready.site());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let result = runtime.block_on(async {
            let stop = Stop::new();
            tokio::spawn(ended(stop.clone()));
            self.serve(site, stop).await
        });
        // What hangs in blocking threads does not keep the program from ending.
        runtime.shutdown_timeout(Duration::from_millis(100));
        result
    }

    /// Serves a built site until `stop` begins, each listener on a thread of its own. Dropping the future stops them.
    ///
    /// # Errors
    /// When a start hook fails, a thread cannot be made, or one panics.
    pub async fn serve(self, site: Arc<Bag>, stop: Stop) -> Result<()> {
        let Bound { listeners, limits, .. } = self;
        Lifecycle::start(&site).await?;
        let _ending = StopOnDrop(stop.clone());
        let mut workers = Vec::new();
        for (i, listener) in listeners.into_iter().enumerate() {
            let (site, stop) = (Arc::clone(&site), stop.clone());
            let (done, finished) = tokio::sync::oneshot::channel();
            std::thread::Builder::new()
                .name(format!("worker-{}", i + 1))
                .spawn(move || {
                    // Nobody is there to hear it when the server was dropped.
                    let _ = done.send(work(listener, site, stop, limits));
                })?;
            workers.push(finished);
        }
        let mut result = Ok(());
        for finished in workers {
            let ended = finished
                .await
                .unwrap_or_else(|_| Err(Error::internal("a worker thread panicked")));
            result = result.and(ended);
        }
        for error in Lifecycle::stop(&site).await {
            tracing::error!("a stop hook failed: {error}");
        }
        result
    }
}

/// One worker: a runtime of its own, whose connections are tasks of a local set. Such a task is woken from another
/// thread (a database's) by one system call for all that wait together, a task of the runtime by one each.
fn work(listener: std::net::TcpListener, site: Arc<Bag>, stop: Stop, limits: Limits) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let result = tokio::task::LocalSet::new().block_on(&runtime, async {
        accept(TcpListener::from_std(listener)?, site, stop, limits).await;
        Ok(())
    });
    // What hangs in blocking threads does not keep the program from ending.
    runtime.shutdown_timeout(Duration::from_millis(100));
    result
}

/// Begins the end when it is dropped: no worker outlives its server.
struct StopOnDrop(Stop);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.begin();
    }
}

/// Waits for a signal to end and begins the end; a second one ends the program at once.
pub(crate) async fn ended(stop: Stop) {
    signal().await;
    stop.begin();
    signal().await;
    tracing::warn!("second signal: ending at once");
    std::process::exit(130);
}

/// Waits for SIGTERM or SIGINT.
async fn signal() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let (term, int) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()));
        let (Ok(mut term), Ok(mut int)) = (term, int) else {
            tracing::error!("signals cannot be watched: the server stops only when it is killed");
            return std::future::pending().await;
        };
        poll_fn(|cx| match (term.poll_recv(cx), int.poll_recv(cx)) {
            (Poll::Pending, Poll::Pending) => Poll::Pending,
            _ => Poll::Ready(()),
        })
        .await;
    }
    #[cfg(not(unix))]
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// The switch that ends a server, and what it wakes.
#[derive(Clone, Default)]
pub struct Stop(Arc<StopState>);

#[derive(Default)]
struct StopState {
    begun: AtomicBool,
    next: AtomicUsize,
    /// Tasks to be told. A connection looks at the flag whenever it is polled and is woken once, so a request pays nothing.
    wakers: Mutex<HashMap<usize, Waker>>,
}

impl Stop {
    /// A switch that is not thrown.
    pub fn new() -> Stop {
        Stop::default()
    }

    /// Begins the end: no more connections, requests that run are finished.
    pub fn begin(&self) {
        self.0.begun.store(true, Ordering::SeqCst);
        let wakers = std::mem::take(&mut *self.0.wakers.lock().unwrap_or_else(PoisonError::into_inner));
        wakers.into_values().for_each(Waker::wake);
    }

    fn begun(&self) -> bool {
        self.0.begun.load(Ordering::Relaxed)
    }

    /// A place among those to be woken.
    fn seat(&self) -> Seat<'_> {
        Seat {
            stop: self,
            key: self.0.next.fetch_add(1, Ordering::Relaxed),
            taken: false,
        }
    }

    pub(crate) async fn wait(&self) {
        let mut seat = self.seat();
        poll_fn(|cx| {
            seat.take(cx.waker());
            if self.0.begun.load(Ordering::SeqCst) {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        })
        .await;
    }
}

struct Seat<'a> {
    stop: &'a Stop,
    key: usize,
    taken: bool,
}

impl Seat<'_> {
    /// A task keeps its waker, so the first one is the right one.
    fn take(&mut self, waker: &Waker) {
        if !self.taken {
            self.taken = true;
            let mut wakers = self.stop.0.wakers.lock().unwrap_or_else(PoisonError::into_inner);
            wakers.insert(self.key, waker.clone());
        }
    }
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        if self.taken {
            let mut wakers = self.stop.0.wakers.lock().unwrap_or_else(PoisonError::into_inner);
            wakers.remove(&self.key);
        }
    }
}

/// Accepts connections until the end begins, then waits for those that are open.
async fn accept(listener: TcpListener, site: Arc<Bag>, stop: Stop, limits: Limits) {
    let mut connections = tokio::task::JoinSet::new();
    {
        let mut ending = pin!(stop.wait());
        loop {
            let accepted = poll_fn(|cx| match ending.as_mut().poll(cx) {
                Poll::Ready(()) => Poll::Ready(None),
                Poll::Pending => listener.poll_accept(cx).map(Some),
            });
            let Some(accepted) = accepted.await else { break };
            match accepted {
                Ok((stream, peer)) => {
                    connections.spawn_local(connection(stream, peer, Arc::clone(&site), stop.clone(), limits.head));
                }
                Err(error) => {
                    let of_the_client = matches!(
                        error.kind(),
                        ErrorKind::ConnectionRefused | ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset
                    );
                    if !of_the_client {
                        // Out of file descriptors, most likely: others will close theirs.
                        tracing::error!("no connection can be accepted: {error}");
                        tokio::time::sleep(Duration::from_millis(100)).await;
                    }
                }
            }
            // Those that ended are let go.
            while connections.try_join_next().is_some() {}
        }
    }
    // Those that the kernel has accepted for us would be reset with the listener.
    if let Ok(listener) = listener.into_std() {
        while let Ok((stream, peer)) = listener.accept() {
            if let Ok(stream) = nonblocking(stream) {
                connections.spawn_local(connection(stream, peer, Arc::clone(&site), stop.clone(), limits.head));
            }
        }
    }
    let finished = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(limits.grace, finished).await.is_err() {
        tracing::warn!("requests still running after {} s are cut off", limits.grace.as_secs());
    }
}

fn nonblocking(stream: std::net::TcpStream) -> std::io::Result<TcpStream> {
    stream.set_nonblocking(true)?;
    TcpStream::from_std(stream)
}

/// hyper gives up on a head somewhere beyond this: later than [`Framing`](crate::framing::Framing), which answers.
const MAX_HEAD_BYTES: usize = 64 << 10;

/// How long a connection without a request stays open after the end began. A client may be sending its next request at this
/// moment: it is answered, and told that it was the last.
const FAREWELL: Duration = Duration::from_secs(1);

async fn connection(stream: TcpStream, peer: SocketAddr, site: Arc<Bag>, stop: Stop, head: Option<Duration>) {
    // Answers are small and complete: waiting to fill a packet only delays them.
    let _ = stream.set_nodelay(true);
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
            let request = Request::new(head, body, Arc::clone(&site), Some(peer));
            let mut response = Engine::of(&site).answer(request, Head::Inspected).await;
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
                response = response.map(|body| Body::stream(Streaming { body, answering }));
            }
            Ok::<_, Infallible>(response)
        }
    });
    let mut patience = head.map(|limit| Patience::new(watched, limit));
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
            if polled.is_pending() && patience.as_mut().is_some_and(|patience| patience.is_over(cx)) {
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
fn drop_ambiguous(headers: &mut HeaderMap) {
    let is_ambiguous = |name: &&HeaderName| name.as_str().contains('_');
    if headers.keys().any(|name| is_ambiguous(&name)) {
        let names: Vec<HeaderName> = headers.keys().filter(is_ambiguous).cloned().collect();
        for name in names {
            headers.remove(name);
        }
    }
}

fn resolve(address: &str) -> Result<SocketAddr> {
    use std::net::ToSocketAddrs;
    let none = || {
        Error::internal(format!(
            "`{address}` is no address to serve on; write `HOST:PORT`, such as `127.0.0.1:8000` or `[::1]:8000`"
        ))
    };
    address.to_socket_addrs().map_err(|_| none())?.next().ok_or_else(none)
}

fn listen(address: SocketAddr, shared: bool) -> std::io::Result<std::net::TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // A restart does not wait for the old connections' last packets.
    #[cfg(not(windows))]
    socket.set_reuse_address(true)?;
    #[cfg(all(unix, not(target_os = "solaris")))]
    if shared {
        socket.set_reuse_port(true)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(1024)?;
    Ok(socket.into())
}

fn explain(error: std::io::Error, address: &str) -> Error {
    let mend = match error.kind() {
        ErrorKind::AddrInUse => {
            "another program listens there; end it or choose another port: `serve --bind HOST:PORT`"
        }
        ErrorKind::PermissionDenied => "ports below 1024 need privileges; choose a higher one",
        ErrorKind::AddrNotAvailable => "this machine has no such address; `0.0.0.0` means all that it has",
        _ => "choose another address: `serve --bind HOST:PORT`",
    };
    Error::internal(format!("cannot serve on {address}: {error}; {mend}"))
}
