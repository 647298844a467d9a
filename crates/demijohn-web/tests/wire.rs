//! Clients that are slow, many, or badly timed, on real sockets.
#![allow(clippy::unwrap_used)]

mod running;

use demijohn_covers::covers;
use demijohn_web::server::Serve;
use demijohn_web::{Application, Streamed, get, post};
use running::{Running, statuses};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

const SHORT: Duration = Duration::from_millis(300);
const LONG: Duration = Duration::from_secs(60);

/// A server that has all time in the world, but for what a test takes from it.
fn patient() -> Serve {
    Serve::on("127.0.0.1:0")
        .workers(1)
        .head_timeout(LONG)
        .keep_alive(LONG)
        .write_timeout(LONG)
        .min_rate(0)
}

struct Gone(mpsc::Sender<()>);

impl Drop for Gone {
    fn drop(&mut self) {
        let _ = self.0.send(());
    }
}

fn app() -> Application {
    Application::new()
        .route("/", get(async || "Hello, World!"))
        .route("/echo", post(async |body: String| body))
        .route("/refuse", post(async || "not read"))
}

fn rest(mut stream: TcpStream) -> String {
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest);
    String::from_utf8_lossy(&rest).into_owned()
}

const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// One answer to one request, on a connection that goes on.
fn ask(stream: &mut TcpStream) -> String {
    stream.write_all(GET).unwrap();
    let mut answer = String::new();
    let mut buffer = [0; 1024];
    while !answer.ends_with("Hello, World!") {
        let n = stream.read(&mut buffer).unwrap();
        assert!(n > 0, "{answer}");
        answer += &String::from_utf8_lossy(&buffer[..n]);
    }
    answer
}

/// Sends a byte now and then until the server has had enough.
fn drip(stream: &mut TcpStream) {
    stream.set_read_timeout(Some(Duration::from_millis(10))).unwrap();
    for _ in 0..2_000 {
        // An answer, or an end, and no time-out.
        if stream.write_all(b"x").is_err() || stream.read(&mut [0; 1024]).is_ok() {
            return;
        }
    }
    panic!("the server has had no end of patience");
}

#[test]
fn an_idle_connection_ends_without_a_word_and_a_slow_head_is_told() {
    covers!("server.keepalive");
    let idle = Running::on(patient().keep_alive(SHORT), app());
    let mut stream = idle.connect();
    for _ in 0..3 {
        ask(&mut stream);
        std::thread::sleep(SHORT / 4);
    }
    assert_eq!(rest(stream), "");
    // Who has sent nothing yet has the time of a head.
    let head = Running::on(patient().head_timeout(SHORT), app());
    assert_eq!(rest(head.connect()), "");
    let mut stream = head.connect();
    ask(&mut stream);
    stream.write_all(b"GET / HTTP/1.1\r\nX-Y: ").unwrap();
    let answer = rest(stream);
    assert_eq!(statuses(&answer), ["408"], "{answer}");
    assert!(answer.contains("connection: close"), "{answer}");
    let mut stream = head.connect();
    ask(&mut stream);
    stream.write_all(b"GET / HTTP/1.1\r\nX-Y: ").unwrap();
    drip(&mut stream);
}

/// A body that only drips is given up, whoever reads it; the handler is told, and so is the client.
#[test]
fn a_body_that_drips_is_given_up() {
    let running = Running::on(patient().head_timeout(SHORT).min_rate(1_000), app());
    for framing in ["Content-Length: 100000", "Transfer-Encoding: chunked"] {
        let head = format!("POST /echo HTTP/1.1\r\nHost: localhost\r\n{framing}\r\n\r\n");
        let mut stream = running.connect();
        stream.write_all(head.as_bytes()).unwrap();
        let answer = rest(stream);
        assert_eq!(statuses(&answer), ["408"], "{answer}");
        let mut stream = running.connect();
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(b"1000\r\n").unwrap();
        drip(&mut stream);
    }
    // One that comes at a fair pace takes far longer than that and is read to its end.
    let mut stream = running.connect();
    let pieces = 20;
    let head = format!(
        "POST /echo HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
        pieces * 1_000
    );
    stream.write_all(head.as_bytes()).unwrap();
    for _ in 0..pieces {
        std::thread::sleep(SHORT / 5);
        stream.write_all(&[b'x'; 1_000]).unwrap();
    }
    let answer = rest(stream);
    assert_eq!(statuses(&answer), ["200"], "{answer}");
}

