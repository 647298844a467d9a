//! Forms with files (`multipart/form-data`, RFC 7578).
//!
//! [`Form`](crate::Form) takes their texts, [`Files`] their files. A small file stays in memory, a large one goes to a
//! temporary file as it comes in, which is gone when the request is.

use crate::file::{File, blocking};
use crate::limits::{UploadLimits, disk_error};
use crate::multipart::{self, Event, Head, Parser, Refusal};
use crate::pairs::Pairs;
use bytes::Bytes;
use demijohn_core::faults::FileFaults;
use demijohn_core::{Body, Error, Extract, Operation, Rejection, Request, Result};
use http::StatusCode;
use http::header::CONTENT_TYPE;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tempfile::{NamedTempFile, TempPath};

/// The files of a form. Without a form with files it is empty.
///
/// ```
/// use demijohn_web::{post, test, Application, Error, Files, Result};
///
/// async fn upload(files: Files) -> Result<String> {
///     let file = files.get("photo").ok_or_else(|| Error::bad_request("no photo"))?;
///     Ok(format!("{} {} {}", file.file_name(), file.content_type(), file.len()))
/// }
///
/// # test::block_on(async {
/// let client = Application::new().route("/", post(upload)).test_client();
/// let parts = test::Parts::new().text("title", "Me").file("photo", "me.png", "image/png", [1, 2, 3]);
/// assert_eq!(client.post("/").multipart(parts).await.text(), "me.png image/png 3");
/// # });
/// ```
#[derive(Clone, Debug, Default)]
pub struct Files(Arc<Parsed>);

impl Files {
    /// The first file of a field.
    pub fn get(&self, name: &str) -> Option<&Upload> {
        self.all(name).next()
    }

    /// All files of a field, in the order sent.
    pub fn all(&self, name: &str) -> impl Iterator<Item = &Upload> {
        self.0.files.iter().filter(move |file| file.name == name)
    }

    /// All files.
    pub fn iter(&self) -> impl Iterator<Item = &Upload> {
        self.0.files.iter()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.files.len()
    }

    /// True when there are none.
    pub fn is_empty(&self) -> bool {
        self.0.files.is_empty()
    }
}

impl Extract for Files {
    async fn extract(request: &mut Request) -> Result<Self, Rejection> {
        match is_multipart(request) {
            true => Ok(Files(parsed(request).await?)),
            false => Ok(Files::default()),
        }
    }

    fn describe(operation: &mut Operation) {
        operation.consumes.push("multipart/form-data");
    }
}

/// A file that was sent.
#[derive(Debug)]
pub struct Upload {
    name: String,
    file_name: String,
    content_type: String,
    length: u64,
    content: Content,
    faults: FileFaults,
}

#[derive(Debug)]
enum Content {
    Memory(Bytes),
    /// Closed between reads: a form of many files holds no descriptor for each.
    Spooled(TempPath),
}

impl Upload {
    /// The field's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The client's name for the file, without folders. It is the client's word: store files under names of your own, or
    /// under what [`secure_filename`](crate::secure_filename) makes of it.
    pub fn file_name(&self) -> &str {
        &self.file_name
    }

    /// The content type that the client says it has.
    pub fn content_type(&self) -> &str {
        &self.content_type
    }

    /// The charset that the content type names, if it names one.
    pub fn charset(&self) -> Option<&str> {
        let parameters = self.content_type.split(';').skip(1);
        let named = parameters.filter_map(|parameter| parameter.split_once('='));
        let mut named = named.filter(|(name, _)| name.trim().eq_ignore_ascii_case("charset"));
        named.next().map(|(_, value)| value.trim().trim_matches('"'))
    }

    /// Its length in bytes.
    pub fn len(&self) -> u64 {
        self.length
    }

    /// True for an empty file.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Where a large file lies while the request lasts; `None` for one in memory.
    pub fn path(&self) -> Option<&Path> {
        match &self.content {
            Content::Memory(_) => None,
            Content::Spooled(file) => Some(file),
        }
    }

