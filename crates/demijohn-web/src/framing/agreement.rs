//! What [`Framing`] lets pass, hyper reads in the same way.

use super::{At, Fault, Framing, Phase};
use http_body_util::{BodyExt, Empty};
use hyper_util::rt::TokioIo;
use proptest::prelude::*;
use std::cell::RefCell;
use std::convert::Infallible;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A request as one of the two has read it: how its line begins, its body, and whether that came to its end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Read {
    line: String,
    body: Vec<u8>,
    is_whole: bool,
}

/// All of the piece, where no handler ever changes the protocol.
fn take(framing: &mut Framing, mut piece: &[u8]) -> Result<(), Fault> {
    loop {
        let good = framing.inspect(piece).map_err(|bad| bad.fault)?;
        piece = &piece[good..];
        if framing.is_undecided() {
            framing.decide(false);
        }
        if piece.is_empty() {
            return Ok(());
        }
    }
}

/// What the framing makes of a stream, byte by byte: the requests in it, how much of it is good, and why not more.
fn by_framing(bytes: &[u8]) -> (Vec<Read>, usize, Option<Fault>) {
    let mut framing = Framing::default();
    let mut reads: Vec<Read> = Vec::new();
    let mut line = Vec::new();
    for (n, byte) in bytes.iter().enumerate() {
        let before = framing.at;
        if let Err(fault) = take(&mut framing, std::slice::from_ref(byte)) {
            return (reads, n, Some(fault));
        }
        match before {
            At::RequestLine => line.push(*byte),
            At::Body(_) | At::Chunk(_) => {
                if let Some(read) = reads.last_mut() {
                    read.body.push(*byte);
                }
            }
            _ => {}
        }
        if before == At::Fields && framing.at != At::Fields {
            let text = String::from_utf8_lossy(&line).trim().to_owned();
            line.clear();
            reads.push(Read {
                line: text.rsplit_once(' ').map_or(String::new(), |(line, _)| line.to_owned()),
                ..Read::default()
            });
        }
        if before != At::RequestLine
            && framing.at == At::RequestLine
            && let Some(read) = reads.last_mut()
        {
            read.is_whole = true;
        }
    }
    (reads, bytes.len(), None)
}

/// What hyper makes of it.
fn by_hyper(bytes: &[u8]) -> Vec<Read> {
    let reads: Rc<RefCell<Vec<Read>>> = Rc::default();
    let service = hyper::service::service_fn(|request: http::Request<hyper::body::Incoming>| {
        let reads = Rc::clone(&reads);
        async move {
            let (head, mut body) = request.into_parts();
            reads.borrow_mut().push(Read {
                line: format!("{} {}", head.method, head.uri),
                ..Read::default()
            });
            let whole = loop {
                match body.frame().await {
                    None => break true,
                    Some(Err(_)) => break false,
                    Some(Ok(frame)) => {
                        if let (Some(read), Ok(data)) = (reads.borrow_mut().last_mut(), frame.into_data()) {
                            read.body.extend_from_slice(&data);
                        }
                    }
                }
            };
            if let Some(read) = reads.borrow_mut().last_mut() {
                read.is_whole = whole;
            }
            Ok::<_, Infallible>(http::Response::new(Empty::<bytes::Bytes>::new()))
        }
    });
    let mut http = hyper::server::conn::http1::Builder::new();
    http.max_buf_size(64 << 10).header_read_timeout(None);
    let mut connection = pin!(http.serve_connection(TokioIo::new(Sent(bytes)), service));
    let woken = Arc::new(Woken(AtomicBool::new(true)));
    let waker = Waker::from(Arc::clone(&woken));
    // As long as there is something to do. What it does not like, it has not read.
    while woken.0.swap(false, Ordering::Relaxed) {
        if connection.as_mut().poll(&mut Context::from_waker(&waker)).is_ready() {
            break;
        }
    }
    reads.take()
}

/// A client that has sent so much and waits; answers are thrown away.
struct Sent<'a>(&'a [u8]);

