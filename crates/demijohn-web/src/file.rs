//! Files as answers.

use crate::conditional::{Stretch, Verdict, Version, bodiless, part, write_part};
use crate::shield::NoNonces;
use bytes::Bytes;
use demijohn_core::{Body, BoxError, Error, Operation, Reply, Request, Response, Result};
use http::StatusCode;
use http::header::{CONTENT_DISPOSITION, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderValue};
use http_body::{Frame, SizeHint};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Seek, SeekFrom};
use std::path::{Component, Path, PathBuf};
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::task::JoinHandle;

/// A file as an answer, with `ETag`, `Last-Modified`, content type, ranges and conditions.
///
/// It is read piece by piece on threads that may block, so a large file costs no memory and no other request waits.
///
/// ```no_run
/// use demijohn_web::{File, Result};
///
/// async fn report() -> Result<File> {
///     Ok(File::open("report.pdf").await?.attachment("report of 2026.pdf"))
/// }
/// ```
#[must_use = "a file is an answer: return it"]
pub struct File {
    source: Source,
    length: u64,
    version: Version,
    content_type: HeaderValue,
    disposition: Option<HeaderValue>,
    /// Nothing of it may run in the visitor's browser.
    boxed_in: bool,
}

/// Where its bytes come from.
enum Source {
    Disk(std::fs::File),
    Memory(Bytes),
    #[cfg(feature = "storage")]
    Stored(std::sync::Arc<dyn demijohn_core::storage::Storage>, String),
}

impl File {
    /// Opens a file.
    ///
    /// # Errors
    /// 404 when there is none (or it is a folder), 500 when it cannot be read.
    pub async fn open(path: impl Into<PathBuf>) -> Result<File> {
        let path = path.into();
        blocking(move || File::open_now(&path)).await?
    }

    /// Opens a file of a folder that a client named: see [`safe_join`]. What lies outside of it, also by a symbolic link, and
    /// what begins with a dot, is not found.
    ///
    /// # Errors
    /// 404 when the folder has no such file, 500 when it cannot be read.
    pub async fn within(folder: impl Into<PathBuf>, name: impl Into<String>) -> Result<File> {
        let (folder, name) = (folder.into(), name.into());
        blocking(move || {
            let not_found = || Error::bare(StatusCode::NOT_FOUND);
            if name.split('/').any(|part| part.starts_with('.')) {
                return Err(not_found());
            }
            let path = safe_join(&folder, &name).ok_or_else(not_found)?;
            // Links may lead out of the folder.
            let (folder, path) = match (folder.canonicalize(), path.canonicalize()) {
                (Ok(folder), Ok(path)) => (folder, path),
                _ => return Err(not_found()),
            };
            match path.starts_with(&folder) {
                true => File::open_now(&path),
                false => Err(not_found()),
            }
        })
        .await?
    }

    /// Bytes in memory as a file of this name.
    pub fn of_bytes(name: &str, bytes: impl Into<Bytes>) -> File {
        let bytes = bytes.into();
        File::new(
            Path::new(name),
            bytes.len() as u64,
            Version::default(),
            Source::Memory(bytes),
        )
    }

    /// A file of a storage. It is somebody's upload, so it is [`untrusted`](Self::untrusted).
    ///
    /// # Errors
    /// 404 when there is none of this name, and what the storage says.
    #[cfg(feature = "storage")]
    pub async fn stored(storage: std::sync::Arc<dyn demijohn_core::storage::Storage>, name: &str) -> Result<File> {
        let file = match storage.local(name).await? {
            // It is open before the answer begins: what fails now is told by the status.
            Some(path) => File::open(path).await?,
            None => {
                let details = storage.details(name).await?;
                let version = Version::dated(details.modified, details.size);
                let source = Source::Stored(storage, name.to_owned());
                File::new(Path::new(name), details.size, version, source)
            }
        };
        Ok(file.untrusted(name.rsplit('/').next().unwrap_or_default()))
    }

