//! WebSockets on real connections, byte by byte.

use crate::running::{Running, statuses};
use demijohn_core::Configure;
use demijohn_core::settings::Sources;
use demijohn_covers::{covers, skip};
use demijohn_web::server::Serve;
use demijohn_web::session::{Principal, SessionSupport};
use demijohn_web::test::LiveServer;
use demijohn_web::{
    Application, Assemble, Error, Path, Response, Result, Session, StaticExt, StaticFolder, WebSocket,
    WebSocketUpgrade, get, post,
};
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

const KEY: &str = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==";

/// A handshake; a line of the same name takes the place of its own, an empty value takes it away.
fn handshake(path: &str, lines: &[&str]) -> String {
    let mut head = format!("GET {path} HTTP/1.1\r\n");
    let name = |line: &str| line.split(':').next().unwrap_or_default().to_ascii_lowercase();
    let usual = [
        "Host: localhost",
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        KEY,
    ];
    let kept = usual
        .iter()
        .filter(|usual| !lines.iter().any(|line| name(line) == name(usual)));
    for line in kept.chain(lines.iter().filter(|line| !line.ends_with(':'))) {
        head += line;
        head += "\r\n";
    }
    head + "\r\n"
}

/// A frame of a client: its first byte, and its content masked.
fn frame(first: u8, content: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    match content.len() {
        n @ 0..126 => frame.push(0x80 | n as u8),
        n @ 126..65536 => {
            frame.push(0x80 | 126);
            frame.extend((n as u16).to_be_bytes());
        }
        n => {
            frame.push(0x80 | 127);
            frame.extend((n as u64).to_be_bytes());
        }
    }
    let mask = [0x37, 0xfa, 0x21, 0x3d];
    frame.extend(mask);
    frame.extend(content.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}

/// A client that sends what it is told to.
struct Socket(TcpStream);

impl Socket {
    fn open(running: &Running, path: &str) -> Socket {
        let mut socket = Socket::begin(running, handshake(path, &[]).as_bytes());
        let answer = socket.head();
        assert!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
        socket
    }

    fn begin(running: &Running, bytes: &[u8]) -> Socket {
        let mut stream = running.connect();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        stream.write_all(bytes).unwrap();
        Socket(stream)
    }

    /// The head of an answer.
    fn head(&mut self) -> String {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            self.0
                .read_exact(&mut byte)
                .unwrap_or_else(|error| panic!("{error} after {head:?}"));
            head.push(byte[0]);
        }
        String::from_utf8(head).unwrap()
    }

    fn send(&mut self, bytes: &[u8]) {
        // The site may hang up in the middle of it.
        let _ = self.0.write_all(bytes);
    }

    /// The next frame, its first byte and content; nothing at the end of the connection.
    fn frame(&mut self) -> Option<(u8, Vec<u8>)> {
        let mut start = [0; 2];
        match self.0.read_exact(&mut start) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => return None,
            Err(error) => panic!("{error}"),
        }
        assert!(start[1] < 0x80, "servers do not mask");
        let length = match start[1] {
            126 => {
                let mut length = [0; 2];
                self.0.read_exact(&mut length).unwrap();
                usize::from(u16::from_be_bytes(length))
            }
            127 => {
                let mut length = [0; 8];
                self.0.read_exact(&mut length).unwrap();
                usize::try_from(u64::from_be_bytes(length)).unwrap()
            }
            length => usize::from(length),
        };
        let mut content = vec![0; length];
        self.0.read_exact(&mut content).unwrap();
        Some((start[0], content))
    }

    /// The code of the close frame that comes next, pings aside; then the connection ends.
    #[track_caller]
    fn code(mut self) -> u16 {
        loop {
            match self.frame() {
                Some((0x89, _)) => {}
                Some((0x88, content)) => {
                    let code = match content.as_slice() {
                        [] => 1005,
                        [high, low, ..] => u16::from_be_bytes([*high, *low]),
                        [_] => panic!("half a code"),
                    };
                    self.send(&frame(0x88, &content));
                    assert_eq!(self.frame(), None);
                    return code;
                }
                other => panic!("no close frame: {other:?}"),
            }
        }
    }
}

