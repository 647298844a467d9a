//! Smaller answers: gzip, brotli and zstd (RFC 9110, 8.4), where that tells nobody anything.
//!
//! Compression makes the length of an answer depend on whether what the visitor sent and a secret of the page are alike (the attack is known as
//! BREACH). So answers that are personal stay as they are unless the route says otherwise; then gzip alone is used, with a padding of random
//! length.

use crate::codings::{Coding, Wanted};
use bytes::Bytes;
use demijohn_core::request::new_nonce;
use demijohn_core::{Body, Request, Response};
use flate2::write::GzEncoder;
use flate2::{Compression, GzBuilder};
use http::header::{
    ACCEPT_ENCODING, ACCEPT_RANGES, AUTHORIZATION, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE,
    CONTENT_TYPE, ETAG, HeaderMap, HeaderValue,
};
use http::{HeaderName, StatusCode};
use http_body::Frame;
use std::io::{self, Write};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

/// What is smaller gains nothing.
const MIN_BYTES: u64 = 200;
/// So much is compressed in one go; the runtime's other requests come in between.
const STEP_BYTES: usize = 32 << 10;

/// Compresses an answer, if it is one to be compressed and the client takes it so. `wish` is what the route says: never, or always.
pub(crate) fn apply(wish: Option<bool>, request: &Request, response: &mut Response) {
    if wish == Some(false) || !fits(response) {
        return;
    }
    let personal = request.is_personal() || request.headers().contains_key(AUTHORIZATION);
    if personal && wish.is_none() {
        return;
    }
    super::vary(response.headers_mut(), &ACCEPT_ENCODING);
    let wanted = Wanted::of(request.headers());
    let codings: &[Coding] = match personal {
        true => &[Coding::Gzip],
        false => &[Coding::Zstd, Coding::Brotli, Coding::Gzip],
    };
    let Some(coding) = wanted.best(codings) else { return };
    let Ok(mut encoder) = Encoder::new(coding, personal) else {
        return;
    };
    let length = response.body().len_hint();
    let body = std::mem::take(response.body_mut());
    *response.body_mut() = match body.as_bytes() {
        Some(bytes) if bytes.len() <= STEP_BYTES => {
            let Ok(compressed) = encoder.write(bytes).and_then(|()| encoder.finish()) else {
                *response.body_mut() = body;
                return;
            };
            if compressed.len() >= bytes.len() && wanted.identity > 0 {
                *response.body_mut() = body;
                return;
            }
            compressed.into()
        }
        whole => Body::stream(Compressing {
            flushes: whole.is_none(),
            body,
            encoder: Some(encoder),
            chunk: Bytes::new(),
            trailers: None,
        }),
    };
    let compressed = response.body().len_hint();
    let headers = response.headers_mut();
    headers.insert(CONTENT_ENCODING, HeaderValue::from_static(coding.name()));
    headers.remove(ACCEPT_RANGES);
    if headers.remove(CONTENT_LENGTH).is_some() || length.is_some() {
        headers.extend(compressed.map(|length| (CONTENT_LENGTH, HeaderValue::from(length))));
    }
    weaken_etag(headers);
}

/// How much the processor pays for a file that is compressed once.
#[cfg(feature = "static")]
#[derive(Clone, Copy)]
pub(crate) enum Effort {
    /// Somebody waits for it.
    Waiting,
    /// Nobody does.
    Utmost,
}

/// A file in this coding, if it is text and that is worth it.
#[cfg(feature = "static")]
pub(crate) fn smaller(coding: Coding, effort: Effort, name: &str, content: &[u8]) -> Option<Vec<u8>> {
    let is_text = is_text(crate::content_type(std::path::Path::new(name)));
    if !is_text || (content.len() as u64) < MIN_BYTES {
        return None;
    }
    let (zstd_level, brotli_level) = match effort {
        Effort::Waiting => (12, 9),
        Effort::Utmost => (19, 11),
    };
    let mut encoder = match coding {
        Coding::Zstd => Encoder::Zstd(zstd::stream::write::Encoder::new(Vec::new(), zstd_level).ok()?),
        Coding::Brotli => Encoder::Brotli(Box::new(brotli::CompressorWriter::new(
            Vec::new(),
            4096,
            brotli_level,
            22,
        ))),
        Coding::Gzip => Encoder::Gzip(GzBuilder::new().write(Vec::new(), Compression::best())),
    };
    encoder.write(content).ok()?;
    encoder
        .finish()
        .ok()
        .filter(|compressed| compressed.len() < content.len())
}

/// The bytes are others now, what they mean is the same.
fn weaken_etag(headers: &mut HeaderMap) {
    if let Some(etag) = headers.get(ETAG).filter(|etag| etag.as_bytes().starts_with(b"\""))
        && let Ok(weak) = HeaderValue::from_bytes(&[b"W/", etag.as_bytes()].concat())
    {
        headers.insert(ETAG, weak);
    }
}

