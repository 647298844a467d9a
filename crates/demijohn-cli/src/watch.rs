//! What a program is made of, and whether it changed.
//!
//! Files are looked at a few times a second. That works on every file system (network folders and containers too, which tell nobody of
//! changes), and the files of a project are few.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Where to look.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Watched {
    /// Folders of packages: their sources and manifests.
    pub(crate) folders: Vec<PathBuf>,
    /// Single files: settings, and what sources include.
    pub(crate) files: Vec<PathBuf>,
    /// Names of files that count besides sources and manifests: `*.sql`.
    pub(crate) included: Vec<String>,
    /// Names of files and folders that do not count, whatever else is said.
    pub(crate) excluded: Vec<String>,
}

/// A name that a pattern describes: `*` is any text, also none.
fn matches(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|first| name.strip_prefix(first)) else {
        return false;
    };
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else {
        return rest.is_empty();
    };
    for part in parts {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

/// The files at a moment, each with its time and size.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Snapshot(BTreeMap<PathBuf, (Option<SystemTime>, u64)>);

impl Watched {
    /// True for files that count because somebody said so.
    pub(crate) fn includes(&self, path: &Path) -> bool {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        self.included.iter().any(|pattern| matches(pattern, &name))
    }

    /// The files as they are now.
    pub(crate) fn look(&self) -> Snapshot {
        let mut snapshot = Snapshot::default();
        for file in &self.files {
            snapshot.add(file);
        }
        let mut folders = self.folders.clone();
        while let Some(folder) = folders.pop() {
            // A folder that went away is a change of its files.
            let Ok(entries) = fs::read_dir(&folder) else { continue };
            for entry in entries.flatten() {
                let path = entry.path();
                let name = entry.file_name().to_string_lossy().into_owned();
                if self.excluded.iter().any(|pattern| matches(pattern, &name)) {
                    continue;
                }
                match entry.file_type() {
                    Ok(kind) if kind.is_dir() => {
                        let built = matches!(name.as_str(), "target" | "node_modules") || name.starts_with('.');
                        // Another project that lies in this one is not part of it.
                        let foreign = path.join("Cargo.toml").is_file() && !self.folders.contains(&path);
                        if !built && !foreign {
                            folders.push(path);
                        }
                    }
                    Ok(_) if path.extension().is_some_and(|e| e == "rs" || e == "toml") || self.includes(&path) => {
                        snapshot.add(&path);
                    }
                    _ => {}
                }
            }
        }
        snapshot
    }
}

impl Snapshot {
    fn add(&mut self, path: &Path) {
        if let Ok(data) = fs::metadata(path) {
            self.0.insert(path.to_owned(), (data.modified().ok(), data.len()));
        }
    }

    /// Some files of it.
    pub(crate) fn only(&self, which: impl Fn(&Path) -> bool) -> Snapshot {
        let some = self.0.iter().filter(|(path, _)| which(path));
        Snapshot(some.map(|(path, state)| (path.clone(), *state)).collect())
    }

    /// A file that is new, gone or other than before; the first in the alphabet when there are several.
    pub(crate) fn change_since<'s>(&'s self, before: &'s Snapshot) -> Option<&'s Path> {
        let changed = self.0.iter().find(|(path, state)| before.0.get(*path) != Some(state));
        let gone = || before.0.iter().find(|(path, _)| !self.0.contains_key(*path));
        changed.or_else(gone).map(|(path, _)| path.as_path())
    }
}

/// The files that a `.d` file of cargo names: what the program was compiled from, `include_str!` and all.
pub(crate) fn compiled_from(program: &Path) -> Vec<PathBuf> {
    let text = fs::read_to_string(program.with_extension("d")).unwrap_or_default();
    let Some((_, files)) = text.split_once(": ") else {
        return Vec::new();
    };
    // A space in a name is written with a backslash.
    let files = files.replace("\\ ", "\0");
    files
        .split_whitespace()
        .map(|file| PathBuf::from(file.replace('\0', " ")))
        .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::{Watched, compiled_from};
    use std::fs;
    use std::path::Path;

    #[test]
    fn what_is_new_gone_or_changed_is_seen_and_what_is_built_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        for inner in ["src/deep", "target", ".git", "other"] {
            fs::create_dir_all(path(inner)).unwrap();
        }
        fs::write(path("src/deep/a.rs"), "a").unwrap();
        let watched = Watched {
            folders: vec![folder.path().to_owned()],
            files: vec![path(".env")],
            included: vec!["*.sql".to_owned(), "data-*.json".to_owned()],
            excluded: vec!["gen*".to_owned()],
        };
        let change = |before: &super::Snapshot| -> Option<String> {
            let now = watched.look();
            let name = now.change_since(before)?.strip_prefix(folder.path()).unwrap();
            Some(name.to_string_lossy().into_owned())
        };

        let before = watched.look();
        fs::write(path("target/b.rs"), "b").unwrap();
        fs::write(path("src/notes.txt"), "b").unwrap();
        fs::write(path(".git/c.toml"), "c").unwrap();
        fs::write(path("other/Cargo.toml"), "").unwrap();
        fs::create_dir_all(path("generated")).unwrap();
        fs::write(path("generated/d.rs"), "").unwrap();
        fs::write(path("src/gen_e.sql"), "").unwrap();
        assert_eq!(change(&before), None);
        for name in ["src/f.sql", "data-1.json"] {
            let before = watched.look();
            fs::write(path(name), "f").unwrap();
            assert_eq!(change(&before).as_deref(), Some(name));
        }
        let before = watched.look();
        fs::write(path("src/deep/a.rs"), "longer").unwrap();
        assert_eq!(change(&before).as_deref(), Some("src/deep/a.rs"));

        let before = watched.look();
        fs::write(path(".env"), "A=1").unwrap();
        assert_eq!(change(&before).as_deref(), Some(".env"));
        let before = watched.look();
        fs::remove_file(path("src/deep/a.rs")).unwrap();
        assert_eq!(change(&before).as_deref(), Some("src/deep/a.rs"));
    }

    #[test]
    fn patterns_have_stars() {
        for (pattern, name) in [
            ("*.sql", "a.sql"),
            ("*", ""),
            ("a*b*c", "abc"),
            ("a*b*c", "a1b2c"),
            ("a", "a"),
            ("**", "x"),
        ] {
            assert!(super::matches(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in [
            ("*.sql", "a.sqlite"),
            ("a", "ab"),
            ("a*a", "a"),
            ("a*b*c", "acb"),
            ("", "a"),
        ] {
            assert!(!super::matches(pattern, name), "{pattern} {name}");
        }
    }

    #[test]
    fn cargo_tells_what_a_program_was_compiled_from() {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("shop");
        fs::write(
            folder.path().join("shop.d"),
            "/t/shop: /p/src/main.rs /p/my\\ page.html\n",
        )
        .unwrap();
        assert_eq!(
            compiled_from(&program),
            [Path::new("/p/src/main.rs"), Path::new("/p/my page.html")]
        );
        assert!(compiled_from(Path::new("/nowhere")).is_empty());
    }
}
