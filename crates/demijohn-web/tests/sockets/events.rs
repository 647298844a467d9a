//! Server-sent events: what goes out, and how it ends.

use crate::running::{Running, statuses};
use demijohn_covers::covers;
use demijohn_web::events::{Event, Events, LastEventId};
use demijohn_web::test::block_on;
use demijohn_web::{Application, Error, Result, State, Streamed, get, post};
use serde::Serialize;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::mpsc;
use std::time::Duration;

const ASK: &str = "GET /endless HTTP/1.1\r\nHost: localhost\r\nAccept-Encoding: gzip, br, zstd\r\n\r\n";

/// Tells of its end.
struct Guard(mpsc::Sender<()>);

impl Drop for Guard {
    fn drop(&mut self) {
        let _ = self.0.send(());
    }
}

#[derive(Clone)]
struct Ends(mpsc::Sender<()>);

/// Says one thing, and then nothing for ever.
async fn endless(State(ends): State<Ends>) -> Events {
    let guard = Guard(ends.0.clone());
    Events::write(async move |out| {
        let _guard = guard;
        out.send("first").await?;
        std::future::pending().await
    })
}

fn app() -> (Application, mpsc::Receiver<()>) {
    let (ends, ended) = mpsc::channel();
    let app = Application::new()
        .state(Ends(ends))
        .route("/", get(async || "page"))
        .route("/endless", get(endless))
        .route(
            "/ticks",
            get(async || Events::write(async |_| std::future::pending().await).keep_alive(Duration::from_millis(20))),
        )
        .route(
            "/panic",
            get(async || {
                Events::write(async |out| {
                    out.send("first").await?;
                    panic!("on purpose")
                })
            }),
        )
        .route(
            "/stream/panic",
            get(async || {
                Streamed::write(async |out| {
                    out.send("first").await?;
                    panic!("on purpose")
                })
            }),
        );
    (app, ended)
}

/// Reads until this text has come.
fn read_until(stream: &mut TcpStream, text: &str) -> String {
    let mut got = String::new();
    let mut buffer = [0; 1024];
    while !got.contains(text) {
        let n = stream.read(&mut buffer).unwrap();
        assert!(n > 0, "the end before {text:?}: {got}");
        got += std::str::from_utf8(&buffer[..n]).unwrap();
    }
    got
}

fn open(running: &Running) -> (TcpStream, String) {
    let mut stream = running.connect();
    stream.write_all(ASK.as_bytes()).unwrap();
    let answer = read_until(&mut stream, "data: first\n\n");
    (stream, answer)
}

#[test]
fn fields_and_resuming() {
    covers!("fastapi.sse.fields");
    async fn feed(last: Option<LastEventId>) -> Events {
        let last = last.map_or_else(|| "nothing".to_owned(), |last| last.as_str().to_owned());
        Events::write(async move |out| {
            out.send(Event::comment("hello\nthere")).await?;
            out.send(Event::new("a\r\nb\rc\n").name("news").id(7)).await?;
            out.send(Event::new(" data: x\n\nevent: forged").retry(Duration::from_millis(1500)))
                .await?;
            out.send("").await?;
            out.send(format!("after {last}")).await
        })
    }
    block_on(async {
        let client = Application::new().route("/", get(feed).post(feed)).test_client();
        let text = ": hello\n: there\n\n\
                    event: news\nid: 7\ndata: a\ndata: b\ndata: c\ndata: \n\n\
                    retry: 1500\ndata:  data: x\ndata: \ndata: event: forged\n\n\
                    data: \n\n";
        assert_eq!(client.get("/").await.text(), format!("{text}data: after nothing\n\n"));
        let again = client.post("/").header("Last-Event-ID", "7 \u{e4}").await;
        assert_eq!(again.text(), format!("{text}data: after 7 \u{e4}\n\n"));
        assert!(
            client
                .get("/")
                .header("Last-Event-ID", "")
                .await
                .text()
                .ends_with("after nothing\n\n")
        );
    });
}

#[test]
fn items_of_streams_as_json_and_headers_for_those_between() {
    #[derive(Serialize)]
    struct Item {
        n: u32,
        text: &'static str,
    }
    async fn items() -> Events {
        let mut n = 0;
        Events::fallible(made(move || {
            n += 1;
            (n <= 2).then(|| Event::json(&Item { n, text: "a\nb" }))
        }))
    }
    async fn texts() -> Events {
        let mut texts = ["one", "two"].into_iter();
        Events::new(made(move || texts.next()))
    }
    block_on(async {
        let client = Application::new()
            .route("/", get(items))
            .route("/texts", post(texts))
            .test_client();
        let answer = client.get("/").header("accept-encoding", "gzip, br, zstd").await;
        assert_eq!(answer.header("content-type"), Some("text/event-stream"));
        assert_eq!(answer.header("cache-control"), Some("no-cache, no-store"));
        assert_eq!(answer.header("x-accel-buffering"), Some("no"));
        assert_eq!(answer.header("content-encoding"), None);
        assert_eq!(
            answer.text(),
            "data: {\"n\":1,\"text\":\"a\\nb\"}\n\ndata: {\"n\":2,\"text\":\"a\\nb\"}\n\n"
        );
        assert_eq!(client.post("/texts").await.text(), "data: one\n\ndata: two\n\n");
        assert_eq!(client.head("/").await.text(), "");
    });
}

