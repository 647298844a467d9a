//! The wire format of forms with files (`multipart/form-data`, RFC 7578), without any IO: bytes in, parts out.
//!
//! It keeps no more than one piece of content and one part's headers in memory, and looks at every byte a bounded number of
//! times however the body is cut. What two readers could take differently (a parameter given twice, a folded header, a boundary
//! with something behind it) is refused rather than guessed.

use bytes::{Buf, Bytes, BytesMut};
use memchr::memmem;
use percent_encoding::percent_decode_str;

/// Headers of one part.
const MAX_HEADER_BYTES: usize = 8 << 10;
/// What stands before the first boundary: nobody needs any of it.
const MAX_PREAMBLE_BYTES: usize = 8 << 10;
/// Spaces behind a boundary.
const MAX_PADDING_BYTES: usize = 256;

/// Why a form is refused, in words for the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    Malformed(&'static str),
    /// 431: more headers than a part may have.
    HeadersTooLarge,
}

/// What stands before the content of a part.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) name: String,
    /// As sent; `None` for a text.
    pub(crate) file_name: Option<String>,
    pub(crate) content_type: Option<String>,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Event {
    Part(Head),
    /// A piece of the content of the last part.
    Data(Bytes),
    /// The content of the last part is complete.
    PartEnd,
    /// The form is complete; what comes after it is nothing.
    End,
    /// Nothing more can be said before more bytes are there.
    More,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Preamble,
    /// Behind a boundary: `--` ends the form, a line break begins a part.
    Boundary,
    Headers,
    Content,
    End,
}

pub(crate) struct Parser {
    /// CR LF, two hyphens, the boundary.
    delimiter: memmem::Finder<'static>,
    buffer: BytesMut,
    /// So much of the buffer was searched for the end of the headers already.
    searched: usize,
    stage: Stage,
    skipped: usize,
    complete: bool,
}

impl Parser {
    pub(crate) fn new(boundary: &str) -> Self {
        let mut delimiter = b"\r\n--".to_vec();
        delimiter.extend_from_slice(boundary.as_bytes());
        Parser {
            delimiter: memmem::Finder::new(&delimiter).into_owned(),
            // The first boundary may be the very first thing, and is a line of its own then too.
            buffer: BytesMut::from(&b"\r\n"[..]),
            searched: 0,
            stage: Stage::Preamble,
            skipped: 0,
            complete: false,
        }
    }

    /// More bytes of the body.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        if self.stage != Stage::End {
            self.buffer.extend_from_slice(bytes);
        }
    }

    /// The body is at its end.
    pub(crate) fn finish(&mut self) {
        self.complete = true;
    }

    pub(crate) fn next(&mut self) -> Result<Event, Refusal> {
        let event = self.step()?;
        match event {
            Event::More if self.complete => Err(Refusal::Malformed("the form is incomplete")),
            event => Ok(event),
        }
    }

    fn step(&mut self) -> Result<Event, Refusal> {
        loop {
            match self.stage {
                Stage::End => return Ok(Event::End),
                Stage::Preamble => {
                    let found = self.delimiter.find(&self.buffer);
                    self.skipped += self.skip_to(found);
                    if self.skipped > MAX_PREAMBLE_BYTES {
                        return Err(Refusal::Malformed("the form does not begin with its boundary"));
                    }
                    if found.is_none() {
                        return Ok(Event::More);
                    }
                    self.stage = Stage::Boundary;
                }
                Stage::Boundary => match self.behind_boundary()? {
                    Some(stage) => self.stage = stage,
                    None => return Ok(Event::More),
                },
                Stage::Headers => {
                    let Some(length) = self.header_length()? else {
                        return Ok(Event::More);
                    };
                    let block = self.buffer.split_to(length);
                    self.searched = 0;
                    self.stage = Stage::Content;
                    let head = head(&block)?;
                    self.buffer.advance(2);
                    return Ok(Event::Part(head));
                }
                Stage::Content => {
                    let found = self.delimiter.find(&self.buffer);
                    // The last bytes may be the beginning of a boundary.
                    let kept = self.delimiter.needle().len() - 1;
                    let count = found.unwrap_or(self.buffer.len().saturating_sub(kept));
                    if count > 0 {
                        return Ok(Event::Data(self.buffer.split_to(count).freeze()));
                    }
                    if found.is_none() {
                        return Ok(Event::More);
                    }
                    self.skip_to(found);
                    self.stage = Stage::Boundary;
                    return Ok(Event::PartEnd);
                }
            }
        }
    }

    /// Drops what is before the boundary, and the boundary; without one, all that cannot be the beginning of one.
    fn skip_to(&mut self, found: Option<usize>) -> usize {
        let length = self.delimiter.needle().len();
        let skipped = found.unwrap_or(self.buffer.len().saturating_sub(length - 1));
        self.buffer.advance(skipped + found.map_or(0, |_| length));
        skipped
    }

    fn behind_boundary(&mut self) -> Result<Option<Stage>, Refusal> {
        if self.buffer.starts_with(b"--") {
            self.buffer.clear();
            return Ok(Some(Stage::End));
        }
        let padding = self.buffer.iter().take_while(|b| matches!(b, b' ' | b'\t')).count();
        let odd = Err(Refusal::Malformed("a boundary of the form has something behind it"));
        match &self.buffer[padding..] {
            [b'\r', b'\n', ..] => {
                self.buffer.advance(padding + 2);
                Ok(Some(Stage::Headers))
            }
            _ if padding > MAX_PADDING_BYTES => odd,
            [] | [b'\r'] => Ok(None),
            [b'-'] if padding == 0 => Ok(None),
            _ => odd,
        }
    }

    /// How long the headers are, with the line break of the last but without the empty line.
    fn header_length(&mut self) -> Result<Option<usize>, Refusal> {
        if self.buffer.starts_with(b"\r\n") {
            return Ok(Some(0));
        }
        let from = self.searched.saturating_sub(3);
        let found = memmem::find(&self.buffer[from..], b"\r\n\r\n").map(|at| from + at + 2);
        self.searched = self.buffer.len();
        match found.unwrap_or(self.searched) > MAX_HEADER_BYTES {
            true => Err(Refusal::HeadersTooLarge),
            false => Ok(found),
        }
    }
}

