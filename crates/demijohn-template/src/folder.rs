//! Where templates come from.

use std::fs;
use std::path::{Path, PathBuf};

/// A folder of templates: files on disk in development, text inside the program in release.
///
/// `templates!("templates")` makes one from a folder beside your `Cargo.toml`. A debug build holds only the path, so
/// that editing a template rebuilds nothing; a release build holds the files, so that it runs from anywhere.
#[derive(Clone, Copy, Debug)]
pub struct Folder {
    files: &'static [(&'static str, &'static str)],
    disk: Option<&'static str>,
}

impl Folder {
    /// Templates as pairs of name and source. Names have `/` between their parts.
    pub const fn embedded(files: &'static [(&'static str, &'static str)]) -> Self {
        Folder { files, disk: None }
    }

    /// A folder on disk, read anew when a file changes.
    pub const fn on_disk(path: &'static str) -> Self {
        Folder {
            files: &[],
            disk: Some(path),
        }
    }

    /// The embedded pairs; empty for a folder on disk.
    pub fn files(&self) -> &'static [(&'static str, &'static str)] {
        self.files
    }

    /// The path of a folder on disk.
    pub fn path(&self) -> Option<&'static Path> {
        self.disk.map(Path::new)
    }

    /// The file of a template on disk, if it is there.
    ///
    /// Names with `.`, `..`, hidden or backslashed parts have none: a name can come from data, and must not leave the
    /// folder.
    pub(crate) fn find_on_disk(&self, name: &str) -> Option<PathBuf> {
        let mut path = self.path()?.to_path_buf();
        for part in name.split('/') {
            if part.is_empty() || part.starts_with('.') || part.contains(['\\', ':', '\0']) {
                return None;
            }
            path.push(part);
        }
        path.is_file().then_some(path)
    }

    /// All names in it, in order.
    ///
    /// # Errors
    /// The folder (or one inside it) cannot be read.
    pub(crate) fn names(&self) -> Result<Vec<String>, (PathBuf, std::io::Error)> {
        let mut names: Vec<String> = self.files.iter().map(|(name, _)| (*name).to_owned()).collect();
        if let Some(root) = self.path() {
            walk(root, "", &mut names)?;
        }
        names.sort();
        Ok(names)
    }
}

fn walk(folder: &Path, prefix: &str, names: &mut Vec<String>) -> Result<(), (PathBuf, std::io::Error)> {
    let at = |e| (folder.to_path_buf(), e);
    for entry in fs::read_dir(folder).map_err(at)? {
        let entry = entry.map_err(at)?;
        // Files of editors (`.swp`, `#index.html#`, `index.html~`) are no templates.
        let Ok(name) = entry.file_name().into_string() else {
            continue;
        };
        if name.starts_with(['.', '#']) || name.ends_with('~') {
            continue;
        }
        let path = entry.path();
        if path.is_dir() {
            walk(&path, &format!("{prefix}{name}/"), names)?;
        } else {
            names.push(format!("{prefix}{name}"));
        }
    }
    Ok(())
}
