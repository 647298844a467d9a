//! What fuzzers call, and what must hold of every input: one function per parser. `fuzz/` has a target for each, and its corpus is replayed by the
//! tests here, on every machine and without a fuzzer.
//!
//! A new parser is a function here, a line in [`TARGETS`], a file in `fuzz/fuzz_targets/` and a few inputs in `fuzz/corpus/NAME/`.

mod site;

use crate::conditional::{Part, Verdict, Version, parse_range};
use crate::framing::{Bad, Fault, Framing};
use crate::pairs::Pairs;
use crate::path::{PathParam, Signed, Slug};
use crate::shield::host;
use crate::test::{TestClient, TestRequest, block_on};
use crate::trie::Pattern;
use crate::{Accept, Cookie, Origin};
use demijohn_core::{Place, Request};
use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::{Method, StatusCode};

type Target = fn(&[u8]);

/// Every target by its name, which is also that of its corpus.
pub const TARGETS: &[(&str, Target)] = &[
    ("cookies", cookies),
    ("framing", framing),
    ("headers", headers),
    #[cfg(feature = "multipart")]
    ("multipart", multipart),
    ("path", path),
    ("range", range),
    ("request", request),
    ("urlencoded", urlencoded),
    #[cfg(feature = "websocket")]
    ("websocket", websocket),
];

/// A form with files, its boundary being `x`. The first byte says in which pieces the body comes: they make no difference.
#[cfg(feature = "multipart")]
pub fn multipart(data: &[u8]) {
    let Some((&piece, body)) = data.split_first() else {
        return;
    };
    let whole = parts(body, body.len().max(1));
    let cut = parts(body, usize::from(piece).max(1));
    assert_eq!(whole, cut);
    for (name, file_name, _) in whole.unwrap_or_default() {
        let texts = [Some(name), file_name];
        assert!(texts.iter().flatten().all(|text| !text.contains(['\0', '\r', '\n'])));
    }
}

/// Names, file names and contents, as far as they were told before the form was refused.
#[cfg(feature = "multipart")]
type Parts = Vec<(String, Option<String>, Vec<u8>)>;

#[cfg(feature = "multipart")]
fn parts(body: &[u8], piece: usize) -> Option<Parts> {
    use crate::multipart::{Event, Parser};
    let mut parser = Parser::new("x");
    let mut pieces = body.chunks(piece);
    let mut parts = Parts::new();
    loop {
        match parser.next().ok()? {
            Event::Part(head) => parts.push((head.name, head.file_name, Vec::new())),
            Event::Data(data) => parts.last_mut()?.2.extend_from_slice(&data),
            Event::PartEnd => {}
            Event::End => return Some(parts),
            Event::More => match pieces.next() {
                Some(piece) => parser.push(piece),
                None => parser.finish(),
            },
        }
    }
}

/// A query string or a form. What was read is read again from what is written of it.
pub fn urlencoded(data: &[u8]) {
    const MAX: usize = 100;
    let Ok(pairs) = Pairs::parse_at(Place::Query, data, MAX) else {
        return;
    };
    assert!(pairs.len() <= MAX);
    let mut written = form_urlencoded::Serializer::new(String::new());
    for (name, value) in pairs.iter() {
        assert!(!name.contains('\0') && !value.contains('\0'));
        written.append_pair(name, value);
    }
    let again = Pairs::parse_at(Place::Query, written.finish().as_bytes(), MAX);
    assert_eq!(again.ok().as_ref(), Some(&pairs));
}

/// A `Range` header about something as long as the first two bytes say. What is sent is in order, apart, inside, and little.
pub fn range(data: &[u8]) {
    let Some((&[high, low], text)) = data.split_first_chunk() else {
        return;
    };
    let length = u64::from(u16::from_be_bytes([high, low]));
    let Ok(text) = std::str::from_utf8(text) else { return };
    let ranges = match parse_range(text, length) {
        Part::Whole | Part::Unsatisfiable => return,
        Part::Bytes(first, last) => vec![(first, last)],
        Part::Several(ranges) => ranges,
    };
    assert!((1..=10).contains(&ranges.len()));
    assert!(ranges.iter().all(|(first, last)| first <= last && *last < length));
    assert!(ranges.windows(2).all(|pair| pair[0].1 + 1 < pair[1].0));
}

