//! A socket that says everything back, for whoever is logged in.

use crate::accounts::Viewer;
use demijohn::prelude::*;

pub(crate) async fn echo(_: Viewer, upgrade: WebSocketUpgrade) -> Response {
    upgrade.on_upgrade(async move |mut socket: WebSocket| {
        while let Some(message) = socket.recv().await? {
            socket.send(message).await?;
        }
        Ok(())
    })
}
