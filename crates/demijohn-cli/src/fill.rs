//! Files with blanks: `{{ project_name }}` and the like are filled in, everything else is left as it stands.

use crate::Result;
use std::fs;
use std::path::{Path, PathBuf};

/// The words to be put into the blanks.
pub(crate) struct Words(pub(crate) Vec<(&'static str, String)>);

impl Words {
    /// Fills the blanks of a text. What is no blank of ours (a template of the site has its own) stays.
    pub(crate) fn fill(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (name, word) in &self.0 {
            text = text.replace(&format!("{{{{ {name} }}}}"), word);
        }
        text
    }

    /// Fills the blanks of a file's name, which are bare words there, as in `project_name.toml`.
    pub(crate) fn fill_name(&self, name: &str) -> String {
        let mut name = name.to_owned();
        for (blank, word) in self.0.iter().filter(|(blank, _)| blank.ends_with("_name")) {
            name = name.replace(blank, word);
        }
        name
    }
}

/// Files to be written: all or none.
#[derive(Default)]
pub(crate) struct Files(Vec<(PathBuf, Vec<u8>)>);

impl Files {
    /// A file to be written, by its path below the folder.
    pub(crate) fn add(&mut self, path: impl Into<PathBuf>, content: impl Into<Vec<u8>>) {
        self.0.push((path.into(), content.into()));
    }

    /// True when there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Writes all, unless one of them is there already.
    pub(crate) fn write(self, folder: &Path) -> Result<()> {
        let there: Vec<String> = self
            .0
            .iter()
            .map(|(path, _)| folder.join(path))
            .filter(|path| path.exists())
            .map(|path| format!("`{}`", path.display()))
            .collect();
        if !there.is_empty() {
            return Err(format!(
                "{} would be overwritten; nothing was made. Move what is there, or choose another name or folder",
                there.join(", ")
            ));
        }
        for (path, content) in self.0 {
            let path = folder.join(path);
            let made = path.parent().map_or(Ok(()), fs::create_dir_all);
            made.and_then(|()| fs::write(&path, content))
                .map_err(|error| format!("`{}` cannot be written: {error}", path.display()))?;
        }
        Ok(())
    }
}
