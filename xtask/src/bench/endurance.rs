//! A site that is used for a long time: whether it grows.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::Result;
use crate::bench::server::Server;
use crate::bench::{Bench, LeftOut, subjects};

const MINUTES: u64 = 10;
const CLIENTS: usize = 6;
const PACE: Duration = Duration::from_secs(5);
const BAR_MIB_PER_HOUR: f64 = 1.0;

/// The memory and the descriptors of `notes` under people, programs, mistakes and attacks.
pub(crate) fn section(bench: &Bench, left_out: &mut LeftOut) -> String {
    match measure(bench) {
        Ok(body) => body,
        Err(error) => {
            left_out.add("notes", &error);
            String::new()
        }
    }
}

/// One look at the process.
struct Look {
    hours: f64,
    mib: f64,
    descriptors: usize,
}

fn measure(bench: &Bench) -> Result<String> {
    let server = Server::start(&bench.machine, &subjects::notes(bench)?, &bench.folder)?;
    let stop = Arc::new(AtomicBool::new(false));
    let counts = Arc::new(Counts::default());
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let (stop, counts, address) = (Arc::clone(&stop), Arc::clone(&counts), server.address);
            std::thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    visit(address, &counts);
                }
            })
        })
        .collect();
    let length = Duration::from_secs(if bench.quick { 60 } else { MINUTES * 60 });
    let started = Instant::now();
    let mut looks = Vec::new();
    while started.elapsed() < length {
        std::thread::sleep(PACE);
        looks.push(Look {
            hours: started.elapsed().as_secs_f64() / 3600.0,
            mib: server.group.memory_mib(),
            descriptors: server.group.descriptors(),
        });
    }
    stop.store(true, Ordering::Relaxed);
    for client in clients {
        client.join().map_err(|_| "a client panicked")?;
    }
    // What is warm after a third of the time stays: caches, allocator, prepared statements.
    let warm = &looks[looks.len() / 3..];
    let (first, last) = (&warm[0], &warm[warm.len() - 1]);
    let most = warm.iter().map(|look| look.descriptors).max().unwrap_or(0);
    std::thread::sleep(PACE);
    let idle = server.group.descriptors();
    Ok(format!(
        "`notes` with one worker under {CLIENTS} clients that log in, write, upload, delete, log out, ask for what is not there, raise panics, break off and \
         send what is no HTTP, for {} minutes; the first third warms up. Memory is proportional set size. The bar is {BAR_MIB_PER_HOUR} MB an hour.\n\n\
         | | |\n| --- | ---: |\n\
         | requests | {} |\n| of them answered otherwise than expected | {} |\n| slope, MB per hour | {:+.2} |\n\
         | memory after the warm-up, MB | {:.1} |\n| memory at the end, MB | {:.1} |\n\
         | descriptors: most, and 5 s after the last client | {most}, {idle} |\n",
        length.as_secs() / 60,
        counts.requests.load(Ordering::Relaxed),
        counts.odd.load(Ordering::Relaxed),
        slope(warm),
        first.mib,
        last.mib,
    ))
}

/// Least squares.
fn slope(looks: &[Look]) -> f64 {
    let count = looks.len() as f64;
    let hours = looks.iter().map(|look| look.hours).sum::<f64>() / count;
    let mib = looks.iter().map(|look| look.mib).sum::<f64>() / count;
    let along: f64 = looks.iter().map(|look| (look.hours - hours) * (look.mib - mib)).sum();
    along / looks.iter().map(|look| (look.hours - hours).powi(2)).sum::<f64>()
}

#[derive(Default)]
struct Counts {
    requests: AtomicU64,
    odd: AtomicU64,
}

