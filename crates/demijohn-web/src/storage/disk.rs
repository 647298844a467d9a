//! Files of a folder as a storage.

use crate::file::{File, blocking};
use crate::limits::disk_error;
use demijohn_core::faults::FileFaults;
use demijohn_core::storage::{Details, Listing, Storage, generated_name, is_name, random_word, safe_ending};
use demijohn_core::{Body, BoxFuture, Error, Result};
use http::StatusCode;
use http_body_util::BodyExt;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use std::fs::{DirBuilder, Permissions};
use std::io::{self, ErrorKind, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tempfile::NamedTempFile;

/// A folder as a [`Storage`].
///
/// A file is written under a hidden name, brought to the disk, and gets its name as the last step, which never replaces another: readers see
/// it whole or not at all. Files are for this process' user alone (0600, folders 0700) unless said otherwise.
///
/// ```
/// use demijohn_core::storage::Storage;
/// use demijohn_web::FileStorage;
///
/// # demijohn_web::test::block_on(async {
/// # let folder = tempfile::tempdir()?;
/// let storage = FileStorage::new(folder.path());
/// let name = storage.save("notes/hello.txt", "Hello".into()).await?;
/// assert!(name.starts_with("notes/") && name.ends_with(".txt"));
/// assert_eq!(storage.size(&name).await?, 5);
/// storage.delete(&name).await?;
/// assert!(!storage.exists(&name).await?);
/// # Ok::<(), demijohn_web::Error>(())
/// # }).unwrap();
/// ```
#[derive(Clone, Debug)]
pub struct FileStorage(Arc<Settled>);

#[derive(Clone, Debug)]
struct Settled {
    root: PathBuf,
    base_url: Option<String>,
    keep_names: bool,
    overwrite: bool,
    file_mode: u32,
    folder_mode: u32,
    faults: Option<FileFaults>,
}

impl FileStorage {
    /// The files below a folder, which is made when the first is saved. They have no addresses until there is a
    /// [`base_url`](Self::base_url).
    pub fn new(root: impl Into<PathBuf>) -> Self {
        FileStorage(Arc::new(Settled {
            root: root.into(),
            base_url: None,
            keep_names: false,
            overwrite: false,
            file_mode: 0o600,
            folder_mode: 0o700,
            faults: None,
        }))
    }

    fn with(mut self, change: impl FnOnce(&mut Settled)) -> Self {
        change(Arc::make_mut(&mut self.0));
        self
    }

    /// Where browsers find them: `/media/`.
    #[must_use]
    pub fn base_url(self, url: impl Into<String>) -> Self {
        let url = url.into();
        self.with(|settled| settled.base_url = Some(url))
    }

    /// Keeps the names asked for, as Django does: cleaned by [`secure_filename`](crate::secure_filename), and with seven random characters behind
    /// the stem where the name is taken. They can be guessed; the ending is kept only where it is safe.
    #[must_use]
    pub fn keep_names(self) -> Self {
        self.with(|settled| settled.keep_names = true)
    }

    /// Keeps the names asked for, and replaces a file of the same name, in one step.
    #[must_use]
    pub fn overwrite(self) -> Self {
        self.with(|settled| {
            settled.keep_names = true;
            settled.overwrite = true;
        })
    }

    /// The modes of new files and folders, whatever the process' umask: 0o600 and 0o700 unless set.
    #[must_use]
    pub fn modes(self, file: u32, folder: u32) -> Self {
        self.with(|settled| {
            settled.file_mode = file;
            settled.folder_mode = folder;
        })
    }

    /// Lets steps fail, for tests.
    #[must_use]
    pub fn with_faults(self, faults: FileFaults) -> Self {
        self.with(|settled| settled.faults = Some(faults))
    }

    /// The folder.
    pub fn root(&self) -> &Path {
        &self.0.root
    }

    /// Runs what blocks where it may.
    async fn run<T: Send + 'static>(&self, work: impl FnOnce(&Settled) -> Result<T> + Send + 'static) -> Result<T> {
        let settled = Arc::clone(&self.0);
        blocking(move || work(&settled)).await?
    }

    async fn write(&self, wanted: &str, mut content: Body) -> Result<String> {
        let name = self.0.first_name(wanted)?;
        let folder = self.0.folder_of(&name);
        let mut draft = self.run(move |settled| settled.begin(folder)).await?;
        let mut buffer = Vec::new();
        loop {
            let frame = content
                .frame()
                .await
                .transpose()
                .map_err(demijohn_core::request::broken_body)?;
            let is_end = frame.is_none();
            // Trailers are no data.
            if let Some(data) = frame.and_then(|frame| frame.into_data().ok()) {
                buffer.extend_from_slice(&data);
            }
            if buffer.len() >= WRITE_BYTES || is_end {
                let piece = std::mem::take(&mut buffer);
                draft = self
                    .run(move |settled| {
                        settled.step()?;
                        draft.write_all(&piece).map_err(disk_error)?;
                        Ok(draft)
                    })
                    .await?;
            }
            if is_end {
                break;
            }
        }
        self.run(move |settled| settled.publish(draft, name)).await?.keep()
    }
}

