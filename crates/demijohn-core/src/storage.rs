//! Where the files of a site's data are kept: uploads above all.
//!
//! [`Storage`] is the door that other places come in by (an object store, a test's memory); `demijohn-web` brings the file system.
//! Names are paths with `/`, never a client's: [`Storage::save`] makes one up and says which.

use crate::{Body, BoxFuture, Error, Result};
use http::StatusCode;
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

/// A place for files.
///
/// What it cannot do now (no room, not reached) is an error with a status for the client: 507 or 503. A name that is none, or of which there is no
/// file, is 404; see [`is_name`].
pub trait Storage: Send + Sync + 'static {
    /// Keeps content, and gives the name that it is kept under. Of the name asked for, the folder counts and the ending (see
    /// [`generated_name`]): no file is ever overwritten, and none can be guessed.
    ///
    /// It is there whole or not at all: whatever fails, and also when the caller goes away in the middle of it.
    ///
    /// # Errors
    /// 400 for a name that is none, what failed of the content, and what the place says.
    fn save<'a>(&'a self, name: &'a str, content: Body) -> BoxFuture<'a, Result<String>>;

    /// What is known of a file.
    ///
    /// # Errors
    /// 404, and what the place says.
    fn details<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Details>>;

    /// These bytes of a file, of those that there are.
    ///
    /// # Errors
    /// 404, and what the place says.
    fn read<'a>(&'a self, name: &'a str, part: Range<u64>) -> BoxFuture<'a, Result<Body>>;

    /// Takes a file away. That it was not there is no error.
    ///
    /// # Errors
    /// What the place says.
    fn delete<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<()>>;

    /// What is in a folder; the empty name is the whole. Of a folder that is not there, nothing.
    ///
    /// # Errors
    /// 404 for a name that is none, and what the place says.
    fn list<'a>(&'a self, folder: &'a str) -> BoxFuture<'a, Result<Listing>>;

    /// Where browsers find a file.
    ///
    /// # Errors
    /// 500 when its files have no addresses.
    fn url(&self, name: &str) -> Result<String>;

    /// Where a file is on this machine's disk, if that is where this place keeps its files: what reads it there needs no detour.
    ///
    /// # Errors
    /// 404, and what the place says.
    fn local<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<PathBuf>>> {
        let _ = name;
        Box::pin(async { Ok(None) })
    }

    /// The whole of a file.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    fn open<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Body>> {
        self.read(name, 0..u64::MAX)
    }

    /// True when there is a file of this name.
    ///
    /// # Errors
    /// What the place says.
    fn exists<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<bool>> {
        Box::pin(async move {
            match self.details(name).await {
                Ok(_) => Ok(true),
                Err(error) if error.status() == StatusCode::NOT_FOUND => Ok(false),
                Err(error) => Err(error),
            }
        })
    }

    /// How long a file is.
    ///
    /// # Errors
    /// As [`details`](Self::details).
    fn size<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<u64>> {
        Box::pin(async move { Ok(self.details(name).await?.size) })
    }
}

/// What is known of a stored file. Not every place knows every time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Details {
    /// Its length in bytes.
    pub size: u64,
    /// When it was last written.
    pub modified: Option<SystemTime>,
    /// When it was made.
    pub created: Option<SystemTime>,
    /// When it was last read.
    pub accessed: Option<SystemTime>,
}

/// What is in a folder of a storage, each in the order of names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// Folders.
    pub folders: Vec<String>,
    /// Files.
    pub files: Vec<String>,
}

/// The storages of a site by their aliases; [`DEFAULT`](Self::DEFAULT) is where uploads go.
#[derive(Clone, Default)]
pub struct Storages(BTreeMap<String, Arc<dyn Storage>>);

impl Storages {
    /// The alias of the storage for uploads.
    pub const DEFAULT: &'static str = "default";

    /// Puts a storage under an alias, in place of one that was there.
    pub fn insert(&mut self, alias: impl Into<String>, storage: Arc<dyn Storage>) {
        self.0.insert(alias.into(), storage);
    }

