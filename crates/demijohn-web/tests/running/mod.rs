//! A server on a real socket.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used)]

use demijohn_core::settings::Sources;
use demijohn_web::Application;
use demijohn_web::server::{Serve, Stop};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// A site on a free port, until it is dropped.
pub struct Running {
    pub address: SocketAddr,
    pub stop: Stop,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Running {
    pub fn new(app: Application, workers: usize) -> Running {
        Running::on(Serve::on("127.0.0.1:0").workers(workers), app)
    }

    pub fn on(serve: Serve, app: Application) -> Running {
        Running::of(serve, app.build(Sources::none()).map_err(|f| format!("{f:?}")).unwrap())
    }

    pub fn of(serve: Serve, ready: demijohn_web::Ready) -> Running {
        let bound = serve.grace(Duration::from_secs(5)).bind().unwrap();
        let address = bound.address();
        let stop = Stop::new();
        let handle = stop.clone();
        let (opened, is_open) = std::sync::mpsc::channel();
        let thread = std::thread::spawn(move || {
            demijohn_web::test::block_on(async {
                let open = bound.open(ready.site().clone()).await.unwrap();
                opened.send(()).unwrap();
                open.serve(handle).await.unwrap();
            });
        });
        is_open.recv().unwrap();
        Running {
            address,
            stop,
            thread: Some(thread),
        }
    }

    pub fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        stream
    }

    /// Sends bytes and reads until the server closes.
    pub fn talk(&self, text: &str) -> String {
        let mut stream = self.connect();
        stream.write_all(text.as_bytes()).unwrap();
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        String::from_utf8_lossy(&answer).into_owned()
    }

    pub fn get(&self, path: &str) -> String {
        self.talk(&format!(
            "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        ))
    }

    pub fn end(&mut self) {
        self.stop.begin();
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.end();
    }
}

/// The status lines of all answers.
pub fn statuses(talk: &str) -> Vec<&str> {
    talk.match_indices("HTTP/1.1 ")
        .map(|(at, _)| &talk[at + 9..at + 12])
        .collect()
}