    /// All of it, in memory. For large files use [`chunks`](Self::chunks) or [`save`](Self::save).
    ///
    /// # Errors
    /// 500 when a temporary file cannot be read.
    pub async fn bytes(&self) -> Result<Bytes> {
        match &self.content {
            Content::Memory(bytes) => Ok(bytes.clone()),
            Content::Spooled(file) => {
                let path = file.to_path_buf();
                Ok(blocking(move || std::fs::read(path)).await??.into())
            }
        }
    }

    /// Its content, to be kept: see `Media::save`. A large one is read piece by piece as it is asked for, and only while the request lasts.
    ///
    /// # Errors
    /// 500 when a temporary file cannot be opened.
    pub async fn content(&self) -> Result<Body> {
        match &self.content {
            Content::Memory(bytes) => Ok(bytes.clone().into()),
            Content::Spooled(file) => Ok(File::open(file.to_path_buf()).await?.into_body(0..u64::MAX)),
        }
    }

    /// Its content piece by piece.
    ///
    /// # Errors
    /// 500 when a temporary file cannot be opened.
    pub async fn chunks(&self) -> Result<Chunks> {
        Ok(Chunks(match &self.content {
            Content::Memory(bytes) => Source::Memory(bytes.clone()),
            Content::Spooled(file) => {
                let path = file.to_path_buf();
                Source::File(blocking(move || std::fs::File::open(path)).await??)
            }
        }))
    }

    /// Writes it to a file that must not be there yet and that only this user can read. It is there whole or not at all. See `Media` for
    /// places with names that nobody has to think of.
    ///
    /// # Errors
    /// 507 when the disk is full, 503 when it cannot be written, 500 when the file is there already.
    pub async fn save(&self, path: impl Into<PathBuf>) -> Result<()> {
        let path = path.into();
        let memory = match &self.content {
            Content::Memory(bytes) => Ok(bytes.clone()),
            Content::Spooled(file) => Err(file.to_path_buf()),
        };
        let faults = self.faults.clone();
        blocking(move || -> Result<()> {
            faults.step().map_err(disk_error)?;
            let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
            let mut draft =
                NamedTempFile::with_prefix_in(".save-", folder.unwrap_or(Path::new("."))).map_err(disk_error)?;
            faults.step().map_err(disk_error)?;
            match memory {
                Ok(bytes) => draft.write_all(&bytes),
                Err(spooled) => std::fs::File::open(spooled)
                    .and_then(|mut file| std::io::copy(&mut file, &mut draft))
                    .map(drop),
            }
            .map_err(disk_error)?;
            faults.step().map_err(disk_error)?;
            draft.as_file().sync_all().map_err(disk_error)?;
            faults.step().map_err(disk_error)?;
            match draft.persist_noclobber(&path) {
                Ok(_) => Ok(()),
                Err(failed) if failed.error.kind() == std::io::ErrorKind::AlreadyExists => {
                    Err(Error::internal(format!("{} is there already", path.display())))
                }
                Err(failed) => Err(disk_error(failed.error)),
            }
        })
        .await?
    }
}

/// The content of an [`Upload`], piece by piece.
#[derive(Debug)]
pub struct Chunks(Source);

#[derive(Debug)]
enum Source {
    Memory(Bytes),
    File(std::fs::File),
    Done,
}

impl Chunks {
    /// The next piece; `None` at the end.
    ///
    /// # Errors
    /// 500 when a temporary file cannot be read.
    pub async fn next(&mut self) -> Result<Option<Bytes>> {
        match std::mem::replace(&mut self.0, Source::Done) {
            Source::Memory(bytes) if !bytes.is_empty() => Ok(Some(bytes)),
            Source::File(mut file) => {
                let (file, piece) = blocking(move || -> std::io::Result<_> {
                    let mut piece = vec![0; 64 << 10];
                    let read = file.read(&mut piece)?;
                    piece.truncate(read);
                    Ok((file, piece))
                })
                .await??;
                if piece.is_empty() {
                    return Ok(None);
                }
                self.0 = Source::File(file);
                Ok(Some(piece.into()))
            }
            _ => Ok(None),
        }
    }
}

/// A form that was read, kept with its request so that texts and files can be taken apart.
#[derive(Debug, Default)]
struct Parsed {
    texts: Pairs,
    files: Vec<Upload>,
}