async fn echo(upgrade: WebSocketUpgrade) -> Response {
    upgrade.on_upgrade(async |mut socket: WebSocket| {
        while let Some(message) = socket.recv().await? {
            socket.send(message).await?;
        }
        Ok(())
    })
}

async fn fails(upgrade: WebSocketUpgrade, Path(when): Path<String>) -> Response {
    assert!(when != "before", "on purpose, before there is a socket");
    upgrade.on_upgrade(move |mut socket: WebSocket| {
        assert!(when != "first", "on purpose, before there is a future");
        async move {
            socket.recv().await?;
            panic!("on purpose")
        }
    })
}

fn app() -> Application {
    Application::new()
        .route("/", get(async || "page"))
        .route("/echo", get(echo))
        .route("/panic/{when}", get(fails))
}

fn running() -> Running {
    Running::new(app(), 1)
}

const PAGE: &str = "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";

/// The answer to a handshake that is refused, and what else the connection brings when it is asked for a page then.
fn refused(running: &Running, head: &str) -> String {
    running.talk(&format!("{head}{PAGE}"))
}

#[test]
fn a_handshake_in_any_number_of_packets_with_frames_behind_it() {
    let running = running();
    let frames = [
        frame(0x81, b"GET / HTTP/1.1\r\n\r\n"),
        frame(0x01, b"in "),
        frame(0x80, b"two"),
        vec![0x8A],
    ]
    .concat();
    let pong = &frame(0x8A, b"")[1..];
    let bytes = [handshake("/echo", &[]).as_bytes(), &frames].concat();
    // All in one, the head and a bit, one byte at a time around the end of the head.
    let end = bytes.len() - frames.len();
    for cut in [0, end - 1, end, end + 1, end + 7] {
        let mut socket = Socket::begin(&running, &bytes[..cut]);
        socket.0.flush().unwrap();
        if cut > 0 {
            std::thread::sleep(Duration::from_millis(20));
        }
        socket.send(&bytes[cut..]);
        let answer = socket.head();
        assert!(answer.starts_with("HTTP/1.1 101 "), "{cut}: {answer}");
        let answer = answer.to_ascii_lowercase();
        assert!(
            answer.contains("sec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo=\r\n"),
            "{answer}"
        );
        assert!(
            !answer.contains("content-length") && !answer.contains("transfer-encoding"),
            "{answer}"
        );
        assert_eq!(socket.frame(), Some((0x81, b"GET / HTTP/1.1\r\n\r\n".to_vec())));
        assert_eq!(socket.frame(), Some((0x81, b"in two".to_vec())));
        socket.send(pong);
        socket.send(&frame(0x88, &[3, 232]));
        assert_eq!(socket.code(), 1000);
    }
    // Behind requests of HTTP, in the same packet.
    let pipelined = ["GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".as_bytes(), &bytes].concat();
    let mut socket = Socket::begin(&running, &pipelined);
    assert!(socket.head().starts_with("HTTP/1.1 200 "));
    socket.0.read_exact(&mut [0; 4]).unwrap();
    assert!(socket.head().starts_with("HTTP/1.1 101 "));
    assert_eq!(socket.frame(), Some((0x81, b"GET / HTTP/1.1\r\n\r\n".to_vec())));
}

#[test]
fn what_follows_a_refused_handshake_is_http_and_looked_at() {
    let running = running();
    let wrong = handshake("/echo", &["Sec-WebSocket-Key:"]);
    assert_eq!(statuses(&refused(&running, &wrong)), ["400", "200"]);
    // A page that is asked to become a socket stays one.
    assert_eq!(statuses(&refused(&running, &handshake("/", &[]))), ["200", "200"]);
    let many = handshake("/", &[]).repeat(50);
    assert_eq!(statuses(&refused(&running, &many)).len(), 51);
    // Frames are no HTTP, and what would be doubtful anywhere is doubtful here.
    for doubtful in [
        &frame(0x81, b"x")[..],
        b"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"GET / HTTP/1.1\nHost: localhost\n\n",
    ] {
        let bytes = [wrong.as_bytes(), doubtful, PAGE.as_bytes()].concat();
        let mut socket = Socket::begin(&running, &bytes);
        let mut answer = Vec::new();
        socket.0.read_to_end(&mut answer).unwrap();
        assert_eq!(statuses(&String::from_utf8_lossy(&answer)), ["400", "400"]);
    }
}