/// The boundary that a content type names: 1 to 70 visible characters (RFC 2046, 5.1.1), once.
pub(crate) fn boundary(content_type: &str) -> Option<String> {
    let (_, parameters) = content_type.split_once(';')?;
    let mut boundary = None;
    for (name, value) in parameters_of(parameters)? {
        if name == "boundary" && boundary.replace(value).is_some() {
            return None;
        }
    }
    let boundary = boundary?;
    let fits = (1..=70).contains(&boundary.len()) && !boundary.ends_with(' ');
    (fits && boundary.bytes().all(|b| matches!(b, b' '..=b'~'))).then_some(boundary)
}

fn head(block: &[u8]) -> Result<Head, Refusal> {
    let malformed = Refusal::Malformed;
    let block = std::str::from_utf8(block).map_err(|_| malformed("the headers of a part are not UTF-8"))?;
    if block
        .chars()
        .any(|c| c.is_control() && !matches!(c, '\t' | '\r' | '\n'))
    {
        return Err(malformed("the headers of a part have a control character"));
    }
    let (mut disposition, mut content_type, mut encoding) = (None, None, None);
    for line in block.split_terminator("\r\n") {
        let odd = malformed("a header of a part is malformed");
        let (name, value) = line.split_once(':').ok_or(odd)?;
        if name.is_empty() || !name.bytes().all(is_token) || value.contains(['\r', '\n']) {
            return Err(odd);
        }
        let slot = match name.to_ascii_lowercase().as_str() {
            "content-disposition" => &mut disposition,
            "content-type" => &mut content_type,
            "content-transfer-encoding" => &mut encoding,
            _ => continue,
        };
        if slot.replace(value.trim()).is_some() {
            return Err(malformed("a part has a header twice"));
        }
    }
    // Deprecated by RFC 7578 (4.7): no browser sends another, and decoding it would count other bytes than were read.
    let plain = |e: &str| ["7bit", "8bit", "binary"].iter().any(|p| p.eq_ignore_ascii_case(e));
    if encoding.is_some_and(|encoding| !plain(encoding)) {
        return Err(malformed("a part has a transfer encoding, which forms do not have"));
    }
    let mut head = disposition
        .and_then(names)
        .ok_or(malformed("a part has no proper Content-Disposition"))?;
    if let Some(content_type) = content_type {
        let essence = content_type.split(';').next().unwrap_or_default().trim();
        // A form inside the form; files of one field are parts of the same name today.
        if essence.to_ascii_lowercase().starts_with("multipart/") {
            return Err(malformed("a part has parts of its own"));
        }
        let is_type = essence
            .split_once('/')
            .is_some_and(|(a, b)| !a.is_empty() && !b.is_empty() && (a.bytes().chain(b.bytes())).all(is_token));
        head.content_type = (is_type && content_type.is_ascii()).then(|| content_type.to_owned());
    }
    Ok(head)
}