pub(crate) fn is_multipart(request: &Request) -> bool {
    let essence = content_type(request).and_then(|value| value.split(';').next());
    essence.is_some_and(|essence| essence.trim().eq_ignore_ascii_case("multipart/form-data"))
}

fn content_type(request: &Request) -> Option<&str> {
    request.headers().get(CONTENT_TYPE)?.to_str().ok()
}

/// The texts of the form.
pub(crate) async fn texts(request: &mut Request) -> Result<Pairs> {
    Ok(parsed(request).await?.texts.clone())
}

async fn parsed(request: &mut Request) -> Result<Arc<Parsed>> {
    if let Some(parsed) = request.extensions().get::<Arc<Parsed>>() {
        return Ok(Arc::clone(parsed));
    }
    match read(request).await {
        Ok(parsed) => {
            let parsed = Arc::new(parsed);
            request.extensions_mut().insert(Arc::clone(&parsed));
            Ok(parsed)
        }
        Err(error) => {
            request.refuse_body(error.status());
            Err(error)
        }
    }
}

async fn read(request: &mut Request) -> Result<Parsed> {
    crate::limits::must_be_plain(request)?;
    let limits = request.site().get::<UploadLimits>().cloned().unwrap_or_default();
    let boundary = content_type(request)
        .and_then(multipart::boundary)
        .ok_or_else(|| Error::bad_request("the form's content type names no proper boundary"))?;
    let max_bytes = request.max_body_bytes();
    let body = request.take_body()?;
    if http_body::Body::size_hint(&body).lower() > max_bytes as u64 {
        return Err(too_large("the body is too large"));
    }
    let form = Incoming {
        parser: Parser::new(&boundary),
        left: max_bytes,
        body,
    };
    let faults = request.site().get::<FileFaults>().cloned().unwrap_or_default();
    parse(form, &limits, &faults).await
}

async fn parse(mut form: Incoming, limits: &UploadLimits, faults: &FileFaults) -> Result<Parsed> {
    let mut parsed = Parsed::default();
    let (mut texts, mut files, mut text_bytes, mut kept_bytes) = (0, 0, 0, 0);
    while let Some(head) = form.next_part().await? {
        let name = head.name;
        let Some(file_name) = head.file_name else {
            texts += 1;
            if texts > limits.max_fields {
                return Err(too_large("the form has too many parts"));
            }
            let mut text = Vec::new();
            text_bytes += name.len();
            while let Some(chunk) = form.next_chunk().await? {
                text_bytes += chunk.len();
                if text_bytes > limits.max_text_bytes {
                    return Err(too_large("the texts of the form are too long"));
                }
                text.extend_from_slice(&chunk);
            }
            let text = String::from_utf8(text).map_err(|_| bad_text(&name, "is not UTF-8"))?;
            if text.contains('\0') {
                return Err(bad_text(&name, "has a NUL character"));
            }
            parsed.texts.push(name, text);
            continue;
        };
        // Fields that were left empty are counted too: they cost as much to read.
        files += 1;
        if files > limits.max_files {
            return Err(Error::bad_request("the form has too many files"));
        }
        // All that stay in memory share what one may have there: a hundred of them cost no more.
        let mut spool = Spool {
            memory_bytes: limits.memory_bytes.saturating_sub(kept_bytes),
            ..Spool::default()
        };
        while let Some(chunk) = form.next_chunk().await? {
            spool = spool.write(chunk, limits, faults).await?;
        }
        // A field that was left empty has no name; names of folders are none for files.
        let Some(file_name) = base_name(&file_name) else {
            continue;
        };
        let (content, length) = spool.finish(faults).await?;
        if let Content::Memory(bytes) = &content {
            kept_bytes += bytes.len();
        }
        parsed.files.push(Upload {
            name,
            file_name,
            content_type: head
                .content_type
                .unwrap_or_else(|| "application/octet-stream".to_owned()),
            length,
            content,
            faults: faults.clone(),
        });
    }
    Ok(parsed)
}

fn bad_text(name: &str, why: &str) -> Error {
    let fault = demijohn_core::Fault::new(demijohn_core::Place::Body, name, why);
    Error::bare(StatusCode::BAD_REQUEST).with_faults(vec![fault])
}

