//! Settings: defaults, a TOML file, `.env`, the environment; every value remembers where it came from.
//!
//! Each of these wins over the ones before it:
//! 1. the default of a declaration ([`Key`]), and what the site says in code (`App::setting("PAGE_SIZE", 20)`);
//! 2. `settings.toml` in the working folder, or the file that `--settings FILE` or the variable [`FILE_VARIABLE`] names, and in
//!    it the table `[development]` or `[production]`, whichever the site runs in;
//! 3. `.env` in the working folder;
//! 4. the environment: a variable has the setting's own name in capitals, without a prefix;
//! 5. options of the command line, such as `--bind`.
//!
//! Names ignore case. Values in tables are reached by `__` in variables: `SHOP__CURRENCY=EUR` is `currency` under `[shop]`.
//! A text of the environment becomes what its reader wants: a list is written with commas or as JSON, a table as JSON.
//!
//! ```
//! use demijohn_core::settings::{Settings, Sources};
//!
//! #[derive(serde::Deserialize)]
//! struct Shop { currency: String, #[serde(default)] rates: Vec<f64> }
//!
//! let mut settings = Settings::new();
//! settings.declare_section::<Shop>("shop", "the shop");
//! settings.load(Sources::none().var("SHOP__CURRENCY", "EUR").var("SHOP__RATES", "1, 2.5"));
//! assert_eq!(settings.findings(), []);
//! let shop: Shop = settings.section("shop")?;
//! assert_eq!((shop.currency.as_str(), shop.rates.as_slice()), ("EUR", [1.0, 2.5].as_slice()));
//! # Ok::<(), demijohn_core::check::Finding>(())
//! ```
//!
//! Whoever needs a setting declares it ([`Settings::declare`]): declarations are what values are checked against before the
//! site starts, what unknown names are compared with, and what the `settings` command lists. There is no second list.
//!
//! # Development or production
//! `DEBUG` decides, and is on in builds with debug assertions. In production the site refuses to start without a
//! good `SECRET_KEY` once something signs or encrypts ([`Settings::needs_secret`]), and without `ALLOWED_HOSTS` unless it listens on
//! loopback. In development a missing key is replaced by a random one, new with each process.

mod bind;
mod dotenv;
mod file;
mod origin;
mod read;
mod rules;
mod secret;
mod sources;
mod tree;

pub use bind::{BadBind, Bind};
pub use origin::Origin;
pub use rules::add_checks;
pub use secret::Secret;
pub use sources::Sources;

use crate::check::{Finding, nearest};
use read::{Misfit, What, read};
use serde_core::Serialize;
use serde_core::de::DeserializeOwned;
use std::fmt;
use std::marker::PhantomData;
use std::panic::Location;
use std::sync::{Arc, OnceLock};
use tree::{Node, Value};

/// The environment variable that names the settings file, when `--settings` does not.
pub const FILE_VARIABLE: &str = "DEMIJOHN_SETTINGS";

/// A setting of one value: its name, its default, what it is for, and the type that reads it.
///
/// The default is written as in an environment variable.
///
/// ```
/// use demijohn_core::settings::{Key, Settings, Sources};
///
/// const PAGE_SIZE: Key<u32> = Key::new("PAGE_SIZE", "20", "rows on a page of a list");
///
/// let mut settings = Settings::new();
/// settings.declare(&PAGE_SIZE);
/// assert_eq!(settings.value(&PAGE_SIZE)?, 20);
/// settings.load(Sources::none().var("PAGE_SIZE", "many"));
/// assert!(settings.findings()[0].message.contains("environment variable PAGE_SIZE"));
/// # Ok::<(), demijohn_core::check::Finding>(())
/// ```
#[derive(Debug)]
pub struct Key<T> {
    name: &'static str,
    default: &'static str,
    about: &'static str,
    reads: PhantomData<fn() -> T>,
}

impl<T> Key<T> {
    /// A setting.
    pub const fn new(name: &'static str, default: &'static str, about: &'static str) -> Self {
        Key {
            name,
            default,
            about,
            reads: PhantomData,
        }
    }

    /// Its name.
    pub const fn name(&self) -> &'static str {
        self.name
    }
}

