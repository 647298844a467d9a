//! Uploads that are kept, and their way back to browsers.

use crate::file::File;
use crate::route::get;
use crate::routes::Routing;
use crate::storage::FileStorage;
use crate::{Finding, Path};
use demijohn_core::faults::FileFaults;
use demijohn_core::settings::Key;
use demijohn_core::site::Phase;
use demijohn_core::storage::{Details, Storage, Storages};
use demijohn_core::{Assemble, Body, Extract, Needs, Part, Rejection, Reply, Request, Response, Result, Site};
use http::header::{CACHE_CONTROL, HeaderValue};
use std::path::PathBuf;
use std::sync::Arc;

const ROOT: Key<PathBuf> = Key::new("MEDIA_ROOT", "", "the folder of uploads that are kept; none when empty");
const URL: Key<String> = Key::new(
    "MEDIA_URL",
    "/media/",
    "where uploads are served; when empty, by handlers of the site alone",
);
const FILE_MODE: Key<String> = Key::new(
    "FILE_UPLOAD_PERMISSIONS",
    "0o600",
    "the mode of files that are saved, in octal",
);
const FOLDER_MODE: Key<String> = Key::new(
    "FILE_UPLOAD_DIRECTORY_PERMISSIONS",
    "0o700",
    "the mode of folders that are made for them, in octal",
);

/// Where the site keeps its uploads: the storage under the alias `default`.
///
/// ```
/// use demijohn_web::{post, test, Application, Error, Files, Media, Result, StorageExt};
///
/// async fn upload(files: Files, media: Media) -> Result<String> {
///     let file = files.get("photo").ok_or_else(|| Error::bad_request("no photo"))?;
///     // The name goes into a row of the database.
///     let name = media.save_upload("photos", file).await?;
///     media.url(&name)
/// }
///
/// # test::block_on(async {
/// # let folder = tempfile::tempdir().unwrap();
/// # let uploads = folder.path();
/// let client = Application::new().media(uploads).route("/", post(upload)).test_client();
/// let parts = test::Parts::new().file("photo", "me.png", "image/png", [1, 2, 3]);
/// let url = client.post("/").multipart(parts).await.text().to_owned();
/// assert!(url.starts_with("/media/photos/") && url.ends_with(".png"));
/// assert_eq!(client.get(&url).await.bytes().as_ref(), [1, 2, 3]);
/// # });
/// ```
///
/// Whoever knows the address of a file gets it. Addresses cannot be guessed; where that is not enough, set `MEDIA_URL` to nothing and answer with
/// [`file`](Self::file) from a handler that looks who asks.
#[derive(Clone)]
pub struct Media(Arc<dyn Storage>);

impl Media {
    /// Keeps content in a folder, and gives the name that it got: it cannot be guessed, and of the client's name it has the ending, where that is
    /// harmless.
    ///
    /// # Errors
    /// 507 when the disk is full, 503 when it cannot be written, what failed of the content. Nothing is left behind then.
    pub async fn save(&self, folder: &str, content: impl Into<Body>, file_name: &str) -> Result<String> {
        // What the client calls its folders is nobody's business.
        let file_name = file_name.rsplit(['/', '\\']).next().unwrap_or_default();
        let name = match folder {
            "" => file_name.to_owned(),
            folder => format!("{folder}/{file_name}"),
        };
        self.0.save(&name, content.into()).await
    }

    /// Keeps an upload in a folder: [`save`](Self::save) of its content.
    ///
    /// # Errors
    /// As [`save`](Self::save).
    #[cfg(feature = "multipart")]
    pub async fn save_upload(&self, folder: &str, upload: &crate::Upload) -> Result<String> {
        self.save(folder, upload.content().await?, upload.file_name()).await
    }

    /// A file as an answer, safe for what somebody else made: see [`File::untrusted`].
    ///
    /// # Errors
    /// 404 when there is none of this name.
    pub async fn file(&self, name: &str) -> Result<File> {
        File::stored(Arc::clone(&self.0), name).await
    }

    /// The content of a file.
    ///
    /// # Errors
    /// 404 when there is none of this name.
    pub async fn open(&self, name: &str) -> Result<Body> {
        self.0.open(name).await
    }

    /// What is known of a file.
    ///
    /// # Errors
    /// 404 when there is none of this name.
    pub async fn details(&self, name: &str) -> Result<Details> {
        self.0.details(name).await
    }

    /// Takes a file away; that it was not there is no error.
    ///
    /// # Errors
    /// What the storage says.
    pub async fn delete(&self, name: &str) -> Result<()> {
        self.0.delete(name).await
    }

    /// Where browsers find a file.
    ///
    /// # Errors
    /// 500 when `MEDIA_URL` is empty.
    pub fn url(&self, name: &str) -> Result<String> {
        self.0.url(name)
    }

    /// The storage itself.
    pub fn storage(&self) -> &Arc<dyn Storage> {
        &self.0
    }
}

impl std::fmt::Debug for Media {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Media")
    }
}

