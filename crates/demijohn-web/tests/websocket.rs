//! WebSockets: handshakes, messages, limits, ends.
#![allow(clippy::unwrap_used)]

use demijohn_core::Configure;
use demijohn_covers::covers;
use demijohn_web::session::{Principal, SessionSupport};
use demijohn_web::test::{TestClient, block_on};
use demijohn_web::websocket::{Message, Sender};
use demijohn_web::{
    Application, Assemble, Error, Extract, Pairs, Path, Query, Rejection, Request, Response, Result, Session, State,
    WebSocket, WebSocketUpgrade, get, post,
};
use std::borrow::Cow;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;

async fn echo(upgrade: WebSocketUpgrade) -> Response {
    upgrade.on_upgrade(async |mut socket: WebSocket| {
        while let Some(message) = socket.recv().await? {
            socket.send(message).await?;
        }
        Ok(())
    })
}

fn echo_client() -> TestClient {
    Application::new().route("/echo", get(echo)).test_client()
}

#[test]
fn messages_of_both_kinds_and_of_any_length() {
    block_on(async {
        let client = echo_client();
        let mut socket = client.websocket("/echo").await;
        for text in ["", "a", "\u{1f600} text", &"x".repeat(70_000)] {
            socket.send(text).await;
            assert_eq!(socket.recv_text().await, text);
        }
        let bytes: Vec<u8> = (0..200_000_u32).map(|n| n as u8).collect();
        socket.send(bytes.clone()).await;
        assert_eq!(socket.recv().await, Message::Bytes(bytes.into()));
        assert_eq!(socket.close(1000).await, 1000);
    });
}

#[test]
fn a_handshake_is_answered_as_the_rfc_says() {
    block_on(async {
        let response = echo_client()
            .get("/echo")
            .header("connection", "keep-alive, Upgrade")
            .header("upgrade", "WebSocket")
            .header("sec-websocket-version", "13")
            .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
            .await;
        assert_eq!(response.status(), 101);
        assert_eq!(
            response.header("sec-websocket-accept"),
            Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
        );
        assert_eq!(response.header("upgrade"), Some("websocket"));
        assert_eq!(response.header("sec-websocket-protocol"), None);
        assert_eq!(response.header("sec-websocket-extensions"), None);
    });
}

