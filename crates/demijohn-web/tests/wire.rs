//! Clients that are slow, many, or badly timed, on real sockets.
#![allow(clippy::unwrap_used)]

mod running;

use demijohn_core::settings::Sources;
use demijohn_covers::covers;
use demijohn_web::server::Serve;
use demijohn_web::test::{TestClient, block_on};
use demijohn_web::{Application, Request, Streamed, TrustedProxies, get, post};
use running::{Running, statuses};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
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
fn a_handler_that_is_stuck_is_ended() {
    covers!("server.timeout");
    let (sender, gone) = mpsc::channel();
    let site = app()
        .route(
            "/stuck",
            get(move || {
                let gone = Gone(sender.clone());
                async move {
                    tokio::time::sleep(LONG).await;
                    drop(gone);
                    ""
                }
            }),
        )
        .route(
            "/pieces",
            get(async || {
                Streamed::write(async |out| {
                    for _ in 0..3 {
                        tokio::time::sleep(SHORT).await;
                        out.send("piece ").await?;
                    }
                    Ok(())
                })
            }),
        );
    let log = Log::default();
    let _logging = tracing::subscriber::set_global_default(log.clone());
    let running = Running::on(patient().handler_timeout(SHORT), site);
    let mut stream = running.connect();
    stream
        .write_all(b"GET /stuck HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .unwrap();
    // Others go on meanwhile, and so does this one afterwards.
    assert_eq!(statuses(&running.get("/")), ["200"]);
    let mut status = [0; 12];
    stream.read_exact(&mut status).unwrap();
    assert_eq!(&status, b"HTTP/1.1 503");
    gone.recv_timeout(Duration::from_secs(10))
        .expect("the handler was ended");
    ask(&mut stream);
    assert!(log.text().contains("HANDLER_SECONDS"), "{}", log.text());
    // What comes piece by piece takes what it needs, and a client that sends slowly has times of its own.
    assert_eq!(running.get("/pieces").matches("piece ").count(), 3);
    let mut slow = running.connect();
    slow.write_all(b"POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\nConnection: close\r\n\r\n")
        .unwrap();
    for byte in b"body" {
        std::thread::sleep(SHORT / 2);
        slow.write_all(&[*byte]).unwrap();
    }
    assert!(rest(slow).ends_with("body"));
}

/// Keeps what is logged.
#[derive(Clone, Default)]
struct Log(Arc<std::sync::Mutex<String>>);

impl Log {
    fn text(&self) -> String {
        self.0.lock().unwrap().clone()
    }
}

impl tracing::Subscriber for Log {
    fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }

    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}

    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        struct Fields<'a>(&'a mut String);
        impl tracing::field::Visit for Fields<'_> {
            fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn std::fmt::Debug) {
                *self.0 += &format!("{field}={value:?} ");
            }
        }
        event.record(&mut Fields(&mut self.0.lock().unwrap()));
    }

    fn enter(&self, _: &tracing::span::Id) {}

    fn exit(&self, _: &tracing::span::Id) {}
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

/// One after the other, servers take over a port that is never without load: by clients that connect for each request, and by clients
/// that keep their connections as long as they are let.
#[cfg(target_os = "linux")]
#[test]
fn a_rolling_restart_fails_no_request() {
    let begin = |address: &str| Running::on(Serve::on(address).workers(2).reuse_port(), app());
    let mut old = begin("127.0.0.1:0");
    let address = old.address;
    let taken = Serve::on(address.to_string())
        .workers(2)
        .bind()
        .err()
        .map(|e| e.to_string());
    assert!(taken.is_some_and(|why| why.contains("another program listens there")));
    let connect = move || {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        stream
    };
    let done = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = (0..6)
        .map(|n| {
            let done = Arc::clone(&done);
            std::thread::spawn(move || {
                let mut answered = 0;
                while !done.load(Ordering::Relaxed) || answered < 200 {
                    let mut stream = connect();
                    // Half of them come once, half stay until they hear that it was the last time.
                    while !ask(&mut stream).contains("connection: close") {
                        answered += 1;
                        if n % 2 == 0 || done.load(Ordering::Relaxed) {
                            break;
                        }
                    }
                    answered += 1;
                }
                answered
            })
        })
        .collect();
    for _ in 0..3 {
        let new = begin(&address.to_string());
        old.end();
        old = new;
    }
    done.store(true, Ordering::Relaxed);
    let answered: usize = clients.into_iter().map(|client| client.join().unwrap()).sum();
    assert!(answered >= 1_000);
}