#[test]
fn handshakes_that_are_none() {
    let running = running();
    let check = |lines: &[&str], status: &str| {
        let answer = refused(&running, &handshake("/echo", lines));
        assert_eq!(statuses(&answer)[0], status, "{lines:?}: {answer}");
        // What is wrong is the client's fault alone.
        assert!(
            statuses(&answer).len() <= 2 && !answer.contains("HTTP/1.1 5"),
            "{answer}"
        );
        answer.to_ascii_lowercase()
    };
    for version in ["", " 8", " 0", " 12", " 14", " 013", " 13, 8", " -13", " \u{661}3"] {
        let answer = check(&[&format!("Sec-WebSocket-Version:{version}")], "426");
        assert!(
            answer.contains("sec-websocket-version: 13\r\n") && answer.contains("upgrade: websocket\r\n"),
            "{answer}"
        );
    }
    for key in [
        "",
        " short",
        " dGhlIHNhbXBsZQ==",
        " dGhlIHNhbXBsZSBub25jZSBsb25nZXI=",
        " dGhlIHNhbXBsZSBub25jZQ=!",
        " \u{e4}",
    ] {
        check(&[&format!("Sec-WebSocket-Key:{key}")], "400");
    }
    check(&[KEY, KEY], "400");
    check(&["Upgrade:"], "426");
    check(&["Upgrade: h2c"], "426");
    check(&["Upgrade: websockets"], "426");
    check(&["Connection:"], "400");
    check(&["Connection: keep-alive"], "400");
    check(&["Host:"], "400");
    check(&["Host: evil.example"], "400");
    check(&["Content-Length: 0"], "101");
    check(&["Content-Length: 4\r\nX: y"], "400");
    // Browsers say several things at once, in any case.
    check(&["Connection: keep-alive, upgrade", "Upgrade: WebSocket"], "101");
    let offer = |count: u32| {
        let names: Vec<String> = (0..count).map(|n| format!("v{n}")).collect();
        format!("Sec-WebSocket-Protocol: {}", names.join(", "))
    };
    check(&[&offer(50)], "101");
    check(&[&offer(2_000)], "400");
    // Extensions are not spoken, and need not be.
    let answer = check(
        &["Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits"],
        "101",
    );
    assert!(!answer.contains("sec-websocket-extensions"), "{answer}");
    for method in ["POST", "PUT", "DELETE", "HEAD", "get"] {
        let head = handshake("/echo", &[]).replacen("GET", method, 1);
        let answer = running.talk(&head.replacen("\r\n\r\n", "\r\nConnection: close\r\n\r\n", 1));
        assert!(["405", "501"].contains(&statuses(&answer)[0]), "{method}: {answer}");
        assert!(answer.to_ascii_lowercase().contains("allow: get"), "{method}: {answer}");
    }
    let old = handshake("/echo", &[]).replacen("HTTP/1.1", "HTTP/1.0", 1);
    assert!(running.talk(&old).starts_with("HTTP/1.0 400 "));
}

#[test]
fn pages_of_other_origins_open_nothing() {
    let running = running();
    let status = |lines: &[&str]| statuses(&refused(&running, &handshake("/echo", lines)))[0].to_owned();
    let cookie = "Cookie: session=x";
    for origin in [
        "Origin: http://localhost",
        "Origin: http://localhost:80",
        "Origin: HTTP://LocalHost",
    ] {
        assert_eq!(status(&[origin, cookie]), "101", "{origin}");
    }
    for origin in [
        "Origin: http://evil.example",
        "Origin: https://localhost",
        "Origin: http://localhost:8000",
        "Origin: http://localhost.evil.example",
        "Origin: http://sub.localhost",
        "Origin: http://evil.example/localhost",
        "Origin: http://localhost@evil.example",
        "Origin: null",
        "Origin: ",
        "Origin: file://",
        "Origin: http://localhost http://evil.example",
        "Origin: http://localhost\r\nOrigin: http://evil.example",
        "Referer: http://localhost/",
    ] {
        assert_eq!(status(&[origin, cookie]), "403", "{origin}");
    }
    for origin in ["Origin: http://evil.example", "Origin: null"] {
        assert_eq!(status(&[origin]), "403", "{origin}, no cookie");
    }
    assert_eq!(status(&[]), "101", "a program");
    assert_eq!(status(&[cookie]), "403", "a program with cookies");
    // The host that is asked for is the one that counts, whatever others say.
    assert_eq!(
        status(&[cookie, "Origin: http://evil.example", "X-Forwarded-Host: evil.example"]),
        "403"
    );
    assert_eq!(status(&[cookie, "Origin: http://localhost", "Host: 127.0.0.1"]), "403");
}

