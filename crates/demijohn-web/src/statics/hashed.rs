//! Static files under names that hold a hash of their content, as Django's `ManifestStaticFilesStorage` makes them.

use super::folder::{self, Found, Source};
use super::rewrite;
use crate::Finding;
use crate::codings::Coding;
use bytes::Bytes;
use demijohn_core::storage::is_name;
use percent_encoding::utf8_percent_encode;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::{Path, PathBuf};

/// The file that says which name became which, in Django's format.
pub(crate) const MANIFEST: &str = "staticfiles.json";

/// All static files with their names.
#[derive(Debug, Default)]
pub(crate) struct Hashed {
    entries: Vec<Entry>,
    by_name: HashMap<String, usize>,
    by_hashed: HashMap<String, usize>,
    /// References to files that are not there.
    pub(crate) broken: Vec<Broken>,
}

#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) name: String,
    /// `css/app.2f3a5c7d9e01.css`.
    pub(crate) hashed: String,
    pub(crate) content: Content,
    /// The same in other codings.
    pub(crate) variants: Vec<(Coding, Content)>,
    /// Codings that were made of it when somebody asked, in the order of [`CODINGS`]; `None` where it is not worth it.
    #[cfg(feature = "compression")]
    pub(crate) made: [tokio::sync::OnceCell<Option<Bytes>>; CODINGS.len()],
}

#[derive(Clone, Debug)]
pub(crate) enum Content {
    /// With its tag for `ETag`.
    Bytes(Bytes, String),
    File(PathBuf),
}

impl Content {
    pub(crate) fn read(&self) -> io::Result<Vec<u8>> {
        match self {
            Content::Bytes(bytes, _) => Ok(bytes.to_vec()),
            Content::File(path) => std::fs::read(path),
        }
    }
}

#[derive(Debug)]
pub(crate) struct Broken {
    pub(crate) file: String,
    pub(crate) reference: String,
}

/// Codings with the endings of their files, the smallest first.
pub(crate) const CODINGS: [(Coding, &str); 3] =
    [(Coding::Brotli, ".br"), (Coding::Zstd, ".zst"), (Coding::Gzip, ".gz")];

/// Style sheets that import each other deeper than this keep their own names.
const MAX_DEPTH: usize = 64;

impl Hashed {
    /// Reads all files, and gives them their names.
    pub(crate) fn of(sources: &[Source], url: &str) -> Result<Hashed, Finding> {
        let all = folder::all(sources).map_err(|error| unreadable(&error, "a folder of static files"))?;
        Hashed::of_files(all, url)
    }

    pub(crate) fn of_files(all: BTreeMap<String, Found>, url: &str) -> Result<Hashed, Finding> {
        let mut work = Work {
            all: &all,
            url,
            done: HashMap::new(),
            hashed: Hashed::default(),
        };
        for name in all.keys().filter(|name| plain_of(name, &all).is_none()) {
            work.entry(name, 0)?;
        }
        Ok(work.hashed)
    }

    /// Reads what was collected.
    pub(crate) fn of_manifest(root: &Path) -> Result<Hashed, Finding> {
        let path = root.join(MANIFEST);
        let odd = |why: String| {
            Finding::error("staticfiles.E007", format!("{} {why}", path.display()))
                .hint("run `collectstatic` again, or leave STATIC_ROOT empty")
        };
        let text = std::fs::read(&path).map_err(|error| odd(format!("cannot be read: {error}")))?;
        let manifest: serde_json::Value =
            serde_json::from_slice(&text).map_err(|error| odd(format!("is no JSON: {error}")))?;
        let paths = manifest.get("paths").and_then(|paths| paths.as_object());
        let mut hashed = Hashed::default();
        for (name, to) in paths.ok_or_else(|| odd("has no `paths`".to_owned()))? {
            let to = to.as_str().filter(|to| is_name(to) && is_name(name));
            let to = to.ok_or_else(|| odd(format!("has an odd name for `{name}`")))?;
            let file = root.join(to);
            if !file.is_file() {
                return Err(odd(format!("names `{to}`, which is not there")));
            }
            let beside = CODINGS.map(|(coding, ending)| (coding, root.join(format!("{to}{ending}"))));
            let variants = beside.into_iter().filter(|(_, path)| path.is_file());
            hashed.add(Entry {
                name: name.clone(),
                hashed: to.to_owned(),
                content: Content::File(file),
                variants: variants.map(|(coding, path)| (coding, Content::File(path))).collect(),
                #[cfg(feature = "compression")]
                made: Default::default(),
            });
        }
        Ok(hashed)
    }

    fn add(&mut self, entry: Entry) {
        let index = self.entries.len();
        self.by_name.insert(entry.name.clone(), index);
        self.by_hashed.insert(entry.hashed.clone(), index);
        self.entries.push(entry);
    }

    pub(crate) fn by_name(&self, name: &str) -> Option<&Entry> {
        self.by_name.get(name).map(|index| &self.entries[*index])
    }

    pub(crate) fn by_hashed(&self, name: &str) -> Option<&Entry> {
        self.by_hashed.get(name).map(|index| &self.entries[*index])
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().map(|entry| entry.name.as_str())
    }