/// A supervisor holds the socket and starts a server after the other, with nobody in between: clients wait, and none is refused.
#[cfg(target_os = "linux")]
#[test]
fn a_socket_that_is_passed_on_outlives_its_servers() {
    const CHILD: &str = "DEMIJOHN_TEST_PASSED_ON";
    if std::env::var_os(CHILD).is_some() {
        let ready = app().build(Sources::none()).map_err(|f| format!("{f:?}")).unwrap();
        let bound = Serve::on("127.0.0.1:1").workers(2).inherit_or_bind().unwrap();
        bound.run(&ready).unwrap();
        std::process::exit(0);
    }
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notify");
    let notified = std::os::unix::net::UnixDatagram::bind(&path).unwrap();
    notified.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let start = || {
        let child = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "a_socket_that_is_passed_on_outlives_its_servers",
                "--nocapture",
            ])
            .env(CHILD, "1")
            .env("LISTEN_FDS", "1")
            .env("LISTEN_FDS_FIRST_FD", "0")
            .env("NOTIFY_SOCKET", &path)
            .stdin(std::os::fd::OwnedFd::from(listener.try_clone().unwrap()))
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let mut buffer = [0; 64];
        let n = notified.recv(&mut buffer).unwrap();
        assert_eq!(&buffer[..n], b"READY=1\n");
        child
    };
    let stop = |mut child: std::process::Child| {
        let pid = child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        let status = child.wait().unwrap();
        assert_eq!(status.code(), Some(0), "{status}");
    };
    let done = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = (0..4)
        .map(|_| {
            let done = Arc::clone(&done);
            std::thread::spawn(move || {
                let mut answered = 0;
                while !done.load(Ordering::Relaxed) || answered < 250 {
                    let mut stream = TcpStream::connect(address).unwrap();
                    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
                    ask(&mut stream);
                    answered += 1;
                }
            })
        })
        .collect();
    let mut server = start();
    for _ in 0..2 {
        stop(server);
        server = start();
    }
    done.store(true, Ordering::Relaxed);
    for client in clients {
        client.join().unwrap();
    }
    stop(server);
}

