//! Room for one message between the connection and the handler: while it is taken, nothing more is read.

use super::{End, Message};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

#[derive(Debug, Default)]
pub(super) struct Slot(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    message: Option<Message>,
    end: Option<End>,
    /// Nobody receives any more.
    left: bool,
    /// Woken when a message came, or the end.
    receiver: Option<Waker>,
    /// Woken when there is room.
    connection: Option<Waker>,
}

impl Slot {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The message; after the last one the end.
    pub(super) fn poll_take(&self, cx: &Context<'_>) -> Poll<Result<Message, End>> {
        let mut state = self.state();
        if let Some(message) = state.message.take() {
            let connection = state.connection.take();
            drop(state);
            // The handler is usually part of the connection's own task, which looks again by itself; a wake costs little.
            connection.into_iter().for_each(Waker::wake);
            return Poll::Ready(Ok(message));
        }
        match &state.end {
            Some(end) => Poll::Ready(Err(end.clone())),
            None => {
                state.receiver = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }

    /// Whether a message can be put; if not, the task is woken when one can.
    pub(super) fn has_room(&self, cx: &Context<'_>) -> bool {
        let mut state = self.state();
        let full = state.message.is_some() && !state.left;
        if full {
            state.connection = Some(cx.waker().clone());
        }
        !full
    }

    /// Puts a message where there is room.
    pub(super) fn put(&self, message: Message) {
        let mut state = self.state();
        if !state.left {
            state.message = Some(message);
            let receiver = state.receiver.take();
            drop(state);
            receiver.into_iter().for_each(Waker::wake);
        }
    }

    /// Sets the end; the first one counts.
    pub(super) fn end(&self, end: End) {
        let mut state = self.state();
        state.end.get_or_insert(end);
        let receiver = state.receiver.take();
        drop(state);
        receiver.into_iter().for_each(Waker::wake);
    }

    pub(super) fn ended(&self) -> Option<End> {
        self.state().end.clone()
    }

    /// Nobody will take messages: they are dropped, so that the rest of the protocol goes on.
    pub(super) fn leave(&self) {
        let mut state = self.state();
        state.left = true;
        state.message = None;
        let connection = state.connection.take();
        drop(state);
        connection.into_iter().for_each(Waker::wake);
    }
}
