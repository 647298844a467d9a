//! The commands `collectstatic` and `findstatic`.

use super::folder::{self, Found};
use super::hashed::{CODINGS, Content, Hashed, MANIFEST};
use super::{ROOT, Static, overlap};
use crate::file::blocking;
#[cfg(feature = "compression")]
use crate::shield::compress::{Effort, smaller};
use demijohn_core::command::{Arg, ArgAction, Call, Command};
use demijohn_core::storage::random_word;
use demijohn_core::{Error, Result};
use serde_json::json;
use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};

/// What Django leaves out too: files of version control, of systems and of editors.
const IGNORED: [&str; 3] = ["CVS", ".*", "*~"];

pub(crate) fn collectstatic() -> Command {
    let flag = |name: &'static str, help: &'static str| Arg::new(name).long(name).action(ArgAction::SetTrue).help(help);
    Command::new("collectstatic")
        .about("Copies all static files to STATIC_ROOT, under their own names and under names of their content")
        .arg(flag("dry-run", "say what would be done, and do nothing").short('n'))
        .arg(flag("clear", "take everything out of STATIC_ROOT before").short('c'))
        .arg(flag("link", "make symbolic links in place of copies of files on disk").short('l'))
        .arg(flag("no-post-process", "make no names of content"))
        .arg(flag("no-default-ignore", "leave out nothing by itself: CVS, .* and *~"))
        .arg(flag("no-input", "accepted for Django's sake: nothing is asked").alias("noinput"))
        .arg(
            Arg::new("ignore")
                .long("ignore")
                .short('i')
                .value_name("PATTERN")
                .action(ArgAction::Append)
                .help("leave out files and folders of such names, `*` and `?` as in a shell"),
        )
        .run(async |call| {
            let root: PathBuf = call
                .settings()
                .value(&ROOT)
                .map_err(|finding| Error::internal(finding.message))?;
            if root.as_os_str().is_empty() {
                return Err(Error::internal(
                    "STATIC_ROOT is empty: set it to the folder that static files are collected in",
                ));
            }
            let job = Job {
                files: call.provided::<Static>()?.clone(),
                root: call.path(root),
                dry_run: call.flag("dry-run"),
                clear: call.flag("clear"),
                link: call.flag("link"),
                post_process: !call.flag("no-post-process"),
                ignored: ignored(&call)?,
                done: Done::default(),
            };
            let (done, root) = blocking(move || job.run()).await??;
            for line in &done.lines {
                writeln!(call.out(), "{line}")?;
            }
            let word = match call.flag("link") {
                true => "linked",
                false => "copied",
            };
            let s = if done.copied == 1 { "" } else { "s" };
            write!(
                call.out(),
                "{} static file{s} {word} to '{}'",
                done.copied,
                root.display()
            )?;
            if done.unmodified > 0 {
                write!(call.out(), ", {} unmodified", done.unmodified)?;
            }
            if done.processed > 0 {
                write!(call.out(), ", {} post-processed", done.processed)?;
            }
            writeln!(call.out(), ".")?;
            Ok(())
        })
}

pub(crate) fn findstatic() -> Command {
    Command::new("findstatic")
        .about("Prints where a static file is")
        .arg(
            Arg::new("name")
                .required(true)
                .num_args(1..)
                .help("names, such as `css/app.css`"),
        )
        .arg(
            Arg::new("first")
                .long("first")
                .action(ArgAction::SetTrue)
                .help("only the one that is served"),
        )
        .run(async |call| {
            let files = call.provided::<Static>()?.clone();
            for name in call.all::<String>("name")? {
                let found = files.0.sources.iter().filter_map(|source| source.find(&name));
                let found: Vec<Found> = match call.flag("first") {
                    true => found.take(1).collect(),
                    false => found.collect(),
                };
                if found.is_empty() {
                    return Err(Error::internal(files.missing(&name)));
                }
                for found in found {
                    match found {
                        Found::File(path) => writeln!(call.out(), "{}", path.display())?,
                        Found::Bytes(bytes) => writeln!(call.out(), "{name}: {} bytes in the program", bytes.len())?,
                    }
                }
            }
            Ok(())
        })
}