#[test]
fn what_is_no_handshake_is_refused() {
    const GOOD: [(&str, &str); 4] = [
        ("connection", "Upgrade"),
        ("upgrade", "websocket"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];
    async fn check(change: &[(&str, &str)], status: u16) -> demijohn_web::test::TestResponse {
        let mut request = echo_client().get("/echo");
        for (name, value) in GOOD {
            if !change.iter().any(|(changed, _)| *changed == name) {
                request = request.header(name, value);
            }
        }
        for (name, value) in change.iter().filter(|(_, value)| !value.is_empty()) {
            request = request.header(name, value);
        }
        let response = request.await;
        assert_eq!(response.status(), status, "{change:?}");
        response
    }
    block_on(async {
        let response = check(&[("upgrade", "")], 426).await;
        assert_eq!(response.header("upgrade"), Some("websocket"));
        check(&[("upgrade", "h2c")], 426).await;
        check(&[("connection", "")], 400).await;
        check(&[("connection", "keep-alive")], 400).await;
        for version in ["", "8", "12", "14", "013", "13, 8", "x"] {
            let response = check(&[("sec-websocket-version", version)], 426).await;
            assert_eq!(response.header("sec-websocket-version"), Some("13"));
        }
        check(&[("sec-websocket-version", "13"), ("sec-websocket-version", "13")], 400).await;
        for key in [
            "",
            "x",
            "dGhlIHNhbXBsZQ==",
            "dGhlIHNhbXBsZSBub25jZSBsb25nZXI=",
            "dGhlIHNhbXBsZSBub25jZQ=!",
        ] {
            check(&[("sec-websocket-key", key)], 400).await;
        }
        let key = GOOD[3].1;
        check(&[("sec-websocket-key", key), ("sec-websocket-key", key)], 400).await;
        check(&[("content-length", "3")], 400).await;
        check(&[("transfer-encoding", "chunked")], 400).await;
        for offer in ["a,,b", "a, a", "a b", "\u{e4}", "a;b", ","] {
            check(&[("sec-websocket-protocol", offer)], 400).await;
        }
        let client = echo_client();
        assert_eq!(client.post("/echo").await.header("allow"), Some("GET, HEAD, OPTIONS"));
        assert_eq!(client.head("/echo").await.status(), 405);
    });
}

#[test]
fn pages_of_other_origins_open_no_sockets() {
    covers!("channels.origin");
    let site = |trusted: &[&str]| {
        Application::new()
            .route("/echo", get(echo))
            .setting("WEBSOCKET_TRUSTED_ORIGINS", trusted)
            .test_client()
    };
    block_on(async {
        let client = site(&["https://app.example", "https://*.shop.example"]);
        for origin in [
            "http://localhost",
            "HTTP://LOCALHOST:80",
            "https://app.example",
            "https://a.shop.example",
        ] {
            client.websocket("/echo").origin(origin).await.close(1000).await;
        }
        for origin in [
            "null",
            "",
            "localhost",
            "https://localhost",
            "http://localhost:8000",
            "http://localhost.evil.example",
            "http://evil.example",
            "http://app.example",
            "https://shop.example",
            "https://evilshop.example",
            "https://app.example@evil.example",
            "http://localhost, http://evil.example",
        ] {
            assert_eq!(
                client.websocket("/echo").origin(origin).refused().await.status(),
                403,
                "{origin}"
            );
        }
        let twice = client
            .websocket("/echo")
            .header("origin", "http://localhost")
            .refused()
            .await;
        assert_eq!(twice.status(), 403);
        // A program, which is no browser; with cookies it acts for somebody.
        client.websocket("/echo").origin(None).await.close(1000).await;
        client.set_cookie("session", "x");
        assert_eq!(client.websocket("/echo").origin(None).refused().await.status(), 403);
        client.websocket("/echo").await.close(1000).await;
        // The one opt-out.
        let open = site(&["*"]);
        open.set_cookie("session", "x");
        open.websocket("/echo")
            .origin("http://evil.example")
            .await
            .close(1000)
            .await;
        open.websocket("/echo").origin("null").await.close(1000).await;
    });
}

#[test]
fn a_subprotocol_is_agreed_on() {
    covers!("channels.subprotocol");
    async fn chat(upgrade: WebSocketUpgrade) -> Response {
        let offered = upgrade.offered().join("+");
        upgrade
            .subprotocols(["v2.chat", "v1.chat"])
            .on_upgrade(async move |socket: WebSocket| {
                let chosen = socket.subprotocol().unwrap_or("none");
                socket.send(format!("{offered}: {chosen}")).await
            })
    }
    block_on(async {
        let client = Application::new().route("/chat", get(chat)).test_client();
        let mut socket = client.websocket("/chat").subprotocols("v1.chat, v2.chat").await;
        assert_eq!(socket.subprotocol(), Some("v2.chat"));
        assert_eq!(socket.recv_text().await, "v1.chat+v2.chat: v2.chat");
        assert_eq!(socket.recv_close().await.code, 1000);
        let mut socket = client.websocket("/chat").subprotocols("other").await;
        assert_eq!(socket.subprotocol(), None);
        assert_eq!(socket.recv_text().await, "other: none");
    });
}

#[test]
fn a_path_has_a_page_and_a_socket_with_typed_parameters() {
    covers!("channels.routing");
    async fn room(upgrade: WebSocketUpgrade, Path((name, number)): Path<(String, u32)>) -> Response {
        upgrade.on_upgrade(async move |socket: WebSocket| socket.send(format!("{name} {}", number + 1)).await)
    }
    block_on(async {
        let client = Application::new()
            .route(
                "/room/{name}/{number}",
                get(async |Path((name, _)): Path<(String, u32)>| format!("page of {name}")),
            )
            .route("/ws/room/{name}/{number}", get(room))
            .test_client();
        assert_eq!(client.get("/room/blue/7").await.text(), "page of blue");
        assert_eq!(client.websocket("/ws/room/blue/7").await.recv_text().await, "blue 8");
        assert_eq!(client.websocket("/ws/room/blue/x").refused().await.status(), 404);
    });
}

#[derive(Clone)]
struct Greeting(&'static str);

#[test]
fn extractors_stand_beside_it_and_an_error_is_a_policy_close() {
    covers!("fastapi.websocket");
    async fn greet(
        upgrade: WebSocketUpgrade,
        State(greeting): State<Greeting>,
        Path(name): Path<String>,
        Query(query): Query<Pairs>,
    ) -> Response {
        let token = query.get("token").unwrap_or_default().to_owned();
        upgrade.on_upgrade(async move |mut socket: WebSocket| {
            if token != "secret" {
                return Err(Error::unauthorized("no such token"));
            }
            socket.send(format!("{} {name}", greeting.0)).await?;
            let Some(numbers) = socket.recv_json::<Vec<i64>>().await? else {
                return Ok(());
            };
            socket
                .send_json(&serde_json::json!({ "sum": numbers.iter().sum::<i64>() }))
                .await?;
            socket.send(vec![1_u8, 2, 3]).await
        })
    }
    block_on(async {
        let client = Application::new()
            .state(Greeting("Hi"))
            .route("/greet/{name}", get(greet))
            .test_client();
        let mut socket = client.websocket("/greet/Ann?token=secret").await;
        assert_eq!(socket.recv_text().await, "Hi Ann");
        socket.send_json(&[1, 2, 39]).await;
        assert_eq!(socket.recv_json::<serde_json::Value>().await["sum"], 42);
        assert_eq!(socket.recv().await.as_bytes(), [1, 2, 3]);
        assert_eq!(socket.recv_close().await.code, 1000);
        let close = client.websocket("/greet/Ann?token=x").await.recv_close().await;
        assert_eq!((close.code, close.reason.as_str()), (1008, "no such token"));
    });
}

#[test]
fn json_that_is_none_is_told_to_the_handler() {
    covers!("channels.consumer.json");
    async fn sums(upgrade: WebSocketUpgrade) -> Response {
        upgrade.on_upgrade(async |mut socket: WebSocket| {
            for _ in 0..2 {
                match socket.recv_json::<Vec<i64>>().await {
                    Ok(Some(numbers)) => socket.send_json(&numbers.iter().sum::<i64>()).await?,
                    Ok(None) => return Ok(()),
                    Err(error) => socket.send(format!("no: {}", error.client_text())).await?,
                }
            }
            socket.recv_json::<Vec<i64>>().await?;
            Ok(())
        })
    }
    block_on(async {
        let client = Application::new().route("/", get(sums)).test_client();
        let mut socket = client.websocket("/").await;
        socket.send_json(&[1, 2]).await;
        assert_eq!(socket.recv_json::<i64>().await, 3);
        socket.send("[1, 2").await;
        assert!(socket.recv_text().await.starts_with("no: the message is not the JSON"));
        socket.send("{}").await;
        assert_eq!(socket.recv_close().await.code, 1007);
    });
}

#[test]
fn the_life_of_a_socket() {
    covers!("channels.consumer.ws");
    let log: Arc<Mutex<Vec<String>>> = Arc::default();
    async fn life(upgrade: WebSocketUpgrade, State(log): State<Log>, Query(query): Query<Pairs>) -> Result<Response> {
        if query.get("who").is_none() {
            return Err(Error::forbidden("who are you?"));
        }
        log.say("connect");
        Ok(upgrade.on_upgrade(async move |mut socket: WebSocket| {
            while let Some(message) = socket.recv().await? {
                log.say(message.as_text().unwrap());
            }
            let close = socket.closed().unwrap();
            log.say(&format!("disconnect {} {}", close.code, close.reason));
            Ok(())
        }))
    }
    #[derive(Clone)]
    struct Log(Arc<Mutex<Vec<String>>>, mpsc::Sender<()>);
    impl Log {
        fn say(&self, text: &str) {
            self.0.lock().unwrap().push(text.to_owned());
            if text.starts_with("disconnect") {
                self.1.try_send(()).unwrap();
            }
        }
    }
    block_on(async {
        let (done, mut finished) = mpsc::channel(1);
        let client = Application::new()
            .state(Log(Arc::clone(&log), done))
            .route("/", get(life))
            .test_client();
        assert_eq!(client.websocket("/").refused().await.status(), 403);
        let mut socket = client.websocket("/?who=ann").await;
        socket.send("one").await;
        socket.send("two").await;
        assert_eq!(socket.close(3001).await, 3001);
        finished.recv().await.unwrap();
        assert_eq!(*log.lock().unwrap(), ["connect", "one", "two", "disconnect 3001 "]);
    });
}

#[test]
fn a_test_needs_no_server() {
    covers!("channels.test.communicator");
    block_on(async {
        let mut socket = echo_client().websocket("/echo").await;
        assert!(socket.is_silent(Duration::from_millis(20)).await);
        socket.send("x").await;
        assert_eq!(socket.recv_text().await, "x");
        assert!(socket.is_silent(Duration::from_millis(20)).await);
        assert_eq!(socket.close(1000).await, 1000);
    });
}

#[test]
fn the_site_closes_with_codes_of_its_own() {
    async fn closes(upgrade: WebSocketUpgrade, Path(code): Path<u16>) -> Response {
        upgrade.on_upgrade(async move |mut socket: WebSocket| {
            socket.send("last").await?;
            socket.close(code, &"\u{e4}".repeat(100)).await?;
            assert!(socket.recv().await?.is_none());
            assert!(socket.send("too late").await.is_err());
            Ok(())
        })
    }
    block_on(async {
        let client = Application::new().route("/{code}", get(closes)).test_client();
        for code in [1000, 1001, 1008, 1013, 3000, 4999] {
            let mut socket = client.websocket(&format!("/{code}")).await;
            assert_eq!(socket.recv_text().await, "last");
            let close = socket.recv_close().await;
            assert_eq!(
                (close.code, close.reason.as_str()),
                (code, "\u{e4}".repeat(61).as_str())
            );
        }
        for code in [0, 999, 1004, 1005, 1006, 1015, 2000, 5000] {
            let mut socket = client.websocket(&format!("/{code}")).await;
            assert_eq!(socket.recv_text().await, "last");
            assert_eq!(socket.recv_close().await.code, 1011, "{code}");
        }
    });
}

#[test]
fn errors_and_panics_end_one_socket_alone() {
    async fn fails(upgrade: WebSocketUpgrade, Path(how): Path<String>) -> Response {
        upgrade.on_upgrade(async move |mut socket: WebSocket| {
            socket.recv().await?;
            match how.as_str() {
                "panic" => panic!("on purpose"),
                "error" => Err(Error::internal("a secret")),
                _ => Err(Error::forbidden("not for you")),
            }
        })
    }
    block_on(async {
        let client = Application::new()
            .route("/echo", get(echo))
            .route("/{how}", get(fails))
            .test_client();
        let mut other = client.websocket("/echo").await;
        for (how, code, reason) in [
            ("panic", 1011, ""),
            ("error", 1011, ""),
            ("policy", 1008, "not for you"),
        ] {
            let mut socket = client.websocket(&format!("/{how}")).await;
            socket.send("go").await;
            let close = socket.recv_close().await;
            assert_eq!((close.code, close.reason.as_str()), (code, reason), "{how}");
        }
        other.send("still here").await;
        assert_eq!(other.recv_text().await, "still here");
    });
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
    let mask = [1, 2, 3, 4];
    frame.extend(mask);
    frame.extend(content.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}

/// Sends these bytes on a socket and reads until it is closed: the frames that came (first byte, content).
async fn answers(path: &str, bytes: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let client = Application::new().route("/echo", get(echo)).test_client();
    let mut raw = client.websocket(path).raw().await;
    // The site may hang up in the middle of it.
    let _ = raw.write_all(bytes).await;
    let mut got = Vec::new();
    tokio::time::timeout(Duration::from_secs(30), raw.read_to_end(&mut got))
        .await
        .unwrap()
        .unwrap();
    let mut frames = Vec::new();
    let mut rest = &got[..];
    while rest.len() >= 2 {
        let (length, at) = match rest[1] {
            126 => (usize::from(u16::from_be_bytes([rest[2], rest[3]])), 4),
            n if n < 126 => (usize::from(n), 2),
            _ => panic!("a masked or a long frame: {rest:?}"),
        };
        frames.push((rest[0], rest[at..at + length].to_vec()));
        rest = &rest[at + length..];
    }
    frames
}

async fn close_code(bytes: &[u8]) -> u16 {
    let frames = answers("/echo", bytes).await;
    let (first, content) = frames
        .last()
        .unwrap_or_else(|| panic!("no close frame after {bytes:?}"));
    assert_eq!(*first, 0x88, "{frames:?}");
    match content.as_slice() {
        [] => 1005,
        [high, low, ..] => u16::from_be_bytes([*high, *low]),
        other => panic!("{other:?}"),
    }
}

#[test]
fn clients_that_break_the_protocol_are_told_how() {
    block_on(async {
        let unmasked = [0x81, 1, b'x'];
        assert_eq!(close_code(&unmasked).await, 1002, "unmasked");
        for reserved in [0xC1, 0xA1, 0x91, 0xF1] {
            assert_eq!(
                close_code(&frame(reserved, b"x")).await,
                1002,
                "reserved bit {reserved:x}"
            );
        }
        for opcode in [0x83, 0x87, 0x8B, 0x8F] {
            assert_eq!(close_code(&frame(opcode, b"x")).await, 1002, "opcode {opcode:x}");
        }
        assert_eq!(close_code(&frame(0x09, b"x")).await, 1002, "a ping in fragments");
        assert_eq!(close_code(&frame(0x08, b"")).await, 1002, "a close in fragments");
        assert_eq!(close_code(&frame(0x89, &[b'x'; 126])).await, 1002, "a long ping");
        assert_eq!(close_code(&frame(0x88, &[3; 200])).await, 1002, "a long close");
        assert_eq!(close_code(&frame(0x80, b"x")).await, 1002, "a continuation of nothing");
        let twice = [frame(0x01, b"a"), frame(0x81, b"b")].concat();
        assert_eq!(close_code(&twice).await, 1002, "a message within a message");
        // Close frames.
        assert_eq!(close_code(&frame(0x88, b"")).await, 1005);
        assert_eq!(close_code(&frame(0x88, &[3])).await, 1002, "half a code");
        for code in [0_u16, 999, 1004, 1005, 1006, 1015, 1016, 2000, 2999, 5000, 65535] {
            assert_eq!(close_code(&frame(0x88, &code.to_be_bytes())).await, 1002, "{code}");
        }
        for code in [1000_u16, 1001, 1003, 1007, 1011, 3000, 3999, 4000, 4999] {
            assert_eq!(close_code(&frame(0x88, &code.to_be_bytes())).await, code);
        }
        assert_eq!(
            close_code(&frame(0x88, &[3, 232, 0xFF])).await,
            1007,
            "a reason that is no UTF-8"
        );
    });
}

#[test]
fn lengths_have_their_shortest_form_and_what_came_before_a_close_is_answered() {
    block_on(async {
        for long in [
            &[0x81, 0xfe, 0, 2, 0, 0, 0, 0, b'h', b'i'][..],
            &[0x81, 0xff, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, b'h'],
            &[0x89, 0xfe, 0, 0, 0, 0, 0, 0],
        ] {
            assert_eq!(close_code(long).await, 1002, "{long:?}");
        }
        let mut bytes = frame(0x81, b"x").repeat(100);
        bytes.extend(frame(0x88, &[0x03, 0xe8]));
        let answers = answers("/echo", &bytes).await;
        assert_eq!(answers.len(), 101, "{answers:?}");
    });
}

#[test]
fn text_is_utf_8() {
    block_on(async {
        for bad in [
            &b"\xFF"[..],
            b"\xC0\xAF",
            b"\xED\xA0\x80",
            b"\xF4\x90\x80\x80",
            b"\xCE\xBA\xE1",
        ] {
            assert_eq!(close_code(&frame(0x81, bad)).await, 1007, "{bad:?}");
            let parts = [frame(0x01, &bad[..1]), frame(0x80, &bad[1..])].concat();
            assert_eq!(close_code(&parts).await, 1007, "in fragments: {bad:?}");
        }
        // A character over two fragments, with a ping between them.
        let bytes = [
            frame(0x01, "\u{e4}".as_bytes().split_at(1).0),
            frame(0x89, b"?"),
            frame(0x80, "\u{e4}".as_bytes().split_at(1).1),
            frame(0x88, &[3, 232]),
        ];
        let frames = answers("/echo", &bytes.concat()).await;
        assert_eq!(frames[0], (0x8A, b"?".to_vec()));
        assert_eq!(frames[1], (0x81, "\u{e4}".as_bytes().to_vec()));
        assert_eq!(frames[2].0, 0x88);
        // Bytes may be anything.
        let bytes = [frame(0x82, b"\xFF"), frame(0x88, &[3, 232])].concat();
        assert_eq!(answers("/echo", &bytes).await[0], (0x82, vec![0xFF]));
    });
}

#[test]
fn messages_have_a_limit() {
    async fn small(upgrade: WebSocketUpgrade) -> Response {
        upgrade.max_message_bytes(10).on_upgrade(async |mut socket: WebSocket| {
            while let Some(message) = socket.recv().await? {
                socket.send(message).await?;
            }
            Ok(())
        })
    }
    block_on(async {
        // The frame says how long it will be: that is enough.
        let mut announced = vec![0x82, 0x80 | 127];
        announced.extend((1_u64 << 20 | 1).to_be_bytes());
        announced.extend([1, 2, 3, 4]);
        assert_eq!(close_code(&announced).await, 1009);
        let mut endless = vec![0x82, 0x80 | 127];
        endless.extend(u64::MAX.to_be_bytes());
        endless.extend([1, 2, 3, 4]);
        assert!(matches!(close_code(&endless).await, 1002 | 1009));
        let client = Application::new().route("/", get(small)).test_client();
        let mut socket = client.websocket("/").await;
        socket.send("0123456789").await;
        assert_eq!(socket.recv_text().await, "0123456789");
        socket.send("0123456789a").await;
        assert_eq!(socket.recv_close().await.code, 1009);
        // Over fragments it is the sum that counts.
        let client = Application::new()
            .route("/echo", get(echo))
            .setting("WEBSOCKET_MAX_MESSAGE_BYTES", 10)
            .test_client();
        let mut raw = client.websocket("/echo").raw().await;
        raw.write_all(&[frame(0x02, b"012345"), frame(0x80, b"678901")].concat())
            .await
            .unwrap();
        let mut got = Vec::new();
        raw.read_to_end(&mut got).await.unwrap();
        assert_eq!(got[..4], [0x88, got[1], 3, 241]);
    });
}

#[test]
fn clients_that_are_gone_are_found_by_ping() {
    covers!("channels.ping");
    async fn watched(upgrade: WebSocketUpgrade, State(ended): State<mpsc::Sender<String>>) -> Response {
        upgrade
            .ping_every(Duration::from_millis(20))
            .idle_timeout(Duration::from_millis(300))
            .on_upgrade(async move |mut socket: WebSocket| {
                let error = socket.recv().await.unwrap_err();
                ended.send(error.to_string()).await.unwrap();
                Err(error)
            })
    }
    block_on(async {
        let (ended, mut ends) = mpsc::channel::<String>(1);
        let client = Application::new().state(ended).route("/", get(watched)).test_client();
        // It reads nothing, and so it answers no ping.
        let mut dead = client.websocket("/").raw().await;
        assert!(ends.recv().await.unwrap().contains("nothing was heard"));
        let mut got = Vec::new();
        dead.read_to_end(&mut got).await.unwrap();
        assert_eq!(got[..2], [0x89, 0], "a ping");
        let goodbye = |bytes: &[u8]| bytes[0] == 0x88 && bytes[2..] == [3, 233];
        assert!(got.windows(4).any(goodbye), "a close frame");
        // One that answers stays, without a message.
        let mut alive = client.websocket("/").await;
        assert!(alive.is_silent(Duration::from_millis(700)).await);
        drop(alive);
        assert!(ends.recv().await.unwrap().contains("1006"));
        // Both can be set for the whole site, as can the size of messages.
        let site = Application::new()
            .route("/echo", get(echo))
            .setting("WEBSOCKET_PING_SECONDS", 0)
            .setting("WEBSOCKET_IDLE_SECONDS", 1)
            .setting("WEBSOCKET_MAX_MESSAGE_BYTES", 5);
        let client = site.test_client();
        let mut socket = client.websocket("/echo").await;
        assert_eq!(socket.recv_close().await.code, 1001);
    });
}

#[test]
fn a_slow_reader_is_waited_for() {
    covers!("channels.backpressure");
    async fn flood(upgrade: WebSocketUpgrade, State(sent): State<Arc<Mutex<usize>>>) -> Response {
        upgrade.on_upgrade(async move |socket: WebSocket| {
            for _ in 0..10_000 {
                socket.send("x".repeat(10_000)).await?;
                *sent.lock().unwrap() += 1;
            }
            Ok(())
        })
    }
    block_on(async {
        let sent: Arc<Mutex<usize>> = Arc::default();
        let client = Application::new()
            .state(Arc::clone(&sent))
            .route("/", get(flood))
            .test_client();
        let mut socket = client.websocket("/").await;
        assert_eq!(socket.recv_text().await.len(), 10_000);
        tokio::time::sleep(Duration::from_millis(100)).await;
        // What fits into the connection, and a message or two.
        assert!(*sent.lock().unwrap() < 20);
        for _ in 0..50 {
            socket.recv().await;
        }
        assert!(*sent.lock().unwrap() > 50);
    });
}

#[test]
fn a_handler_that_does_not_receive_is_not_flooded() {
    async fn deaf(upgrade: WebSocketUpgrade) -> Response {
        upgrade.on_upgrade(async |socket: WebSocket| {
            let sender: Sender = socket.sender();
            // Closed by the client while nobody receives.
            loop {
                sender.send("tick").await?;
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
    }
    block_on(async {
        let client = Application::new().route("/", get(deaf)).test_client();
        let mut socket = client.websocket("/").await;
        assert_eq!(socket.recv_text().await, "tick");
        assert_eq!(socket.close(1000).await, 1000);
    });
}

#[test]
fn a_server_that_stops_says_so() {
    covers!("channels.deploy");
    async fn careful(upgrade: WebSocketUpgrade, State(saved): State<mpsc::Sender<u16>>) -> Response {
        upgrade.on_upgrade(async move |mut socket: WebSocket| {
            while socket.recv().await?.is_some() {}
            tokio::time::sleep(Duration::from_millis(10)).await;
            saved.send(socket.closed().unwrap().code).await.unwrap();
            Ok(())
        })
    }
    block_on(async {
        let (saved, mut saves) = mpsc::channel::<u16>(1);
        let client = Application::new().state(saved).route("/", get(careful)).test_client();
        let mut socket = client.websocket("/").await;
        socket.send("x").await;
        socket.stop_server();
        assert_eq!(socket.recv_close().await.code, 1001);
        assert_eq!(saves.recv().await, Some(1001));
    });
}

#[test]
fn a_socket_knows_who_is_logged_in() {
    covers!("channels.auth.session");
    async fn login(session: Session) -> Result<&'static str> {
        session.login(&Principal::new("7", "hash-of-7")).await?;
        Ok("in")
    }
    async fn who(session: Session) -> Result<String> {
        Ok(session.principal_id().await?.unwrap_or_else(|| "nobody".into()))
    }
    async fn socket(upgrade: WebSocketUpgrade, session: Session) -> Response {
        upgrade.on_upgrade(async move |mut socket: WebSocket| {
            let who = session.principal_id().await?.unwrap_or_else(|| "nobody".into());
            socket.send(who).await?;
            // The answer is long gone, and with it the place where a change would be kept.
            while let Some(message) = socket.recv().await? {
                let changed = session.insert("said", message.as_text()).await;
                socket.send_json(&changed.is_ok()).await?;
            }
            Ok(())
        })
    }
    block_on(async {
        let client = Application::new()
            .with(SessionSupport)
            .route("/login", post(login))
            .route("/who", get(who))
            .route("/socket", get(socket))
            .test_client();
        let browser = client.stranger();
        assert_eq!(browser.post("/login").await.status(), 200);
        for (client, name) in [(&client, "nobody"), (&browser, "7"), (&client.stranger(), "nobody")] {
            assert_eq!(client.get("/who").await.text(), name);
            let mut socket = client.websocket("/socket").await;
            assert_eq!(socket.recv_text().await, name);
            socket.send("x").await;
            assert!(!socket.recv_json::<bool>().await);
        }
        // A page of another site opens none in this one's name.
        let theirs = browser.websocket("/socket").origin("http://evil.example");
        assert_eq!(theirs.refused().await.status(), 403);
    });
}

#[test]
fn tokens_let_in_programs() {
    covers!("channels.auth.custom");
    const NAMES: [(&str, &str); 2] = [("token-of-ann", "ann"), ("token-of-bob", "bob")];
    #[derive(Clone)]
    struct Caller(Option<&'static str>);
    fn name(token: &str) -> Result<&'static str> {
        let found = NAMES.iter().find(|(known, _)| *known == token);
        found
            .map(|(_, name)| *name)
            .ok_or_else(|| Error::unauthorized("no such token"))
    }
    /// In the query or in a header; without one the first message has to bring it.
    async fn authenticate(request: &mut Request) -> Result<()> {
        let header = request
            .header("authorization")
            .and_then(|text| text.strip_prefix("Bearer "));
        let token = match header {
            Some(token) => Some(token.to_owned()),
            None => request.query_value("token").map(Cow::into_owned),
        };
        let caller = token.map(|token| name(&token)).transpose()?;
        request.extensions_mut().insert(Caller(caller));
        Ok(())
    }
    impl Extract for Caller {
        async fn extract(request: &mut Request) -> Result<Self, Rejection> {
            Ok(request.extensions().get().cloned().unwrap_or(Caller(None)))
        }
    }
    async fn hello(upgrade: WebSocketUpgrade, Caller(known): Caller) -> Response {
        upgrade.on_upgrade(async move |mut socket: WebSocket| {
            let name = match known {
                Some(name) => name,
                None => match socket.recv().await? {
                    Some(message) => name(message.as_text().unwrap_or_default())?,
                    None => return Ok(()),
                },
            };
            socket.send(format!("Hello, {name}!")).await
        })
    }
    block_on(async {
        let client = Application::new()
            .route("/", get(hello).before(authenticate))
            .test_client();
        assert_eq!(
            client.websocket("/?token=token-of-ann").await.recv_text().await,
            "Hello, ann!"
        );
        let mut socket = client
            .websocket("/")
            .header("authorization", "Bearer token-of-bob")
            .await;
        assert_eq!(socket.recv_text().await, "Hello, bob!");
        let mut socket = client.websocket("/").await;
        socket.send("token-of-bob").await;
        assert_eq!(socket.recv_text().await, "Hello, bob!");
        assert_eq!(client.websocket("/?token=x").refused().await.status(), 401);
        let mut socket = client.websocket("/").await;
        socket.send("token-of-nobody").await;
        let close = socket.recv_close().await;
        assert_eq!((close.code, close.reason.as_str()), (1008, "no such token"));
    });
}

/// Everything once more on a real connection, which HTTP had before.
#[test]
fn a_connection_of_the_server_becomes_a_socket() {
    use demijohn_core::settings::Sources;
    use demijohn_web::server::{Serve, Stop};
    use std::io::{Read, Write};
    use std::net::TcpStream;

    async fn fails(upgrade: WebSocketUpgrade) -> Response {
        upgrade.on_upgrade(async |_socket: WebSocket| panic!("on purpose"))
    }
    let app = Application::new()
        .route("/", get(async || "page"))
        .route("/echo", get(echo))
        .route("/panic", get(fails));
    let ready = app.build(Sources::none()).map_err(|f| format!("{f:?}")).unwrap();
    let bound = Serve::on("127.0.0.1:0").bind().unwrap();
    let address = bound.address();
    let stop = Stop::new();
    let ending = stop.clone();
    let server = std::thread::spawn(move || block_on(bound.serve(ready.site().clone(), ending)).unwrap());
    let open = |path: &str| {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        // A page first: the connection was HTTP's for a while.
        let page = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
        let socket = format!(
            "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        for (request, until) in [(page, "page"), (&socket, "\r\n\r\n")] {
            stream.write_all(request.as_bytes()).unwrap();
            let mut answer = Vec::new();
            while !answer.ends_with(until.as_bytes()) {
                let mut byte = [0];
                stream.read_exact(&mut byte).unwrap();
                answer.push(byte[0]);
            }
            if until != "page" {
                let answer = String::from_utf8(answer).unwrap();
                assert!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
                assert!(!answer.to_ascii_lowercase().contains("content-length"), "{answer}");
            }
        }
        stream
    };
    let mut socket = open("/echo");
    // Bytes that would be no HTTP.
    socket.write_all(&frame(0x81, b"GET \r\n\0 x")).unwrap();
    let mut got = [0; 11];
    socket.read_exact(&mut got).unwrap();
    assert_eq!(&got, b"\x81\x09GET \r\n\0 x");
    let mut broken = open("/panic");
    let mut rest = Vec::new();
    broken.write_all(&frame(0x88, &[3, 243])).unwrap();
    broken.read_to_end(&mut rest).unwrap();
    assert_eq!(rest, [0x88, 2, 3, 243], "1011");
    // A client that ends without a word, and one that is told of the end.
    drop(open("/echo"));
    stop.begin();
    let mut goodbye = [0; 4];
    socket.read_exact(&mut goodbye).unwrap();
    assert_eq!((goodbye[0], &goodbye[2..]), (0x88, &[3, 233][..]));
    socket.write_all(&frame(0x88, &[3, 233])).unwrap();
    let mut rest = Vec::new();
    socket.read_to_end(&mut rest).unwrap();
    server.join().unwrap();
}
