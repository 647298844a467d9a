//! Where settings are read from.

use super::dotenv;
use super::file;
use super::origin::Origin;
use super::tree::{self, Node};
use super::{DEBUG, FILE_VARIABLE};
use crate::check::Finding;
use serde_core::Serialize;
use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::panic::Location;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What [`Settings::load`](super::Settings::load) reads.
///
/// A program reads [`Sources::process`]. Tests say what they need and touch no environment:
///
/// ```
/// use demijohn_core::settings::{Settings, Sources};
///
/// let mut settings = Settings::new();
/// settings.load(Sources::none().var("WORKERS", "4").set("ALLOWED_HOSTS", ["shop.example"]));
/// assert_eq!(settings.workers(), 4);
/// assert_eq!(settings.allowed_hosts(), ["shop.example"]);
/// ```
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// The folder of `settings.toml` and `.env`.
    folder: Option<PathBuf>,
    /// A settings file that was asked for by name.
    file: Option<PathBuf>,
    variables: Vec<(String, Option<String>)>,
    given: Vec<(String, Change, Node)>,
}

/// What is done with a given value.
#[derive(Clone, Copy, Debug)]
enum Change {
    Set,
    Append,
    Prepend,
    Remove,
}

impl Sources {
    /// Nothing at all.
    pub fn none() -> Self {
        Sources::default()
    }

    /// The working folder and the environment of this process.
    pub fn process() -> Self {
        let names_as_text = std::env::vars_os().filter_map(|(name, value)| {
            let name = name.into_string().ok()?;
            Some((name, value.into_string().ok()))
        });
        Sources {
            folder: Some(PathBuf::new()),
            variables: names_as_text.collect(),
            ..Sources::none()
        }
    }

    /// A variable whose value is no text, as a process may get it.
    #[must_use]
    pub fn var_os(mut self, name: impl Into<String>, value: impl Into<std::ffi::OsString>) -> Self {
        self.variables.push((name.into(), value.into().into_string().ok()));
        self
    }

    /// Takes `settings.toml` and `.env` of this folder, where they are.
    #[must_use]
    pub fn folder(mut self, folder: impl Into<PathBuf>) -> Self {
        self.folder = Some(folder.into());
        self
    }

    /// Takes this settings file, which must be there, in place of `settings.toml`.
    #[must_use]
    pub fn file(mut self, path: impl Into<PathBuf>) -> Self {
        self.file = Some(path.into());
        self
    }

    /// An environment variable.
    #[must_use]
    pub fn var(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.variables.push((name.into(), Some(value.into())));
        self
    }

    /// A value that wins over all others.
    #[must_use]
    #[track_caller]
    pub fn set(self, name: impl Into<String>, value: impl Serialize) -> Self {
        self.change(name, Change::Set, value)
    }

    /// Items for the end of a list, whatever the other sources say it is.
    #[must_use]
    #[track_caller]
    pub fn append<T: Serialize>(self, name: impl Into<String>, items: impl IntoIterator<Item = T>) -> Self {
        self.change(name, Change::Append, items.into_iter().collect::<Vec<_>>())
    }

    /// Items for the beginning of a list.
    #[must_use]
    #[track_caller]
    pub fn prepend<T: Serialize>(self, name: impl Into<String>, items: impl IntoIterator<Item = T>) -> Self {
        self.change(name, Change::Prepend, items.into_iter().collect::<Vec<_>>())
    }

    /// Items that a list shall not have.
    #[must_use]
    #[track_caller]
    pub fn remove<T: Serialize>(self, name: impl Into<String>, items: impl IntoIterator<Item = T>) -> Self {
        self.change(name, Change::Remove, items.into_iter().collect::<Vec<_>>())
    }

    #[track_caller]
    fn change(mut self, name: impl Into<String>, change: Change, value: impl Serialize) -> Self {
        let origin = Origin::Code(Location::caller());
        let json = serde_json::to_value(value).unwrap_or_default();
        self.given.push((name.into(), change, Node::from_json(json, &origin)));
        self
    }

    /// An option of the command line that wins over all other values of a setting.
    #[must_use]
    pub fn option(mut self, option: &'static str, name: impl Into<String>, text: impl Into<String>) -> Self {
        self.given
            .push((name.into(), Change::Set, Node::loose(text, Origin::Option(option))));
        self
    }