/// The headers of a request with one line of this name; nothing when no connection would let it through.
fn with_header(name: HeaderName, value: &[u8]) -> Option<Request> {
    std::str::from_utf8(value).ok()?;
    let mut request = Request::placeholder();
    let value = HeaderValue::from_bytes(value).ok()?;
    request.head_mut().headers.insert(name, value);
    Some(request)
}

/// A `Cookie` header. Neither hides what stands beside it, and what we set comes back as we set it.
pub fn cookies(data: &[u8]) {
    let line = [data, b"; last=it"].concat();
    let Some(request) = with_header(http::header::COOKIE, &line) else {
        return;
    };
    assert_eq!(request.cookies().last(), Some(("last", "it")));
    for (name, value) in request.cookies() {
        assert!(!name.contains([';', '=']) && !value.contains(';'));
        let Ok(set) = Cookie::new(name, value).header() else {
            continue;
        };
        let set = set.to_str().expect("cookies are ASCII");
        let pair = set.split(';').next().unwrap_or_default();
        let again = with_header(http::header::COOKIE, pair.as_bytes()).expect("what we set is a header");
        assert_eq!(again.cookies().collect::<Vec<_>>(), [(name, value)]);
    }
}

/// What comes over a connection, from the first byte on. The first byte of the input says in which pieces: they make no difference.
pub fn framing(data: &[u8]) {
    let Some((&piece, bytes)) = data.split_first() else {
        return;
    };
    let whole = inspected(bytes, bytes.len().max(1));
    let cut = inspected(bytes, usize::from(piece).max(1));
    // Where a fault is found in the middle of a head, that head is not passed on; a piece of it may have been.
    assert_eq!(whole.1, cut.1);
    if whole.1.is_none() {
        assert_eq!(whole.0, bytes.len());
        assert_eq!(cut.0, bytes.len());
    }
}

fn inspected(bytes: &[u8], piece: usize) -> (usize, Option<Fault>) {
    let mut framing = Framing::default();
    let mut good = 0;
    for piece in bytes.chunks(piece) {
        let mut at = 0;
        while at < piece.len() {
            if framing.is_undecided() {
                framing.decide(false);
            }
            match framing.inspect(&piece[at..]) {
                Ok(taken) => at += taken,
                Err(Bad { good: more, fault }) => {
                    assert!(more <= piece.len() - at);
                    return (good + at + more, Some(fault));
                }
            }
        }
        good += piece.len();
    }
    (good, None)
}

/// A value of any header that we read.
pub fn headers(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Some((name, port)) = host::split(text) {
        // It is the same when it is written anew, and nothing in it leads elsewhere.
        assert!(!name.contains(['/', '\\', '@', '?', '#', ' ', '%', ',']));
        let again = port.map_or_else(|| name.to_owned(), |port| format!("{name}:{port}"));
        assert_eq!(host::split(&again), Some((name, port)));
    }
    if let Some(origin) = Origin::parse(text) {
        assert_eq!(Origin::parse(&origin.to_string()), Some(origin));
    }
    let _ = Origin::of_url(text);
    if let Some(request) = with_header(http::header::ACCEPT, data) {
        let accept = Accept::of(&request);
        let types = ["text/html", "application/json"];
        let best = accept.best(&types);
        assert!(types.iter().all(|kind| accept.weight(kind) <= 1000));
        assert!(best.is_none_or(|best| types.iter().all(|kind| accept.weight(kind) <= accept.weight(best))));
    }
    let version = Version {
        modified: Some(std::time::UNIX_EPOCH),
        ..Version::tagged("a")
    };
    for name in [
        "if-match",
        "if-none-match",
        "if-modified-since",
        "if-unmodified-since",
        "if-range",
    ] {
        let Some(request) = with_header(HeaderName::from_static(name), data) else {
            continue;
        };
        let verdict = version.weigh(&Method::PUT, request.headers());
        assert_ne!(verdict, Verdict::NotModified, "a change is made, or it is not");
        let _ = crate::conditional::part(&version, &Method::GET, request.headers(), 100);
    }
}

/// A segment of a path, as every type of parameter. A value has one text, which is read as the same value.
pub fn path(data: &[u8]) {
    let Ok(raw) = std::str::from_utf8(data) else { return };
    let Some(text) = demijohn_core::request::decode_path_segment(raw) else {
        return;
    };
    assert!(!text.contains('\0'));
    one::<String>(&text);
    one::<Slug>(&text);
    one::<u8>(&text);
    one::<i32>(&text);
    one::<u64>(&text);
    one::<i128>(&text);
    one::<Signed<i64>>(&text);
    one::<f64>(&text);
    one::<bool>(&text);
    #[cfg(feature = "uuid")]
    one::<uuid::Uuid>(&text);
}