#[test]
fn frames_that_break_the_rules() {
    let running = running();
    let check = |bytes: &[u8], code: u16, what: &str| {
        let mut socket = Socket::open(&running, "/echo");
        socket.send(bytes);
        assert_eq!(socket.code(), code, "{what}");
    };
    check(b"\x81\x01x", 1002, "unmasked");
    check(b"\x88\x02\x03\xe8", 1002, "an unmasked close");
    for first in [0xC1, 0xA1, 0x91, 0xF1, 0xC9, 0xA8] {
        check(&frame(first, b"xx"), 1002, "a reserved bit");
    }
    for opcode in [3, 4, 5, 6, 7, 0xB, 0xC, 0xD, 0xE, 0xF] {
        check(&frame(0x80 | opcode, b""), 1002, "a reserved opcode");
    }
    check(&frame(0x89, &[b'x'; 126]), 1002, "a ping of 126 bytes");
    check(&frame(0x8A, &[b'x'; 70_000]), 1002, "a pong of 70000 bytes");
    check(&frame(0x88, &[3; 126]), 1002, "a close of 126 bytes");
    for control in [0x08, 0x09, 0x0A] {
        check(&frame(control, b""), 1002, "a control frame in fragments");
    }
    check(&frame(0x80, b"x"), 1002, "the end of nothing");
    check(&frame(0x00, b"x"), 1002, "the middle of nothing");
    check(
        &[frame(0x01, b"a"), frame(0x82, b"b")].concat(),
        1002,
        "a message in a message",
    );
    for code in [
        0_u16, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535,
    ] {
        check(&frame(0x88, &code.to_be_bytes()), 1002, "a code that is none");
    }
    check(&frame(0x88, b"x"), 1002, "half a code");
    check(&frame(0x88, b"\x03\xe8\xff"), 1007, "a reason that is no text");
    for text in [
        &b"\xff"[..],
        b"\xc0\x80",
        b"\xed\xa0\x80",
        b"\xf4\x90\x80\x80",
        b"ok \xe2\x82",
    ] {
        check(&frame(0x81, text), 1007, "text that is none");
        let (first, last) = text.split_at(1);
        check(
            &[frame(0x01, first), frame(0x80, last)].concat(),
            1007,
            "text that is none, in two",
        );
    }
    // Lengths: of a message, by one frame's announcement or by the sum of several.
    let announced = |length: u64| [&[0x82, 0xFF][..], &length.to_be_bytes(), b"mask"].concat();
    check(&announced((1 << 20) + 1), 1009, "more than a megabyte");
    check(&announced(u64::MAX >> 1), 1009, "nearly endless");
    assert!(matches!(
        {
            let mut socket = Socket::open(&running, "/echo");
            socket.send(&announced(u64::MAX));
            socket.code()
        },
        1002 | 1009
    ));
    let half = vec![b'x'; 1 << 19];
    check(
        &[frame(0x02, &half), frame(0x00, &half), frame(0x80, b"x")].concat(),
        1009,
        "in three frames",
    );
    let mut socket = Socket::open(&running, "/echo");
    socket.send(&[frame(0x02, &half), frame(0x80, &half)].concat());
    let mut got = 0;
    while got < 1 << 20 {
        got += socket.frame().unwrap().1.len();
    }
    socket.send(&frame(0x88, &[15, 160]));
    assert_eq!(socket.code(), 4000);
}

