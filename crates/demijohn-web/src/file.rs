//! Files as answers.

use crate::conditional::{Verdict, Version, bodiless, part, write_part};
use bytes::Bytes;
use demijohn_core::{Body, BoxError, Error, Operation, Reply, Request, Response, Result};
use http::StatusCode;
use http::header::{CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_TYPE, HeaderValue};
use http_body::{Frame, SizeHint};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use std::io::{ErrorKind, Read, Seek, SeekFrom};
use std::path::{Component, Path, PathBuf};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::UNIX_EPOCH;
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
#[derive(Debug)]
#[must_use = "a file is an answer: return it"]
pub struct File {
    file: std::fs::File,
    length: u64,
    version: Version,
    content_type: HeaderValue,
    disposition: Option<HeaderValue>,
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

    fn open_now(path: &Path) -> Result<File> {
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
        let modified = metadata.modified().ok();
        let age = modified
            .and_then(|time| time.duration_since(UNIX_EPOCH).ok())
            .unwrap_or_default();
        Ok(File {
            length: metadata.len(),
            version: Version {
                etag: Some(format!("\"{:x}-{:x}\"", age.as_nanos(), metadata.len())),
                modified,
            },
            content_type: HeaderValue::from_static(content_type(path)),
            disposition: None,
            file,
        })
    }

    /// Its length in bytes.
    pub fn length(&self) -> u64 {
        self.length
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
        self.version.write(headers);
        match self.version.weigh(request.method(), request.headers()) {
            Verdict::Go => {}
            Verdict::NotModified => return Ok(bodiless(response, StatusCode::NOT_MODIFIED)),
            Verdict::Failed => return Ok(bodiless(response, StatusCode::PRECONDITION_FAILED)),
        }
        let part = part(&self.version, request.method(), request.headers(), self.length);
        if let Some((first, count)) = write_part(&mut response, part, self.length) {
            response.headers_mut().insert(CONTENT_LENGTH, count.into());
            *response.body_mut() = Body::stream(FileBody {
                left: count,
                state: State::Idle(self.file, Some(first)),
            });
        }
        Ok(response)
    }

    fn describe(operation: &mut Operation) {
        operation.statuses.push((206, "a part, as asked for"));
        operation.statuses.push((304, "the client has it"));
    }
}

/// Runs what blocks where it may.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    Ok(tokio::task::spawn_blocking(work).await?)
}

/// Pieces of this size are read at a time.
const CHUNK: usize = 64 << 10;

struct FileBody {
    left: u64,
    state: State,
}

enum State {
    /// The file, and where to go in it before the first read.
    Idle(std::fs::File, Option<u64>),
    Reading(JoinHandle<std::io::Result<(std::fs::File, Vec<u8>)>>),
    Done,
}

impl http_body::Body for FileBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.get_mut();
        loop {
            match std::mem::replace(&mut this.state, State::Done) {
                State::Done => return Poll::Ready(None),
                State::Idle(..) if this.left == 0 => return Poll::Ready(None),
                State::Idle(mut file, seek) => {
                    let count = usize::try_from(this.left).unwrap_or(CHUNK).min(CHUNK);
                    this.state = State::Reading(tokio::task::spawn_blocking(move || {
                        if let Some(first) = seek.filter(|first| *first > 0) {
                            file.seek(SeekFrom::Start(first))?;
                        }
                        let mut piece = vec![0; count];
                        let read = file.read(&mut piece)?;
                        piece.truncate(read);
                        Ok((file, piece))
                    }));
                }
                State::Reading(mut reading) => match Pin::new(&mut reading).poll(cx) {
                    Poll::Pending => {
                        this.state = State::Reading(reading);
                        return Poll::Pending;
                    }
                    Poll::Ready(read) => {
                        let (file, piece) = read??;
                        if piece.is_empty() {
                            // It was cut short while it was sent, and the client was told another length.
                            return Poll::Ready(Some(Err("the file ended early".into())));
                        }
                        this.left = this.left.saturating_sub(piece.len() as u64);
                        this.state = State::Idle(file, None);
                        return Poll::Ready(Some(Ok(Frame::data(piece.into()))));
                    }
                },
            }
        }
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

/// `attachment; filename="a.pdf"`, with the form of RFC 5987 for names beyond ASCII.
fn disposition(kind: &str, name: &str) -> Option<HeaderValue> {
    let name: String = name
        .chars()
        .map(|c| {
            if matches!(c, '/' | '\\') || c.is_control() {
                '_'
            } else {
                c
            }
        })
        .collect();
    let text = match name.is_ascii() {
        true => format!("{kind}; filename=\"{}\"", name.replace('"', "\\\"")),
        false => {
            let encoded = utf8_percent_encode(&name, UNRESERVED);
            let plain: String = name
                .chars()
                .map(|c| if c.is_ascii() && c != '"' { c } else { '_' })
                .collect();
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