impl Extract for Media {
    async fn extract(request: &mut Request) -> Result<Self, Rejection> {
        let storages = request.provided::<Storages>()?;
        Ok(Media(Arc::clone(storages.get(Storages::DEFAULT)?)))
    }

    fn needs(needs: &mut Needs) {
        needs.provider::<Storages>("give uploads a place: `.media(\"uploads\")`, or the setting MEDIA_ROOT");
    }
}

/// Places for files. The prelude brings it.
pub trait StorageExt: Assemble {
    /// Keeps uploads in this folder: the default of the setting `MEDIA_ROOT`.
    #[must_use]
    fn media(self, folder: impl Into<PathBuf>) -> Self {
        self.with(Uploads(folder.into()))
    }

    /// Puts a storage under an alias; that under `default` is for uploads.
    #[must_use]
    fn storage(self, alias: &str, storage: impl Storage) -> Self {
        self.with(Aliased(alias.to_owned(), Arc::new(storage)))
    }
}

impl<T: Assemble> StorageExt for T {}

struct Uploads(PathBuf);

impl Part for Uploads {
    #[track_caller]
    fn install(self: Box<Self>, site: &mut Site) {
        install(site);
        site.settings_mut().set_default(ROOT.name(), self.0);
    }
}

struct Aliased(String, Arc<dyn Storage>);

impl Part for Aliased {
    fn install(self: Box<Self>, site: &mut Site) {
        install(site);
        site.entry::<Storages>().insert(self.0, self.1);
    }
}

#[derive(Default)]
struct Installed(bool);

/// Declares the settings and serves uploads, once.
pub(crate) fn install(site: &mut Site) {
    if std::mem::replace(&mut site.entry::<Installed>().0, true) {
        return;
    }
    let settings = site.settings_mut();
    settings.declare(&ROOT);
    settings.declare(&URL);
    settings.declare(&FILE_MODE);
    settings.declare(&FOLDER_MODE);
    site.on_build(Phase::Provide, |site| {
        let settings = site.settings();
        let (root, url) = (settings.value(&ROOT)?, settings.value(&URL)?);
        let modes = (mode(settings, &FILE_MODE)?, mode(settings, &FOLDER_MODE)?);
        let is_set = |storages: Option<&Storages>| storages.is_some_and(|all| all.get(Storages::DEFAULT).is_ok());
        if !is_set(site.bag().get()) && !root.as_os_str().is_empty() {
            // That it is not there yet is well: it is made for the first upload.
            if root.exists() && !root.is_dir() {
                let finding = Finding::error("media.E003", format!("`{}` is a file", root.display()));
                return Err(finding.on(ROOT.name()).hint("set it to a folder, for uploads alone"));
            }
            let mut storage = FileStorage::new(root).modes(modes.0, modes.1);
            if !url.is_empty() {
                storage = storage.base_url(url.as_str());
            }
            if let Some(faults) = site.bag().get::<FileFaults>() {
                storage = storage.with_faults(faults.clone());
            }
            site.entry::<Storages>().insert(Storages::DEFAULT, Arc::new(storage));
        }
        let is_elsewhere = url.starts_with("https://") || url.starts_with("http://");
        if is_elsewhere || url.is_empty() || !is_set(site.bag().get()) {
            return Ok(());
        }
        if !url.starts_with('/') || !url.ends_with('/') || url.contains(['{', '}']) || url == "/" {
            let finding = Finding::error("media.E001", format!("MEDIA_URL is `{url}`"));
            return Err(finding.hint("write it with a slash at both ends, as in `/media/`"));
        }
        site.route(&format!("{url}{{*name}}"), get(serve).name("media"));
        Ok(())
    });
}

/// `MEDIA_ROOT` and `MEDIA_URL`.
#[cfg(feature = "static")]
pub(crate) fn place(settings: &demijohn_core::Settings) -> (PathBuf, String) {
    (
        settings.value(&ROOT).unwrap_or_default(),
        settings.value(&URL).unwrap_or_default(),
    )
}

fn mode(settings: &demijohn_core::Settings, key: &Key<String>) -> Result<u32, Finding> {
    let text = settings.value(key)?;
    let digits = text.strip_prefix("0o").unwrap_or(&text);
    match u32::from_str_radix(digits, 8) {
        Ok(mode) if mode <= 0o7777 => Ok(mode),
        _ => {
            Err(Finding::error("media.E002", format!("{} is `{text}`", key.name()))
                .hint("write a mode in octal: 0o640"))
        }
    }
}

/// A file of the storage for uploads.
async fn serve(Path(name): Path<String>, media: Media) -> Result<Served> {
    Ok(Served(media.file(&name).await?))
}

/// An upload may be taken away again, and is not everybody's.
struct Served(File);

impl Reply for Served {
    fn reply(self, request: &Request) -> Result<Response> {
        let mut response = self.0.reply(request)?;
        let headers = response.headers_mut();
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
        Ok(response)
    }

    fn describe(operation: &mut demijohn_core::Operation) {
        File::describe(operation);
    }
}
