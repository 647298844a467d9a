//! Connections that stay open: `cargo run -p live` serves a room to talk in at `/room` (WebSockets), what is said there at
//! `/heard` (server-sent events), and at `/echo` a socket that says everything twice.

use demijohn::prelude::*;
use tokio::sync::broadcast::{Receiver, Sender, error::RecvError};

/// What is said goes to all who are there.
type Room = Sender<String>;

async fn echo(upgrade: WebSocketUpgrade) -> Response {
    upgrade.on_upgrade(async |mut socket: WebSocket| {
        while let Some(message) = socket.recv().await? {
            socket.send(message).await?;
        }
        Ok(())
    })
}

async fn talk(upgrade: WebSocketUpgrade, room: State<Room>) -> Response {
    upgrade.on_upgrade(async move |mut socket: WebSocket| {
        let mut others = room.subscribe();
        loop {
            tokio::select! {
                said = socket.recv() => match said? {
                    // Nobody may be there to hear it.
                    Some(said) => drop(room.send(said.as_text().unwrap_or_default().to_owned())),
                    None => return Ok(()),
                },
                heard = next(&mut others) => match heard {
                    Some(heard) => socket.send(heard).await?,
                    None => return Ok(()),
                },
            }
        }
    })
}

async fn heard(room: State<Room>) -> Events {
    let mut heard = room.subscribe();
    Events::write(async move |out| {
        while let Some(said) = next(&mut heard).await {
            out.send(said).await?;
        }
        Ok(())
    })
}

/// Who is too slow misses some.
async fn next(room: &mut Receiver<String>) -> Option<String> {
    loop {
        match room.recv().await {
            Ok(said) => return Some(said),
            Err(RecvError::Lagged(_)) => {}
            Err(RecvError::Closed) => return None,
        }
    }
}

fn app() -> App {
    App::new()
        .state(Room::new(100))
        .route("/", get(async || "Hello, World!"))
        .route("/echo", get(echo))
        .route("/room", get(talk))
        .route("/heard", get(heard))
}

fn main() -> ExitCode {
    app().run()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_says_all_hear() {
        demijohn::test::block_on(async {
            let client = app().test_client();
            let mut ann = client.websocket("/room").await;
            let mut bob = client.websocket("/room").await;
            // Both are there when they hear themselves.
            for socket in [&mut ann, &mut bob] {
                socket.send("here").await;
                while socket.recv_text().await != "here" {}
            }
            ann.send("Hello!").await;
            while bob.recv_text().await != "Hello!" {}
        });
    }
}