/// Detailed errors and reload of templates; off in production.
pub const DEBUG: Key<bool> = Key::new(
    "DEBUG",
    if cfg!(debug_assertions) { "true" } else { "false" },
    "development (true) or production (false); the default is true in a debug build, false in a release build",
);
/// What signatures are made with.
pub const SECRET_KEY: Key<Secret> = Key::new(
    "SECRET_KEY",
    "",
    "signs and encrypts; at least 50 random characters; in development a random one per process when empty",
);
/// Keys of before.
pub const SECRET_KEY_FALLBACKS: Key<Vec<Secret>> = Key::new(
    "SECRET_KEY_FALLBACKS",
    "",
    "former values of SECRET_KEY whose signatures are still good",
);
/// Keys of a Django site.
pub const DJANGO_COMPAT: Key<bool> = Key::new(
    "DJANGO_COMPAT",
    "false",
    "takes any SECRET_KEY that is not empty, for a site that moves from Django with sessions and signatures by an old key",
);
/// Names that the site answers to.
pub const ALLOWED_HOSTS: Key<Vec<String>> = Key::new(
    "ALLOWED_HOSTS",
    "",
    "host names that the site answers to, `.example.org` for all below it; when empty, only names of this machine",
);
/// Where `serve` listens.
pub const BIND: Key<Bind> = Key::new(
    "BIND",
    "127.0.0.1:8000",
    "address and port to listen on; `serve --bind` wins over it",
);
/// How many runtimes serve.
pub const WORKERS: Key<u16> = Key::new(
    "WORKERS",
    "0",
    "runtimes that serve, each on a thread of its own; 0 is one per core in production and one in development",
);
/// Whether processes share the port.
pub const REUSE_PORT: Key<bool> = Key::new(
    "REUSE_PORT",
    "false",
    "share the port with a process that does the same, so that a new one serves before the old one is stopped",
);
/// The largest body.
pub const MAX_BODY_BYTES: Key<usize> = Key::new(
    "MAX_BODY_BYTES",
    "2097152",
    "the largest body that is read, in bytes; a larger one is 413",
);
/// Checks that are not told.
pub const SILENCED_CHECKS: Key<Vec<String>> = Key::new(
    "SILENCED_CHECKS",
    "",
    "ids of findings that `check` does not tell, such as `web.W001`; errors cannot be silenced",
);

/// The settings of a site.
///
/// Cheap to read: the framework's own are parsed once. Printing it masks secrets.
#[derive(Clone)]
pub struct Settings {
    declared: Vec<Declared>,
    /// Defaults of declarations, then those of the site's code.
    defaults: Node,
    sources: Sources,
    loaded: sources::Loaded,
    tree: Node,
    own: Own,
    secret_needed_by: Vec<String>,
    random_key: Arc<OnceLock<Secret>>,
}

/// The framework's own settings, parsed.
#[derive(Clone, Default)]
struct Own {
    debug: bool,
    secret_key: Secret,
    secret_key_fallbacks: Vec<Secret>,
    django_compat: bool,
    allowed_hosts: Vec<String>,
    bind: Bind,
    workers: u16,
    max_body_bytes: usize,
    silenced: Vec<String>,
}

#[derive(Clone)]
struct Declared {
    name: String,
    about: &'static str,
    section: bool,
    check: fn(&str, Option<&Node>) -> Vec<Misfit>,
}

fn misfits<T: DeserializeOwned>(name: &str, node: Option<&Node>) -> Vec<Misfit> {
    match read::<T>(name, node) {
        Ok((_, unknown)) => unknown,
        Err(misfits) => misfits,
    }
}

/// One line of the `settings` command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The setting's name: `DEBUG`, `shop.currency`.
    pub name: String,
    /// Its value as it may be shown: secrets are masked.
    pub value: String,
    /// Where the value came from.
    pub origin: Origin,
    /// What the setting is for.
    pub about: &'static str,
}

impl Default for Settings {
    fn default() -> Self {
        Settings::new()
    }
}

