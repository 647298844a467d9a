//! Where requests begin and end on a connection, looked at before hyper sees a byte.
//!
//! Whoever reads a stream of requests must agree with everyone else who reads it (proxies, firewalls, caches) where each of them ends;
//! where two may disagree, one request can be smuggled inside another. So what RFC 9112 lets a reader tolerate is not
//! tolerated here: the first doubt ends the connection, and nothing after it is served.
//!
//! One pass over each head, without an allocation unless a head comes in several pieces. Bodies are counted, not looked at.

/// Longest method, longest target (414), all header lines together (431), and how many of them (431).
const MAX_METHOD_BYTES: usize = 64;
pub(crate) const MAX_TARGET_BYTES: usize = 8 << 10;
pub(crate) const MAX_FIELDS_BYTES: usize = 32 << 10;
pub(crate) const MAX_FIELDS: usize = 100;
/// Longest line of a chunk's size, extensions included, and how much of extensions one body may have.
const MAX_CHUNK_LINE_BYTES: usize = 256;
const MAX_EXTENSION_BYTES: usize = 4 << 10;
/// All trailers of a body together.
const MAX_TRAILER_BYTES: usize = 8 << 10;
/// A partial line that has become long gives its memory back.
const KEPT_BYTES: usize = 1 << 10;

/// What is wrong, and how many bytes of what was looked at are still good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bad {
    pub(crate) good: usize,
    pub(crate) fault: Fault,
}

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// A head: it gets this status, and no handler sees it.
    Head(u16),
    /// A body, whose request has begun.
    Body,
}

/// What a connection is in the middle of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Phase {
    #[default]
    Between,
    Head,
    Body,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum At {
    #[default]
    RequestLine,
    Fields,
    Body(u64),
    ChunkSize,
    Chunk(u64),
    ChunkEnd,
    Trailers,
    /// Behind a head that asks for another protocol: the answer decides whose the next bytes are.
    Undecided,
    /// Another protocol's.
    Other,
}

/// What the head in hand has said so far.
#[derive(Clone, Copy, Debug, Default)]
struct Head {
    is_http_11: bool,
    blank_lines: u8,
    fields: usize,
    bytes: usize,
    hosts: u8,
    length: Option<u64>,
    is_chunked: bool,
    asks_upgrade: bool,
    /// Bytes of chunk extensions, then of trailers.
    extra: usize,
}

/// The state between two reads.
#[derive(Debug, Default)]
pub(crate) struct Framing {
    at: At,
    head: Head,
    /// The beginning of a line whose end has not come.
    part: Vec<u8>,
    /// A header's name had a `_` in it, on this connection.
    pub(crate) has_underscores: bool,
    /// Whole heads so far.
    pub(crate) heads: usize,
}

impl Framing {
    /// Looks at the next bytes of the connection, and tells how many of them it has looked at: all, unless it is to be
    /// [decided](Self::decide) first whose they are.
    pub(crate) fn inspect(&mut self, bytes: &[u8]) -> Result<usize, Bad> {
        let mut pos = 0;
        // Where the head in hand began: a bad one is not passed on.
        let mut began = 0;
        while pos < bytes.len() {
            let rest = &bytes[pos..];
            match &mut self.at {
                At::Body(left) | At::Chunk(left) => {
                    let here = usize::try_from(*left).map_or(rest.len(), |left| left.min(rest.len()));
                    *left -= here as u64;
                    pos += here;
                    if *left == 0 {
                        self.at = match self.at {
                            At::Chunk(_) => At::ChunkEnd,
                            _ => At::RequestLine,
                        };
                    }
                }
                At::Other => break,
                At::Undecided => return Ok(pos),
                _ => {
                    if self.at == At::RequestLine && self.part.is_empty() {
                        began = pos;
                    }
                    let bad = |fault| Bad {
                        good: match fault {
                            Fault::Head(_) => began,
                            Fault::Body => pos,
                        },
                        fault,
                    };
                    match self.line(rest).map_err(bad)? {
                        Some(length) => pos += length,
                        None => break,
                    }
                }
            }
        }
        Ok(bytes.len())
    }

    /// Whether the next bytes may be of another protocol, which the answer to the head before them will tell.
    pub(crate) fn is_undecided(&self) -> bool {
        self.at == At::Undecided
    }

    /// It is known: the connection speaks another protocol from here on, or goes on with requests.
    pub(crate) fn decide(&mut self, switched: bool) {
        self.at = match switched {
            true => At::Other,
            false => At::RequestLine,
        };
    }