fn one<T: PathParam + PartialEq + std::fmt::Debug>(text: &str) {
    let Some(value) = T::from_segment(text) else { return };
    let written = value.to_segment().into_owned();
    assert_eq!(T::from_segment(&written).as_ref(), Some(&value));
    // A link to it leads to it.
    let pattern = Pattern::parse("/{value}").expect("it is one");
    let link = pattern.fill(std::slice::from_ref(&written));
    assert_eq!(demijohn_core::request::decode_path_segment(&link[1..]), Some(written));
}

/// Whole requests to a site that reads all that there is to read: the method, the target, and each line of the rest a header. None of
/// them is the server's fault, and each answer is protected.
pub fn request(data: &[u8]) {
    for client in site::clients() {
        // Cookies of one input do not matter to the next.
        let Some(request) = to_request(&client.stranger(), data) else {
            return;
        };
        let response = block_on(async { request.await });
        assert!(response.status() < StatusCode::INTERNAL_SERVER_ERROR, "{response:?}");
        assert_eq!(response.header("x-content-type-options"), Some("nosniff"));
        if let Some(place) = response.header("location") {
            // Behind the path nothing says where it leads.
            let path = place.split(['?', '#']).next().unwrap_or_default();
            assert!(
                path.starts_with('/') && !path.starts_with("//") && !path.contains('\\'),
                "{place}"
            );
        }
    }
}

/// Frames of a client of an echo socket, masked or not, and the end of its connection. What comes back are frames of a server.
#[cfg(feature = "websocket")]
pub fn websocket(data: &[u8]) {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut answer = Vec::new();
    block_on(async {
        let client = &site::clients()[0];
        let mut socket = client.websocket("/socket").raw().await;
        // It may hang up in the middle of it.
        let _ = socket.write_all(data).await;
        let _ = socket.shutdown().await;
        let _ = socket.read_to_end(&mut answer).await;
    });
    let mut rest = &answer[..];
    while let [first, length, after @ ..] = rest {
        assert!(
            matches!(first, 0x80 | 0x00 | 0x81 | 0x01 | 0x82 | 0x02 | 0x88 | 0x89 | 0x8A),
            "{answer:?}"
        );
        let (length, after) = match (length, after) {
            (length @ 0..126, after) => (usize::from(*length), after),
            (126, [high, low, after @ ..]) => (usize::from(u16::from_be_bytes([*high, *low])), after),
            _ => panic!("a masked or a long frame: {answer:?}"),
        };
        assert!(length <= after.len(), "half a frame: {answer:?}");
        assert!(*first < 0x88 || length < 126, "a long control frame: {answer:?}");
        rest = &after[length..];
    }
    assert!(rest.is_empty(), "half a frame: {answer:?}");
}

fn to_request(client: &TestClient, data: &[u8]) -> Option<TestRequest> {
    let text = std::str::from_utf8(data).ok()?;
    let (first, rest) = text.split_once('\n').unwrap_or((text, ""));
    let (method, target) = first.split_once(' ')?;
    let method = Method::from_bytes(method.as_bytes()).ok()?;
    let target = http::Uri::try_from(target).ok()?;
    if !target.to_string().starts_with('/') {
        return None;
    }
    let mut headers = HeaderMap::new();
    let (lines, body) = rest.split_once("\n\n").unwrap_or((rest, ""));
    for (name, value) in lines.lines().filter_map(|line| line.split_once(':')) {
        let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
        headers.append(name, HeaderValue::from_bytes(value.trim().as_bytes()).ok()?);
    }
    let mut request = client.request(method, &target.to_string());
    if !body.is_empty() {
        request = request.body(body.to_owned());
    }
    for (name, value) in &headers {
        request = request.header(name.as_str(), std::str::from_utf8(value.as_bytes()).ok()?);
    }
    Some(request)
}

#[cfg(test)]
mod tests {
    use super::{TARGETS, Target, site, to_request};
    use crate::test::block_on;
    use proptest::prelude::*;
    use proptest::sample::{Index, select};
    use proptest::test_runner::{Config, TestRunner};
    use std::path::Path;