/// A stream of what a function gives.
fn made<T>(next: impl FnMut() -> Option<T>) -> impl futures_core::Stream<Item = T> {
    struct Fun<F>(F);
    impl<T, F: FnMut() -> Option<T> + Unpin> futures_core::Stream for Fun<F> {
        type Item = T;
        fn poll_next(mut self: std::pin::Pin<&mut Self>, _: &mut std::task::Context<'_>) -> std::task::Poll<Option<T>> {
            std::task::Poll::Ready((self.0)())
        }
    }
    Fun(Box::new(next))
}

#[test]
fn events_that_cannot_be_are_not_sent() {
    async fn named(name: String) -> Events {
        Events::write(async move |out| {
            let sent: Result<()> = out.send(Event::new("x").name(name)).await;
            assert!(sent.is_err());
            out.send("told").await?;
            out.send(Event::new("x").id("1\nevent: forged")).await
        })
    }
    let running = Running::new(Application::new().route("/", post(named)), 1);
    let talk = running.talk(
        "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/plain\r\nConnection: close\r\nContent-Length: 3\r\n\r\na\nb",
    );
    assert!(talk.contains("data: told"), "{talk}");
    assert!(!talk.contains("forged") && !talk.contains("data: x"), "{talk}");
    // The end is missing, so nobody takes it for a whole answer.
    assert!(!talk.ends_with("0\r\n\r\n"), "{talk}");
}

#[test]
fn each_event_goes_out_as_it_is_made() {
    covers!("fastapi.sse");
    let (app, _ended) = app();
    let running = Running::new(app, 1);
    let (_stream, answer) = open(&running);
    assert_eq!(statuses(&answer), ["200"]);
    assert!(answer.contains("content-type: text/event-stream\r\n"), "{answer}");
    assert!(!answer.contains("content-encoding"), "{answer}");
    // Comments where nothing is said; the usual fifteen seconds are tested with less.
    let mut stream = running.connect();
    stream.write_all(ASK.replace("endless", "ticks").as_bytes()).unwrap();
    for _ in 0..3 {
        read_until(&mut stream, ":\n\n");
    }
}

/// A body in parts, each of which is there before the next one is made.
#[test]
fn a_body_in_parts_for_those_who_wait() {
    covers!("channels.consumer.http", "fastapi.stream.bytes");
    #[derive(Clone)]
    struct News(tokio::sync::broadcast::Sender<String>);
    async fn wait(news: State<News>) -> Streamed {
        let mut news = news.0.0.subscribe();
        Streamed::write(async move |out| {
            out.send("here;").await?;
            while let Ok(text) = news.recv().await {
                out.send(text).await?;
            }
            Ok(())
        })
        .content_type("text/csv; charset=utf-8")
    }
    async fn tell(news: State<News>, text: String) -> &'static str {
        let _ = news.0.0.send(text);
        "told"
    }
    let site = Application::new()
        .state(News(tokio::sync::broadcast::Sender::new(8)))
        .route("/", get(wait))
        .route("/tell", post(tell));
    let running = Running::new(site, 1);
    let mut stream = running.connect();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let head = read_until(&mut stream, "here;");
    assert!(head.contains("content-type: text/csv; charset=utf-8\r\n"), "{head}");
    for text in ["one", "two"] {
        let head = "POST /tell HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/plain\r\nConnection: close";
        let told = running.talk(&format!("{head}\r\nContent-Length: {}\r\n\r\n{text}", text.len()));
        assert!(told.ends_with("told"), "{told}");
        read_until(&mut stream, text);
    }
}

#[test]
fn a_client_that_leaves_ends_what_makes_the_events() {
    let (app, ended) = app();
    let running = Running::new(app, 1);
    let (stream, _) = open(&running);
    assert!(ended.try_recv().is_err());
    drop(stream);
    ended.recv_timeout(Duration::from_secs(30)).unwrap();
}

#[test]
fn a_server_that_stops_ends_them_whole() {
    let (app, ended) = app();
    let mut running = Running::new(app, 2);
    let streams: Vec<TcpStream> = (0..10).map(|_| open(&running).0).collect();
    running.stop.begin();
    for mut stream in streams {
        let mut rest = String::new();
        stream.read_to_string(&mut rest).unwrap();
        assert_eq!(rest, "0\r\n\r\n");
        ended.recv_timeout(Duration::from_secs(30)).unwrap();
    }
    running.end();
}

#[test]
fn a_panic_ends_one_answer_alone() {
    let (app, _ended) = app();
    let running = Running::new(app, 1);
    for path in ["/panic", "/stream/panic"] {
        let answer = running.get(path);
        assert!(answer.contains("first"), "{answer}");
        assert!(!answer.ends_with("0\r\n\r\n"), "{answer}");
        assert_eq!(statuses(&running.get("/")), ["200"]);
    }
    // Nothing is sent to the client of what went wrong.
    assert!(!running.get("/panic").contains("purpose"));
}

#[test]
fn an_error_before_the_first_event_is_an_answer_of_its_own() {
    async fn closed() -> Result<Events> {
        Err(Error::forbidden("not for you"))
    }
    block_on(async {
        let client = Application::new().route("/", get(closed)).test_client();
        assert_eq!(client.get("/").await.status(), 403);
    });
}