    pub(crate) fn phase(&self) -> Phase {
        match self.at {
            At::RequestLine if self.part.is_empty() => Phase::Between,
            At::RequestLine | At::Fields => Phase::Head,
            At::Undecided | At::Other => Phase::Between,
            _ => Phase::Body,
        }
    }

    /// What is wrong with the line in hand, in the words of the part it belongs to.
    fn fault(&self, status: u16) -> Fault {
        match self.at {
            At::RequestLine | At::Fields => Fault::Head(status),
            _ => Fault::Body,
        }
    }

    /// Takes the line that begins here (or goes on here) and tells its length, with its end; `None` when its end is not here.
    fn line(&mut self, bytes: &[u8]) -> Result<Option<usize>, Fault> {
        if self.part.last() == Some(&b'\r') {
            if bytes[0] != b'\n' {
                return Err(self.fault(400));
            }
            let mut line = std::mem::take(&mut self.part);
            line.pop();
            self.whole(&line, true)?;
            self.keep(line);
            return Ok(Some(1));
        }
        let (end, high) = line_end(bytes);
        let whole = match end.map(|end| &bytes[end..]) {
            Some([b'\r', b'\n', ..]) => true,
            None | Some([b'\r']) => false,
            _ => return Err(self.fault(400)),
        };
        match end {
            Some(end) if whole => {
                if self.part.is_empty() {
                    self.whole(&bytes[..end], high)?;
                } else {
                    let mut line = std::mem::take(&mut self.part);
                    line.extend_from_slice(&bytes[..end]);
                    self.whole(&line, true)?;
                    self.keep(line);
                }
                Ok(Some(end + 2))
            }
            _ => {
                self.has_room(self.part.len() + bytes.len())?;
                self.part.extend_from_slice(bytes);
                Ok(None)
            }
        }
    }

    fn keep(&mut self, mut line: Vec<u8>) {
        if line.capacity() <= KEPT_BYTES {
            line.clear();
            self.part = line;
        }
    }

    /// Whether a line may be so long.
    fn has_room(&self, length: usize) -> Result<(), Fault> {
        match self.at {
            At::RequestLine if length > MAX_TARGET_BYTES + MAX_METHOD_BYTES => Err(Fault::Head(414)),
            At::Fields if self.head.bytes + length > MAX_FIELDS_BYTES => Err(Fault::Head(431)),
            At::ChunkSize if length > MAX_CHUNK_LINE_BYTES => Err(Fault::Body),
            At::ChunkEnd if length > 1 => Err(Fault::Body),
            At::Trailers if self.head.extra + length > MAX_TRAILER_BYTES => Err(Fault::Body),
            _ => Ok(()),
        }
    }

    /// Takes a whole line, without its end. It has no control characters but tabs.
    fn whole(&mut self, line: &[u8], high: bool) -> Result<(), Fault> {
        self.has_room(line.len())?;
        match self.at {
            At::RequestLine => self.request_line(line).map_err(Fault::Head),
            At::Fields if line.is_empty() => self.end_of_head().map_err(Fault::Head),
            At::Fields => self.field(line, high).map_err(Fault::Head),
            At::ChunkSize => self.chunk_size(line).ok_or(Fault::Body),
            At::ChunkEnd if line.is_empty() => {
                self.at = At::ChunkSize;
                Ok(())
            }
            At::ChunkEnd => Err(Fault::Body),
            At::Trailers if line.is_empty() => {
                self.at = At::RequestLine;
                Ok(())
            }
            At::Trailers => self.trailer(line, high).ok_or(Fault::Body),
            At::Body(_) | At::Chunk(_) | At::Undecided | At::Other => Ok(()),
        }
    }

