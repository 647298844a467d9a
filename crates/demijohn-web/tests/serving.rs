//! The server on a real socket, and the commands that start and describe it.
#![allow(clippy::unwrap_used)]

mod running;

use demijohn_core::command::call_command;
use demijohn_core::settings::Sources;
use demijohn_covers::covers;
use demijohn_web::server::Serve;
use demijohn_web::{Application, Blueprint, Json, Path, Streamed, get, post};
use running::{Running, statuses};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

fn app() -> Application {
    Application::new()
        .route("/", get(async || "Hello, World!"))
        .route(
            "/json",
            get(async || Json(serde_json::json!({"message": "Hello, World!"}))),
        )
        .route("/echo", post(async |body: String| body))
        .route("/panic", get(async || -> &'static str { panic!("of the handler") }))
        .route(
            "/slow",
            get(async || {
                tokio::time::sleep(Duration::from_millis(300)).await;
                "slow"
            }),
        )
        .route(
            "/stream",
            get(async || {
                Streamed::write(async |out| {
                    for n in 1..=3 {
                        out.send(format!("<{n}>")).await?;
                        tokio::time::sleep(Duration::from_millis(20)).await;
                    }
                    Ok(())
                })
            }),
        )
}

#[test]
fn it_answers_over_http() {
    covers!("flask.routing.hello_world_size");
    let running = Running::new(app(), 2);
    let answer = running.get("/");
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(
        answer.contains("content-length: 13") && answer.contains("date: ") && answer.ends_with("\r\n\r\nHello, World!"),
        "{answer}"
    );
    assert!(!answer.to_lowercase().contains("server:"), "{answer}");
    let head = running.talk("HEAD /json HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    assert!(
        head.contains("content-length: 27") && head.ends_with("\r\n\r\n"),
        "{head}"
    );
    let echo =
        running.talk("POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\nConnection: close\r\n\r\nbody");
    assert!(echo.ends_with("body"), "{echo}");
    // Sixteen at once on one connection, answered in order.
    let many = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(15)
        + "GET /json HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let answers = running.talk(&many);
    assert_eq!(answers.matches("HTTP/1.1 200 OK").count(), 16);
    assert!(answers.ends_with(r#"{"message":"Hello, World!"}"#));
}

#[test]
fn a_panic_ends_its_request_alone() {
    let running = Running::new(app(), 1);
    for _ in 0..3 {
        assert!(running.get("/panic").starts_with("HTTP/1.1 500"));
        assert!(running.get("/").starts_with("HTTP/1.1 200"));
    }
}

#[test]
fn malformed_requests_are_refused_and_the_server_goes_on() {
    covers!("server.limits");
    let running = Running::new(app(), 1);
    let long_head = format!(
        "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nX: {}\r\n\r\n",
        "x".repeat(40_000)
    );
    let many_heads = format!("GET / HTTP/1.1\r\nHost: localhost\r\n{}\r\n", "X: y\r\n".repeat(101));
    let long_target = format!(
        "GET /{} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        "x".repeat(10_000)
    );
    for (request, status) in [
        (long_head.as_str(), "431"),
        (many_heads.as_str(), "431"),
        (long_target.as_str(), "414"),
        ("GET / HTTP/1.1\r\n\r\n", "400"),
        ("GET / HTTP/1.1\r\nHost: a b\r\nConnection: close\r\n\r\n", "400"),
        (
            "GET / HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\nConnection: close\r\n\r\n",
            "400",
        ),
        ("GET / HTTP/1.1\r\nHost : localhost\r\n\r\n", "400"),
        (
            "POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
            "400",
        ),
        (
            "POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10485760\r\nConnection: close\r\n\r\n",
            "413",
        ),
        (
            "TRACE / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
            "405",
        ),
        ("nonsense\r\n\r\n", "400"),
    ] {
        let mut request = request.to_owned();
        if request == "GET / HTTP/1.1\r\n\r\n" {
            request = "GET / HTTP/1.1\r\nConnection: close\r\n\r\n".into();
        }
        let answer = running.talk(&request);
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status}")),
            "{request:?}: {answer}"
        );
    }
    assert!(running.get("/").starts_with("HTTP/1.1 200"));
}

#[test]
fn chunks_arrive_one_by_one() {
    let running = Running::new(app(), 1);
    let mut stream = running.connect();
    stream
        .write_all(b"GET /stream HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        .unwrap();
    let mut seen = String::new();
    let mut buffer = [0; 1024];
    while !seen.contains("<1>") {
        let read = stream.read(&mut buffer).unwrap();
        assert!(read > 0, "{seen}");
        seen += &String::from_utf8_lossy(&buffer[..read]);
    }
    assert!(!seen.contains("<3>"), "the first chunk waited for the last: {seen}");
    assert!(seen.contains("transfer-encoding: chunked"), "{seen}");
    stream.read_to_string(&mut seen).unwrap();
    assert!(seen.contains("<3>"));
}

#[test]
fn the_end_waits_for_requests_and_not_for_idle_connections() {
    let mut running = Running::new(app(), 2);
    let mut idle = running.connect();
    idle.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let mut buffer = [0; 1024];
    assert!(idle.read(&mut buffer).unwrap() > 0);
    let mut slow = running.connect();
    slow.write_all(b"GET /slow HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .unwrap();
    std::thread::sleep(Duration::from_millis(100));
    let start = Instant::now();
    running.end();
    assert!(start.elapsed() < Duration::from_secs(4));
    let mut answer = String::new();
    slow.read_to_string(&mut answer).unwrap();
    assert!(answer.ends_with("slow"), "{answer}");
    assert_eq!(idle.read(&mut buffer).unwrap(), 0);
    assert!(TcpStream::connect(running.address).is_err());
}

#[test]
fn a_port_that_is_taken_is_named_with_the_mend() {
    let running = Running::new(app(), 1);
    for workers in [1, 2] {
        let error = Serve::on(running.address.to_string())
            .workers(workers)
            .bind()
            .err()
            .unwrap()
            .to_string();
        assert!(
            error.contains(&running.address.to_string()) && error.contains("--bind"),
            "{error}"
        );
    }
    for odd in ["localhost", "1.2.3.4.5:80", "127.0.0.1:99999", ""] {
        let error = Serve::on(odd).bind().err().unwrap().to_string();
        assert!(error.contains("HOST:PORT"), "{error}");
    }
}

async fn show(Path(_): Path<i64>) -> &'static str {
    ""
}

#[test]
fn the_command_that_lists_routes() {
    covers!("flask.routing.list");
    let ready = Application::new()
        .route("/z", get(async || "").name("last"))
        .mount("/blog", Blueprint::new("blog").route("/{id}/", get(show).post(show)))
        .build(Sources::none())
        .map_err(|f| format!("{f:?}"))
        .unwrap();
    demijohn_web::test::block_on(async {
        let list = call_command(ready.program(), ["routes"]).await;
        assert_eq!(list.code, 0, "{}", list.stderr);
        let lines: Vec<Vec<&str>> = list
            .stdout
            .lines()
            .map(|line| line.split_whitespace().collect())
            .collect();
        assert_eq!(&lines[0][..3], ["GET", "/z", "last"]);
        assert_eq!(lines[1], ["GET", "/blog/{id}/", "blog.show", "serving::show"]);
        assert_eq!(lines[2], ["POST", "/blog/{id}/", "blog.show", "serving::show"]);
        for (by, first) in [
            ("name", "/blog/{id}/"),
            ("path", "/blog/{id}/"),
            ("method", "/z"),
            ("order", "/z"),
        ] {
            let list = call_command(ready.program(), ["routes", "--sort", by]).await;
            assert_eq!(list.stdout.split_whitespace().nth(1), Some(first), "{by}");
        }
    });
}

#[test]
fn a_client_that_goes_away_ends_its_handler() {
    covers!("http.async.disconnect");
    struct Cleanup(std::sync::mpsc::Sender<()>);
    impl Drop for Cleanup {
        fn drop(&mut self) {
            let _ = self.0.send(());
        }
    }
    let (sender, cleaned) = std::sync::mpsc::channel();
    let sender = std::sync::Mutex::new(sender);
    let site = Application::new().route(
        "/long",
        get(move || {
            let cleanup = Cleanup(sender.lock().unwrap().clone());
            async move {
                tokio::time::sleep(Duration::from_secs(60)).await;
                drop(cleanup);
                "never"
            }
        }),
    );
    let running = Running::new(site, 1);
    let mut stream = running.connect();
    stream
        .write_all(b"GET /long HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .unwrap();
    std::thread::sleep(Duration::from_millis(100));
    drop(stream);
    cleaned
        .recv_timeout(Duration::from_secs(10))
        .expect("the handler was dropped");
}

#[test]
fn what_follows_a_request_does_not_take_its_answer_away() {
    let running = Running::new(app(), 1);
    let request = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
    assert_eq!(
        statuses(&running.talk(&format!("{request}no HTTP\r\n\r\n"))),
        ["200", "400"]
    );
    let many = format!(
        "{}GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        request.repeat(40)
    );
    assert_eq!(statuses(&running.talk(&many)), ["200"; 41]);
    // Bodies whose chunks are none.
    for body in [
        "zz\r\nhello\r\n0\r\n\r\n",
        "5\r\nhelloX\r\n0\r\n\r\n",
        "ffffffffffffffffff\r\nx\r\n",
    ] {
        let head = "POST /echo HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n";
        assert_eq!(statuses(&running.talk(&format!("{head}{body}"))), ["400"], "{body}");
    }
    assert_eq!(statuses(&running.get("/")), ["200"]);
}

#[test]
fn a_client_that_has_said_all_is_answered() {
    let running = Running::new(app(), 1);
    let mut stream = running.connect();
    stream
        .write_all(b"GET /slow HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.ends_with("\r\n\r\nslow"), "{answer}");
}

#[test]
fn a_request_has_one_target_one_host_and_one_length() {
    let running = Running::new(app(), 1);
    let status = |head: &str| {
        let talk = running.talk(&format!("{head}\r\n\r\n5\r\nhello\r\n0\r\n\r\n"));
        statuses(&talk).join(" ")
    };
    assert!(status("GET http://localhost/ HTTP/1.1\r\nHost: localhost\r\nConnection: close").starts_with("200"));
    for head in [
        // Another host in the target than in the header, and a user in it.
        "GET http://evil.example/ HTTP/1.1\r\nHost: localhost",
        "GET http://user@localhost/ HTTP/1.1\r\nHost: localhost",
        "GET / HTTP/1.1\r\nHost: localhost:70000",
        "GET / HTTP/1.1\r\nHost: [::1",
        // For proxies.
        "CONNECT localhost:80 HTTP/1.1\r\nHost: localhost",
        "GET localhost HTTP/1.1\r\nHost: localhost",
        "GET * HTTP/1.1\r\nHost: localhost",
    ] {
        // Whoever is before us may have read another request, so nothing comes after it.
        let talk = running.talk(&format!("{head}\r\n\r\nGET / HTTP/1.1\r\nHost: localhost\r\n\r\n"));
        assert_eq!(statuses(&talk), ["400"], "{head}: {talk}");
    }
    // Nothing after these is read as a request.
    for framing in [
        "Transfer-Encoding: chunked, chunked",
        "Transfer-Encoding: gzip, chunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 5",
    ] {
        let head = format!("POST /no-such HTTP/1.1\r\nHost: localhost\r\n{framing}\r\n\r\n5\r\nhello\r\n0\r\n\r\n");
        let talk = running.talk(&format!("{head}GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"));
        assert_eq!(statuses(&talk).len(), 1, "{framing}: {talk}");
    }
}

#[test]
fn a_request_on_an_open_connection_is_answered_while_the_server_ends() {
    let running = Running::new(app(), 1);
    let mut stream = running.connect();
    let mut ask = || {
        stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
        let mut answer = [0; 1024];
        let n = stream.read(&mut answer).unwrap();
        String::from_utf8_lossy(&answer[..n]).into_owned()
    };
    assert!(!ask().contains("connection: close"));
    running.stop.begin();
    let last = ask();
    assert!(
        last.starts_with("HTTP/1.1 200") && last.contains("connection: close"),
        "{last}"
    );
    assert_eq!(stream.read(&mut [0; 10]).unwrap(), 0);
}

#[test]
fn headers_that_pass_for_others_are_dropped() {
    let names = async |headers: http::HeaderMap| {
        let names: Vec<&str> = headers.keys().map(|name| name.as_str()).collect();
        names.join(" ")
    };
    let running = Running::new(Application::new().route("/", get(names)), 1);
    let answer =
        running.talk("GET / HTTP/1.1\r\nHost: localhost\r\nX_User: root\r\nX-User: me\r\nConnection: close\r\n\r\n");
    assert!(answer.contains("x-user") && !answer.contains("x_user"), "{answer}");
}

/// A client may take so long for the head of a request, and no byte of it buys more time. Answers take what they need.
#[test]
fn only_waiting_clients_lose_patience() {
    let slow = Application::new()
        .route(
            "/slow",
            get(async || {
                tokio::time::sleep(Duration::from_millis(900)).await;
                "done"
            }),
        )
        .route(
            "/pieces",
            get(async || {
                Streamed::write(async |out| {
                    out.send("first").await?;
                    tokio::time::sleep(Duration::from_millis(900)).await;
                    out.send("last").await
                })
            }),
        );
    let running = Running::on(
        Serve::on("127.0.0.1:0")
            .workers(1)
            .head_timeout(Duration::from_millis(400))
            .keep_alive(Duration::from_millis(400)),
        slow,
    );
    let rest = |mut stream: TcpStream| {
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest);
        String::from_utf8_lossy(&rest).into_owned()
    };
    let closes = |stream| assert_eq!(rest(stream), "");
    closes(running.connect());
    let mut dripping = running.connect();
    for byte in "GET / HTTP/1.1\r\nHost: localhost\r\nX-Never: ends, it just goes on and on and on"
        .as_bytes()
        .chunks(1)
    {
        if dripping.write_all(byte).is_err() {
            break;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    // It has begun a request, so it is told (unless its last bytes crossed ours).
    let told = rest(dripping);
    assert!(told.is_empty() || told.starts_with("HTTP/1.1 408 "), "{told}");
    assert!(running.get("/slow").ends_with("done"));
    assert!(running.get("/pieces").contains("last"));
    // An open connection has as long for its next request as for its first.
    let mut kept = running.connect();
    for _ in 0..3 {
        std::thread::sleep(Duration::from_millis(200));
        kept.write_all(b"GET /slow HTTP/1.1\r\nHost: localhost\r\n\r\n")
            .unwrap();
        let mut answer = [0; 1024];
        let n = kept.read(&mut answer).unwrap();
        assert!(String::from_utf8_lossy(&answer[..n]).contains("200 OK"));
    }
    closes(kept);
}

/// Where two readers may disagree about the end of a request, the connection ends: what follows is never served.
#[test]
fn nothing_is_served_after_a_doubt() {
    let running = Running::new(app(), 1);
    let good = "GET /json HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let smuggled = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
    for (doubtful, status) in [
        (
            "POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\nContent-Length: 0\r\n\r\n",
            "400",
        ),
        (
            "POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0, 0\r\n\r\n",
            "400",
        ),
        (
            "POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: +0\r\n\r\n",
            "400",
        ),
        (
            "POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length:\r\n\r\n",
            "400",
        ),
        (
            "POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999999999999\r\n\r\n",
            "400",
        ),
        (
            "POST /echo HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n0\r\n\r\n",
            "400",
        ),
        (
            "POST /echo HTTP/1.0\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "400",
        ),
        (
            "POST /echo HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: identity\r\n\r\n",
            "400",
        ),
        (
            "POST /echo HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
            "400",
        ),
        (
            "POST /echo HTTP/1.1\r\nHost: localhost\r\nA: b\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "400",
        ),
        ("GET / HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n", "400"),
        ("GET / HTTP/1.1\r\nHost: localhost\r\nA: b\r\n c\r\n\r\n", "400"),
        ("GET / HTTP/1.1\r\nHost: localhost\r\nA: b\0\r\n\r\n", "400"),
        ("GET / HTTP/1.1\nHost: localhost\n\n", "400"),
        ("GET / HTTP/2.0\r\nHost: localhost\r\n\r\n", "400"),
        ("GET /\r\n\r\n", "400"),
        ("GET / HTTP/1.1\r\n\r\n", "400"),
        ("GET / HTTP/1.1\r\nHost: localhost\r\nExpect: more\r\n\r\n", "417"),
        // Doubts in bodies, which the handler hears of.
        (
            "POST /echo HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n1 \r\nx\r\n0\r\n\r\n",
            "400",
        ),
        (
            "POST /echo HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n1;a\nx\r\n0\r\n\r\n",
            "400",
        ),
        (
            "POST /echo HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\n0\r\n\r\n",
            "400",
        ),
        (
            "POST /echo HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nContent-Length: 9\r\n\r\n",
            "400",
        ),
        (
            "POST /none HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n0x1\r\nx\r\n0\r\n\r\n",
            "400",
        ),
    ] {
        let talk = running.talk(&format!("{good}{doubtful}{smuggled}"));
        assert_eq!(statuses(&talk), ["200", status], "{doubtful:?}: {talk}");
        assert!(!talk.contains("Hello, World!HTTP"), "{talk}");
        // The same where the pieces come one by one.
        let mut stream = running.connect();
        for piece in format!("{doubtful}{smuggled}").as_bytes().chunks(11) {
            if stream.write_all(piece).is_err() {
                break;
            }
        }
        let mut alone = String::new();
        let _ = stream.read_to_string(&mut alone);
        assert!(
            // Nobody knows of a doubt in a body before it comes.
            statuses(&alone).is_empty() || statuses(&alone) == [status] || statuses(&alone) == ["404"],
            "{doubtful:?}: {alone}"
        );
    }
    assert_eq!(statuses(&running.get("/")), ["200"]);
}

#[test]
fn a_refusal_comes_after_the_answers_before_it() {
    let running = Running::new(app(), 1);
    for path in ["/slow", "/stream"] {
        let talk = running.talk(&format!(
            "GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\nno HTTP\r\n\r\n"
        ));
        assert_eq!(statuses(&talk), ["200", "400"], "{talk}");
        let refusal = &talk[talk.rfind("HTTP/1.1 400").unwrap()..];
        for header in [
            "connection: close",
            "x-content-type-options: nosniff",
            "content-length: 16",
            "date: ",
        ] {
            assert!(refusal.contains(header), "{header}: {refusal}");
        }
    }
}

/// A body is asked for when it is wanted; where it is not, what comes next could be it or a request, so nothing comes next.
#[test]
fn a_body_that_waits_to_be_asked_for() {
    let running = Running::new(app(), 1);
    let ask = |path: &str, then: &str| {
        let mut stream = running.connect();
        let head =
            format!("POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n");
        stream.write_all(head.as_bytes()).unwrap();
        let mut buffer = [0; 4096];
        let n = stream.read(&mut buffer).unwrap();
        let mut talk = String::from_utf8_lossy(&buffer[..n]).into_owned();
        let _ = stream.write_all(then.as_bytes());
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest);
        talk += &String::from_utf8_lossy(&rest);
        talk
    };
    let taken = ask("/echo", "hello");
    assert_eq!(statuses(&taken), ["100", "200"], "{taken}");
    assert!(taken.ends_with("hello"), "{taken}");
    let refused = ask("/none", "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_eq!(statuses(&refused), ["404"], "{refused}");
}

/// Whatever arrives: an answer that is no fault of ours, and an end.
#[test]
fn any_bytes_are_answered_or_closed() {
    let running = Running::new(app(), 1);
    let seeds = [
        "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhelloGET /json HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "POST /echo HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n0\r\nA: b\r\n\r\n",
        "OPTIONS * HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nExpect: 100-continue\r\nContent-Length: 0\r\n\r\n",
    ];
    let pieces = [
        "\r",
        "\n",
        "\r\n",
        "\0",
        " ",
        ":",
        "\t",
        "\u{e9}",
        "0",
        "5",
        ",",
        ";",
        "/",
        "%",
        "chunked",
        "Host: b\r\n",
    ];
    // A plain generator: the same cases in every run.
    let mut state = 0x2545_f491_u32;
    let mut next = |below: usize| {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state as usize % below
    };
    let mut cases = Vec::new();
    for _ in 0..400 {
        let mut bytes = seeds[next(seeds.len())].as_bytes().to_vec();
        for _ in 0..=next(3) {
            let at = next(bytes.len());
            match next(4) {
                0 => drop(bytes.remove(at)),
                1 => bytes[at] = u8::try_from(next(256)).unwrap(),
                2 => bytes.truncate(at + 1),
                _ => drop(bytes.splice(at..at, pieces[next(pieces.len())].bytes())),
            }
        }
        cases.push(bytes);
    }
    let send = |bytes: &[u8]| {
        let mut stream = running.connect();
        stream.write_all(bytes).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let mut talk = Vec::new();
        stream.read_to_end(&mut talk).unwrap();
        let talk = String::from_utf8_lossy(&talk);
        for status in statuses(&talk) {
            assert!(
                !status.starts_with('5'),
                "{:?}: {talk}",
                bytes.escape_ascii().to_string()
            );
        }
    };
    // Some wait for the rest of a body for a second, so many go at once.
    std::thread::scope(|scope| {
        for some in cases.chunks(20) {
            scope.spawn(move || some.iter().for_each(|bytes| send(bytes)));
        }
    });
    assert_eq!(statuses(&running.get("/")), ["200"]);
}

#[test]
fn every_refusal_has_the_headers_of_an_answer() {
    let running = Running::new(app(), 1);
    for line in [
        "GET /<script> HTTP/1.1",
        "GET /`|^ HTTP/1.1",
        "GET http:// HTTP/1.1",
        "GET http://[::1 HTTP/1.1",
        "GET ftp://localhost/ HTTP/1.1",
        "GET / HTTP/3.0",
        "GET / HTTP/0.9",
        "PRI * HTTP/2.0",
    ] {
        let talk = running.talk(&format!("{line}\r\nHost: localhost\r\n\r\n"));
        assert_eq!(statuses(&talk), ["400"], "{line}: {talk}");
        for part in [
            "x-content-type-options: nosniff",
            "form-action 'self'",
            "connection: close",
        ] {
            assert!(talk.contains(part), "{line}: {talk}");
        }
    }
    let long = format!("{} / HTTP/1.1\r\nHost: localhost\r\n\r\n", "X".repeat(100));
    assert_eq!(statuses(&running.talk(&long)), ["400"]);
}
