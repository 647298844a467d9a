//! A site on a port, for browsers and other clients that need one.

use crate::app::Ready;
use crate::server::{Serve, Stop};
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

/// A server on a free port of loopback, for as long as the value lives (Django's `LiveServerTestCase`).
///
/// It serves the very site that the test holds, so both see the same database.
///
/// ```
/// use demijohn_core::settings::Sources;
/// use demijohn_web::test::LiveServer;
/// use demijohn_web::{Application, get};
/// use std::io::{Read, Write};
///
/// let ready = Application::new().route("/", get(async || "Hello")).build(Sources::none()).ok().unwrap();
/// let server = LiveServer::start(&ready);
/// let mut stream = std::net::TcpStream::connect(server.address())?;
/// stream.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")?;
/// let mut answer = String::new();
/// stream.read_to_string(&mut answer)?;
/// assert!(answer.ends_with("Hello"));
/// # Ok::<(), std::io::Error>(())
/// ```
#[must_use = "the server stops when this is dropped"]
pub struct LiveServer {
    address: SocketAddr,
    stop: Stop,
    thread: Option<JoinHandle<demijohn_core::Result<()>>>,
}

impl LiveServer {
    /// Serves a built site.
    ///
    /// # Panics
    /// When there is no port or thread to be had.
    #[track_caller]
    pub fn start(ready: &Ready) -> LiveServer {
        let bound = Serve::on("127.0.0.1:0").grace(Duration::from_secs(1)).bind();
        let bound = bound.unwrap_or_else(|error| panic!("no port to serve on: {error}"));
        let (address, stop, site) = (bound.address(), Stop::new(), Arc::clone(ready.site()));
        let thread = std::thread::Builder::new().name("live-server".to_owned()).spawn({
            let stop = stop.clone();
            move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
                runtime.block_on(bound.serve(site, stop))
            }
        });
        LiveServer {
            address,
            stop,
            thread: Some(thread.unwrap_or_else(|error| panic!("no thread to serve on: {error}"))),
        }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The whole address of a path: `http://127.0.0.1:41234/login/`.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }
}

impl Drop for LiveServer {
    fn drop(&mut self) {
        self.stop.begin();
        let ended = self.thread.take().map(JoinHandle::join);
        // A test that fails already says why by its own panic.
        if let Some(Ok(Err(error))) = ended
            && !std::thread::panicking()
        {
            panic!("the server failed: {error}");
        }
    }
}