impl Settings {
    /// The framework's own settings with their defaults.
    pub fn new() -> Self {
        let mut settings = Settings {
            declared: Vec::new(),
            defaults: Node::table(Origin::Default),
            sources: Sources::none(),
            loaded: sources::Loaded::default(),
            tree: Node::table(Origin::Default),
            own: Own::default(),
            secret_needed_by: Vec::new(),
            random_key: Arc::default(),
        };
        settings.declare(&DEBUG);
        settings.declare(&SECRET_KEY);
        settings.declare(&SECRET_KEY_FALLBACKS);
        settings.declare(&DJANGO_COMPAT);
        settings.declare(&ALLOWED_HOSTS);
        settings.declare(&BIND);
        settings.declare(&WORKERS);
        settings.declare(&REUSE_PORT);
        settings.declare(&MAX_BODY_BYTES);
        settings.declare(&SILENCED_CHECKS);
        settings
    }

    /// Settings of these values alone, as if they were variables: for tests.
    ///
    /// ```
    /// use demijohn_core::Settings;
    ///
    /// let settings = Settings::from_pairs([("DEBUG", "false"), ("ALLOWED_HOSTS", "a.example, b.example")]);
    /// assert!(!settings.debug());
    /// assert_eq!(settings.allowed_hosts(), ["a.example", "b.example"]);
    /// ```
    pub fn from_pairs<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let mut settings = Settings::new();
        let sources = pairs
            .into_iter()
            .fold(Sources::none(), |sources, (k, v)| sources.var(k, v));
        settings.load(sources);
        settings
    }

    /// Declares a setting. Declaring one again changes nothing.
    pub fn declare<T: DeserializeOwned>(&mut self, key: &Key<T>) {
        if self.is_declared(key.name) {
            return;
        }
        let path = tree::path(key.name);
        if self.defaults.at(&path).is_none() {
            self.defaults.put(&path, Node::loose(key.default, Origin::Default));
        }
        self.declared.push(Declared {
            name: key.name.to_owned(),
            about: key.about,
            section: false,
            check: misfits::<T>,
        });
        self.rebuild();
    }

    /// Declares a table of settings that is read as a `T`; serde's defaults are its defaults.
    pub fn declare_section<T: DeserializeOwned>(&mut self, name: &str, about: &'static str) {
        if self.is_declared(name) {
            return;
        }
        let path = tree::path(name);
        if self.defaults.at(&path).is_none() {
            self.defaults.put(&path, Node::table(Origin::Default));
        }
        self.declared.push(Declared {
            name: path.join("."),
            about,
            section: true,
            check: misfits::<T>,
        });
        self.rebuild();
    }

    /// Gives a setting a default from code; it is declared by that, if it is not yet.
    ///
    /// What replaces the default has to be of its kind: true or false, a number, a text, a list, a table; anything
    /// where the default is `None`.
    #[track_caller]
    pub fn set_default(&mut self, name: &str, value: impl Serialize) {
        // Maps whose keys are no texts become nothing: the reader will say what it misses.
        self.default_from(
            name,
            serde_json::to_value(value).unwrap_or_default(),
            Location::caller(),
        );
    }

    pub(crate) fn default_from(&mut self, name: &str, json: serde_json::Value, at: &'static Location<'static>) {
        let path = tree::path(name);
        let node = Node::from_json(json, &Origin::Code(at));
        let check: fn(&str, Option<&Node>) -> Vec<Misfit> = match &node.value {
            Value::Bool(_) => misfits::<Option<bool>>,
            Value::Number(n) if n.is_f64() => misfits::<Option<f64>>,
            Value::Number(_) => misfits::<Option<i64>>,
            Value::String(_) | Value::Loose(_) => misfits::<Option<String>>,
            Value::List(_) => misfits::<Option<Vec<serde_json::Value>>>,
            Value::Table(_) => misfits::<Option<serde_json::Map<String, serde_json::Value>>>,
            Value::Null => |_, _| Vec::new(),
        };
        let section = node.as_table().is_some();
        self.defaults.put(&path, node);
        if !self.is_declared(name) {
            self.declared.push(Declared {
                name: match section {
                    true => path.join("."),
                    false => name.to_owned(),
                },
                about: "",
                section,
                check,
            });
        }
        self.rebuild();
    }

    /// Says that something mounted signs or encrypts, so that production needs `SECRET_KEY`; `what` is told with the error.
    pub fn needs_secret(&mut self, what: impl Into<String>) {
        let what = what.into();
        if !self.secret_needed_by.contains(&what) {
            self.secret_needed_by.push(what);
        }
    }

    /// Reads the sources. What is wrong is told by [`findings`](Self::findings), with all else.
    pub fn load(&mut self, sources: Sources) {
        self.loaded = sources.read();
        self.sources = sources;
        self.rebuild();
    }

    /// A setting by its declaration.
    ///
    /// # Errors
    /// When its value does not fit. Sites that start have no such value.
    pub fn value<T: DeserializeOwned>(&self, key: &Key<T>) -> Result<T, Finding> {
        self.get(key.name)
    }

    /// A setting by its name, which must be declared, given a default in code, or be a variable of the environment.
    ///
    /// # Errors
    /// When there is no such setting, or its value does not fit.
    pub fn get<T: DeserializeOwned>(&self, name: &str) -> Result<T, Finding> {
        let path = tree::path(name);
        let variable;
        let node = match self.tree.at(&path) {
            Some(node) => Some(node),
            None => {
                variable = self.loaded.variable(name);
                variable.as_ref()
            }
        };
        if node.is_none() && !self.is_declared(name) {
            let names: Vec<String> = self.declared.iter().map(|d| d.name.clone()).collect();
            return Err(Finding::error("settings.E002", "there is no such setting")
                .on(name)
                .hint(
                    match nearest(&name.to_ascii_uppercase(), names.iter().map(String::as_str)) {
                        Some(near) => format!("did you mean `{near}`?"),
                        None => format!("declare it: `App::setting(\"{name}\", default)`"),
                    },
                ));
        }
        let shown = shown_name(&path);
        match read::<T>(&shown, node) {
            Ok((value, _)) => Ok(value),
            Err(misfits) => {
                let first = misfits.into_iter().find(|m| !matches!(m.what, What::Unknown(_)));
                Err(first.map_or_else(
                    || Finding::error("settings.E001", "does not fit").on(shown),
                    |misfit| self.tell(misfit),
                ))
            }
        }
    }

    /// A table of settings as a `T`: `[shop]` of the file with what the other sources add.
    ///
    /// # Errors
    /// The first thing that does not fit; [`findings`](Self::findings) tells all of a declared section.
    pub fn section<T: DeserializeOwned>(&self, name: &str) -> Result<T, Finding> {
        self.get(name)
    }

    /// Development (true) or production (false).
    pub fn debug(&self) -> bool {
        self.own.debug
    }

    /// The key to sign with. In development a random one when none is set.
    ///
    /// # Errors
    /// When production has none; whoever calls this declares [`needs_secret`](Self::needs_secret), so that it is found at start.
    pub fn secret_key(&self) -> Result<&Secret, Finding> {
        if !self.own.secret_key.is_empty() {
            return Ok(&self.own.secret_key);
        }
        if !self.debug() {
            return Err(rules::no_secret_key(&self.secret_needed_by));
        }
        if let Some(key) = self.random_key.get() {
            return Ok(key);
        }
        let key = Secret::random().map_err(|error| {
            Finding::error(
                "settings.E007",
                format!("the system gave no randomness for a key: {error}"),
            )
            .on("SECRET_KEY")
            .hint("set SECRET_KEY")
        })?;
        Ok(self.random_key.get_or_init(|| {
            tracing::warn!("SECRET_KEY is not set: signed with a random key, good until this process ends");
            key
        }))
    }

    /// Keys of before, whose signatures are still good.
    pub fn secret_key_fallbacks(&self) -> &[Secret] {
        &self.own.secret_key_fallbacks
    }

    /// Names that the site answers to; empty means names of this machine.
    pub fn allowed_hosts(&self) -> &[String] {
        &self.own.allowed_hosts
    }

    /// The hosts that the site answers for; empty means any. While nobody names hosts, a site on loopback answers for names
    /// of this machine: a page elsewhere whose name was made to point here gets nothing.
    pub fn answered_hosts(&self) -> Vec<String> {
        match self.own.allowed_hosts.as_slice() {
            [] if self.bind().is_loopback() => [".localhost", "127.0.0.1", "[::1]", self.bind().host()]
                .map(str::to_owned)
                .to_vec(),
            hosts => hosts.to_vec(),
        }
    }

    /// Where the server listens.
    pub fn bind(&self) -> &Bind {
        &self.own.bind
    }

    /// How many runtimes serve, at least one.
    pub fn workers(&self) -> usize {
        match (self.own.workers, self.debug()) {
            (0, true) => 1,
            (0, false) => std::thread::available_parallelism().map_or(1, usize::from),
            (n, _) => n.into(),
        }
    }

    /// The largest body that is read, in bytes.
    pub fn max_body_bytes(&self) -> usize {
        self.own.max_body_bytes
    }

    /// Ids of findings that are not told.
    pub fn silenced_checks(&self) -> &[String] {
        &self.own.silenced
    }

    /// Where the value of a setting came from.
    pub fn origin(&self, name: &str) -> Option<&Origin> {
        self.tree.at(&tree::path(name)).map(|node| &node.origin)
    }

    /// All declared settings with their values, secrets masked.
    pub fn rows(&self) -> Vec<Row> {
        let mut rows = Vec::new();
        for declared in &self.declared {
            let path = tree::path(&declared.name);
            if let Some(node) = self.tree.at(&path) {
                add_rows(&declared.name, node, declared.about, &mut rows);
            }
        }
        rows
    }

    /// All that is wrong: files that cannot be read, values that do not fit, names that nobody declared, and what the mode (development
    /// or production) refuses.
    pub fn findings(&self) -> Vec<Finding> {
        let mut findings = self.loaded.findings.clone();
        for declared in &self.declared {
            let path = tree::path(&declared.name);
            if let Some(variable) = self.loaded.not_text(&declared.name) {
                findings.push(
                    Finding::error("settings.E006", format!("environment variable {variable} is no UTF-8"))
                        .on(declared.name.clone())
                        .hint("set it to a text"),
                );
                continue;
            }
            let name = if declared.section {
                path.join(".")
            } else {
                shown_name(&path)
            };
            let mut told = Vec::new();
            for misfit in (declared.check)(&name, self.tree.at(&path)) {
                // A value that was read in two ways fits neither; the first says what it is to be.
                if !told.contains(&misfit.name) {
                    told.push(misfit.name.clone());
                    findings.push(self.tell(misfit));
                }
            }
        }
        self.unknown_names(&mut findings);
        rules::mode(self, &mut findings);
        findings
    }

    fn is_declared(&self, name: &str) -> bool {
        let path = tree::path(name);
        self.declared.iter().any(|declared| tree::path(&declared.name) == path)
    }

    /// Lays the sources over each other, and parses the framework's own settings.
    fn rebuild(&mut self) {
        let mut tree = self.defaults.clone();
        self.loaded.lay_over(&mut tree, &self.sources);
        self.tree = tree;
        fn own<T: DeserializeOwned + Default>(settings: &Settings, key: &Key<T>) -> T {
            // A value that does not fit keeps the site from starting; until it is told, the default stands in.
            settings.value(key).unwrap_or_else(|_| {
                let node = Node::loose(key.default, Origin::Default);
                read(key.name, Some(&node)).map(|(value, _)| value).unwrap_or_default()
            })
        }
        self.own = Own {
            debug: own(self, &DEBUG),
            secret_key: own(self, &SECRET_KEY),
            secret_key_fallbacks: own(self, &SECRET_KEY_FALLBACKS),
            django_compat: own(self, &DJANGO_COMPAT),
            allowed_hosts: own(self, &ALLOWED_HOSTS),
            bind: own(self, &BIND),
            workers: own(self, &WORKERS),
            max_body_bytes: own(self, &MAX_BODY_BYTES),
            silenced: own(self, &SILENCED_CHECKS),
        };
    }

    /// A misfit as a finding.
    fn tell(&self, misfit: Misfit) -> Finding {
        let Misfit { name, origin, what } = misfit;
        match what {
            What::Missing => Finding::error("settings.E002", "it is required, and not set")
                .hint(how_to_set(&name))
                .on(name),
            What::Wrong { found, .. } if found == "\"\"" && origin == Origin::Default => {
                Finding::error("settings.E002", "it is required, and not set")
                    .hint(how_to_set(&name))
                    .on(name)
            }
            What::Wrong { expected, found } => {
                let found = match (found.as_str(), secret::is_secret_name(&name)) {
                    ("", _) => String::new(),
                    (_, true) => ", found ***".to_owned(),
                    (found, false) => format!(", found {}", secret::masked("", found)),
                };
                Finding::error("settings.E001", format!("expected {expected}{found} ({origin})"))
                    .hint(match origin {
                        Origin::Default | Origin::Code(_) => how_to_set(&name),
                        Origin::File(path, line) | Origin::DotEnv(path, line) => {
                            format!("mend line {line} of {}", path.display())
                        }
                        Origin::Environment(variable) => {
                            format!("set the environment variable {variable} to such a value, or unset it")
                        }
                        Origin::Option(option) => format!("give {option} such a value, or leave it out"),
                    })
                    .on(name)
            }
            What::Unknown(near) => unknown(&name, &origin, near.as_deref()),
        }
    }

    /// Keys at the top of the settings file that nobody declared, and lines of `.env` that look like a slip of the pen.
    fn unknown_names(&self, findings: &mut Vec<Finding>) {
        let known: Vec<String> = self
            .declared
            .iter()
            .filter_map(|declared| tree::path(&declared.name).into_iter().next())
            .collect();
        let is_known = |name: &str| known.iter().any(|known| known.eq_ignore_ascii_case(name));
        for (name, node) in self.tree.as_table().into_iter().flatten() {
            if !is_known(name) && matches!(node.origin, Origin::File(..)) {
                let near = nearest(name, known.iter().map(String::as_str));
                findings.push(unknown(&shown_name(std::slice::from_ref(name)), &node.origin, near));
            }
        }
        for (name, origin) in self.loaded.dotenv_names() {
            let head = name.split("__").next().unwrap_or(name).to_ascii_lowercase();
            // `.env` is for other programs too: only what is nearly a setting of ours is told.
            if let Some(near) = nearest(&head, known.iter().map(String::as_str)).filter(|near| *near != head) {
                findings.push(unknown(name, &origin, Some(near)));
            }
        }
    }
}