    fn request_line(&mut self, line: &[u8]) -> Result<(), u16> {
        if line.is_empty() {
            // RFC 9112 2.2: clients of old sent one after a body.
            self.head.blank_lines += 1;
            return if self.head.blank_lines == 1 { Ok(()) } else { Err(400) };
        }
        self.head = Head::default();
        // No fault of a request is one of the server's: a method or a version that nobody knows is 400, and not 501 or 505.
        let (method, rest, _) = split(line, TOKEN).ok_or(400_u16)?;
        let (target, version, classes) = split(rest, TARGET).ok_or_else(|| target_fault(rest))?;
        if method.len() > MAX_METHOD_BYTES {
            return Err(400);
        }
        if target.len() > MAX_TARGET_BYTES {
            return Err(414);
        }
        match version {
            b"HTTP/1.1" => self.head.is_http_11 = true,
            b"HTTP/1.0" => {}
            _ => return Err(400),
        }
        // A path, `*` for the whole server, or a whole URL; the name and port of CONNECT is for proxies.
        let is_target = match target {
            [b'/', ..] => true,
            b"*" => method == b"OPTIONS",
            _ => is_web_address(target),
        };
        // hyper would refuse some of what is odd, in its own words and without the headers that every answer has.
        let is_target = is_target && (classes & ODD == 0 || http::Uri::try_from(target).is_ok());
        if !is_target || method == b"CONNECT" {
            return Err(400);
        }
        self.at = At::Fields;
        Ok(())
    }

    fn field(&mut self, line: &[u8], high: bool) -> Result<(), u16> {
        self.head.fields += 1;
        self.head.bytes += line.len() + 2;
        if self.head.fields > MAX_FIELDS || self.head.bytes > MAX_FIELDS_BYTES {
            return Err(431);
        }
        // A name with white space before its colon is no token, and so is a line that is folded.
        let mut classes = 0;
        let token = |byte: &u8| {
            classes |= CLASS[usize::from(*byte)];
            CLASS[usize::from(*byte)] & TOKEN == 0
        };
        let colon = line.iter().position(token).ok_or(400_u16)?;
        if colon == 0 || line[colon] != b':' || (high && std::str::from_utf8(line).is_err()) {
            return Err(400);
        }
        self.has_underscores |= classes & UNDERSCORE != 0;
        let name = &line[..colon];
        let value = || line[colon + 1..].trim_ascii();
        match name.len() {
            4 if name.eq_ignore_ascii_case(b"host") => {
                self.head.hosts += 1;
                if self.head.hosts > 1 {
                    return Err(400);
                }
            }
            6 if name.eq_ignore_ascii_case(b"expect") && !value().eq_ignore_ascii_case(b"100-continue") => {
                return Err(417);
            }
            7 if name.eq_ignore_ascii_case(b"upgrade") => self.head.asks_upgrade = true,
            14 if name.eq_ignore_ascii_case(b"content-length") => {
                let length = number(value()).ok_or(400_u16)?;
                if self.head.length.replace(length).is_some() {
                    return Err(400);
                }
            }
            17 if name.eq_ignore_ascii_case(b"transfer-encoding") => {
                if self.head.is_chunked || !value().eq_ignore_ascii_case(b"chunked") {
                    return Err(400);
                }
                self.head.is_chunked = true;
            }
            _ => {}
        }
        Ok(())
    }

    fn end_of_head(&mut self) -> Result<(), u16> {
        let Head {
            is_http_11,
            is_chunked,
            length,
            hosts,
            asks_upgrade,
            ..
        } = self.head;
        if is_chunked && (length.is_some() || !is_http_11) || is_http_11 && hosts == 0 {
            return Err(400);
        }
        self.at = match length {
            _ if is_chunked => At::ChunkSize,
            None | Some(0) if asks_upgrade => At::Undecided,
            None | Some(0) => At::RequestLine,
            Some(length) => At::Body(length),
        };
        self.head.blank_lines = 0;
        self.heads = self.heads.wrapping_add(1);
        Ok(())
    }

    fn chunk_size(&mut self, line: &[u8]) -> Option<()> {
        let digits = line.iter().position(|b| !b.is_ascii_hexdigit()).unwrap_or(line.len());
        let (size, extension) = line.split_at(digits);
        // Beyond 15 digits there are no such bodies.
        if size.is_empty() || size.len() > 15 || !matches!(extension.first(), None | Some(b';')) {
            return None;
        }
        self.head.extra += extension.len();
        if self.head.extra > MAX_EXTENSION_BYTES {
            return None;
        }
        let size = u64::from_str_radix(std::str::from_utf8(size).ok()?, 16).ok()?;
        if size == 0 {
            self.head.extra = 0;
            self.head.fields = 0;
            self.at = At::Trailers;
        } else {
            self.at = At::Chunk(size);
        }
        Some(())
    }