/// `form-data; name="a"; filename="b"; filename*=UTF-8''b`.
fn names(disposition: &str) -> Option<Head> {
    let (kind, parameters) = disposition.split_once(';')?;
    if !kind.trim().eq_ignore_ascii_case("form-data") {
        return None;
    }
    let (mut name, mut file_name, mut extended) = (None, None, None);
    for (key, value) in parameters_of(parameters)? {
        let slot = match key.as_str() {
            "name" => &mut name,
            "filename" => &mut file_name,
            "filename*" => &mut extended,
            // Another name for the same field.
            "name*" => return None,
            _ => continue,
        };
        if slot.replace(value).is_some() {
            return None;
        }
    }
    if let Some(extended) = extended {
        file_name = Some(decode_extended(&extended)?);
    }
    Some(Head {
        name: name?,
        file_name,
        content_type: None,
    })
}

/// `UTF-8'en'na%C3%AFve.txt` (RFC 8187).
fn decode_extended(value: &str) -> Option<String> {
    let mut parts = value.splitn(3, '\'');
    let charset = parts.next()?;
    let (_language, text) = (parts.next()?, parts.next()?);
    if !charset.eq_ignore_ascii_case("utf-8") {
        return None;
    }
    let text = percent_decode_str(text).decode_utf8().ok()?;
    (!text.contains('\0')).then(|| text.into_owned())
}

/// `; a=b; c="d"` as pairs, the names in lower case; `None` for what is malformed.
///
/// In quotes `\"` and `\\` stand for the second character. Every other backslash is one: Windows' paths have been sent so.
fn parameters_of(text: &str) -> Option<Vec<(String, String)>> {
    let mut pairs = Vec::new();
    let mut rest = text.trim_matches([' ', '\t', ';']);
    while !rest.is_empty() {
        let (name, after) = rest.split_once('=')?;
        let name = name.trim();
        if name.is_empty() || !name.bytes().all(is_token) {
            return None;
        }
        let after = after.trim_start();
        let value;
        (value, rest) = match after.strip_prefix('"') {
            Some(quoted) => unquoted(quoted)?,
            None => {
                let end = after.find(';').unwrap_or(after.len());
                let value = after[..end].trim_end();
                if value.contains(['"', ' ', '\t']) {
                    return None;
                }
                (value.to_owned(), &after[end..])
            }
        };
        rest = rest.trim_start();
        if !rest.is_empty() {
            rest = rest.strip_prefix(';')?.trim_start();
        }
        pairs.push((name.to_ascii_lowercase(), value));
    }
    Some(pairs)
}

