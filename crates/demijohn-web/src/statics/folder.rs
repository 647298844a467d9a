//! Where static files come from.

use crate::Finding;
use demijohn_core::storage::is_name;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

/// A folder of static files: on disk in development, inside the program in release.
///
/// `static_files!("static")` makes one from a folder beside your `Cargo.toml`.
#[derive(Clone, Copy, Debug)]
pub struct StaticFolder(Kind);

#[derive(Clone, Copy, Debug)]
enum Kind {
    Embedded(&'static [(&'static str, &'static [u8])]),
    OnDisk(&'static str),
}

impl StaticFolder {
    /// Files as pairs of name and content. Names have `/` between their parts. `app.css.br`, `app.css.zst` and `app.css.gz` are `app.css` in
    /// other codings.
    pub const fn embedded(files: &'static [(&'static str, &'static [u8])]) -> Self {
        StaticFolder(Kind::Embedded(files))
    }

    /// A folder on disk.
    pub const fn on_disk(path: &'static str) -> Self {
        StaticFolder(Kind::OnDisk(path))
    }
}

/// A folder with the prefix that its files have.
#[derive(Clone, Debug)]
pub(crate) enum Source {
    Embedded(&'static [(&'static str, &'static [u8])]),
    Disk {
        /// Empty, or with a slash at its end.
        prefix: String,
        root: PathBuf,
    },
}

/// A file that was found.
#[derive(Clone, Debug)]
pub(crate) enum Found {
    Bytes(&'static [u8]),
    File(PathBuf),
}

impl Found {
    pub(crate) fn read(&self) -> io::Result<Vec<u8>> {
        match self {
            Found::Bytes(bytes) => Ok(bytes.to_vec()),
            Found::File(path) => std::fs::read(path),
        }
    }
}

impl From<StaticFolder> for Source {
    fn from(folder: StaticFolder) -> Self {
        match folder.0 {
            Kind::Embedded(files) => Source::Embedded(files),
            Kind::OnDisk(path) => Source::Disk {
                prefix: String::new(),
                root: path.into(),
            },
        }
    }
}

impl Source {
    /// `folder`, or `prefix=folder`.
    pub(crate) fn of_setting(text: &str) -> Result<Source, Finding> {
        // A folder may have the sign in its own name.
        let is_folder = Path::new(text).is_dir();
        let (prefix, root) = text.split_once('=').filter(|_| !is_folder).unwrap_or(("", text));
        let prefix = prefix.trim_matches('/');
        if !prefix.is_empty() && !is_name(prefix) {
            let finding = Finding::error(
                "staticfiles.E003",
                format!("the prefix `{prefix}` in STATICFILES_DIRS is none"),
            );
            return Err(finding.hint("write `prefix=folder`, the prefix a path such as `vendor`"));
        }
        Ok(Source::Disk {
            prefix: if prefix.is_empty() {
                String::new()
            } else {
                format!("{prefix}/")
            },
            root: root.into(),
        })
    }

    /// Its folder on disk.
    pub(crate) fn folder(&self) -> Option<&Path> {
        match self {
            Source::Embedded(_) => None,
            Source::Disk { root, .. } => Some(root),
        }
    }

    /// A file by its whole name, which [`is_name`].
    pub(crate) fn find(&self, name: &str) -> Option<Found> {
        match self {
            Source::Embedded(files) => {
                let found = files.iter().find(|(known, _)| *known == name)?;
                Some(Found::Bytes(found.1))
            }
            Source::Disk { prefix, root } => {
                let path = root.join(name.strip_prefix(prefix.as_str())?);
                is_inside(root, &path).then_some(Found::File(path))
            }
        }
    }

    /// All files of it that are not there yet.
    fn add_to(&self, all: &mut BTreeMap<String, Found>) -> io::Result<()> {
        match self {
            Source::Embedded(files) => {
                for (name, content) in files.iter().filter(|(name, _)| is_name(name)) {
                    all.entry((*name).to_owned()).or_insert(Found::Bytes(content));
                }
                Ok(())
            }
            Source::Disk { prefix, root } if root.is_dir() => walk(root, root, prefix, all),
            Source::Disk { .. } => Ok(()),
        }
    }
}

/// All files of all sources; of those of one name, the first.
pub(crate) fn all(sources: &[Source]) -> io::Result<BTreeMap<String, Found>> {
    let mut all = BTreeMap::new();
    for source in sources {
        source.add_to(&mut all)?;
    }
    Ok(all)
}

fn walk(root: &Path, folder: &Path, prefix: &str, all: &mut BTreeMap<String, Found>) -> io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let Ok(name) = entry.file_name().into_string() else {
            continue;
        };
        // Files of editors and of systems are none of the site.
        if !is_name(&name) || name.starts_with('#') || name.ends_with('~') {
            continue;
        }
        let (path, name) = (entry.path(), format!("{prefix}{name}"));
        if entry.file_type()?.is_dir() {
            walk(root, &path, &format!("{name}/"), all)?;
        } else if is_name(&name) && is_inside(root, &path) {
            all.entry(name).or_insert(Found::File(path));
        }
    }
    Ok(())
}

/// True for a file that is in the folder whatever links there are: those to folders are not followed.
fn is_inside(root: &Path, path: &Path) -> bool {
    let (Ok(whole_root), Ok(whole)) = (root.canonicalize(), path.canonicalize()) else {
        return false;
    };
    let above = path.parent().and_then(|above| above.canonicalize().ok());
    let named = path.parent().and_then(|above| above.strip_prefix(root).ok());
    whole.starts_with(&whole_root) && whole.is_file() && above == named.map(|named| whole_root.join(named))
}