    /// A field after a chunked body; one that would have changed how the body is read comes too late.
    fn trailer(&mut self, line: &[u8], high: bool) -> Option<()> {
        self.head.fields += 1;
        self.head.extra += line.len() + 2;
        let colon = line.iter().position(|b| CLASS[usize::from(*b)] & TOKEN == 0)?;
        let name = &line[..colon];
        let late = [&b"host"[..], b"content-length", b"transfer-encoding", b"trailer"];
        let fits = self.head.fields <= MAX_FIELDS && self.head.extra <= MAX_TRAILER_BYTES;
        let is_field = colon > 0 && line[colon] == b':' && !(high && std::str::from_utf8(line).is_err());
        (fits && is_field && !late.iter().any(|late| name.eq_ignore_ascii_case(late))).then_some(())
    }
}

/// The longest beginning of these characters, which is not empty, and what is after the one space that follows it.
///
/// Last are the classes that some of the characters have.
fn split(line: &[u8], class: u8) -> Option<(&[u8], &[u8], u8)> {
    let mut classes = 0;
    let end = line.iter().position(|b| {
        let of_byte = CLASS[usize::from(*b)];
        classes |= of_byte;
        of_byte & class == 0
    })?;
    (end > 0 && line[end] == b' ').then(|| (&line[..end], &line[end + 1..], classes))
}