#[test]
fn the_rules_are_kept_with_clients_that_keep_them() {
    let running = running();
    let mut socket = Socket::open(&running, "/echo");
    socket.send(&frame(0x89, b"are you there?"));
    assert_eq!(socket.frame(), Some((0x8A, b"are you there?".to_vec())));
    // A control frame between fragments, of which some are empty, and a character over two of them.
    for piece in [
        frame(0x01, b""),
        frame(0x00, b"\xc3"),
        frame(0x89, &[b'x'; 125]),
        frame(0x00, b"\xa4"),
        frame(0x80, b""),
    ] {
        socket.send(&piece);
    }
    assert_eq!(socket.frame(), Some((0x8A, vec![b'x'; 125])));
    assert_eq!(socket.frame(), Some((0x81, "\u{e4}".as_bytes().to_vec())));
    // Byte by byte.
    for byte in frame(0x82, b"\xff\x00") {
        socket.send(&[byte]);
    }
    assert_eq!(socket.frame(), Some((0x82, vec![0xff, 0])));
    socket.send(&frame(0x8A, b"unasked"));
    socket.send(&frame(0x88, b""));
    assert_eq!(socket.code(), 1005);
    // What comes behind a close is not looked at.
    let mut socket = Socket::open(&running, "/echo");
    socket.send(&[frame(0x88, &[3, 232]), frame(0x81, b"late"), b"nonsense".to_vec()].concat());
    assert_eq!(socket.code(), 1000);
}

#[test]
fn a_panic_ends_its_socket_alone() {
    let running = running();
    let mut other = Socket::open(&running, "/echo");
    for _ in 0..3 {
        let answer = refused(&running, &handshake("/panic/before", &[]));
        assert_eq!(statuses(&answer), ["500", "200"], "{answer}");
        assert_eq!(Socket::open(&running, "/panic/first").code(), 1011);
        let mut socket = Socket::open(&running, "/panic/later");
        socket.send(&frame(0x81, b"x"));
        assert_eq!(socket.code(), 1011);
    }
    other.send(&frame(0x81, b"still here"));
    assert_eq!(other.frame(), Some((0x81, b"still here".to_vec())));
    assert_eq!(statuses(&running.get("/")), ["200"]);
}

#[test]
fn the_silent_are_pinged_and_given_up() {
    let app = app()
        .setting("WEBSOCKET_PING_SECONDS", 1)
        .setting("WEBSOCKET_IDLE_SECONDS", 2);
    let running = Running::new(app, 1);
    let mut silent = Socket::open(&running, "/echo");
    let mut answers = Socket::open(&running, "/echo");
    assert_eq!(silent.frame(), Some((0x89, vec![])));
    for _ in 0..4 {
        assert_eq!(answers.frame(), Some((0x89, vec![])));
        answers.send(&frame(0x8A, b""));
    }
    assert_eq!(silent.code(), 1001);
    answers.send(&frame(0x81, b"x"));
    loop {
        match answers.frame() {
            Some((0x89, _)) => {}
            other => break assert_eq!(other, Some((0x81, b"x".to_vec()))),
        }
    }
}

#[test]
fn a_server_that_stops_says_goodbye() {
    covers!("channels.deploy");
    let mut running = Running::new(app(), 2);
    let sockets: Vec<Socket> = (0..20).map(|_| Socket::open(&running, "/echo")).collect();
    running.stop.begin();
    for socket in sockets {
        assert_eq!(socket.code(), 1001);
    }
    running.end();
}

#[test]
fn sockets_are_connections_of_which_there_are_so_many() {
    let running = Running::on(Serve::on("127.0.0.1:0").workers(1).max_connections(2), app());
    let mut first = Socket::open(&running, "/echo");
    let _second = Socket::open(&running, "/echo");
    assert_eq!(statuses(&running.get("/")), ["503"]);
    first.send(&frame(0x88, &[3, 232]));
    assert_eq!(first.code(), 1000);
    // The place is free when the server has seen that.
    while statuses(&running.get("/")) != ["200"] {
        std::thread::sleep(Duration::from_millis(10));
    }
    // Limits of time that HTTP has are none of a socket's.
    let times = Serve::on("127.0.0.1:0")
        .workers(1)
        .head_timeout(Duration::from_millis(100))
        .keep_alive(Duration::from_millis(100));
    let running = Running::on(times, app());
    let mut socket = Socket::open(&running, "/echo");
    std::thread::sleep(Duration::from_millis(400));
    socket.send(&frame(0x81, b"x"));
    assert_eq!(socket.frame(), Some((0x81, b"x".to_vec())));
}

