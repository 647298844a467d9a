//! Conversations on real connections: WebSockets and server-sent events.
#![allow(clippy::unwrap_used)]

mod events;
#[path = "../running/mod.rs"]
mod running;
mod websocket;