    fn corpus(name: &str) -> Vec<Vec<u8>> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../../fuzz/corpus")
            .join(name);
        let files = std::fs::read_dir(folder).expect("every target has a corpus");
        let paths = files.map(|file| file.expect("the corpus can be listed").path());
        let corpus: Vec<Vec<u8>> = paths
            .map(|path| std::fs::read(path).expect("its files can be read"))
            .collect();
        assert!(!corpus.is_empty(), "the corpus of {name} is empty");
        corpus
    }

    #[test]
    fn the_corpus_holds() {
        for (name, target) in TARGETS {
            corpus(name).iter().for_each(|input| target(input));
        }
    }

    /// What readers stumble over, to be put anywhere.
    const TOKENS: &[&str] = &[
        "\0",
        "\r\n",
        "\n",
        "\r",
        " ",
        "\t",
        "\"",
        "'",
        ",",
        ";",
        ":",
        "=",
        "&",
        "%",
        "%00",
        "%ff",
        "%2f",
        "%2e%2e",
        "%25",
        "/",
        "//",
        "\\",
        "..",
        "?",
        "#",
        "@",
        "*",
        "-",
        "+",
        "[",
        "]",
        "{",
        "}",
        "\u{e4}",
        "\u{a0}",
        "\u{2028}",
        "\u{1f600}",
        "0",
        "-1",
        "18446744073709551616",
        "1e999",
        "NaN",
        "q=",
        "W/",
        "bytes=",
        "null",
        "chunked",
        "\\u0000",
        "\\ud800",
    ];

    #[derive(Clone, Debug)]
    enum Change {
        Put(Index, &'static str),
        Flip(Index, u8),
        Cut(Index, Index),
        Double(Index, Index),
    }

    fn change() -> impl Strategy<Value = Change> {
        prop_oneof![
            4 => (any::<Index>(), select(TOKENS)).prop_map(|(at, token)| Change::Put(at, token)),
            1 => (any::<Index>(), 1_u8..).prop_map(|(at, bits)| Change::Flip(at, bits)),
            1 => (any::<Index>(), any::<Index>()).prop_map(|(a, b)| Change::Cut(a, b)),
            1 => (any::<Index>(), any::<Index>()).prop_map(|(a, b)| Change::Double(a, b)),
        ]
    }

    impl Change {
        fn apply(&self, input: &mut Vec<u8>) {
            let places = input.len() + 1;
            let span = |a: &Index, b: &Index| {
                let (a, b) = (a.index(places), b.index(places));
                a.min(b)..a.max(b)
            };
            match self {
                Change::Put(at, token) => {
                    let at = at.index(places);
                    input.splice(at..at, token.bytes());
                }
                Change::Flip(at, bits) if !input.is_empty() => {
                    let at = at.index(input.len());
                    input[at] ^= bits;
                }
                Change::Flip(..) => {}
                Change::Cut(a, b) => drop(input.drain(span(a, b))),
                Change::Double(a, b) => {
                    let span = span(a, b);
                    let copy = input[span.clone()].to_vec();
                    input.splice(span.end..span.end, copy);
                }
            }
        }
    }

    /// A fuzzer for everybody: each input of the corpus, changed here and there.
    #[test]
    fn what_is_near_the_corpus_holds() {
        for (name, target) in TARGETS {
            let target: &Target = target;
            let input = (select(corpus(name)), prop::collection::vec(change(), 1..5));
            let config = Config {
                cases: 200,
                failure_persistence: None,
                ..Config::default()
            };
            let run = TestRunner::new(config).run(&input, |(mut input, changes)| {
                changes.iter().for_each(|change| change.apply(&mut input));
                target(&input);
                Ok(())
            });
            if let Err(error) = run {
                panic!("{name}: {error}");
            }
        }
    }

    /// The corpus of whole requests reaches what it was written for.
    #[test]
    fn requests_of_the_corpus_are_answered() {
        let mut statuses = std::collections::BTreeSet::new();
        for input in corpus("request") {
            let request = to_request(&site::clients()[0], &input).expect("it is a request");
            statuses.insert(block_on(async { request.await }).status().as_u16());
        }
        for status in [101, 200, 206, 400, 404, 405] {
            assert!(statuses.contains(&status), "{statuses:?}");
        }
    }
}