/// A quoted text up to its closing quote, and what follows that.
fn unquoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        match (c, chars.peek()) {
            ('"', _) => return Some((value, &text[at + 1..])),
            ('\\', Some(&(_, next @ ('"' | '\\')))) => {
                value.push(next);
                chars.next();
            }
            _ => value.push(c),
        }
    }
    None
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::{Event, MAX_HEADER_BYTES, Parser, Refusal, boundary, names, parameters_of};

    /// The whole form in one text; the body comes in pieces of this size.
    fn read(body: &[u8], piece: usize) -> Result<String, Refusal> {
        let mut parser = Parser::new("x");
        let mut pieces = body.chunks(piece);
        let mut told = String::new();
        loop {
            match parser.next()? {
                Event::Part(head) => told += &format!("[{} {:?} ", head.name, head.file_name),
                Event::Data(data) => told += &String::from_utf8_lossy(&data),
                Event::PartEnd => told.push(']'),
                Event::End => return Ok(told),
                Event::More => match pieces.next() {
                    Some(piece) => parser.push(piece),
                    None => parser.finish(),
                },
            }
        }
    }

    #[track_caller]
    fn check(body: &str, expected: Option<&str>) {
        for piece in 1..=body.len() {
            let told = read(body.as_bytes(), piece);
            match expected {
                Some(expected) => assert_eq!(told.as_deref(), Ok(expected), "{body:?} by {piece}"),
                None => assert!(
                    matches!(told, Err(Refusal::Malformed(_))),
                    "{body:?} by {piece}: {told:?}"
                ),
            }
        }
    }

    #[test]
    fn forms_however_they_are_cut() {
        let part = |headers: &str, content: &str| format!("--x\r\n{headers}\r\n\r\n{content}\r\n");
        let a = "Content-Disposition: form-data; name=\"a\"";
        check(&(part(a, "1") + "--x--"), Some("[a None 1]"));
        check(
            &(part(a, "1") + &part(a, "") + "--x--\r\nend"),
            Some("[a None 1][a None ]"),
        );
        check(
            &format!("before\r\n{}--x--", part(a, "\r\n--y\r\n")),
            Some("[a None \r\n--y\r\n]"),
        );
        check("--x--", Some(""));
        check(&format!("--x \t\r\n{a}\r\n\r\n\r\n--x--"), Some("[a None ]"));
        let lower = "CONTENT-disposition:form-DATA;NAME=a ; FileName = \"b;c\"";
        check(&(part(lower, "1") + "--x--"), Some("[a Some(\"b;c\") 1]"));
        for cut in [
            "",
            "--x",
            "--x-",
            "--x\r\n",
            "--y--",
            &part(a, "1"),
            &format!("--x\r\n{a}\r\n\r\n1"),
        ] {
            check(cut, None);
        }
        // A boundary that goes on is none.
        check(&format!("--x\r\n{a}\r\n\r\n1\r\n--xy\r\n\r\n--x--"), None);
        for headers in [
            "",
            "X: y",
            "Content-Disposition: attachment; name=a",
            "Content-Disposition: form-data",
            "Content-Disposition: form-data; filename=a",
            "Content-Disposition: form-data; name=a; name=b",
            "Content-Disposition: form-data; name=a; name*=UTF-8''b",
            "Content-Disposition: form-data; name=\"a",
            "Content-Disposition: form-data; name=\"a\"b",
            "Content-Disposition: form-data; name=a; filename*=latin1''b",
            "Content-Disposition: form-data; name=a; filename*=UTF-8''%ff",
            "Content-Disposition: form-data; name=a; filename*=UTF-8''b%00",
            &format!("{a}\r\n{a}"),
            &format!("{a}\r\n folded"),
            &format!("{a}\r\nno colon"),
            &format!("{a}\r\nbad name: x"),
            &format!("{a}\r\nX: a\rb"),
            &format!("{a}\r\nX: a\nb"),
            &format!("{a}\r\nX: a\0b"),
            &format!("{a}\r\nContent-Type: multipart/mixed; boundary=y"),
            &format!("{a}\r\nContent-Transfer-Encoding: base64"),
        ] {
            check(&(part(headers, "1") + "--x--"), None);
        }
        let not_utf8 = [b"--x\r\nContent-Disposition: form-data; name=\"\xff\"\r\n\r\n1\r\n--x--".as_slice()].concat();
        assert!(read(&not_utf8, 7).is_err());
    }

    #[test]
    fn long_headers_and_preambles() {
        let fits = "X: ".to_owned() + &"y".repeat(MAX_HEADER_BYTES - 100);
        let a = "Content-Disposition: form-data; name=a";
        let form = |header: &str| format!("--x\r\n{a}\r\n{header}\r\n\r\n1\r\n--x--");
        assert!(read(form(&fits).as_bytes(), 100).is_ok());
        let long = "X: ".to_owned() + &"y".repeat(MAX_HEADER_BYTES);
        assert_eq!(read(form(&long).as_bytes(), 100), Err(Refusal::HeadersTooLarge));
        assert_eq!(read(form(&long).as_bytes(), 1 << 20), Err(Refusal::HeadersTooLarge));
        assert!(read(("-".repeat(9000) + "\r\n--x--").as_bytes(), 100).is_err());
    }

    #[test]
    fn file_names() {
        let name = |parameters: &str| names(&format!("form-data; name=f; {parameters}"))?.file_name;
        assert_eq!(name(r#"filename="a\"b\\c\d""#).as_deref(), Some(r#"a"b\c\d"#));
        assert_eq!(
            name("filename=a; filename*=utf-8'de'na%C3%AFve").as_deref(),
            Some("naïve")
        );
        assert_eq!(name("filename=\"\"").as_deref(), Some(""));
        assert_eq!(name("size=3"), None);
        assert_eq!(parameters_of("; a=1;; "), Some(vec![("a".to_owned(), "1".to_owned())]));
        assert_eq!(parameters_of("a=1;; b=2"), None);
    }

    #[test]
    fn boundaries() {
        assert_eq!(
            boundary("multipart/form-data; charset=x; boundary=\"a b\"").as_deref(),
            Some("a b")
        );
        let longest = "b".repeat(70);
        assert!(boundary(&format!("multipart/form-data; boundary={longest}")).is_some());
        for bad in [
            "multipart/form-data".to_owned(),
            "multipart/form-data; boundary=".to_owned(),
            "multipart/form-data; boundary=\"a \"".to_owned(),
            "multipart/form-data; boundary=ä".to_owned(),
            "multipart/form-data; boundary=a; boundary=b".to_owned(),
            format!("multipart/form-data; boundary={longest}b"),
        ] {
            assert_eq!(boundary(&bad), None, "{bad}");
        }
    }
}