impl AsyncRead for Sent<'_> {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<std::io::Result<()>> {
        if self.0.is_empty() {
            return Poll::Pending;
        }
        let (now, later) = self.0.split_at(self.0.len().min(buf.remaining()));
        buf.put_slice(now);
        self.0 = later;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Sent<'_> {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, buf: &[u8]) -> Poll<std::io::Result<usize>> {
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// The two agree: hyper sees no request, no body and no end of one that the framing has not seen too. (It may see fewer: after
/// `Connection: close` it reads no more.)
fn agree(bytes: &[u8]) -> Result<(), String> {
    let (ours, good, _) = by_framing(bytes);
    let theirs = by_hyper(&bytes[..good]);
    let shown = || format!("{}\nframing: {ours:?}\nhyper: {theirs:?}", bytes.escape_ascii());
    if theirs.len() > ours.len() {
        return Err(format!("hyper reads more requests: {}", shown()));
    }
    for (our, their) in ours.iter().zip(&theirs) {
        // A target that is a whole URL is written anew by the type that holds it.
        let same_line = our.line == their.line || our.line.contains("://");
        if !same_line || our.is_whole != their.is_whole || (our.is_whole && our.body != their.body) {
            return Err(format!("a request differs: {}", shown()));
        }
    }
    Ok(())
}

/// All at once, or piece by piece: the same is good.
fn same_in_pieces(bytes: &[u8], size: usize) -> bool {
    let mut framing = Framing::default();
    let fault = bytes.chunks(size).find_map(|piece| take(&mut framing, piece).err());
    fault == by_framing(bytes).2
}

/// The lines of the corpus: an expectation, and a stream with its escapes.
fn corpus() -> Vec<(&'static str, Vec<u8>)> {
    include_str!("../../tests/data/heads.txt")
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| {
            let (expected, text) = line.split_once(' ').expect("an expectation and a stream");
            (expected, unescaped(text))
        })
        .collect()
}

fn unescaped(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        let escaped = if byte == b'\\' { rest.next() } else { None };
        bytes.push(match escaped {
            None => byte,
            Some(b'r') => b'\r',
            Some(b'n') => b'\n',
            Some(b't') => b'\t',
            Some(b'0') => 0,
            Some(b'x') => {
                let digits = [rest.next(), rest.next()].map(|digit| digit.expect("two digits"));
                let digits = std::str::from_utf8(&digits).expect("ASCII");
                u8::from_str_radix(digits, 16).expect("hexadecimal digits")
            }
            Some(other) => other,
        });
    }
    bytes
}

#[test]
fn the_corpus_is_judged_as_it_says() {
    let mut seen = 0;
    for (expected, bytes) in corpus() {
        let (reads, _, fault) = by_framing(&bytes);
        let verdict = match fault {
            Some(Fault::Head(status)) => status.to_string(),
            Some(Fault::Body) => "body".to_owned(),
            None => format!("ok{}", reads.iter().filter(|read| read.is_whole).count()),
        };
        let shown = bytes.escape_ascii().to_string();
        assert_eq!(verdict, expected, "{shown}");
        agree(&bytes).unwrap_or_else(|why| panic!("{why}"));
        assert!(
            [1, 2, 3, 7, 1000].iter().all(|size| same_in_pieces(&bytes, *size)),
            "{shown}"
        );
        seen += 1;
    }
    assert!(seen > 100, "the corpus has shrunk to {seen}");
}

fn piece(pieces: &'static [&'static str]) -> impl Strategy<Value = String> {
    // The first is the plain one, and half of all.
    prop_oneof![
        Just(pieces[0].to_owned()),
        prop::sample::select(pieces).prop_map(str::to_owned)
    ]
}