/// A supervisor replaces the process that serves, under load and with new settings, and starts it again when it is killed.
#[cfg(target_os = "linux")]
#[test]
fn a_supervised_server_is_replaced_and_started_again() {
    covers!("server.reload");
    const CHILD: &str = "DEMIJOHN_TEST_SUPERVISED";
    if std::env::var_os(CHILD).is_some() {
        let word = std::fs::read_to_string(std::env::var("DEMIJOHN_TEST_WORD").unwrap()).unwrap();
        assert!(!word.is_empty(), "this one does not come up");
        let said = format!("{} {word}", std::process::id());
        let say = move || {
            let said = said.clone();
            async move { said }
        };
        let site = app().route("/word", get(say));
        let ready = site
            .build(Sources::none().var("WORKERS", "4"))
            .map_err(|f| format!("{f:?}"))
            .unwrap();
        let done = block_on(demijohn_core::command::call_command(
            ready.program(),
            ["serve", "--supervise"],
        ));
        std::process::exit(i32::from(done.code));
    }
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let word = folder.path().join("word");
    std::fs::write(&word, "first").unwrap();
    let mut supervisor = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "a_supervised_server_is_replaced_and_started_again",
            "--nocapture",
        ])
        .env(CHILD, "1")
        .env("DEMIJOHN_TEST_WORD", &word)
        .env("LISTEN_FDS", "1")
        .env("LISTEN_FDS_FIRST_FD", "0")
        .stdin(std::os::fd::OwnedFd::from(listener))
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let signal = |name: &str, pid: &str| {
        assert!(Command::new("kill").args([name, pid]).status().unwrap().success());
    };
    let pid = supervisor.id().to_string();
    let talk = move || {
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(Duration::from_secs(20)))?;
        stream.write_all(b"GET /word HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let (_, body) = answer.split_once("\r\n\r\n").ok_or(std::io::ErrorKind::UnexpectedEof)?;
        let (id, word) = body.split_once(' ').ok_or(std::io::ErrorKind::InvalidData)?;
        Ok::<_, std::io::Error>((id.to_owned(), word.to_owned()))
    };
    let (first, said) = talk().unwrap();
    assert_eq!(said, "first");
    let done = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = (0..4)
        .map(|_| {
            let done = Arc::clone(&done);
            std::thread::spawn(move || {
                let mut answered = 0;
                while !done.load(Ordering::Relaxed) || answered < 250 {
                    talk().unwrap();
                    answered += 1;
                }
            })
        })
        .collect();
    // One that does not come up changes nothing.
    std::fs::write(&word, "").unwrap();
    signal("-HUP", &pid);
    std::thread::sleep(Duration::from_millis(200));
    assert_eq!(talk().unwrap(), (first.clone(), said));
    std::fs::write(&word, "second").unwrap();
    let second = loop {
        signal("-HUP", &pid);
        std::thread::sleep(Duration::from_millis(20));
        let (id, word) = talk().unwrap();
        if word == "second" {
            break id;
        }
    };
    assert_ne!(second, first);
    done.store(true, Ordering::Relaxed);
    for client in clients {
        client.join().unwrap();
    }
    // What it was answering is lost; what comes is not.
    let (serving, _) = talk().unwrap();
    signal("-KILL", &serving);
    let third = loop {
        if let Ok((id, _)) = talk() {
            break id;
        }
    };
    assert_ne!(third, serving);
    signal("-TERM", &pid);
    assert_eq!(supervisor.wait().unwrap().code(), Some(0));
    assert!(TcpStream::connect(address).is_err());
}

/// SIGTERM: nobody new, what runs may finish, what does not finish is cut, and the program ends well.
#[cfg(unix)]
#[test]
fn a_signal_ends_a_server_gently() {
    covers!("server.graceful");
    const CHILD: &str = "DEMIJOHN_TEST_SIGNAL";
    if std::env::var_os(CHILD).is_some() {
        let sleep = |millis| async move {
            tokio::time::sleep(Duration::from_millis(millis)).await;
            "Hello, World!"
        };
        let site = app()
            .route("/short", get(move || sleep(500)))
            .route("/long", get(move || sleep(60_000)));
        let ready = site.build(Sources::none()).map_err(|f| format!("{f:?}")).unwrap();
        let bound = patient().grace(Duration::from_secs(3)).bind().unwrap();
        println!("\nport={}", bound.address().port());
        bound.run(&ready).unwrap();
        std::process::exit(0);
    }
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "a_signal_ends_a_server_gently", "--nocapture"])
        .env(CHILD, "1")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap())
        .lines()
        .map_while(Result::ok);
    let port: u16 = lines.find_map(|line| line.strip_prefix("port=")?.parse().ok()).unwrap();
    let begin = |path: &str| {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        ask(&mut stream);
        let head = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        stream.write_all(head.as_bytes()).unwrap();
        stream
    };
    let (short, long) = (begin("/short"), begin("/long"));
    // So that the server has seen them.
    std::thread::sleep(Duration::from_millis(100));
    let pid = child.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    while TcpStream::connect(("127.0.0.1", port)).is_ok() {
        std::thread::sleep(Duration::from_millis(10));
    }
    assert!(child.try_wait().unwrap().is_none());
    let answer = rest(short);
    assert!(
        answer.contains("connection: close") && answer.ends_with("Hello, World!"),
        "{answer}"
    );
    assert_eq!(rest(long), "");
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