    pub(crate) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

/// The file that `app.css.br` is another coding of.
fn plain_of<'n>(name: &'n str, all: &BTreeMap<String, Found>) -> Option<(&'n str, Coding)> {
    let plain = CODINGS
        .iter()
        .find_map(|(coding, ending)| Some((name.strip_suffix(ending)?, *coding)))?;
    all.contains_key(plain.0).then_some(plain)
}

fn unreadable(error: &io::Error, what: &str) -> Finding {
    Finding::error("staticfiles.E005", format!("{what} cannot be read: {error}")).hint("see to its permissions")
}

struct Work<'a> {
    all: &'a BTreeMap<String, Found>,
    url: &'a str,
    /// What became of each name; `None` while it is being worked on.
    done: HashMap<String, Option<String>>,
    hashed: Hashed,
}

impl Work<'_> {
    /// The name that a file gets, which hangs on the names of those that it refers to. Of files that refer to each other in a circle, one keeps its
    /// own.
    fn entry(&mut self, name: &str, depth: usize) -> Result<Option<String>, Finding> {
        if let Some(done) = self.done.get(name) {
            return Ok(done.clone());
        }
        let Some(found) = self.all.get(name).filter(|_| depth < MAX_DEPTH) else {
            return Ok(None);
        };
        self.done.insert(name.to_owned(), None);
        let read = |found: &Found| {
            found
                .read()
                .map_err(|error| unreadable(&error, &format!("the static file `{name}`")))
        };
        let original = read(found)?;
        let rewritten = self.rewrite(name, &original, depth)?;
        let digest = digest(rewritten.as_deref().unwrap_or(&original));
        let hashed = with_digest(name, &digest);
        let mut variants = Vec::new();
        let content = match (rewritten, found) {
            (Some(rewritten), _) => Content::Bytes(rewritten.into(), digest),
            (None, found) => {
                for (coding, ending) in CODINGS {
                    if let Some(found) = self.all.get(&format!("{name}{ending}")) {
                        variants.push((coding, content(found, format!("{digest}-{}", coding.name()))));
                    }
                }
                content(found, digest)
            }
        };
        self.hashed.add(Entry {
            name: name.to_owned(),
            hashed: hashed.clone(),
            content,
            variants,
            #[cfg(feature = "compression")]
            made: Default::default(),
        });
        self.done.insert(name.to_owned(), Some(hashed.clone()));
        Ok(Some(hashed))
    }

    /// The content with its references replaced, if there are any.
    fn rewrite(&mut self, name: &str, original: &[u8], depth: usize) -> Result<Option<Vec<u8>>, Finding> {
        let rewrite = match name.rsplit('.').next() {
            Some("css") => rewrite::css,
            Some("js" | "mjs") => rewrite::js,
            _ => return Ok(None),
        };
        let Ok(text) = std::str::from_utf8(original) else {
            return Ok(None);
        };
        let mut failed = None;
        let text = rewrite(text, &mut |reference| {
            let (path, rest) = reference.split_at(reference.find(['?', '#']).unwrap_or(reference.len()));
            let target = target(name, path, self.url)?;
            if !self.all.contains_key(&target) {
                self.hashed.broken.push(Broken {
                    file: name.to_owned(),
                    reference: reference.to_owned(),
                });
                return None;
            }
            let hashed = self.entry(&target, depth + 1).unwrap_or_else(|finding| {
                failed = Some(finding);
                None
            })?;
            // It stays in its folder, so the way there stays too.
            let folder = path.rfind('/').map_or("", |at| &path[..=at]);
            let file = hashed.rsplit('/').next().unwrap_or_default();
            Some(format!("{folder}{}{rest}", utf8_percent_encode(file, super::KEPT)))
        });
        match failed {
            Some(finding) => Err(finding),
            None => Ok((text.as_bytes() != original).then(|| text.into_bytes())),
        }
    }
}

fn content(found: &Found, tag: String) -> Content {
    match found {
        Found::Bytes(bytes) => Content::Bytes(Bytes::from_static(bytes), tag),
        Found::File(path) => Content::File(path.clone()),
    }
}

fn digest(content: &[u8]) -> String {
    let digest = Sha256::digest(content);
    digest.iter().take(6).map(|byte| format!("{byte:02x}")).collect()
}

/// `css/app.2f3a5c7d9e01.css` of `css/app.css`.
fn with_digest(name: &str, digest: &str) -> String {
    let (folder, file) = name.split_at(name.rfind('/').map_or(0, |at| at + 1));
    match file.rsplit_once('.') {
        Some((stem, ending)) => format!("{folder}{stem}.{digest}.{ending}"),
        None => format!("{name}.{digest}"),
    }
}

/// The name of the file that a reference in `name` leads to; `None` for what is not ours.
fn target(name: &str, path: &str, url: &str) -> Option<String> {
    if path.is_empty() || path.starts_with("//") || path.split('/').next().is_some_and(|first| first.contains(':')) {
        return None;
    }
    let path = percent_encoding::percent_decode_str(path).decode_utf8().ok()?;
    if path.starts_with('/') {
        return path.strip_prefix(url).map(str::to_owned);
    }
    let mut parts: Vec<&str> = name.split('/').collect();
    parts.pop();
    for part in path.split('/') {
        match part {
            "." | "" => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}