    /// Reads the files. What cannot be read is told in the findings.
    pub(super) fn read(&self) -> Loaded {
        let mut loaded = Loaded {
            variables: self.variables.iter().cloned().collect(),
            ..Loaded::default()
        };
        if let Some(folder) = &self.folder {
            loaded.read_dotenv(&folder.join(".env"));
        }
        if let Some(None) = loaded.variables.get(FILE_VARIABLE) {
            loaded.findings.push(
                Finding::error(
                    "settings.E006",
                    format!("environment variable {FILE_VARIABLE} is no UTF-8"),
                )
                .hint("give the file a name that is text, or name it by --settings"),
            );
        }
        let by_variable = loaded.text(FILE_VARIABLE).filter(|(text, _)| !text.trim().is_empty());
        match (&self.file, by_variable, &self.folder) {
            (Some(path), _, _) => loaded.read_file(path, Some("--settings".to_owned())),
            (None, Some((path, origin)), _) => loaded.read_file(Path::new(&path), Some(origin.to_string())),
            (None, None, Some(folder)) => loaded.read_file(&folder.join("settings.toml"), None),
            (None, None, None) => {}
        }
        loaded
    }
}

/// What was read.
#[derive(Clone, Default)]
pub(super) struct Loaded {
    file: Option<Node>,
    dotenv: dotenv::Lines,
    dotenv_path: Option<Arc<Path>>,
    /// `None` is a value that is no UTF-8.
    variables: BTreeMap<String, Option<String>>,
    pub(super) findings: Vec<Finding>,
}

impl Loaded {
    /// A variable by its name, of the environment or of `.env`.
    fn text(&self, name: &str) -> Option<(String, Origin)> {
        match self.variables.get(name) {
            Some(text) => Some((text.clone()?, Origin::Environment(name.to_owned()))),
            None => {
                let (text, line) = self.dotenv.get(name)?;
                let path = self.dotenv_path.clone()?;
                Some((text.clone(), Origin::DotEnv(path, *line)))
            }
        }
    }

    pub(super) fn variable(&self, name: &str) -> Option<Node> {
        let (text, origin) = self.text(&name.to_ascii_uppercase().replace('.', "__"))?;
        Some(Node::loose(text, origin))
    }

    /// The variable of a setting (or of a part of it) whose value is no UTF-8.
    pub(super) fn not_text(&self, setting: &str) -> Option<&str> {
        let path = tree::path(setting);
        let bad = self.variables.iter().filter(|(_, value)| value.is_none());
        let mut names = bad.map(|(name, _)| name.as_str());
        names.find(|name| is_variable(name) && tree::path(name).starts_with(&path))
    }

    /// Names in `.env` with their lines.
    pub(super) fn dotenv_names(&self) -> impl Iterator<Item = (&str, Origin)> {
        self.dotenv.iter().filter_map(|(name, (_, line))| {
            let path = self.dotenv_path.clone()?;
            Some((name.as_str(), Origin::DotEnv(path, *line)))
        })
    }

    /// Lays all over the defaults, in the order of their rank.
    pub(super) fn lay_over(&self, tree: &mut Node, sources: &Sources) {
        let defaults = tree.clone();
        if let Some(file) = &self.file {
            tree.merge(file);
        }
        self.lay_upper(tree, sources);
        // The mode is known only now, and its table belongs below the environment: once more, from the start.
        let debug = super::read::read::<bool>(DEBUG.name(), tree.at(&tree::path(DEBUG.name())));
        let mode = match debug {
            Ok((true, _)) => "development",
            _ => "production",
        };
        let Some(file) = &self.file else { return };
        if file.at(&["development".to_owned()]).is_none() && file.at(&["production".to_owned()]).is_none() {
            return;
        }
        *tree = defaults;
        let mut file = file.clone();
        if let super::tree::Value::Table(table) = &mut file.value {
            let development = table.remove("development");
            let production = table.remove("production");
            tree.merge(&file);
            let chosen = if mode == "development" { development } else { production };
            if let Some(chosen) = chosen.filter(|chosen| chosen.as_table().is_some()) {
                tree.merge(&chosen);
            }
        }
        self.lay_upper(tree, sources);
    }