#[test]
fn hooks_of_start_and_end_run_once_however_many_workers() {
    covers!("channels.lifespan");
    let told: Arc<Mutex<Vec<&'static str>>> = Arc::default();
    let (at_start, at_end) = (Arc::clone(&told), Arc::clone(&told));
    let app = app()
        .on_start(move |_| {
            at_start.lock().unwrap().push("start");
            async { Ok(()) }
        })
        .on_stop(move |_| {
            at_end.lock().unwrap().push("end");
            async { Ok(()) }
        });
    let mut running = Running::new(app, 3);
    let sockets: Vec<Socket> = (0..6).map(|_| Socket::open(&running, "/echo")).collect();
    assert_eq!(*told.lock().unwrap(), ["start"]);
    running.stop.begin();
    for socket in sockets {
        assert_eq!(socket.code(), 1001);
    }
    running.end();
    assert_eq!(*told.lock().unwrap(), ["start", "end"]);
}

/// Answers to pings do not pile up behind a client that never reads them.
#[cfg(target_os = "linux")]
#[test]
fn a_flood_of_pings_costs_no_memory() {
    fn resident_bytes() -> usize {
        let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
        pages.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 4096
    }
    let running = running();
    let mut socket = Socket::open(&running, "/echo");
    let pings = frame(0x89, &[b'x'; 125]).repeat(1_000);
    socket.send(&pings);
    let before = resident_bytes();
    for _ in 0..400 {
        socket.0.write_all(&pings).unwrap();
    }
    // Fifty megabytes were sent, and as much would have been answered.
    let grown = resident_bytes().saturating_sub(before);
    assert!(grown < 16 << 20, "{grown} bytes more");
    // It goes on where it was: some answers, of whole frames, then the echo.
    let mut reader = Socket(socket.0.try_clone().unwrap());
    let reading = std::thread::spawn(move || {
        let mut pongs = 0;
        loop {
            match reader.frame().unwrap() {
                (0x8A, content) => {
                    assert_eq!(content, [b'x'; 125]);
                    pongs += 1;
                }
                other => return (pongs, other),
            }
        }
    });
    socket.send(&frame(0x81, b"still here"));
    let (pongs, echo) = reading.join().unwrap();
    assert!(pongs > 0);
    assert_eq!(echo, (0x81, b"still here".to_vec()));
}

/// Ten thousand visitors who are logged in and say nothing. The server is a process of its own, whose memory is looked at.
#[cfg(target_os = "linux")]
#[test]
fn ten_thousand_sockets_that_say_nothing() {
    use std::io::{BufRead, BufReader};
    use std::process::{Command, Stdio};

    const CHILD: &str = "DEMIJOHN_TEST_TEN_THOUSAND";
    const SOCKETS: usize = 10_000;
    const BYTES_EACH: usize = 32 << 10;
    async fn login(session: Session) -> Result<&'static str> {
        session.login(&Principal::new("7", "hash-of-7")).await?;
        Ok("in")
    }
    async fn hello(upgrade: WebSocketUpgrade, session: Session) -> Result<Response> {
        let Some(who) = session.principal_id().await? else {
            return Err(Error::unauthorized("log in first"));
        };
        // However slow the machine is, nobody is given up for silence.
        let upgrade = upgrade.ping_every(None).idle_timeout(None);
        Ok(upgrade.on_upgrade(async move |mut socket: WebSocket| {
            while let Some(message) = socket.recv().await? {
                socket
                    .send(format!("{who}: {}", message.as_text().unwrap_or_default()))
                    .await?;
            }
            Ok(())
        }))
    }
    if std::env::var_os(CHILD).is_some() {
        let app = app()
            .with(SessionSupport)
            .route("/login", post(login).csrf_exempt())
            .route("/hello", get(hello));
        let running = Running::on(Serve::on("127.0.0.1:0").workers(1).max_connections(2 * SOCKETS), app);
        println!("\nport={}", running.address.port());
        let _ = std::io::stdin().read_line(&mut String::new());
        return;
    }
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap();
    let files = limits.lines().find_map(|line| line.strip_prefix("Max open files"));
    let files: usize = files
        .unwrap()
        .split_whitespace()
        .next()
        .unwrap()
        .parse()
        .unwrap_or(usize::MAX);
    if files < SOCKETS + 100 {
        return skip!("the system lets the process open too few files");
    }
    covers!("channels.scale");
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "websocket::ten_thousand_sockets_that_say_nothing",
            "--nocapture",
        ])
        .env(CHILD, "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let port: u16 = lines
        .by_ref()
        .map_while(std::result::Result::ok)
        .find_map(|line| line.strip_prefix("port=")?.parse().ok())
        .unwrap();
    let resident_bytes = || {
        let pages = std::fs::read_to_string(format!("/proc/{}/statm", child.id())).unwrap();
        pages.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 4096
    };
    let ask = |head: &str| {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        stream.write_all(head.as_bytes()).unwrap();
        Socket(stream)
    };
    let login = "POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n";
    let answer = ask(login).head();
    let cookie = answer
        .lines()
        .find_map(|line| line.strip_prefix("set-cookie: sessionid="));
    let cookie = format!("Cookie: sessionid={}", cookie.unwrap().split(';').next().unwrap());
    assert!(ask(&handshake("/hello", &[])).head().starts_with("HTTP/1.1 401 "));
    let head = handshake("/hello", &[&cookie, "Origin: http://localhost"]);
    let before = resident_bytes();
    let mut sockets = Vec::new();
    while sockets.len() < SOCKETS {
        let mut some: Vec<Socket> = (0..100).map(|_| ask(&head)).collect();
        for socket in &mut some {
            let answer = socket.head();
            assert!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
        }
        sockets.extend(some);
    }
    let each = resident_bytes().saturating_sub(before) / SOCKETS;
    println!("{each} bytes each");
    assert!(each < BYTES_EACH, "{each} bytes each");
    for at in [0, SOCKETS / 2, SOCKETS - 1] {
        sockets[at].send(&frame(0x81, b"still here"));
        assert_eq!(sockets[at].frame(), Some((0x81, b"7: still here".to_vec())));
    }
    drop(child.stdin.take());
    let _ = child.wait().unwrap();
}