/// Pieces of this size are written at a time.
const WRITE_BYTES: usize = 256 << 10;

/// Names that are tried when one is taken.
const MAX_TRIES: usize = 20;

/// A file under its name that nobody was told of yet: it goes again if the caller is gone.
struct Published {
    path: PathBuf,
    name: String,
    /// It replaced a file that was there before.
    replaced: bool,
}

impl Published {
    fn keep(mut self) -> Result<String> {
        self.path = PathBuf::new();
        Ok(std::mem::take(&mut self.name))
    }
}

impl Drop for Published {
    fn drop(&mut self) {
        if !self.path.as_os_str().is_empty() && !self.replaced {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

impl Settled {
    fn step(&self) -> Result<()> {
        match &self.faults {
            Some(faults) => faults.step().map_err(disk_error),
            None => Ok(()),
        }
    }

    fn folder_of(&self, name: &str) -> PathBuf {
        match name.rsplit_once('/') {
            Some((folder, _)) => self.root.join(folder),
            None => self.root.clone(),
        }
    }

    /// The name that is tried first.
    fn first_name(&self, wanted: &str) -> Result<String> {
        if !self.keep_names {
            return generated_name(wanted);
        }
        let (folder, file) = wanted.rsplit_once('/').unwrap_or(("", wanted));
        let file = crate::secure_filename(file);
        let stem = match safe_ending(&file) {
            Some(_) => file,
            None => file.replace('.', "_"),
        };
        let name = match folder {
            "" => stem,
            folder => format!("{folder}/{stem}"),
        };
        match is_name(&name) {
            true => Ok(name),
            false => Err(Error::bad_request("there can be no files of this name")),
        }
    }

    /// The name that is tried when one is taken.
    fn next_name(&self, name: &str) -> Result<String> {
        if !self.keep_names {
            return generated_name(name);
        }
        let (stem, ending) = match safe_ending(name) {
            Some(_) => name.rsplit_once('.').unwrap_or((name, "")),
            None => (name, ""),
        };
        let dot = if ending.is_empty() { "" } else { "." };
        Ok(format!("{stem}_{}{dot}{ending}", random_word(7)?))
    }

    /// An empty file under a hidden name, in the folder where it will stay.
    fn begin(&self, folder: PathBuf) -> Result<NamedTempFile> {
        self.make_folder(&folder)?;
        self.step()?;
        let mut builder = tempfile::Builder::new();
        builder.prefix(".save-");
        builder.tempfile_in(folder).map_err(disk_error)
    }

    /// Makes a folder and those above it, each with the mode of folders.
    fn make_folder(&self, folder: &Path) -> Result<()> {
        if folder.as_os_str().is_empty() || folder.is_dir() {
            return Ok(());
        }
        if let Some(above) = folder.parent() {
            self.make_folder(above)?;
        }
        self.step()?;
        let mut builder = DirBuilder::new();
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, self.folder_mode);
        match builder.create(folder) {
            Ok(()) => set_mode(folder, self.folder_mode).map_err(disk_error),
            // Another request was faster.
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
            Err(error) => Err(disk_error(error)),
        }
    }

    /// Brings a file to the disk, and gives it its name.
    fn publish(&self, mut draft: NamedTempFile, mut name: String) -> Result<Published> {
        self.step()?;
        draft.as_file_mut().flush().map_err(disk_error)?;
        if self.file_mode != 0o600 {
            set_mode(draft.path(), self.file_mode).map_err(disk_error)?;
        }
        self.step()?;
        draft.as_file().sync_all().map_err(disk_error)?;
        for _ in 0..MAX_TRIES {
            self.step()?;
            let path = self.root.join(&name);
            let replaced = self.overwrite && path.exists();
            let persisted = match self.overwrite {
                true => draft.persist(&path),
                false => draft.persist_noclobber(&path),
            };
            match persisted {
                Ok(_) => {
                    let published = Published { path, name, replaced };
                    self.step()?;
                    sync_folder(&self.folder_of(&published.name)).map_err(disk_error)?;
                    return Ok(published);
                }
                Err(failed) if failed.error.kind() == ErrorKind::AlreadyExists => {
                    draft = failed.file;
                    name = self.next_name(&name)?;
                }
                Err(failed) => return Err(disk_error(failed.error)),
            }
        }
        Err(Error::internal(format!("no free name for `{name}`")))
    }

    /// The file of a name, inside of the folder whatever links there are.
    fn find(&self, name: &str) -> Result<PathBuf> {
        if !is_name(name) {
            return Err(not_found());
        }
        self.step()?;
        let found = (self.root.canonicalize(), self.root.join(name).canonicalize());
        match found {
            (Ok(root), Ok(path)) if path.starts_with(&root) => Ok(path),
            (Err(error), _) | (_, Err(error)) if !is_missing(&error) => Err(disk_error(error)),
            _ => Err(not_found()),
        }
    }
}

fn not_found() -> Error {
    Error::bare(StatusCode::NOT_FOUND)
}

fn is_missing(error: &io::Error) -> bool {
    use ErrorKind::{InvalidFilename, InvalidInput, NotADirectory, NotFound};
    // Links in a circle lead to nothing. The kind of that error is not stable yet.
    const ELOOP: i32 = if cfg!(target_os = "linux") { 40 } else { 62 };
    matches!(error.kind(), NotFound | NotADirectory | InvalidInput | InvalidFilename)
        || (cfg!(unix) && error.raw_os_error() == Some(ELOOP))
}

/// So that the name is there after a loss of power, too.
fn sync_folder(folder: &Path) -> io::Result<()> {
    match cfg!(unix) {
        true => std::fs::File::open(folder)?.sync_all(),
        false => Ok(()),
    }
}

fn set_mode(path: &Path, mode: u32) -> io::Result<()> {
    #[cfg(unix)]
    {
        let permissions: Permissions = std::os::unix::fs::PermissionsExt::from_mode(mode);
        std::fs::set_permissions(path, permissions)
    }
    #[cfg(not(unix))]
    {
        let _: (&Path, u32, Option<Permissions>) = (path, mode, None);
        Ok(())
    }
}

impl Storage for FileStorage {
    fn save<'a>(&'a self, name: &'a str, content: Body) -> BoxFuture<'a, Result<String>> {
        Box::pin(self.write(name, content))
    }

    fn details<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Details>> {
        let name = name.to_owned();
        Box::pin(self.run(move |settled| {
            let metadata = settled.find(&name)?.metadata().map_err(disk_error)?;
            if !metadata.is_file() {
                return Err(not_found());
            }
            Ok(Details {
                size: metadata.len(),
                modified: metadata.modified().ok(),
                created: metadata.created().ok(),
                accessed: metadata.accessed().ok(),
            })
        }))
    }

    fn read<'a>(&'a self, name: &'a str, part: Range<u64>) -> BoxFuture<'a, Result<Body>> {
        let name = name.to_owned();
        Box::pin(self.run(move |settled| {
            let path = settled.find(&name)?;
            settled.step()?;
            Ok(File::open_now(&path)?.into_body(part))
        }))
    }

    fn local<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<PathBuf>>> {
        let name = name.to_owned();
        Box::pin(self.run(move |settled| settled.find(&name).map(Some)))
    }

    fn delete<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<()>> {
        let name = name.to_owned();
        Box::pin(self.run(move |settled| {
            let path = match settled.find(&name) {
                Ok(path) => path,
                Err(error) if error.status() == StatusCode::NOT_FOUND => return Ok(()),
                Err(error) => return Err(error),
            };
            settled.step()?;
            match std::fs::remove_file(path) {
                Err(error) if !is_missing(&error) => Err(disk_error(error)),
                _ => Ok(()),
            }
        }))
    }

    fn list<'a>(&'a self, folder: &'a str) -> BoxFuture<'a, Result<Listing>> {
        let folder = folder.trim_end_matches('/').to_owned();
        Box::pin(self.run(move |settled| {
            let found = match folder.as_str() {
                "" => Ok(settled.root.clone()),
                folder => settled.find(folder),
            };
            let path = match found {
                Ok(path) => path,
                Err(error) if error.status() == StatusCode::NOT_FOUND && is_name(&folder) => {
                    return Ok(Listing::default());
                }
                Err(error) => return Err(error),
            };
            let mut listing = Listing::default();
            let entries = match std::fs::read_dir(path) {
                Ok(entries) => entries,
                Err(error) if is_missing(&error) => return Ok(listing),
                Err(error) => return Err(disk_error(error)),
            };
            for entry in entries {
                let entry = entry.map_err(disk_error)?;
                let Ok(name) = entry.file_name().into_string() else {
                    continue;
                };
                if !is_name(&name) {
                    continue;
                }
                match entry.file_type().map_err(disk_error)?.is_dir() {
                    true => listing.folders.push(name),
                    false => listing.files.push(name),
                }
            }
            listing.folders.sort();
            listing.files.sort();
            Ok(listing)
        }))
    }

    fn url(&self, name: &str) -> Result<String> {
        const KEPT: &AsciiSet = &NON_ALPHANUMERIC
            .remove(b'-')
            .remove(b'.')
            .remove(b'_')
            .remove(b'~')
            .remove(b'/');
        match &self.0.base_url {
            Some(base) => Ok(format!("{base}{}", utf8_percent_encode(name, KEPT))),
            None => Err(Error::internal(
                "the files of this storage have no addresses: it has no base URL",
            )),
        }
    }
}
