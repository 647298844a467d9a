//! What clients that are slow cost those that are not.

use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::Result;
use crate::bench::figures::median;
use crate::bench::server::Server;
use crate::bench::{Bench, LeftOut, subjects, wrk};

const CLIENTS: usize = 300;
const CONNECTIONS: usize = 16;
/// How often each sends a byte.
const PACE: Duration = Duration::from_secs(1);

/// `/json` of `techempower` without and with them, in turns.
pub(crate) fn section(bench: &Bench, left_out: &mut LeftOut) -> String {
    match measure(bench) {
        Ok(body) => body,
        Err(error) => {
            left_out.add("slow clients", &error);
            String::new()
        }
    }
}

fn measure(bench: &Bench) -> Result<String> {
    let server = Server::start(&bench.machine, &subjects::techempower(bench)?, &bench.folder)?;
    let url = server.url("/json");
    let burst = || wrk::burst(&bench.machine, &url, CONNECTIONS, 2);
    burst()?;
    let mut rounds = Vec::new();
    for _ in 0..bench.rounds {
        let alone = burst()?;
        let crowd = Crowd::gather(server.address);
        std::thread::sleep(PACE * 2);
        let beside = burst()?;
        let ended = crowd.leave();
        rounds.push((alone, beside, ended));
    }
    let middle =
        |of: &dyn Fn(&(wrk::Burst, wrk::Burst, usize)) -> f64| median(rounds.iter().map(of)).unwrap_or(f64::NAN);
    let faults: u64 = rounds
        .iter()
        .map(|(alone, beside, _)| alone.faults + beside.faults)
        .sum();
    Ok(format!(
        "`/json` of `techempower` with one worker over {CONNECTIONS} connections, without and with {CLIENTS} clients that are half open or send a byte \
         a second, {} rounds. The bar is a p99 that at most doubles.\n\n\
         | | alone | beside them | ratio |\n| --- | ---: | ---: | ---: |\n\
         | p99, ms | {:.2} | {:.2} | {:.2} |\n| p50, ms | {:.2} | {:.2} | {:.2} |\n| requests per second | {:.0} | {:.0} | {:.2} |\n\n\
         Failed requests: {faults}.\n",
        rounds.len(),
        middle(&|r| r.0.p99_ms),
        middle(&|r| r.1.p99_ms),
        middle(&|r| r.1.p99_ms / r.0.p99_ms),
        middle(&|r| r.0.p50_ms),
        middle(&|r| r.1.p50_ms),
        middle(&|r| r.1.p50_ms / r.0.p50_ms),
        middle(&|r| r.0.per_second),
        middle(&|r| r.1.per_second),
        middle(&|r| r.1.per_second / r.0.per_second),
    ))
}

/// Slow clients, kept up by a thread: one that is ended comes back.
struct Crowd {
    stop: Arc<AtomicBool>,
    ended: Arc<AtomicUsize>,
    thread: JoinHandle<()>,
}

impl Crowd {
    fn gather(address: SocketAddr) -> Self {
        let (stop, ended) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let (stopped, counts) = (Arc::clone(&stop), Arc::clone(&ended));
        let thread = std::thread::spawn(move || {
            let mut clients: Vec<Option<TcpStream>> = (0..CLIENTS).map(|_| None).collect();
            while !stopped.load(Ordering::Relaxed) {
                for (index, client) in clients.iter_mut().enumerate() {
                    match client {
                        // A third only holds the connection open.
                        Some(_) if index % 3 == 0 => {}
                        Some(stream) => {
                            if stream.write_all(b"x").is_err() {
                                counts.fetch_add(1, Ordering::Relaxed);
                                *client = None;
                            }
                        }
                        None => *client = come(address, index),
                    }
                }
                std::thread::sleep(PACE);
            }
        });
        Self { stop, ended, thread }
    }

    fn leave(self) -> usize {
        self.stop.store(true, Ordering::Relaxed);
        // It only sleeps and writes: there is nothing to hear of.
        let _ = self.thread.join();
        self.ended.load(Ordering::Relaxed)
    }
}

/// A head that goes on for ever, or a body that does.
fn come(address: SocketAddr, index: usize) -> Option<TcpStream> {
    let mut stream = TcpStream::connect_timeout(&address, PACE).ok()?;
    let head = match index % 3 {
        0 => "GET /json HTTP/1.1\r\n".to_owned(),
        1 => format!("GET /json HTTP/1.1\r\nHost: {address}\r\nX-Slow: "),
        _ => format!("POST /json HTTP/1.1\r\nHost: {address}\r\nContent-Length: 100000\r\n\r\n"),
    };
    stream.write_all(head.as_bytes()).ok()?;
    Some(stream)
}