    fn lay_upper(&self, tree: &mut Node, sources: &Sources) {
        let names = self.dotenv.keys().chain(self.variables.keys());
        for name in names.filter(|name| is_variable(name)) {
            let path = tree::path(name);
            // The environment is full of others' variables: ours are those of a known setting.
            let ours = path
                .first()
                .is_some_and(|head| tree.at(std::slice::from_ref(head)).is_some());
            if let Some((text, origin)) = self.text(name).filter(|_| ours) {
                let node = Node::loose(text, origin);
                match path.as_slice() {
                    [_] => {
                        let mut over = Node::table(node.origin.clone());
                        over.put(&path, node);
                        tree.merge(&over);
                    }
                    _ => tree.put(&path, node),
                }
            }
        }
        for (name, change, node) in &sources.given {
            let path = tree::path(name);
            let node = match change {
                Change::Set => node.clone(),
                _ => edited(tree.at(&path), *change, node),
            };
            tree.put(&path, node);
        }
    }

    fn read_dotenv(&mut self, path: &Path) {
        let Some(text) = self.text_of(path, "of variables", None) else {
            return;
        };
        let (lines, bad) = dotenv::parse(&text);
        for line in bad {
            self.findings.push(
                Finding::error("settings.E005", line.message)
                    .on(format!("{}:{}", path.display(), line.line))
                    .hint("write NAME=value, NAME='any text' or # a comment"),
            );
        }
        self.dotenv = lines;
        self.dotenv_path = Some(path.into());
    }

    fn read_file(&mut self, path: &Path, asked_by: Option<String>) {
        let Some(text) = self.text_of(path, "of settings", asked_by) else {
            return;
        };
        match file::parse(&text, &path.into()) {
            Ok(node) => {
                for mode in ["development", "production"] {
                    if let Some(debug) = node.at(&[mode.to_owned(), "debug".to_owned()]) {
                        self.findings.push(
                            Finding::error(
                                "settings.E004",
                                format!("DEBUG cannot be set in [{mode}], which it decides on"),
                            )
                            .on(debug.origin.to_string())
                            .hint("set `debug` at the top of the file, or as an environment variable"),
                        );
                    }
                }
                self.file = Some(node);
            }
            Err(findings) => self.findings.extend(findings),
        }
    }

    /// The text of a file; a file that nobody asked for may be missing.
    fn text_of(&mut self, path: &Path, what: &str, asked_by: Option<String>) -> Option<String> {
        let error = match std::fs::read(path) {
            Ok(bytes) => match String::from_utf8(bytes) {
                Ok(text) => return Some(text),
                Err(error) => {
                    let good = &error.as_bytes()[..error.utf8_error().valid_up_to()];
                    let line = good.iter().filter(|b| **b == b'\n').count() + 1;
                    self.findings.push(
                        Finding::error("settings.E003", format!("the file {what} is no UTF-8 at line {line}"))
                            .on(path.display().to_string())
                            .hint("save it as UTF-8"),
                    );
                    return None;
                }
            },
            Err(error) => error,
        };
        if error.kind() == ErrorKind::NotFound && asked_by.is_none() {
            return None;
        }
        let asked = asked_by.map(|by| format!(" (asked for by {by})")).unwrap_or_default();
        let hint = match error.kind() {
            ErrorKind::NotFound => format!(
                "make the file, or name another; this process works in {}",
                std::env::current_dir().map_or_else(|_| "an unreadable folder".to_owned(), |f| f.display().to_string())
            ),
            ErrorKind::PermissionDenied => "let the user that runs this program read it".to_owned(),
            ErrorKind::IsADirectory => "this is a folder; a file is needed".to_owned(),
            _ => "make the file readable".to_owned(),
        };
        self.findings.push(
            Finding::error(
                "settings.E003",
                format!("the file {what} cannot be read{asked}: {error}"),
            )
            .on(path.display().to_string())
            .hint(hint),
        );
        None
    }
}

/// A list with items added or taken out.
fn edited(old: Option<&Node>, change: Change, items: &Node) -> Node {
    let list =
        |node: &Node| super::read::read::<Vec<serde_json::Value>>("", Some(node)).map_or(Vec::new(), |(list, _)| list);
    let (mut now, items_now) = (old.map(list).unwrap_or_default(), list(items));
    match change {
        Change::Set => now = items_now,
        Change::Append => now.extend(items_now),
        Change::Prepend => now.splice(..0, items_now).for_each(drop),
        Change::Remove => now.retain(|item| !items_now.contains(item)),
    }
    Node::from_json(serde_json::Value::Array(now), &items.origin)
}

/// Variables of settings are in capitals up to the first `__`.
fn is_variable(name: &str) -> bool {
    let head = name.split("__").next().unwrap_or(name);
    !head.is_empty() && !head.contains('.') && !head.chars().any(|c| c.is_ascii_lowercase())
}