/// True for an answer that is text, whole, large enough, and may be changed.
fn fits(response: &Response) -> bool {
    let status = response.status();
    let bare = [
        StatusCode::NO_CONTENT,
        StatusCode::RESET_CONTENT,
        StatusCode::PARTIAL_CONTENT,
        StatusCode::NOT_MODIFIED,
    ];
    if status.is_informational() || bare.contains(&status) {
        return false;
    }
    if response.body().len_hint().is_some_and(|length| length < MIN_BYTES) {
        return false;
    }
    let headers = response.headers();
    let digests = ["content-digest", "content-md5", "digest"];
    let bound = [CONTENT_ENCODING, CONTENT_RANGE]
        .into_iter()
        .chain(digests.map(HeaderName::from_static));
    if bound.into_iter().any(|name| headers.contains_key(name)) {
        return false;
    }
    let fixed = |value: &HeaderValue| {
        let mut words = value.as_bytes().split(|b| *b == b',').map(<[u8]>::trim_ascii);
        words.any(|word| word.eq_ignore_ascii_case(b"no-transform"))
    };
    if headers.get_all(CACHE_CONTROL).iter().any(fixed) {
        return false;
    }
    let kind = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    kind.is_some_and(is_text)
}

fn is_text(content_type: &str) -> bool {
    let essence = content_type
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    let text = essence.starts_with("text/") || essence.ends_with("+json") || essence.ends_with("+xml");
    let others = [
        "application/json",
        "application/javascript",
        "application/xml",
        "application/wasm",
        "application/manifest+json",
        "image/svg+xml",
        "font/ttf",
        "font/otf",
    ];
    // Events go out one by one, and are small.
    (text || others.contains(&essence.as_str())) && essence != "text/event-stream"
}

enum Encoder {
    Zstd(zstd::stream::write::Encoder<'static, Vec<u8>>),
    Brotli(Box<brotli::CompressorWriter<Vec<u8>>>),
    Gzip(GzEncoder<Vec<u8>>),
}

impl Encoder {
    fn new(coding: Coding, padded: bool) -> io::Result<Encoder> {
        Ok(match coding {
            Coding::Zstd => Encoder::Zstd(zstd::stream::write::Encoder::new(Vec::new(), 3)?),
            // Level 4 of 11: beyond that the processor pays more than the wire gains.
            Coding::Brotli => Encoder::Brotli(Box::new(brotli::CompressorWriter::new(Vec::new(), 4096, 4, 20))),
            Coding::Gzip => {
                let mut builder = GzBuilder::new();
                if padded {
                    builder = builder.filename(padding()?);
                }
                Encoder::Gzip(builder.write(Vec::new(), Compression::new(5)))
            }
        })
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Encoder::Zstd(encoder) => encoder.write_all(bytes),
            Encoder::Brotli(encoder) => encoder.write_all(bytes),
            Encoder::Gzip(encoder) => encoder.write_all(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Encoder::Zstd(encoder) => encoder.flush(),
            Encoder::Brotli(encoder) => encoder.flush(),
            Encoder::Gzip(encoder) => encoder.flush(),
        }
    }

    /// What has come out so far.
    fn take(&mut self) -> Vec<u8> {
        std::mem::take(match self {
            Encoder::Zstd(encoder) => encoder.get_mut(),
            Encoder::Brotli(encoder) => encoder.get_mut(),
            Encoder::Gzip(encoder) => encoder.get_mut(),
        })
    }

    fn finish(self) -> io::Result<Vec<u8>> {
        match self {
            Encoder::Zstd(encoder) => encoder.finish(),
            Encoder::Brotli(encoder) => Ok(encoder.into_inner()),
            Encoder::Gzip(encoder) => encoder.finish(),
        }
    }
}

/// A name of random length for the head of gzip, which readers pass over: lengths of answers tell less.
fn padding() -> io::Result<String> {
    let random = new_nonce().map_err(|error| io::Error::other(error.to_string()))?;
    let length = usize::from(u8::from_str_radix(&random[..2], 16).unwrap_or_default()) % 100;
    Ok(random.chars().cycle().take(length + 1).collect())
}

/// A body that is compressed as it goes out.
struct Compressing {
    body: Body,
    encoder: Option<Encoder>,
    /// What is to be compressed next.
    chunk: Bytes,
    /// True when each piece is to arrive as it comes.
    flushes: bool,
    trailers: Option<Frame<Bytes>>,
}

impl http_body::Body for Compressing {
    type Data = Bytes;
    type Error = demijohn_core::error::BoxError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let this = self.get_mut();
        let frame = |bytes: Vec<u8>| Poll::Ready(Some(Ok(Frame::data(bytes.into()))));
        loop {
            let Some(encoder) = &mut this.encoder else {
                return Poll::Ready(this.trailers.take().map(Ok));
            };
            if !this.chunk.is_empty() {
                let step = this.chunk.split_to(this.chunk.len().min(STEP_BYTES));
                encoder.write(&step)?;
                if this.flushes && this.chunk.is_empty() {
                    encoder.flush()?;
                }
                match encoder.take() {
                    made if made.is_empty() => continue,
                    made => return frame(made),
                }
            }
            let ended = match ready!(Pin::new(&mut this.body).poll_frame(cx)) {
                Some(Ok(next)) => match next.into_data() {
                    Ok(data) => {
                        this.chunk = data;
                        false
                    }
                    Err(trailers) => {
                        this.trailers = Some(trailers);
                        true
                    }
                },
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => true,
            };
            if ended && let Some(encoder) = this.encoder.take() {
                let last = encoder.finish()?;
                if !last.is_empty() {
                    return frame(last);
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.encoder.is_none() && self.trailers.is_none()
    }
}