/// A site behind proxies, which tells what it takes a request for.
fn behind(settings: &[(&str, &str)]) -> TestClient {
    let sources = settings
        .iter()
        .fold(Sources::none(), |s, (name, value)| s.var(*name, *value));
    let site = Application::new()
        .allowed_hosts(["shop.example", "localhost"])
        .before(async |request: &mut Request| {
            let client = request.peer().map(|peer| peer.ip().to_string()).unwrap_or_default();
            Some(format!(
                "{} {} {client}",
                request.scheme(),
                request.host().unwrap_or_default()
            ))
        });
    site.build(sources).map_err(|f| format!("{f:?}")).unwrap().test_client()
}

/// What it says of a request from this peer with these headers.
fn seen(client: &TestClient, peer: &str, headers: &[(&str, &str)]) -> String {
    block_on(async {
        let mut request = client.get("/").from_peer(format!("{peer}:4000").parse().unwrap());
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let response = request.await;
        match response.status().as_u16() {
            200 => response.text().to_owned(),
            status => status.to_string(),
        }
    })
}

const ALL: [(&str, &str); 5] = [
    ("TRUSTED_PROXIES", "10.0.0.0/8, ::1"),
    ("USE_X_FORWARDED_HOST", "true"),
    ("USE_X_FORWARDED_PORT", "true"),
    ("SECURE_PROXY_SSL_HEADER", "HTTP_X_FORWARDED_PROTO, https"),
    ("DEBUG", "false"),
];

#[test]
fn proxies_are_believed_by_their_addresses() {
    covers!("security.ssl.proxy_header", "security.hosts.forwarded");
    let headers = [
        ("x-forwarded-for", "6.6.6.6, 1.2.3.4, 10.9.9.9"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "shop.example"),
        ("x-forwarded-port", "8443"),
        ("forwarded", "for=7.7.7.7;proto=http;host=localhost"),
    ];
    // Nobody is, unless the site says so; others are not, when it does.
    assert_eq!(seen(&behind(&[]), "10.0.0.1", &headers), "http localhost 10.0.0.1");
    let all = behind(&ALL);
    assert_eq!(seen(&all, "11.0.0.1", &headers), "http localhost 11.0.0.1");
    // The client is the last address that is no proxy of ours.
    assert_eq!(seen(&all, "10.0.0.1", &headers), "https shop.example:8443 1.2.3.4");
    assert_eq!(seen(&all, "[::1]", &headers), "https shop.example:8443 1.2.3.4");
    assert_eq!(
        seen(&all, "[::ffff:10.1.1.1]", &headers),
        "https shop.example:8443 1.2.3.4"
    );
    // Host and port have settings of their own.
    let two = behind(&ALL[..1]);
    assert_eq!(seen(&two, "10.0.0.1", &headers), "https localhost 1.2.3.4");
    let scheme = |value| seen(&two, "10.0.0.1", &[("x-forwarded-proto", value)]);
    assert_eq!(scheme("https, http"), "https localhost 10.0.0.1");
    for not in ["http, https", "HTTP", "", "httpsx", "\u{e9}"] {
        assert_eq!(scheme(not), "http localhost 10.0.0.1", "{not}");
    }
    let no_scheme = behind(&[("TRUSTED_PROXIES", "10.0.0.0/8"), ("SECURE_PROXY_SSL_HEADER", "")]);
    assert_eq!(seen(&no_scheme, "10.0.0.1", &headers), "http localhost 1.2.3.4");
    let own = behind(&[("TRUSTED_PROXIES", "*"), ("SECURE_PROXY_SSL_HEADER", "X-Scheme, on")]);
    assert_eq!(seen(&own, "1.1.1.1", &[("x-scheme", "on")]), "https localhost 1.1.1.1");
    assert_eq!(seen(&own, "1.1.1.1", &headers[1..]), "http localhost 1.1.1.1");
}