fn unknown(name: &str, origin: &Origin, near: Option<&str>) -> Finding {
    Finding::warning("settings.W001", format!("there is no such setting ({origin})"))
        .hint(match near {
            Some(near) if !name.contains('.') => format!("did you mean `{}`?", near.to_ascii_uppercase()),
            Some(near) => format!("did you mean `{near}`?"),
            None => "take it out, or declare it".to_owned(),
        })
        .on(name)
}

/// `DEBUG` for a value at the top, `shop.currency` further down.
fn shown_name(path: &[String]) -> String {
    match path {
        [name] => name.to_ascii_uppercase(),
        _ => path.join("."),
    }
}

fn how_to_set(name: &str) -> String {
    let variable = name.replace('.', "__").to_ascii_uppercase();
    match name.rsplit_once('.') {
        Some((table, key)) => {
            format!("set `{key}` under [{table}] in settings.toml, or the environment variable {variable}")
        }
        None => format!(
            "set `{}` in settings.toml, or the environment variable {variable}",
            name.to_ascii_lowercase()
        ),
    }
}

fn add_rows(name: &str, node: &Node, about: &'static str, rows: &mut Vec<Row>) {
    match node.as_table() {
        Some(table) => {
            for (key, node) in table {
                add_rows(&format!("{name}.{key}"), node, about, rows);
            }
        }
        None => rows.push(Row {
            name: name.to_owned(),
            value: secret::masked(name, &node.shown()),
            origin: node.origin.clone(),
            about,
        }),
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut map = f.debug_map();
        for row in self.rows() {
            map.entry(
                &format_args!("{}", row.name),
                &format_args!("{} ({})", row.value, row.origin),
            );
        }
        map.finish()
    }
}