fn ignored(call: &Call) -> Result<Vec<String>> {
    let mut patterns: Vec<String> = call.all("ignore")?;
    if !call.flag("no-default-ignore") {
        patterns.extend(IGNORED.map(str::to_owned));
    }
    Ok(patterns)
}

struct Job {
    files: Static,
    root: PathBuf,
    dry_run: bool,
    clear: bool,
    link: bool,
    post_process: bool,
    ignored: Vec<String>,
    done: Done,
}

#[derive(Default)]
struct Done {
    copied: usize,
    unmodified: usize,
    processed: usize,
    lines: Vec<String>,
}

impl Job {
    fn run(mut self) -> Result<(Done, PathBuf)> {
        let sources = &self.files.0.sources;
        let folders = sources.iter().filter_map(|source| source.folder());
        if let Some(folder) = folders.into_iter().find(|folder| overlap(&self.root, folder)) {
            return Err(Error::internal(format!(
                "STATIC_ROOT and the folder {} lie in each other: what is collected would be collected again",
                folder.display()
            )));
        }
        let here = std::env::current_dir().unwrap_or_default();
        if self.clear && self.root.canonicalize().is_ok_and(|root| here.starts_with(root)) {
            return Err(Error::internal(format!(
                "STATIC_ROOT is {}, where you are: --clear would take everything away",
                self.root.display()
            )));
        }
        let mut all = folder::all(sources)?;
        all.retain(|name, _| !self.is_ignored(name));
        // What is wrong is found before anything is written.
        let hashed = match self.post_process {
            true => Some(
                Hashed::of_files(all.clone(), &self.files.0.url)
                    .map_err(|finding| Error::internal(finding.to_string()))?,
            ),
            false => None,
        };
        if let Some(broken) = hashed.iter().flat_map(|hashed| &hashed.broken).next() {
            return Err(Error::internal(format!(
                "the static file `{}` refers to `{}`, which is not there; correct it, or use --no-post-process",
                broken.file, broken.reference
            )));
        }
        if self.clear {
            self.clear_root()?;
        }
        for (name, found) in &all {
            self.copy(name, found)?;
        }
        if let Some(hashed) = hashed {
            self.write_hashed(&hashed)?;
        }
        Ok((self.done, self.root))
    }

    fn is_ignored(&self, name: &str) -> bool {
        let matches = |text: &str| {
            self.ignored
                .iter()
                .any(|pattern| fits(pattern.as_bytes(), text.as_bytes()))
        };
        matches(name) || name.split('/').any(matches)
    }

    fn clear_root(&mut self) -> Result<()> {
        let entries = match std::fs::read_dir(&self.root) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            entries => entries?,
        };
        for entry in entries {
            let entry = entry?;
            self.say("Deleting", &entry.file_name().to_string_lossy());
            if self.dry_run {
                continue;
            }
            match entry.file_type()?.is_dir() {
                true => std::fs::remove_dir_all(entry.path())?,
                false => std::fs::remove_file(entry.path())?,
            }
        }
        Ok(())
    }

    fn copy(&mut self, name: &str, found: &Found) -> Result<()> {
        let target = self.root.join(name);
        if is_unmodified(found, &target, self.link) {
            self.done.unmodified += 1;
            return Ok(());
        }
        self.done.copied += 1;
        match found {
            Found::File(path) if self.link => {
                self.say("Linking", name);
                if !self.dry_run {
                    link(&path.canonicalize()?, &target)?;
                }
            }
            found => {
                self.say("Copying", name);
                if !self.dry_run {
                    write(&target, &found.read()?)?;
                }
            }
        }
        Ok(())
    }

    fn write_hashed(&mut self, hashed: &Hashed) -> Result<()> {
        let mut paths = BTreeMap::new();
        for entry in hashed.entries() {
            self.done.processed += 1;
            paths.insert(entry.name.clone(), entry.hashed.clone());
            let content = entry.content.read()?;
            self.write_once(&entry.hashed, &content)?;
            for (coding, ending) in CODINGS {
                let name = format!("{}{ending}", entry.hashed);
                let beside = entry.variants.iter().find(|(known, _)| *known == coding);
                match beside.map(|(_, content)| Content::read(content)) {
                    Some(variant) => self.write_once(&name, &variant?)?,
                    #[cfg(feature = "compression")]
                    None if !self.dry_run && !self.root.join(&name).exists() => {
                        if let Some(variant) = smaller(coding, Effort::Utmost, &entry.name, &content) {
                            self.write_once(&name, &variant)?;
                        }
                    }
                    None => {}
                }
            }
        }
        self.say("Writing", MANIFEST);
        if self.dry_run {
            return Ok(());
        }
        let manifest = json!({ "paths": paths, "version": "1.1", "hash": "" });
        let mut text = serde_json::to_string_pretty(&manifest).map_err(|error| Error::internal(error.to_string()))?;
        text.push('\n');
        // Last, so that it never names what is not there.
        write(&self.root.join(MANIFEST), text.as_bytes())
    }

    /// What is there under a name of its content is that content.
    fn write_once(&mut self, name: &str, content: &[u8]) -> Result<()> {
        let target = self.root.join(name);
        let is_there = target
            .metadata()
            .is_ok_and(|metadata| metadata.len() == content.len() as u64);
        match is_there || self.dry_run {
            true => Ok(()),
            false => write(&target, content),
        }
    }

    fn say(&mut self, what: &str, name: &str) {
        if self.dry_run {
            self.done.lines.push(format!("{what} '{name}' (not really)"));
        }
    }
}