    fn new(path: &Path, length: u64, version: Version, source: Source) -> File {
        File {
            source,
            length,
            version,
            content_type: HeaderValue::from_static(content_type(path)),
            disposition: None,
            boxed_in: false,
        }
    }

    pub(crate) fn open_now(path: &Path) -> Result<File> {
        let file = std::fs::File::open(path).map_err(|error| match error.kind() {
            ErrorKind::NotFound | ErrorKind::NotADirectory | ErrorKind::InvalidInput | ErrorKind::InvalidFilename => {
                Error::bare(StatusCode::NOT_FOUND)
            }
            _ => Error::internal(format!("cannot open {}", path.display())).with_source(error),
        })?;
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(Error::bare(StatusCode::NOT_FOUND));
        }
        let version = Version::dated(metadata.modified().ok(), metadata.len());
        Ok(File::new(path, metadata.len(), version, Source::Disk(file)))
    }

    /// These bytes of it, as many as there are.
    #[cfg(any(feature = "storage", feature = "multipart"))]
    pub(crate) fn into_body(self, part: std::ops::Range<u64>) -> Body {
        let end = part.end.min(self.length);
        let first = part.start.min(end);
        let stretch = Stretch::plain(first, end - first);
        body(self.source, vec![stretch], self.length)
    }

    /// Its length in bytes.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// What it is known by, in place of its time and length.
    pub fn version(mut self, version: Version) -> Self {
        self.version = version;
        self
    }

    /// Another content type than its name's ending says.
    pub fn content_type(mut self, content_type: &'static str) -> Self {
        self.content_type = HeaderValue::from_static(content_type);
        self
    }

    /// To be saved under this name.
    pub fn attachment(mut self, name: &str) -> Self {
        self.disposition = disposition("attachment", name);
        self
    }

    /// To be shown, and saved under this name when the visitor saves it.
    pub fn inline(mut self, name: &str) -> Self {
        self.disposition = disposition("inline", name);
        self
    }

    /// A file that somebody else made, to be saved under this name. What browsers only show (pictures, sound, films, plain text, PDF)
    /// is shown; everything else (HTML, SVG, XML, scripts, what nobody knows) is saved rather than opened, and may do nothing where it is
    /// opened all the same.
    ///
    /// ```
    /// use demijohn_web::{File, get, test, Application};
    ///
    /// async fn avatar() -> File {
    ///     File::of_bytes("me.svg", "<svg><script>alert(1)</script></svg>").untrusted("me.svg")
    /// }
    ///
    /// # test::block_on(async {
    /// let client = Application::new().route("/", get(avatar)).test_client();
    /// let answer = client.get("/").await;
    /// assert_eq!(answer.header("content-disposition"), Some("attachment; filename=\"me.svg\""));
    /// assert!(answer.header("content-security-policy").unwrap().starts_with("sandbox;"));
    /// # });
    /// ```
    pub fn untrusted(mut self, name: &str) -> Self {
        let is_passive = is_passive(self.content_type.to_str().unwrap_or_default());
        self.disposition = disposition(if is_passive { "inline" } else { "attachment" }, name);
        self.boxed_in = !is_passive;
        self
    }
}

impl Reply for File {
    fn reply(self, request: &Request) -> Result<Response> {
        let mut response = Response::new(Body::empty());
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, self.content_type);
        headers.insert(
            CONTENT_DISPOSITION,
            self.disposition.unwrap_or(HeaderValue::from_static("inline")),
        );
        if self.boxed_in {
            headers.insert(CONTENT_SECURITY_POLICY, BOXED_IN);
        }
        self.version.write(headers);
        match self.version.weigh(request.method(), request.headers()) {
            Verdict::Go => {}
            Verdict::NotModified => {
                response.extensions_mut().insert(NoNonces);
                return Ok(bodiless(response, StatusCode::NOT_MODIFIED));
            }
            Verdict::Failed => return Ok(bodiless(response, StatusCode::PRECONDITION_FAILED)),
        }
        let part = part(&self.version, request.method(), request.headers(), self.length);
        let stretches = write_part(&mut response, part, self.length);
        *response.body_mut() = body(self.source, stretches, self.length);
        Ok(response)
    }

    fn describe(operation: &mut Operation) {
        operation.statuses.push((206, "a part, as asked for"));
        operation.statuses.push((304, "the client has it"));
    }
}