/// Who asks for another protocol and leaves keeps no handler busy, whatever it has sent before.
#[test]
fn a_client_that_leaves_before_its_answer_is_missed() {
    struct Gone(mpsc::Sender<()>);
    impl Drop for Gone {
        fn drop(&mut self) {
            let _ = self.0.send(());
        }
    }
    let (gone, left) = mpsc::channel();
    let endless = move || {
        let gone = Gone(gone.clone());
        async move {
            let _gone = gone;
            std::future::pending::<&'static str>().await
        }
    };
    let running = Running::new(app().route("/endless", get(endless)), 1);
    for behind in [&b""[..], b"\x81"] {
        let mut socket = Socket::begin(&running, handshake("/endless", &[]).as_bytes());
        socket.send(behind);
        assert!(left.try_recv().is_err());
        drop(socket);
        left.recv_timeout(Duration::from_secs(30)).unwrap();
    }
    // One that ends its sending and waits gets its answer all the same, and the frames that came before.
    let mut socket = Socket::begin(
        &running,
        &[handshake("/echo", &[]).as_bytes(), &frame(0x81, b"last")].concat(),
    );
    socket.0.shutdown(std::net::Shutdown::Write).unwrap();
    assert!(socket.head().starts_with("HTTP/1.1 101 "));
    assert_eq!(socket.frame(), Some((0x81, b"last".to_vec())));
}

#[test]
fn a_server_for_tests_has_sockets_and_static_files() {
    covers!("channels.test.live");
    let site = app().static_files(StaticFolder::embedded(&[("app.css", b"body {}")]));
    let ready = site.build(Sources::none()).map_err(|f| format!("{f:?}")).unwrap();
    let live = LiveServer::start(&ready);
    let connect = |head: &str| {
        let mut stream = TcpStream::connect(live.address()).unwrap();
        stream.write_all(head.as_bytes()).unwrap();
        Socket(stream)
    };
    let mut socket = connect(&handshake("/echo", &["Origin: http://localhost"]));
    assert!(socket.head().starts_with("HTTP/1.1 101 "));
    socket.send(&frame(0x81, b"x"));
    assert_eq!(socket.frame(), Some((0x81, b"x".to_vec())));
    let page = "GET /static/app.css HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let mut answer = String::new();
    connect(page).0.read_to_string(&mut answer).unwrap();
    assert!(
        answer.contains("content-type: text/css") && answer.ends_with("body {}"),
        "{answer}"
    );
}