fn too_large(text: &'static str) -> Error {
    Error::new(StatusCode::PAYLOAD_TOO_LARGE, text)
}

fn refused(refusal: Refusal) -> Error {
    match refusal {
        Refusal::Malformed(why) => Error::bad_request(why),
        Refusal::HeadersTooLarge => Error::new(
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            "the headers of a part are too long",
        ),
    }
}

/// `c.txt` of `a/b\c.txt`; nothing of `..`, `.` and an empty name.
fn base_name(name: &str) -> Option<String> {
    let base = name.rsplit(['/', '\\']).next().unwrap_or_default().trim();
    let base: String = base.chars().filter(|c| !c.is_control()).collect();
    (!matches!(base.as_str(), "" | "." | "..")).then_some(base)
}

/// A file on its way in: in memory until it is too large for that.
#[derive(Default)]
struct Spool {
    /// What is not in the temporary file yet.
    memory: Vec<u8>,
    file: Option<NamedTempFile>,
    /// More than this goes to the temporary file.
    memory_bytes: usize,
    length: u64,
}

/// Pieces of this size go to the temporary file at a time.
const WRITE_BYTES: usize = 256 << 10;

impl Spool {
    async fn write(mut self, chunk: Bytes, limits: &UploadLimits, faults: &FileFaults) -> Result<Spool> {
        self.length += chunk.len() as u64;
        self.memory.extend_from_slice(&chunk);
        let limit = if self.file.is_some() {
            WRITE_BYTES
        } else {
            self.memory_bytes
        };
        match self.memory.len() > limit {
            true => self.flush(limits.temp_dir.clone(), faults).await,
            false => Ok(self),
        }
    }

    async fn flush(mut self, temp_dir: Option<PathBuf>, faults: &FileFaults) -> Result<Spool> {
        let faults = faults.clone();
        blocking(move || {
            faults.step().map_err(disk_error)?;
            let mut file = match (self.file.take(), temp_dir) {
                (Some(file), _) => file,
                (None, Some(folder)) => NamedTempFile::new_in(folder).map_err(disk_error)?,
                (None, None) => NamedTempFile::new().map_err(disk_error)?,
            };
            faults.step().map_err(disk_error)?;
            file.write_all(&self.memory).map_err(disk_error)?;
            self.memory.clear();
            self.file = Some(file);
            Ok(self)
        })
        .await?
    }

    async fn finish(self, faults: &FileFaults) -> Result<(Content, u64)> {
        let length = self.length;
        if self.file.is_none() {
            return Ok((Content::Memory(self.memory.into()), length));
        }
        let spool = self.flush(None, faults).await?;
        let Some(file) = spool.file else {
            return Err(Error::internal("a temporary file was lost"));
        };
        Ok((Content::Spooled(file.into_temp_path()), length))
    }
}

/// A form on its way in, counted as it is read.
struct Incoming {
    parser: Parser,
    left: usize,
    body: Body,
}

impl Incoming {
    async fn next(&mut self) -> Result<Event> {
        loop {
            match self.parser.next().map_err(refused)? {
                Event::More => self.read().await?,
                event => return Ok(event),
            }
        }
    }

    async fn next_part(&mut self) -> Result<Option<Head>> {
        match self.next().await? {
            Event::Part(head) => Ok(Some(head)),
            _ => Ok(None),
        }
    }

    async fn next_chunk(&mut self) -> Result<Option<Bytes>> {
        match self.next().await? {
            Event::Data(data) => Ok(Some(data)),
            _ => Ok(None),
        }
    }

    async fn read(&mut self) -> Result<()> {
        use http_body_util::BodyExt;
        loop {
            let Some(frame) = self.body.frame().await else {
                self.parser.finish();
                return Ok(());
            };
            let frame = frame.map_err(demijohn_core::request::broken_body)?;
            // Trailers are no data.
            let Ok(data) = frame.into_data() else { continue };
            self.left = self
                .left
                .checked_sub(data.len())
                .ok_or_else(|| too_large("the body is too large"))?;
            self.parser.push(&data);
            return Ok(());
        }
    }
}