impl std::fmt::Debug for File {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut f = f.debug_struct("File");
        f.field("length", &self.length)
            .field("content_type", &self.content_type)
            .finish_non_exhaustive()
    }
}

/// No script, no form, no frame, no origin, nothing loaded.
const BOXED_IN: HeaderValue = HeaderValue::from_static(
    "sandbox; default-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
);

/// True for what browsers show without running anything of it on behalf of the site.
fn is_passive(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    let picture = essence.starts_with("image/") && essence != "image/svg+xml";
    let played = essence.starts_with("audio/") || essence.starts_with("video/");
    picture || played || matches!(essence, "text/plain" | "text/csv" | "application/pdf")
}

/// Runs what blocks where it may.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    Ok(tokio::task::spawn_blocking(work).await?)
}

/// Pieces of this size are read at a time.
const CHUNK: usize = 64 << 10;

fn body(source: Source, stretches: Vec<Stretch>, length: u64) -> Body {
    if stretches.is_empty() {
        return Body::empty();
    }
    if let (Source::Memory(bytes), [Stretch { first: 0, count, .. }]) = (&source, &stretches[..])
        && *count == length
    {
        return bytes.clone().into();
    }
    Body::stream(FileBody {
        left: stretches.iter().map(|part| part.head.len() as u64 + part.count).sum(),
        stretches: stretches.into(),
        state: State::Idle(source),
    })
}

/// Stretches of a file, one after the other.
struct FileBody {
    /// Of all stretches, for the length of the body.
    left: u64,
    stretches: VecDeque<Stretch>,
    state: State,
}

enum State {
    Idle(Source),
    Reading(JoinHandle<std::io::Result<(std::fs::File, Vec<u8>)>>),
    #[cfg(feature = "storage")]
    Opening(Source, demijohn_core::BoxFuture<'static, Result<Body>>),
    #[cfg(feature = "storage")]
    Streaming(Source, Body),
    Done,
}

impl FileBody {
    /// What is sent next from what stands ready.
    fn begin(&mut self, source: Source) -> Result<State, Bytes> {
        let Some(stretch) = self.stretches.front_mut() else {
            return Ok(State::Done);
        };
        if !stretch.head.is_empty() {
            let head = std::mem::take(&mut stretch.head);
            self.state = State::Idle(source);
            return Err(head);
        }
        let (first, left) = (stretch.first, stretch.count);
        if left == 0 {
            self.stretches.pop_front();
            return Ok(State::Idle(source));
        }
        match source {
            Source::Memory(bytes) => {
                let from = usize::try_from(first).unwrap_or(usize::MAX);
                let count = usize::try_from(left).unwrap_or(usize::MAX);
                let piece = bytes.slice(from..from + count);
                self.state = State::Idle(Source::Memory(bytes));
                self.stretches.pop_front();
                Err(piece)
            }
            Source::Disk(mut file) => {
                let count = usize::try_from(left).unwrap_or(CHUNK).min(CHUNK);
                Ok(State::Reading(tokio::task::spawn_blocking(move || {
                    file.seek(SeekFrom::Start(first))?;
                    let mut piece = vec![0; count];
                    let read = file.read(&mut piece)?;
                    piece.truncate(read);
                    Ok((file, piece))
                })))
            }
            #[cfg(feature = "storage")]
            Source::Stored(storage, name) => {
                let reading = {
                    let (storage, name) = (storage.clone(), name.clone());
                    Box::pin(async move { storage.read(&name, first..first + left).await })
                };
                Ok(State::Opening(Source::Stored(storage, name), reading))
            }
        }
    }