/// Somebody who comes, does a bit of everything, and goes.
fn visit(address: SocketAddr, counts: &Counts) {
    let mut client = Client {
        address,
        cookies: BTreeMap::new(),
        counts,
    };
    client.get("/", 200);
    client.get("/search/?q=barrel", 200);
    client.get("/nothing/here/", 404);
    client.get("/notes/", 302);
    client.get("/boom/", 500);
    client.submit(
        "/login/",
        "/login/",
        &[("username", "alice"), ("password", "wrong")],
        200,
    );
    client.submit(
        "/login/",
        "/login/",
        &[("username", "alice"), ("password", subjects::PASSWORD)],
        303,
    );
    for _ in 0..20 {
        let location = client.submit("/notes/new/", "/notes/new/", &[("text", "Something to remember")], 303);
        client.get("/notes/", 200);
        client.get("/api/notes/", 200);
        if let Some(note) = location {
            client.get(&note, 200);
            client.submit(&format!("{note}delete/"), &format!("{note}delete/"), &[], 303);
        }
    }
    client.submit("/notes/", "/logout/", &[], 303);
    client.mischief();
}

struct Client<'c> {
    address: SocketAddr,
    cookies: BTreeMap<String, String>,
    counts: &'c Counts,
}

impl Client<'_> {
    fn get(&mut self, path: &str, status: u16) -> String {
        self.send("GET", path, "", status)
    }

    /// Fills in the form of a page; gives where the answer leads.
    fn submit(&mut self, at: &str, path: &str, fields: &[(&str, &str)], status: u16) -> Option<String> {
        let page = self.get(at, 200);
        let token = between(&page, "name=\"csrfmiddlewaretoken\" value=\"", "\"")?.to_owned();
        let mut body = format!("csrfmiddlewaretoken={token}");
        for (name, value) in fields {
            body += &format!("&{name}={}", value.replace(' ', "+"));
        }
        let answer = self.send("POST", path, &body, status);
        between(&answer, "location: ", "\r\n").map(str::to_owned)
    }

    fn send(&mut self, method: &str, path: &str, body: &str, status: u16) -> String {
        let mut head = format!(
            "{method} {path} HTTP/1.1\r\nHost: {0}\r\nOrigin: http://{0}\r\nConnection: close\r\n",
            self.address
        );
        let cookies: Vec<String> = self
            .cookies
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        if !cookies.is_empty() {
            head += &format!("Cookie: {}\r\n", cookies.join("; "));
        }
        if method == "POST" {
            head += &format!(
                "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n",
                body.len()
            );
        }
        let answer = self
            .exchange(format!("{head}\r\n{body}").as_bytes())
            .unwrap_or_default();
        if !answer.starts_with(&format!("HTTP/1.1 {status}")) {
            self.counts.odd.fetch_add(1, Ordering::Relaxed);
        }
        let head = answer.split("\r\n\r\n").next().unwrap_or_default();
        for cookie in head.lines().filter_map(|line| line.strip_prefix("set-cookie: ")) {
            if let Some((name, value)) = cookie.split(';').next().and_then(|pair| pair.split_once('=')) {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        answer
    }

    fn exchange(&self, bytes: &[u8]) -> Result<String> {
        self.counts.requests.fetch_add(1, Ordering::Relaxed);
        let mut stream = TcpStream::connect(self.address)?;
        stream.set_read_timeout(Some(Duration::from_secs(20)))?;
        stream.write_all(bytes)?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        Ok(String::from_utf8_lossy(&answer).into_owned())
    }

    /// What is no HTTP, and what breaks off: nothing is expected of the answers.
    fn mischief(&self) {
        let host = self.address;
        for bytes in [
            "GET / HTTP/1.1\r\n\r\n".to_owned(),
            "\0\u{1}\u{2}".to_owned(),
            format!("GET / HTTP/1.1\r\nHost: {host}\r\nA: {}\r\n\r\n", "b".repeat(60_000)),
            format!("POST /login/ HTTP/1.1\r\nHost: {host}\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello"),
            format!(
                "POST /upload/ HTTP/1.1\r\nHost: {host}\r\nContent-Type: multipart/form-data; boundary=x\r\nContent-Length: 900000\r\n\r\n--x\r\n"
            ),
        ] {
            self.counts.requests.fetch_add(1, Ordering::Relaxed);
            if let Ok(mut stream) = TcpStream::connect(host) {
                // It breaks off at once.
                let _ = stream.write_all(bytes.as_bytes());
            }
        }
    }
}

fn between<'t>(text: &'t str, start: &str, end: &str) -> Option<&'t str> {
    text.split(start).nth(1)?.split(end).next()
}