    /// The storage of an alias.
    ///
    /// # Errors
    /// 500 when there is none; the log has the aliases that there are.
    pub fn get(&self, alias: &str) -> Result<&Arc<dyn Storage>> {
        self.0.get(alias).ok_or_else(|| {
            let known: Vec<&str> = self.aliases().collect();
            Error::internal(format!("no storage `{alias}`; there are: {}", known.join(", ")))
        })
    }

    /// All aliases, in order.
    pub fn aliases(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}

impl std::fmt::Debug for Storages {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.aliases()).finish()
    }
}

/// True for the name of a stored file: parts with `/` between them, none of which is empty or begins with a dot, without back-slashes, colons
/// and control characters. Nothing else leads anywhere.
///
/// ```
/// use demijohn_core::storage::is_name;
///
/// assert!(is_name("notes/2026/a.png"));
/// for name in ["", "/etc/passwd", "../a", "a/../b", "a//b", "a/", ".env", "a\\b", "C:a", "a\0"] {
///     assert!(!is_name(name), "{name}");
/// }
/// ```
pub fn is_name(name: &str) -> bool {
    let is_part = |part: &str| !part.is_empty() && part.len() <= 255 && !part.starts_with('.');
    name.len() <= 1024
        && !name.contains(|c: char| matches!(c, '\\' | ':') || c.is_control())
        && name.split('/').all(is_part)
}

/// A name nobody can guess, in the folder of the name asked for: 128 random bits, with its ending where that is [known](safe_ending).
///
/// ```
/// use demijohn_core::storage::generated_name;
///
/// let name = generated_name("avatars/My photo.PNG")?;
/// assert!(name.starts_with("avatars/") && name.ends_with(".png") && !name.contains("photo"));
/// assert!(!generated_name("avatars/page.html")?.contains('.'));
/// # Ok::<(), demijohn_core::Error>(())
/// ```
///
/// # Errors
/// 400 when the folder is none, 500 when the machine gives no randomness.
pub fn generated_name(wanted: &str) -> Result<String> {
    let (folder, file) = wanted
        .rsplit_once('/')
        .map_or(("", wanted), |(folder, file)| (folder, file));
    if !folder.is_empty() && !is_name(folder) {
        return Err(Error::bad_request("there can be no files of this name"));
    }
    let mut name = folder.to_owned();
    if !name.is_empty() {
        name.push('/');
    }
    name.push_str(&random_word(26)?);
    if let Some(ending) = safe_ending(file) {
        name.push('.');
        name.push_str(ending);
    }
    Ok(name)
}

/// So many random characters out of `a` to `z` and `2` to `7`, five bits each.
///
/// # Errors
/// 500 when the machine gives no randomness.
pub fn random_word(length: usize) -> Result<String> {
    let mut bytes = vec![0; length];
    getrandom::fill(&mut bytes).map_err(|error| Error::internal(format!("no randomness for a name: {error}")))?;
    Ok(bytes
        .iter()
        .map(|byte| char::from(b"abcdefghijklmnopqrstuvwxyz234567"[usize::from(byte & 31)]))
        .collect())
}

/// The ending of a client's file name in lower case, if it is one of those that make nothing run anywhere: pictures, sound, films, plain texts and
/// tables, PDF, documents of offices, archives.
pub fn safe_ending(file_name: &str) -> Option<&'static str> {
    const SAFE: [&str; 44] = [
        "png", "jpg", "jpeg", "gif", "webp", "avif", "heic", "bmp", "tif", "tiff", "ico", "mp3", "ogg", "oga", "opus",
        "wav", "flac", "m4a", "aac", "mp4", "m4v", "webm", "ogv", "mov", "mkv", "txt", "md", "csv", "tsv", "json",
        "pdf", "ics", "docx", "xlsx", "pptx", "odt", "ods", "odp", "epub", "zip", "gz", "tar", "7z", "zst",
    ];
    let (stem, ending) = file_name.rsplit_once('.')?;
    let known = SAFE.iter().find(|safe| safe.eq_ignore_ascii_case(ending));
    known.copied().filter(|_| !stem.is_empty())
}