    /// A piece that was read of the stretch at hand.
    fn sent(&mut self, piece: Bytes) -> Result<Bytes, BoxError> {
        let length = piece.len() as u64;
        let stretch = self
            .stretches
            .front_mut()
            .filter(|part| length > 0 && length <= part.count);
        // It was cut short or changed while it was sent, and the client was told another length.
        let stretch = stretch.ok_or("the file changed while it was sent")?;
        stretch.first += length;
        stretch.count -= length;
        Ok(piece)
    }
}

impl http_body::Body for FileBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.get_mut();
        let piece = loop {
            match std::mem::replace(&mut this.state, State::Done) {
                State::Done => return Poll::Ready(None),
                State::Idle(source) => match this.begin(source) {
                    Ok(state) => this.state = state,
                    Err(piece) => break Ok(piece),
                },
                State::Reading(mut reading) => match Pin::new(&mut reading).poll(cx) {
                    Poll::Pending => {
                        this.state = State::Reading(reading);
                        return Poll::Pending;
                    }
                    Poll::Ready(read) => {
                        let (file, piece) = read??;
                        this.state = State::Idle(Source::Disk(file));
                        break this.sent(piece.into());
                    }
                },
                #[cfg(feature = "storage")]
                State::Opening(source, mut opening) => match opening.as_mut().poll(cx) {
                    Poll::Pending => {
                        this.state = State::Opening(source, opening);
                        return Poll::Pending;
                    }
                    Poll::Ready(Ok(body)) => this.state = State::Streaming(source, body),
                    Poll::Ready(Err(error)) => {
                        tracing::error!("a stored file could not be sent: {error}");
                        break Err("a stored file could not be sent".into());
                    }
                },
                #[cfg(feature = "storage")]
                State::Streaming(source, mut body) => match Pin::new(&mut body).poll_frame(cx) {
                    Poll::Pending => {
                        this.state = State::Streaming(source, body);
                        return Poll::Pending;
                    }
                    Poll::Ready(Some(Err(error))) => break Err(error),
                    Poll::Ready(Some(Ok(frame))) => {
                        this.state = State::Streaming(source, body);
                        let Some(piece) = frame.into_data().ok().filter(|piece| !piece.is_empty()) else {
                            continue;
                        };
                        break this.sent(piece);
                    }
                    Poll::Ready(None) if this.stretches.front().is_some_and(|part| part.count == 0) => {
                        this.state = State::Idle(source);
                    }
                    Poll::Ready(None) => break Err("a stored file ended early".into()),
                },
            }
        };
        if let Ok(piece) = &piece {
            this.left = this.left.saturating_sub(piece.len() as u64);
        } else {
            this.state = State::Done;
        }
        Poll::Ready(Some(piece.map(Frame::data)))
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

/// `folder` and a path below it that a client gave; `None` for whatever would lead out of it: `..`, an absolute path, a drive,
/// a back-slash, NUL.
///
/// ```
/// use demijohn_web::safe_join;
/// use std::path::Path;
///
/// let folder = Path::new("/srv/files");
/// assert_eq!(safe_join(folder, "a/b.txt").as_deref(), Some(Path::new("/srv/files/a/b.txt")));
/// assert_eq!(safe_join(folder, "../etc/passwd"), None);
/// assert_eq!(safe_join(folder, "/etc/passwd"), None);
/// ```
pub fn safe_join(folder: &Path, path: &str) -> Option<PathBuf> {
    if path.contains(['\\', '\0', ':']) {
        return None;
    }
    let path = Path::new(path);
    let below = |part: Component<'_>| matches!(part, Component::Normal(_) | Component::CurDir);
    path.components().all(below).then(|| folder.join(path))
}

/// A client's file name, cleaned for use as one: no folders, no leading dots, ASCII letters, digits, `.`, `-`, `_`.
///
/// It may be empty, and may be taken: give files names of your own where you can.
///
/// ```
/// use demijohn_web::secure_filename;
///
/// assert_eq!(secure_filename("../../etc/passwd"), "etc_passwd");
/// assert_eq!(secure_filename("My photo (1).jpg"), "My_photo_1.jpg");
/// assert_eq!(secure_filename("../.."), "");
/// ```
pub fn secure_filename(name: &str) -> String {
    let spaced: String = name
        .chars()
        .map(|c| if matches!(c, '/' | '\\') { ' ' } else { c })
        .collect();
    let joined = spaced.split_whitespace().collect::<Vec<_>>().join("_");
    let kept: String = joined
        .chars()
        .filter(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_'))
        .collect();
    let trimmed = kept.trim_matches(['.', '_']);
    // Windows opens devices under these names.
    let stem = trimmed.split('.').next().unwrap_or_default().to_ascii_uppercase();
    let numbered = |prefix: &str| {
        stem.strip_prefix(prefix)
            .is_some_and(|n| n.len() == 1 && n.bytes().all(|b| b.is_ascii_digit()))
    };
    match matches!(stem.as_str(), "CON" | "AUX" | "PRN" | "NUL") || numbered("COM") || numbered("LPT") {
        true => format!("_{trimmed}"),
        false => trimmed.to_owned(),
    }
}

const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// `attachment; filename="a.pdf"`, with the form of RFC 8187 beside it for names that browsers read in different ways (RFC 6266,
/// appendix D): beyond ASCII, with a quote or what looks like an escape.
fn disposition(kind: &str, name: &str) -> Option<HeaderValue> {
    // Controls have no place in a name, and those that change the direction of writing make `exe.txt` of `txt.exe`.
    let hides = |c: char| {
        c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    let replaced = |c: char| if matches!(c, '/' | '\\') || hides(c) { '_' } else { c };
    let name: String = name.chars().map(replaced).collect();
    if name.is_empty() {
        return HeaderValue::try_from(kind).ok();
    }
    let is_plain = |c: char| c.is_ascii() && !matches!(c, '"' | '%');
    let text = match name.chars().all(is_plain) {
        true => format!("{kind}; filename=\"{name}\""),
        false => {
            let encoded = utf8_percent_encode(&name, UNRESERVED);
            let plain: String = name.chars().map(|c| if is_plain(c) { c } else { '_' }).collect();
            format!("{kind}; filename=\"{plain}\"; filename*=UTF-8''{encoded}")
        }
    };
    HeaderValue::try_from(text).ok()
}

/// The content type that goes with the ending of a file's name.
pub fn content_type(path: &Path) -> &'static str {
    let ending = path
        .extension()
        .and_then(|e| e.to_str())
        .unwrap_or_default()
        .to_ascii_lowercase();
    match ending.as_str() {
        "html" | "htm" => "text/html; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "txt" | "log" => "text/plain; charset=utf-8",
        "md" => "text/markdown; charset=utf-8",
        "csv" => "text/csv; charset=utf-8",
        "ics" => "text/calendar; charset=utf-8",
        "xml" => "application/xml; charset=utf-8",
        "json" | "map" => "application/json",
        "webmanifest" => "application/manifest+json",
        "pdf" => "application/pdf",
        "zip" => "application/zip",
        "gz" | "tgz" => "application/gzip",
        "tar" => "application/x-tar",
        "wasm" => "application/wasm",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "gif" => "image/gif",
        "webp" => "image/webp",
        "avif" => "image/avif",
        "ico" => "image/x-icon",
        "woff" => "font/woff",
        "woff2" => "font/woff2",
        "ttf" => "font/ttf",
        "otf" => "font/otf",
        "mp3" => "audio/mpeg",
        "ogg" => "audio/ogg",
        "wav" => "audio/wav",
        "mp4" => "video/mp4",
        "webm" => "video/webm",
        _ => "application/octet-stream",
    }
}
