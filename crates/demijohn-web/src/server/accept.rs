//! Connections come in here, as many as there may be.

use super::connection::connection;
use super::limits::Limits;
use super::listen;
use super::stop::Stop;
use crate::refusal::refusal;
use crate::transport::Transport;
use crate::wire::say_goodbye;
use demijohn_core::Bag;
use std::future::poll_fn;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// How long nothing is accepted after that has failed.
const BACK_OFF: Duration = Duration::from_millis(100);
/// Of the connections above the limit so many at a time are told why they are closed.
const MAX_TURNED_AWAY: usize = 64;

/// How long connections may take to come about that had begun when a shared port is left: a few times around the world.
const HANDOVER: Duration = Duration::from_millis(500);

/// Who goes on with the port when this server ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Handover {
    /// Nobody.
    None,
    /// Others with sockets of their own on it.
    Shared,
    /// Whoever has passed the socket on to us.
    Kept,
}

/// What all connections of a server share.
#[derive(Clone)]
pub(super) struct Door {
    pub(super) site: Arc<Bag>,
    pub(super) stop: Stop,
    pub(super) limits: Limits,
    handover: Handover,
    #[cfg(feature = "tls")]
    pub(super) tls: Option<super::tls::Tls>,
    open: Arc<AtomicUsize>,
    turned_away: Arc<AtomicUsize>,
}

/// One of those that are counted, until it is dropped.
struct Counted(Arc<AtomicUsize>);

impl Counted {
    /// Nothing when there are so many already.
    fn below(count: &Arc<AtomicUsize>, most: usize) -> Option<Counted> {
        let counted = Counted(Arc::clone(count));
        (count.fetch_add(1, Ordering::Relaxed) < most).then_some(counted)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Door {
    pub(super) fn new(site: Arc<Bag>, stop: Stop, limits: Limits, handover: Handover) -> Door {
        Door {
            site,
            stop,
            limits,
            handover,
            #[cfg(feature = "tls")]
            tls: None,
            open: Arc::default(),
            turned_away: Arc::default(),
        }
    }

    /// Whether words can be said to a client before it has said any.
    fn is_plain(&self) -> bool {
        #[cfg(feature = "tls")]
        return self.tls.is_none();
        #[cfg(not(feature = "tls"))]
        true
    }

    fn let_in(&self, stream: TcpStream, peer: SocketAddr, connections: &mut JoinSet<()>) {
        if let Some(place) = Counted::below(&self.open, self.limits.connections) {
            let door = self.clone();
            connections.spawn_local(async move {
                connection(stream, peer, door).await;
                drop(place);
            });
        } else if self.is_plain()
            && let Some(place) = Counted::below(&self.turned_away, MAX_TURNED_AWAY)
        {
            connections.spawn_local(async move {
                turn_away(stream).await;
                drop(place);
            });
        }
    }
}

/// There is no place: said at once, and to whoever asks (a balancer) in a way that lets it ask elsewhere.
async fn turn_away(stream: TcpStream) {
    let mut stream = Transport::Plain(stream);
    say_goodbye(&mut stream, &refusal(503, &[("retry-after", "1")])).await;
}

/// Accepts connections until the end begins, then waits for those that are open.
pub(super) async fn accept(listener: TcpListener, door: Door) {
    let mut connections = JoinSet::new();
    {
        let mut ending = pin!(door.stop.wait());
        let mut fails = false;
        loop {
            let accepted = poll_fn(|cx| match ending.as_mut().poll(cx) {
                Poll::Ready(()) => Poll::Ready(None),
                Poll::Pending => listener.poll_accept(cx).map(Some),
            });
            let Some(accepted) = accepted.await else { break };
            match accepted {
                Ok((stream, peer)) => {
                    if std::mem::take(&mut fails) {
                        tracing::info!("connections are accepted again");
                    }
                    door.let_in(stream, peer, &mut connections);
                }
                Err(error) if is_of_the_client(&error) => {}
                Err(error) => {
                    // Out of file descriptors, most likely: others will close theirs. One line tells of it, however long it takes.
                    if !std::mem::replace(&mut fails, true) {
                        tracing::error!("no connection can be accepted: {error}");
                    }
                    let _ = tokio::time::timeout(BACK_OFF, ending.as_mut()).await;
                }
            }
            // Those that ended are let go.
            while connections.try_join_next().is_some() {}
        }
    }
    match door.handover {
        // Whoever has the socket too goes on with what waits in it.
        Handover::Kept => drop(listener),
        Handover::None => last_ones(listener, &door, &mut connections),
        Handover::Shared => {
            if listen::refuse_new(&listener) {
                // Their first packets go to the other listeners when they are sent again. What was begun here comes to its end here.
                let begun = async {
                    while let Ok((stream, peer)) = listener.accept().await {
                        door.let_in(stream, peer, &mut connections);
                    }
                };
                let _ = tokio::time::timeout(HANDOVER, begun).await;
            }
            last_ones(listener, &door, &mut connections);
        }
    }
    let grace = door.limits.grace;
    let finished = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(grace, finished).await.is_err() {
        tracing::warn!("requests still running after {} s are cut off", grace.as_secs());
    }
}

/// Those that the system has accepted for us would be reset with the listener.
fn last_ones(listener: TcpListener, door: &Door, connections: &mut JoinSet<()>) {
    let Ok(listener) = listener.into_std() else { return };
    while let Ok((stream, peer)) = listener.accept() {
        if let Ok(stream) = nonblocking(stream) {
            door.let_in(stream, peer, connections);
        }
    }
}

fn is_of_the_client(error: &std::io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::ConnectionRefused | ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset
    )
}

fn nonblocking(stream: std::net::TcpStream) -> std::io::Result<TcpStream> {
    stream.set_nonblocking(true)?;
    TcpStream::from_std(stream)
}