/// True when the file was copied or linked before and has not changed since.
fn is_unmodified(found: &Found, target: &Path, link: bool) -> bool {
    let Ok(metadata) = target.symlink_metadata() else {
        return false;
    };
    match found {
        Found::File(path) if link => target.read_link().ok() == path.canonicalize().ok(),
        _ if metadata.is_symlink() => false,
        Found::File(path) => path.metadata().is_ok_and(|source| {
            let (from, to) = (source.modified().ok(), metadata.modified().ok());
            source.len() == metadata.len() && from <= to
        }),
        Found::Bytes(bytes) => std::fs::read(target).is_ok_and(|there| there == *bytes),
    }
}

/// Whole or not at all, in place of what was there.
fn write(target: &Path, content: &[u8]) -> Result<()> {
    let draft = beside(target)?;
    let written = std::fs::write(&draft, content).and_then(|()| std::fs::rename(&draft, target));
    written.map_err(|error| failed(error, &draft, target))
}

#[cfg(unix)]
fn link(source: &Path, target: &Path) -> Result<()> {
    let draft = beside(target)?;
    let linked = std::os::unix::fs::symlink(source, &draft).and_then(|()| std::fs::rename(&draft, target));
    linked.map_err(|error| failed(error, &draft, target))
}

#[cfg(not(unix))]
fn link(source: &Path, target: &Path) -> Result<()> {
    write(target, &std::fs::read(source)?)
}

/// A hidden name in the folder of a file, which is made.
fn beside(target: &Path) -> Result<PathBuf> {
    let folder = target.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder).map_err(|error| failed(error, Path::new(""), folder))?;
    Ok(folder.join(format!(".collect-{}", random_word(12)?)))
}

fn failed(error: std::io::Error, draft: &Path, target: &Path) -> Error {
    let _ = std::fs::remove_file(draft);
    Error::internal(format!("cannot write {}: {error}", target.display())).with_source(error)
}

/// `*` and `?` as in a shell; in linear time but for the last `*`.
fn fits(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut star = None;
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(byte) if *byte == b'?' || *byte == text[t] => {
                p += 1;
                t += 1;
            }
            _ => match star {
                Some((at, from)) => {
                    star = Some((at, from + 1));
                    p = at + 1;
                    t = from + 1;
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::fits;

    #[test]
    fn patterns() {
        for (pattern, text, expected) in [
            ("*.css", "a.css", true),
            ("*.css", "a.cssx", false),
            ("a?c*", "abc", true),
            ("*a*b*", "xxaxxbxx", true),
            ("*a*b*", "xxbxxa", false),
            ("", "", true),
            ("*", "", true),
            ("CVS", "CVS", true),
        ] {
            assert_eq!(fits(pattern.as_bytes(), text.as_bytes()), expected, "{pattern} {text}");
        }
    }
}