/// A whole address by http or https: of no other scheme is this a server.
fn is_web_address(target: &[u8]) -> bool {
    http::Uri::try_from(target).is_ok_and(|uri| {
        uri.authority().is_some() && matches!(uri.scheme_str(), Some(scheme) if scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https"))
    })
}

/// A target without an end is too long, or is none.
fn target_fault(rest: &[u8]) -> u16 {
    let end = rest.iter().position(|b| CLASS[usize::from(*b)] & TARGET == 0);
    if end.unwrap_or(rest.len()) > MAX_TARGET_BYTES {
        414
    } else {
        400
    }
}

/// Digits and nothing else, in 63 bits.
fn number(text: &[u8]) -> Option<u64> {
    let fits = (1..=19).contains(&text.len()) && text.iter().all(u8::is_ascii_digit);
    let number = fits.then(|| std::str::from_utf8(text).ok()?.parse().ok())??;
    i64::try_from(number).is_ok().then_some(number)
}

const TOKEN: u8 = 1;
const TARGET: u8 = 2;
const UNDERSCORE: u8 = 4;
/// May stand in a target, and some readers do not let it: what RFC 3986 has no place for.
const ODD: u8 = 8;

/// Which characters are what.
static CLASS: [u8; 256] = {
    let mut classes = [0; 256];
    let mut byte = 0x21;
    while byte < 0x7f {
        let b = byte as u8;
        // A fragment is no part of a request's target.
        if b != b'#' {
            classes[byte] |= TARGET;
        }
        if matches!(
            b,
            b'"' | b'<' | b'>' | b'[' | b'\\' | b']' | b'^' | b'`' | b'{' | b'|' | b'}'
        ) {
            classes[byte] |= ODD;
        }
        if b.is_ascii_alphanumeric()
            || matches!(
                b,
                b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'-' | b'.' | b'^' | b'_' | b'`' | b'|' | b'~'
            )
        {
            classes[byte] |= TOKEN;
        }
        if b == b'_' {
            classes[byte] |= UNDERSCORE;
        }
        byte += 1;
    }
    classes
};

/// The first control character that is no tab, and whether there may be bytes beyond ASCII before it.
///
/// Eight bytes at a time: a subtraction that borrows marks the small ones. A mark above the lowest may be wrong, so each is looked at.
fn line_end(bytes: &[u8]) -> (Option<usize>, bool) {
    const ONES: u64 = u64::from_le_bytes([1; 8]);
    const HIGH: u64 = ONES << 7;
    let mut high = 0;
    let (words, tail) = bytes.as_chunks::<8>();
    for (i, word) in words.iter().enumerate() {
        let x = u64::from_le_bytes(*word);
        high |= x & HIGH;
        let small = x.wrapping_sub(ONES * 0x20) & !x & HIGH;
        let d = x ^ (ONES * 0x7f);
        let delete = d.wrapping_sub(ONES) & !d & HIGH;
        let mut marks = small | delete;
        while marks != 0 {
            let at = (marks.trailing_zeros() / 8) as usize;
            if is_control(word[at]) {
                return (Some(i * 8 + at), high != 0);
            }
            marks &= marks - 1;
        }
    }
    let start = words.len() * 8;
    let end = tail.iter().position(|b| is_control(*b));
    let is_high = high != 0 || !tail[..end.unwrap_or(tail.len())].is_ascii();
    (end.map(|end| start + end), is_high)
}

fn is_control(byte: u8) -> bool {
    (byte < 0x20 && byte != b'\t') || byte == 0x7f
}

#[cfg(test)]
mod agreement;

#[cfg(test)]
mod tests {
    use super::*;

    /// The verdict on all of it at once, and the same in pieces of every size.
    fn verdict(bytes: &[u8]) -> Result<Phase, Fault> {
        let whole = in_pieces(bytes, bytes.len().max(1));
        for size in [1, 2, 3, 7, 50] {
            assert_eq!(
                in_pieces(bytes, size),
                whole,
                "{size} at a time: {:?}",
                String::from_utf8_lossy(bytes)
            );
        }
        whole
    }

    fn in_pieces(bytes: &[u8], size: usize) -> Result<Phase, Fault> {
        let mut framing = Framing::default();
        for piece in bytes.chunks(size) {
            framing.inspect(piece).map_err(|bad| {
                assert!(bad.good <= piece.len());
                bad.fault
            })?;
        }
        Ok(framing.phase())
    }

    fn head(lines: &str) -> Result<Phase, Fault> {
        verdict(format!("POST / HTTP/1.1\r\nHost: a\r\n{lines}\r\n\r\n").as_bytes())
    }

    #[test]
    fn what_is_said_once_and_plainly_is_taken() {
        for lines in [
            "A: b",
            "A:b",
            "A:",
            "A: \t b \t ",
            "A: caf\u{e9}",
            "Content-Length: 0",
            "X_Y: 1",
            "Expect: 100-Continue",
            "!#$%&'*+-.^_`|~: token",
        ] {
            assert_eq!(head(lines), Ok(Phase::Between), "{lines}");
        }
        assert_eq!(head("Content-Length: 3"), Ok(Phase::Body));
        let next = "Content-Length: 3\r\n\r\nabcGET / HTTP/1.1\r\nHost: b";
        assert_eq!(head(next), Ok(Phase::Between));
        assert_eq!(head("Transfer-Encoding: Chunked"), Ok(Phase::Body));
        for target in ["/", "*", "http://a/", "https://a", "/a?b=%20{}|\\^"] {
            let method = if target == "*" { "OPTIONS" } else { "GET" };
            let text = format!("\r\n{method} {target} HTTP/1.0\r\n\r\n");
            assert_eq!(verdict(text.as_bytes()), Ok(Phase::Between), "{target}");
        }
    }

    #[test]
    fn what_follows_a_wish_for_another_protocol_waits_for_the_answer() {
        let head = b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\r\n";
        let bytes = [&head[..], b"\x81\x00\xff"].concat();
        let mut framing = Framing::default();
        assert_eq!(framing.inspect(&bytes), Ok(head.len()));
        assert!(framing.is_undecided());
        framing.decide(true);
        assert_eq!(framing.inspect(&bytes[head.len()..]), Ok(3));
        let mut framing = Framing::default();
        assert_eq!(framing.inspect(&bytes), Ok(head.len()));
        framing.decide(false);
        assert!(framing.inspect(&bytes[head.len()..]).is_err());
        // A body comes first, and with one there is no other protocol.
        let body = b"POST / HTTP/1.1\r\nHost: a\r\nUpgrade: x\r\nContent-Length: 2\r\n\r\nok";
        let mut framing = Framing::default();
        assert_eq!(framing.inspect(body), Ok(body.len()));
        assert!(!framing.is_undecided());
    }

    #[test]
    fn doubtful_heads() {
        for lines in [
            "Content-Length: +5",
            "Content-Length: -5",
            "Content-Length: 5, 5",
            "Content-Length: 5 5",
            "Content-Length: 0x5",
            "Content-Length: 5a",
            "Content-Length: ",
            "Content-Length: 5.0",
            "Content-Length: \"5\"",
            "Content-Length: \u{664}",
            "Content-Length: 9223372036854775808",
            "Content-Length: 18446744073709551621",
            "Content-Length: 00000000000000000005",
            "Content-Length: 5\r\nContent-Length: 5",
            "Content-Length: 5\r\nContent-Length: 6",
            "Content-Length: 0\r\nContent-Length: 0",
            "Content-Length: 5\r\nTransfer-Encoding: chunked",
            "Transfer-Encoding: chunked\r\nContent-Length: 5",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
            "Transfer-Encoding: chunked, chunked",
            "Transfer-Encoding: gzip, chunked",
            "Transfer-Encoding: chunked, identity",
            "Transfer-Encoding: identity",
            "Transfer-Encoding: xchunked",
            "Transfer-Encoding: chunked;a=b",
            "Transfer-Encoding: \"chunked\"",
            "Transfer-Encoding: \u{b}chunked",
            "Transfer-Encoding:",
            "Transfer-Encoding : chunked",
            "Content-Length : 5",
            " Content-Length: 5",
            "\tA: b",
            "A: b\r\n folded",
            "A: b\r\n\tfolded",
            "A\r\n: b",
            "no colon",
            ": no name",
            "A B: c",
            "A\t: c",
            "A(: c",
            "\u{e9}: c",
            "A: b\rB: c",
            "A: b\nB: c",
            "A: b\0c",
            "A: b\u{1}c",
            "A: b\u{7f}c",
            "A: b\r\r",
            "Host: b",
            "host: a",
        ] {
            assert_eq!(head(lines), Err(Fault::Head(400)), "{lines:?}");
        }
        assert_eq!(head("Expect: tea"), Err(Fault::Head(417)));
        let latin_1 = b"GET / HTTP/1.1\r\nHost: a\r\nA: caf\xe9\r\n\r\n";
        assert_eq!(verdict(latin_1), Err(Fault::Head(400)));
        for (text, status) in [
            ("GET / HTTP/1.1\r\n\r\n", 400),
            ("GET / HTTP/1.1\n\n", 400),
            ("GET / HTTP/1.1\r\nHost: a\n\r\n", 400),
            ("GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
            ("\r\n\r\nGET / HTTP/1.1\r\n", 400),
            ("\nGET / HTTP/1.1\r\n", 400),
            (" GET / HTTP/1.1\r\n", 400),
            ("GET  / HTTP/1.1\r\n", 400),
            ("GET /  HTTP/1.1\r\n", 400),
            ("GET / HTTP/1.1 \r\n", 400),
            ("GET\t/ HTTP/1.1\r\n", 400),
            ("GET /\tHTTP/1.1\r\n", 400),
            ("GET / a HTTP/1.1\r\n", 400),
            ("GET /\r\n", 400),
            ("GET\r\n", 400),
            ("GET / \r\n", 400),
            ("G@T / HTTP/1.1\r\n", 400),
            ("GET / http/1.1\r\n", 400),
            ("GET / HTTP/11\r\n", 400),
            ("GET / HTTP/1.10\r\n", 400),
            ("GET / HTTP/+1.1\r\n", 400),
            ("GET / HTTP/1.2\r\n", 400),
            ("GET / HTTP/0.9\r\n", 400),
            ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
            ("GET http:// HTTP/1.1\r\n", 400),
            ("GET http:///a HTTP/1.1\r\n", 400),
            ("GET http://[::1 HTTP/1.1\r\n", 400),
            ("GET ftp://a/ HTTP/1.1\r\n", 400),
            ("GET javascript://a/ HTTP/1.1\r\n", 400),
            ("GET /<script> HTTP/1.1\r\n", 400),
            ("GET /` HTTP/1.1\r\n", 400),
            ("GET /caf\u{e9} HTTP/1.1\r\n", 400),
            ("GET /#top HTTP/1.1\r\n", 400),
            ("GET /\0 HTTP/1.1\r\n", 400),
            ("GET * HTTP/1.1\r\n", 400),
            ("GET a HTTP/1.1\r\n", 400),
            ("CONNECT a:80 HTTP/1.1\r\n", 400),
            ("CONNECT / HTTP/1.1\r\n", 400),
            ("\u{16}\u{3}\u{1}\u{2}\0\u{1}\0\u{1}\u{fc}", 400),
        ] {
            assert_eq!(verdict(text.as_bytes()), Err(Fault::Head(status)), "{text:?}");
        }
    }

    #[test]
    fn long_heads() {
        let status = |text: String| verdict(text.as_bytes());
        let target = |n: usize| status(format!("GET /{} HTTP/1.1\r\n", "x".repeat(n)));
        assert_eq!(target(MAX_TARGET_BYTES - 1), Ok(Phase::Head));
        assert_eq!(target(MAX_TARGET_BYTES), Err(Fault::Head(414)));
        assert_eq!(target(MAX_TARGET_BYTES * 3), Err(Fault::Head(414)));
        assert_eq!(
            status(format!("{} / HTTP/1.1\r\n", "X".repeat(65))),
            Err(Fault::Head(400))
        );
        assert_eq!(head("A: b\r\n".repeat(98).as_str()), Ok(Phase::Between));
        assert_eq!(head("A: b\r\n".repeat(100).as_str()), Err(Fault::Head(431)));
        assert_eq!(head(&format!("A: {}", "x".repeat(32_000))), Ok(Phase::Between));
        assert_eq!(head(&format!("A: {}", "x".repeat(33_000))), Err(Fault::Head(431)));
        assert_eq!(
            head(&format!("A: {}\r\n", "x".repeat(3_000)).repeat(12)),
            Err(Fault::Head(431))
        );
        // Without an end, too.
        assert_eq!(status("G".repeat(20_000)), Err(Fault::Head(414)));
        assert_eq!(
            status(format!("GET / HTTP/1.1\r\n{}", "x".repeat(40_000))),
            Err(Fault::Head(431))
        );
    }

    fn chunked(body: &str) -> Result<Phase, Fault> {
        verdict(format!("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{body}").as_bytes())
    }

    #[test]
    fn chunks() {
        for body in [
            "0\r\n\r\n",
            "5\r\nhello\r\n0\r\n\r\n",
            "A\r\n0123456789\r\n00\r\n\r\n",
            "5;name=value;other=\"quoted\"\r\nhello\r\n0\r\nTrailer-Of-Ours: x\r\n\r\n",
            "5\r\n\r\n\r\n\r\r\n0\r\n\r\n",
        ] {
            assert_eq!(chunked(body), Ok(Phase::Between), "{body:?}");
        }
        assert_eq!(chunked("5\r\nhell"), Ok(Phase::Body));
        let long = format!("1;{}\r\nx\r\n", "e".repeat(200));
        for body in [
            "\r\n",
            "g\r\n",
            "+5\r\nhello\r\n",
            "-1\r\n",
            "0x5\r\nhello\r\n",
            " 5\r\nhello\r\n",
            "5 \r\nhello\r\n",
            "5 ;a\r\nhello\r\n",
            "5\nhello\r\n",
            "5;a\nhello\r\n",
            "5;a\rb\r\nhello\r\n",
            "5;\0\r\nhello\r\n",
            "5\r\nhello\n0\r\n\r\n",
            "5\r\nhelloX\r\n0\r\n\r\n",
            "5\r\nhello0\r\n\r\n",
            "ffffffffffffffff\r\n",
            "10000000000000000\r\n",
            "00000000000000005\r\nhello\r\n",
            "0\r\nno colon\r\n\r\n",
            "0\r\n folded: x\r\n\r\n",
            "0\r\nA : b\r\n\r\n",
            "0\r\nContent-Length: 5\r\n\r\n",
            "0\r\nTransfer-Encoding: chunked\r\n\r\n",
            "0\r\nHost: b\r\n\r\n",
            "0\r\nA: b\nB: c\r\n\r\n",
            "0\r\n\n",
            &long.repeat(30),
            &format!("1;{}", "e".repeat(300)),
            &format!("0\r\n{}\r\n", "A: b\r\n".repeat(101)),
            &format!("0\r\nA: {}\r\n\r\n", "x".repeat(9_000)),
        ] {
            assert_eq!(chunked(body), Err(Fault::Body), "{body:?}");
        }
    }

    #[test]
    fn what_is_good_before_a_fault_is_told() {
        let first = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
        let mut framing = Framing::default();
        let bad = framing.inspect(format!("{first}GET / HTTP/1.1\r\nno\r\n\r\n").as_bytes());
        assert_eq!(
            bad,
            Err(Bad {
                good: first.len(),
                fault: Fault::Head(400)
            })
        );
    }

    #[test]
    fn every_control_character_is_found_wherever_it_stands() {
        for byte in 0..=255_u8 {
            for at in 0..20 {
                for fill in [b'a', b'\t', b'!', 0x80, 0xff] {
                    let mut bytes = [fill; 20];
                    bytes[at] = byte;
                    let expected = bytes.iter().position(|b| is_control(*b));
                    let (found, high) = line_end(&bytes);
                    assert_eq!(found, expected);
                    assert!(high || bytes[..found.unwrap_or(20)].is_ascii());
                }
            }
        }
    }
}