#[test]
fn a_client_that_reads_nothing_is_given_up() {
    let (sender, gone) = mpsc::channel();
    let endless = move || {
        let gone = Gone(sender.clone());
        async move {
            Streamed::write(async move |out| {
                let _gone = gone;
                loop {
                    out.send(vec![b'x'; 64 << 10]).await?;
                }
            })
        }
    };
    let running = Running::on(
        patient().write_timeout(SHORT),
        Application::new().route("/", get(endless)),
    );
    let mut stream = running.connect();
    stream.write_all(GET).unwrap();
    gone.recv_timeout(Duration::from_secs(30))
        .expect("the answer was given up");
    drop(stream);
}

#[test]
fn a_body_that_nobody_reads_does_not_hide_the_answer() {
    let running = Running::on(patient(), app());
    let mut stream = running.connect();
    let head = b"POST /refuse HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4000000\r\n\r\n";
    stream.write_all(head).unwrap();
    // A client that looks for an answer only when it has sent all.
    stream.write_all(&vec![b'x'; 4_000_000]).unwrap();
    let answer = rest(stream);
    assert_eq!(statuses(&answer), ["200"], "{answer}");
    assert!(answer.ends_with("not read"));
}

#[test]
fn connections_above_the_limit_are_answered_503_at_once() {
    let running = Running::on(patient().max_connections(2).workers(2), app());
    let mut first = running.connect();
    ask(&mut first);
    let mut second = running.connect();
    ask(&mut second);
    for _ in 0..3 {
        let answer = rest(running.connect());
        assert_eq!(statuses(&answer), ["503"], "{answer}");
        assert!(
            answer.contains("connection: close") && answer.contains("retry-after: "),
            "{answer}"
        );
    }
    ask(&mut first);
    drop(first);
    // The place is free when the server has seen that.
    let mut third = loop {
        let mut stream = running.connect();
        stream.write_all(GET).unwrap();
        let mut status = [0; 12];
        stream.read_exact(&mut status).unwrap();
        if status.ends_with(b"200") {
            break stream;
        }
        std::thread::sleep(Duration::from_millis(10));
    };
    assert_eq!(statuses(&running.get("/")), ["503"]);
    third.write_all(b"no HTTP\r\n\r\n").unwrap();
    ask(&mut second);
}

/// Slowloris in all its kinds at once: the others are served, and the slow ones end.
#[test]
fn hundreds_of_slow_clients_hinder_nobody() {
    let slow = Duration::from_secs(2);
    let running = Running::on(patient().head_timeout(slow).keep_alive(slow).min_rate(1_000), app());
    let kinds: [&[u8]; 4] = [
        b"",
        b"GET / HTTP/1.1\r\nHost: loc",
        b"POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\nxx",
        GET,
    ];
    let clients: Vec<TcpStream> = (0..300)
        .map(|n| {
            let mut stream = running.connect();
            stream.write_all(kinds[n % kinds.len()]).unwrap();
            stream
        })
        .collect();
    for _ in 0..100 {
        assert_eq!(statuses(&running.get("/")), ["200"]);
    }
    for client in clients {
        let mut end = String::new();
        // None of them waits for the time-out of the read, which is an error.
        let _ = { &client }.read_to_string(&mut end).unwrap();
    }
    assert_eq!(statuses(&running.get("/")), ["200"]);
}

/// The server of this test is a process of its own, which may open few files.
#[cfg(target_os = "linux")]
#[test]
fn a_process_without_files_to_open_recovers() {
    const CHILD: &str = "DEMIJOHN_TEST_FEW_FILES";
    if std::env::var_os(CHILD).is_some() {
        let running = Running::on(patient().max_connections(100_000), app());
        println!("\nport={}", running.address.port());
        let _ = std::io::stdin().read_line(&mut String::new());
        return;
    }
    let mut child = Command::new("sh")
        .args(["-c", "ulimit -n 40 && exec \"$0\" \"$@\""])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "a_process_without_files_to_open_recovers", "--nocapture"])
        .env(CHILD, "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let port: u16 = lines
        .by_ref()
        .map_while(Result::ok)
        .find_map(|line| line.strip_prefix("port=")?.parse().ok())
        .unwrap();
    let connect = || {
        let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream
    };
    for _ in 0..2 {
        // More than it can accept: the rest waits in the system's queue, and is served when others have gone.
        let mut crowd: Vec<TcpStream> = (0..80).map(|_| connect()).collect();
        ask(&mut crowd[0]);
        let mut last = crowd.pop().unwrap();
        drop(crowd);
        ask(&mut last);
        ask(&mut connect());
    }
    drop(child.stdin.take());
    assert!(child.wait().unwrap().success());
}