#[test]
fn what_proxies_let_through_is_not_believed() {
    let all = behind(&ALL);
    let chain = |value| seen(&all, "10.0.0.1", &[("x-forwarded-for", value)]);
    for (value, client) in [
        ("1.2.3.4", "1.2.3.4"),
        ("6.6.6.6,1.2.3.4:8000", "1.2.3.4"),
        ("[2001:db8::1]:80", "2001:db8::1"),
        ("2001:db8::1", "2001:db8::1"),
        // All of them are ours.
        ("10.3.0.1, 10.2.0.1", "10.3.0.1"),
        // Nonsense ends the search.
        ("6.6.6.6, unknown", "10.0.0.1"),
        ("6.6.6.6, , 10.2.0.1", "10.2.0.1"),
        ("6.6.6.6, 1.2.3.4.5, 10.2.0.1", "10.2.0.1"),
        ("6.6.6.6, \u{e9}", "10.0.0.1"),
        ("", "10.0.0.1"),
    ] {
        assert_eq!(chain(value), format!("http localhost {client}"), "{value}");
    }
    let lines = [("x-forwarded-for", "6.6.6.6"), ("x-forwarded-for", "1.2.3.4")];
    assert_eq!(seen(&all, "10.0.0.1", &lines), "http localhost 1.2.3.4");
    for (name, value) in [
        ("x-forwarded-host", "evil.example"),
        ("x-forwarded-host", "evil.example, shop.example"),
        ("x-forwarded-host", "shop.example/path"),
        ("x-forwarded-host", "user@shop.example"),
        ("x-forwarded-host", ""),
        ("x-forwarded-host", "\u{e9}"),
        ("x-forwarded-port", "80, 443"),
        ("x-forwarded-port", "0"),
        ("x-forwarded-port", "99999"),
        ("x-forwarded-port", "x"),
    ] {
        assert_eq!(seen(&all, "10.0.0.1", &[(name, value)]), "400", "{name}: {value}");
    }
    let two = [
        ("x-forwarded-host", "shop.example"),
        ("x-forwarded-host", "shop.example"),
    ];
    assert_eq!(seen(&all, "10.0.0.1", &two), "400");
}

#[test]
fn the_standard_header_of_proxies() {
    let standard = [("USE_FORWARDED", "true")];
    let site = behind(&[&ALL[..], &standard[..]].concat());
    let said = |value| {
        seen(
            &site,
            "10.0.0.1",
            &[("forwarded", value), ("x-forwarded-for", "9.9.9.9")],
        )
    };
    for (value, answer) in [
        (
            "for=1.2.3.4;proto=https;host=shop.example",
            "https shop.example 1.2.3.4",
        ),
        ("For=\"[2001:db8::1]:47\" ; PROTO=https", "https localhost 2001:db8::1"),
        ("for=6.6.6.6;proto=https, for=1.2.3.4", "http localhost 1.2.3.4"),
        (
            "for=1.2.3.4;proto=https, for=10.2.0.1;proto=http",
            "https localhost 1.2.3.4",
        ),
        ("for=6.6.6.6;proto=https, for=_hidden", "http localhost 10.0.0.1"),
        ("for=\"a, for=6.6.6.6\", for=1.2.3.4", "http localhost 1.2.3.4"),
        ("", "http localhost 10.0.0.1"),
        ("for", "http localhost 10.0.0.1"),
        // A quote of the client's that takes in what the proxy wrote.
        ("proto=https;for=\", for=1.2.3.4;proto=http", "400"),
        ("for=\"\\\", for=1.2.3.4", "400"),
        ("for=1.2.3.4;host=evil.example", "400"),
        ("for=1.2.3.4;host=\"shop.example:x\"", "400"),
    ] {
        assert_eq!(said(value), answer, "{value}");
    }
}