fn request() -> impl Strategy<Value = String> {
    let line = (
        piece(&[
            "GET", "POST", "PUT", "OPTIONS", "get", "PRI", "G ET", "", "CONNECT", "X_Y",
        ]),
        piece(&[" ", "  ", "\t", ""]),
        piece(&[
            "/",
            "/a?b=c",
            "*",
            "http://a/",
            "http://b/",
            "/a b",
            "/\u{e9}",
            "a:80",
            "/#x",
            "//",
            "/%00",
            "",
        ]),
        piece(&[
            " HTTP/1.1",
            " HTTP/1.0",
            " HTTP/2.0",
            "",
            " HTTP/1.1 ",
            " http/1.1",
            " HTTP/1.10",
        ]),
    );
    let end = || piece(&["\r\n", "\n", "\r", "\r\r\n", "\0\r\n", " \r\n"]);
    let field = (
        piece(&[
            "A: b",
            "Host: b",
            "Content-Length: 5",
            "Content-Length: 0",
            "Content-Length: +5",
            "Content-Length: 5, 5",
            "Content-Length:5",
            "content-length: 05",
            "Content-Length : 5",
            " Content-Length: 5",
            "Content-Length: ",
            "Transfer-Encoding: chunked",
            "Transfer-Encoding:chunked",
            "Transfer-Encoding: Chunked",
            "Transfer-Encoding: identity",
            "Transfer-Encoding: gzip, chunked",
            "Transfer-Encoding: \"chunked\"",
            "Transfer-Encoding: chunked;a=b",
            "Transfer-Encoding: \u{b}chunked",
            "Transfer-Encoding : chunked",
            "X: y\r\n z",
            "Connection: close",
            "Connection: Transfer-Encoding",
            "Expect: 100-continue",
            "Upgrade: h2c",
            "Trailer: A",
            "A",
            ": b",
            "A\0: b",
            "\u{e9}: b",
            "A: \u{e9}",
        ]),
        end(),
    );
    let body = piece(&[
        "",
        "hello",
        "5\r\nhello\r\n0\r\n\r\n",
        "5;a=b\r\nhello\r\n0\r\nA: b\r\n\r\n",
        "05\r\nhello\r\n0\r\n\r\n",
        "5 \r\nhello\r\n0\r\n\r\n",
        "5\nhello\n0\n\n",
        "5\r\nhello0\r\n\r\n",
        "0\r\nContent-Length: 3\r\n\r\n",
        "-5\r\nhello\r\n0\r\n\r\n",
        "0x5\r\nhello\r\n0\r\n\r\n",
        "5;\"\r\n\"\r\nhello\r\n0\r\n\r\n",
        "ffffffffffffffff\r\n",
        "10000000000000005\r\nhello\r\n0\r\n\r\n",
        "0\r\n\r\n",
    ]);
    let fields = prop::collection::vec(field, 0..4);
    // Every other body is the one that is announced.
    let announced = prop_oneof![
        Just(None),
        Just(Some(("Content-Length: 5\r\n", "hello"))),
        Just(Some((
            "Transfer-Encoding: chunked\r\n",
            "3;x=y\r\nhel\r\n2\r\nlo\r\n0\r\nA: b\r\n\r\n"
        ))),
    ];
    let host = piece(&["Host: a", "Host: a", "host:a", "", "Host: a\r\nHost: a"]);
    let parts = (line, end(), host, end(), fields, end(), body, announced);
    parts.prop_map(|(line, end, host, host_end, fields, last, body, announced)| {
        let mut text = format!("{}{}{}{}{end}", line.0, line.1, line.2, line.3);
        if !host.is_empty() {
            text += &format!("{host}{host_end}");
        }
        for (field, end) in fields {
            text += &field;
            text += &end;
        }
        let (field, body) = announced.unwrap_or(("", &body));
        text + field + &last + body
    })
}

fn stream() -> impl Strategy<Value = Vec<u8>> {
    let changes = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..4_u8), 0..3);
    (prop::collection::vec(request(), 1..4), changes).prop_map(|(requests, changes)| {
        let mut bytes = requests.concat().into_bytes();
        for (at, byte, kind) in changes {
            let at = at.index(bytes.len().max(1));
            match kind {
                _ if bytes.is_empty() => {}
                0 => drop(bytes.remove(at)),
                1 => bytes[at] = byte,
                2 => bytes.insert(at, byte),
                _ => bytes.truncate(at + 1),
            }
        }
        bytes
    })
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 4_000,
        // What it finds belongs into the corpus.
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn no_stream_is_read_in_two_ways(bytes in stream(), size in 1..40_usize) {
        agree(&bytes).map_err(TestCaseError::fail)?;
        prop_assert!(same_in_pieces(&bytes, size), "{}", bytes.escape_ascii());
    }
}

#[test]
fn phases_tell_what_is_waited_for() {
    let phase = |bytes: &[u8]| {
        let mut framing = Framing::default();
        take(&mut framing, bytes).map(|()| framing.phase())
    };
    assert_eq!(phase(b""), Ok(Phase::Between));
    assert_eq!(phase(b"G"), Ok(Phase::Head));
    assert_eq!(phase(b"GET / HTTP/1.1\r\nHost: a\r\n"), Ok(Phase::Head));
    assert_eq!(phase(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"), Ok(Phase::Between));
    assert_eq!(
        phase(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nx"),
        Ok(Phase::Body)
    );
}
