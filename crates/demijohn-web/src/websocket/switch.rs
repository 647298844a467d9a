//! What an answer of 101 carries along to whoever holds the connection.

use super::drive::{Drive, Limits};
use super::slot::Slot;
use super::{End, Out, WebSocket};
use crate::bound::Bound;
use crate::server::Stop;
use demijohn_core::{BoxFuture, Response, Result};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use std::cell::Cell;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;

/// The handler's function, which is called once the connection is a socket.
pub(super) type Handler = Box<dyn FnOnce(WebSocket) -> BoxFuture<'static, Result<()>> + Send>;

/// A connection that can become a socket.
pub(crate) trait Io: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// A socket that waits for its connection.
pub(crate) struct Switch {
    pub(super) handler: Handler,
    pub(super) limits: Limits,
    pub(super) subprotocol: Option<String>,
    /// To the session that opened it.
    pub(super) bound: Option<Box<Bound>>,
    /// The request's id and path, for the log.
    pub(super) name: String,
}

/// Extensions of a response are cloned by whoever likes; the switch is thrown once.
#[derive(Clone)]
struct Holder(Arc<Mutex<Option<Switch>>>);

impl Switch {
    /// Puts it into an answer.
    pub(super) fn attach(self, response: &mut Response) {
        let holder = Holder(Arc::new(Mutex::new(Some(self))));
        response.extensions_mut().insert(holder);
    }

    /// Ends the socket of an answer, if it has one, with a session.
    #[cfg(feature = "sessions")]
    pub(crate) fn bind(response: &Response, bound: Bound) {
        if let Some(Holder(switch)) = response.extensions().get() {
            let mut switch = switch.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(switch) = &mut *switch {
                switch.bound = Some(Box::new(bound));
            }
        }
    }

    /// Takes it out of an answer.
    pub(crate) fn detach(response: &mut Response) -> Option<Switch> {
        let holder: Holder = response.extensions_mut().remove()?;
        holder.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Runs the socket to its end, which `stop` brings early.
    pub(crate) async fn throw(self, io: Box<dyn Io>, stop: Stop) {
        let slot: Arc<Slot> = Arc::default();
        // One message waits while the one before it is written.
        let (outgoing, outbox) = mpsc::channel::<Out>(1);
        let socket = WebSocket {
            incoming: Arc::clone(&slot),
            outgoing,
            subprotocol: self.subprotocol,
        };
        let handler = self.handler;
        // The call itself may panic too.
        let handler: BoxFuture<'static, Result<()>> = Box::pin(async move { handler(socket).await });
        let drive = Drive::new(
            io,
            self.limits,
            self.bound,
            Arc::clone(&slot),
            outbox,
            handler,
            self.name,
        )
        .await;
        drive.run(stop).await;
        // Senders elsewhere are told, whatever happened.
        slot.end(End::Broken(super::Close::new(1006, "the handler has ended")));
    }
}

/// The socket that a connection of the server becomes, if it becomes one.
#[derive(Clone, Default)]
pub(crate) struct Upgrades(Rc<Cell<Option<(Switch, OnUpgrade)>>>);

impl Upgrades {
    /// Keeps the socket that an answer of 101 carries. (101 for another protocol carries none.)
    pub(crate) fn put(&self, upgrade: Option<OnUpgrade>, response: &mut Response) {
        if let (Some(upgrade), Some(switch)) = (upgrade, Switch::detach(response)) {
            self.0.set(Some((switch, upgrade)));
        }
    }

    /// Runs it, once HTTP has let go of the connection. The connection's task goes on with it, so that a server that stops waits
    /// for sockets as for requests.
    pub(crate) async fn run(self, stop: Stop) {
        let Some((switch, upgrade)) = self.0.take() else { return };
        match upgrade.await {
            Ok(io) => switch.throw(Box::new(TokioIo::new(io)), stop).await,
            Err(error) => tracing::debug!("a connection did not become a socket: {error}"),
        }
    }
}