/// A proxy that reads no HTTP names its clients before their first byte; whoever is no proxy of ours cannot.
#[test]
fn proxies_that_only_pass_bytes_on() {
    covers!("server.proxy_headers");
    let running = |settings: &[(&str, &str)]| {
        let sources = settings
            .iter()
            .fold(Sources::none(), |s, (name, value)| s.var(*name, *value));
        let site = app().before(async |request: &mut Request| {
            let client = request.peer().map(|peer| peer.to_string()).unwrap_or_default();
            Some(format!("client {client}."))
        });
        let ready = site.build(sources).map_err(|f| format!("{f:?}")).unwrap();
        Running::of(patient().head_timeout(SHORT), ready)
    };
    let get = "GET / HTTP/1.1\r\nHost: localhost\r\nX-Forwarded-For: 6.6.6.6\r\nConnection: close\r\n\r\n";
    let proxied = running(&[("TRUSTED_PROXIES", "127.0.0.1"), ("PROXY_PROTOCOL", "true")]);
    let answer = proxied.talk(&format!("PROXY TCP4 1.2.3.4 127.0.0.1 4711 80\r\n{get}"));
    assert!(answer.ends_with("client 1.2.3.4:4711."), "{answer}");
    let answer = proxied.talk(&format!("PROXY UNKNOWN\r\n{get}"));
    assert!(answer.contains("client 6.6.6.6:"), "{answer}");
    // It has to be said, and in time.
    assert_eq!(proxied.talk(get), "");
    assert_eq!(rest(proxied.connect()), "");
    for others in [
        &[("TRUSTED_PROXIES", "10.0.0.1"), ("PROXY_PROTOCOL", "true")][..],
        &[("TRUSTED_PROXIES", "127.0.0.1")],
    ] {
        let open = running(others);
        let answer = open.talk(&format!("PROXY TCP4 1.2.3.4 127.0.0.1 4711 80\r\n{get}"));
        assert_eq!(statuses(&answer), ["400"], "{answer}");
        assert_eq!(statuses(&open.talk(get)), ["200"]);
    }
}

#[test]
fn settings_of_proxies_that_make_no_sense_are_told() {
    for (name, value) in [
        ("TRUSTED_PROXIES", "10.0.0.1/8"),
        ("TRUSTED_PROXIES", "proxy.example"),
        ("SECURE_PROXY_SSL_HEADER", "X-Forwarded-Proto"),
        ("SECURE_PROXY_SSL_HEADER", "X Forwarded, https"),
    ] {
        let sources = Sources::none().var("TRUSTED_PROXIES", "10.0.0.1").var(name, value);
        let findings = Application::new().build(sources).err().unwrap_or_default();
        assert!(
            findings.iter().any(|finding| finding.to_string().contains(name)),
            "{name}={value}: {findings:?}"
        );
    }
    let told = |app: Application, settings: &[(&str, &str)]| {
        let sources = settings
            .iter()
            .fold(Sources::none(), |s, (name, value)| s.var(*name, *value));
        let ready = app.build(sources).map_err(|f| format!("{f:?}")).unwrap();
        let selection = demijohn_core::check::Selection {
            deploy: true,
            ..Default::default()
        };
        let findings = ready.program().checks.run(ready.site(), ready.settings(), &selection);
        format!("{findings:?}")
    };
    let sloppy = [
        ("TRUSTED_PROXIES", "*"),
        ("REQUEST_HEAD_SECONDS", "0"),
        ("KEEP_ALIVE_SECONDS", "0"),
        ("WRITE_SECONDS", "0"),
        ("MIN_BYTES_PER_SECOND", "0"),
    ];
    let findings = told(Application::new(), &sloppy);
    for id in ["W050", "W051", "W052", "W053", "W054"] {
        assert!(findings.contains(&format!("security.{id}")), "{id}: {findings}");
    }
    let by_code = Application::new().trust_proxies(TrustedProxies::hops(1));
    let findings = told(by_code, &[("USE_X_FORWARDED_HOST", "true")]);
    assert!(
        findings.contains("security.W055") && findings.contains("security.W056"),
        "{findings}"
    );
    let findings = told(Application::new(), &ALL[..2]);
    assert!(!findings.contains("security.W05"), "{findings}");
}
