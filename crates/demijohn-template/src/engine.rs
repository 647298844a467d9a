//! The engine: folders in, text out.

use crate::context::Context;
use crate::error::Error;
use crate::filters;
use crate::folder::Folder;
use crate::scan;
use minijinja::functions::Function;
use minijinja::syntax::SyntaxConfig;
use minijinja::value::{FunctionArgs, FunctionResult};
use minijinja::{AutoEscape, Environment, Output, State, TemplateSource, UndefinedBehavior, Value};
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

/// Renders templates. It is built once, shared, and never changes.
#[derive(Debug)]
pub struct Engine {
    env: Environment<'static>,
    folders: Arc<[Folder]>,
    /// Embedded templates that did not parse, found while building.
    broken: Vec<Fault>,
}

/// Collects what an [`Engine`] is made of.
#[must_use]
pub struct Builder {
    env: Environment<'static>,
    folders: Vec<Folder>,
}

/// Something wrong with a template, found without rendering it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The template's name.
    pub template: String,
    /// Its file, where it is on disk.
    pub file: Option<PathBuf>,
    /// The line, from 1; 0 when the whole is meant.
    pub line: usize,
    /// What is wrong.
    pub message: String,
    /// The line with a caret, or empty.
    pub excerpt: String,
}

impl Fault {
    /// `file:line` where there is a file, `template:line` otherwise.
    pub fn place(&self) -> String {
        let name = match &self.file {
            Some(file) => file.display().to_string(),
            None => self.template.clone(),
        };
        match self.line {
            0 => name,
            line => format!("{name}:{line}"),
        }
    }
}

impl Engine {
    /// An engine to fill.
    pub fn builder() -> Builder {
        let mut env = Environment::new();
        env.set_undefined_behavior(UndefinedBehavior::Strict);
        env.set_auto_escape_callback(escape_by_ending);
        // Tags on a line of their own leave no empty line behind: pages stay readable for whoever views their source.
        let mut syntax = SyntaxConfig::builder();
        syntax.trim_blocks(true).lstrip_blocks(true).keep_trailing_newline(true);
        env.set_syntax(syntax.build().expect("the usual delimiters are valid"));
        env.set_formatter(format_value);
        filters::add(&mut env);
        // What Python's texts, lists and mappings can do: templates that were written for Jinja2 call them.
        env.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
        // Errors carry the source; costs nothing until there is one.
        env.set_debug(true);
        Builder {
            env,
            folders: Vec::new(),
        }
    }

    /// Renders a template.
    ///
    /// # Errors
    /// The template is not there or does not parse, a name in it is undefined, or a filter or function failed.
    pub fn render(&self, name: &str, context: impl Context) -> Result<String, Error> {
        let template = self.env.get_template(name).map_err(|e| self.explain(name, e))?;
        template.render(context.into_value()).map_err(|e| self.explain(name, e))
    }

    /// Renders a text as a template that may extend and include others; it is escaped as HTML.
    ///
    /// # Errors
    /// As [`render`](Self::render).
    pub fn render_text(&self, source: &str, context: impl Context) -> Result<String, Error> {
        self.env
            .render_named_str(FROM_TEXT, source, context.into_value())
            .map_err(|e| self.explain(FROM_TEXT, e))
    }

    /// True when a template of this name is there (it may still not parse).
    pub fn has(&self, name: &str) -> bool {
        self.folders
            .iter()
            .any(|folder| folder.files().iter().any(|(n, _)| *n == name) || folder.find_on_disk(name).is_some())
    }

    /// The names of all templates, each once.
    pub fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = self
            .folders
            .iter()
            .flat_map(|f| f.names().unwrap_or_default())
            .collect();
        names.sort();
        names.dedup();
        names
    }

    /// The name that looks most like this one, for messages.
    pub fn nearest(&self, name: &str) -> Option<String> {
        nearest(name, self.names())
    }

    /// The file of a template, where it is on disk.
    pub fn file(&self, name: &str) -> Option<PathBuf> {
        // An embedded template of an earlier folder hides a file of a later one.
        let folder = self
            .folders
            .iter()
            .find(|folder| folder.files().iter().any(|(n, _)| *n == name) || folder.find_on_disk(name).is_some())?;
        folder.find_on_disk(name)
    }

    /// Reads every template and reports what does not parse and which templates are extended, included or imported
    /// without being there.
    pub fn check(&self) -> Vec<Fault> {
        let mut faults = Vec::new();
        for folder in self.folders.iter() {
            if let Err((path, error)) = folder.names() {
                faults.push(Fault {
                    template: String::new(),
                    message: format!("the template folder cannot be read: {error}"),
                    file: Some(path),
                    line: 0,
                    excerpt: String::new(),
                });
            }
        }
        for name in self.names() {
            match self.env.get_template(&name) {
                Err(error) => faults.push(match self.broken.iter().find(|f| f.template == name) {
                    Some(known) => known.clone(),
                    None => self.fault(&name, error),
                }),
                Ok(template) => {
                    for mention in scan::templates(template.source()) {
                        if !self.has(mention.name) {
                            let mut message = format!("no template `{}`", mention.name);
                            if let Some(near) = self.nearest(mention.name) {
                                message.push_str(&format!("; did you mean `{near}`?"));
                            }
                            faults.push(self.fault_at(&name, mention.line, message));
                        }
                    }
                }
            }
        }
        faults
    }

    /// Calls `judge` with the first literal argument of every call of `function` in every template; what it answers
    /// becomes a fault there. This is how names of routes in `url_for('..')` are checked.
    pub fn check_calls(&self, function: &str, judge: impl Fn(&str) -> Option<String>) -> Vec<Fault> {
        let mut faults = Vec::new();
        for name in self.names() {
            let Ok(template) = self.env.get_template(&name) else {
                continue;
            };
            for mention in scan::calls(template.source(), function) {
                if let Some(message) = judge(mention.name) {
                    faults.push(self.fault_at(&name, mention.line, message));
                }
            }
        }
        faults
    }

    /// A template and all that it extends, includes or imports by literal names, directly or over others.
    pub fn family(&self, name: &str) -> Vec<String> {
        let mut seen = vec![name.to_owned()];
        let mut next = 0;
        while let Some(name) = seen.get(next) {
            if let Ok(template) = self.env.get_template(name) {
                for mention in scan::templates(template.source()) {
                    if !seen.iter().any(|s| s == mention.name) {
                        seen.push(mention.name.to_owned());
                    }
                }
            }
            next += 1;
        }
        seen
    }

    /// The names that a template uses without setting them, with those of the templates that it extends or includes;
    /// names that the engine itself provides are left out.
    ///
    /// # Errors
    /// The template is not there or does not parse.
    pub fn free_names(&self, name: &str) -> Result<Vec<String>, Error> {
        let template = self.env.get_template(name).map_err(|e| self.explain(name, e))?;
        let mut free: Vec<String> = template.undeclared_variables(false).into_iter().collect();
        // One that is missing is reported where it is mentioned.
        let family = self.family(name);
        let others = family
            .iter()
            .skip(1)
            .filter_map(|name| self.env.get_template(name).ok());
        free.extend(others.flat_map(|template| template.undeclared_variables(false)));
        let provided: Vec<&str> = self.env.globals().map(|(name, _)| name).collect();
        free.retain(|name| !provided.contains(&name.as_str()));
        free.sort();
        free.dedup();
        Ok(free)
    }

    fn fault(&self, name: &str, error: minijinja::Error) -> Fault {
        let error = self.explain(name, error);
        Fault {
            template: name.to_owned(),
            file: self.file(name),
            line: error.line().unwrap_or(0),
            message: error.message(),
            excerpt: error.excerpt().unwrap_or_default(),
        }
    }

    fn fault_at(&self, name: &str, line: usize, message: String) -> Fault {
        Fault {
            template: name.to_owned(),
            file: self.file(name),
            line,
            message,
            excerpt: String::new(),
        }
    }

    /// Adds to a 'not found' which name was meant, or where it was looked for.
    fn explain(&self, name: &str, error: minijinja::Error) -> Error {
        let error = Error::new(error);
        if !error.is_not_found() {
            return error;
        }
        // A broken embedded template was left out of the environment: say why rather than 'not found'.
        if let Some(broken) = self.broken.iter().find(|fault| fault.template == name) {
            return error.hint(format!("it does not parse: {} ({})", broken.message, broken.place()));
        }
        let missing_folder = self.folders.iter().filter_map(Folder::path).find(|path| !path.is_dir());
        if let Some(path) = missing_folder {
            return error.hint(format!(
                "the folder {} is not there: a debug build reads its templates from the source tree, a release build carries them",
                path.display()
            ));
        }
        match self.nearest(name) {
            Some(near) => error.hint(format!("did you mean `{near}`?")),
            None => error,
        }
    }
}

impl Builder {
    /// Adds a folder. Earlier folders hide templates of the same name in later ones: a site's own come first, those of
    /// its blueprints after.
    pub fn folder(mut self, folder: Folder) -> Self {
        self.folders.push(folder);
        self
    }

    /// Adds a filter: `{{ value | name }}`.
    pub fn filter<F, R, A>(mut self, name: &'static str, filter: F) -> Self
    where
        F: Function<R, A>,
        R: FunctionResult,
        A: for<'a> FunctionArgs<'a>,
    {
        self.env.add_filter(name, filter);
        self
    }

    /// Adds a function: `{{ name(..) }}`.
    pub fn function<F, R, A>(mut self, name: &'static str, function: F) -> Self
    where
        F: Function<R, A>,
        R: FunctionResult,
        A: for<'a> FunctionArgs<'a>,
    {
        self.env.add_function(name, function);
        self
    }

    /// Adds a test: `{% if value is name %}`.
    pub fn test<F, R, A>(mut self, name: &'static str, test: F) -> Self
    where
        F: Function<R, A>,
        R: FunctionResult,
        A: for<'a> FunctionArgs<'a>,
    {
        self.env.add_test(name, test);
        self
    }

    /// Adds a value that every template sees; what the page hands over hides it.
    pub fn global(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        self.env.add_global(name, value);
        self
    }

    /// For what has no method here.
    pub fn environment(mut self, change: impl FnOnce(&mut Environment<'static>)) -> Self {
        change(&mut self.env);
        self
    }

    /// The engine. Embedded templates are parsed now; one that does not parse fails when it is rendered, and
    /// [`Engine::check`] reports it.
    pub fn build(self) -> Engine {
        let Builder { mut env, folders } = self;
        let folders: Arc<[Folder]> = folders.into();
        let mut errors = Vec::new();
        // Templates that are borrowed from the program are looked up without a lock. They are put in from the last
        // folder to the first, so that the first wins; a name that an earlier folder has on disk is left to the loader.
        for (at, folder) in folders.iter().enumerate().rev() {
            for &(name, source) in folder.files() {
                if folders[..at].iter().any(|earlier| earlier.find_on_disk(name).is_some()) {
                    continue;
                }
                env.remove_template(name);
                errors.retain(|(broken, _)| *broken != name);
                if let Err(error) = env.add_template(name, source) {
                    errors.push((name, error));
                }
            }
        }
        let on_disk: Vec<Folder> = folders.iter().filter(|f| f.path().is_some()).copied().collect();
        if !on_disk.is_empty() {
            env.set_loader(move |name| load(&on_disk, name));
        }
        let mut engine = Engine {
            env,
            folders,
            broken: Vec::new(),
        };
        engine.broken = errors
            .into_iter()
            .map(|(name, error)| engine.fault(name, error))
            .collect();
        engine
    }
}

/// Reads a template from the first folder that has it, to be read anew when the file changes, goes, or when a folder
/// before it gets one of this name.
fn load(folders: &[Folder], name: &str) -> Result<Option<TemplateSource>, minijinja::Error> {
    let Some((at, path)) = folders
        .iter()
        .enumerate()
        .find_map(|(at, folder)| Some((at, folder.find_on_disk(name)?)))
    else {
        return Ok(None);
    };
    let stamp = |path: &PathBuf| fs::metadata(path).ok().map(|m| (m.modified().ok(), m.len()));
    // Before reading, so that a write in between is seen as a change.
    let before = stamp(&path);
    let source = fs::read_to_string(&path).map_err(|e| {
        minijinja::Error::new(
            minijinja::ErrorKind::TemplateNotFound,
            format!("template `{name}` cannot be read from {}", path.display()),
        )
        .with_source(e)
    })?;
    let earlier: Vec<Folder> = folders[..at].to_vec();
    let name = name.to_owned();
    Ok(Some(TemplateSource::new(source).with_uptodate_check(move || {
        stamp(&path) == before && !earlier.iter().any(|folder| folder.find_on_disk(&name).is_some())
    })))
}

/// The name of a template that has none.
const FROM_TEXT: &str = "<text>";

/// Escaping for everything that a browser reads as markup; none for text, mail and the like.
fn escape_by_ending(name: &str) -> AutoEscape {
    if name == FROM_TEXT {
        return AutoEscape::Html;
    }
    let ending = name.rsplit('.').next().unwrap_or("").to_ascii_lowercase();
    match ending.as_str() {
        "html" | "htm" | "xml" | "xhtml" | "svg" | "rss" | "atom" => AutoEscape::Html,
        _ => AutoEscape::None,
    }
}

/// Writes a value into a page. The engine's own way escapes `/` as well, which guards nothing between tags or in quoted
/// attributes and makes every link unreadable.
fn format_value(out: &mut Output, state: &mut State, value: &Value) -> Result<(), minijinja::Error> {
    match value.as_str() {
        Some(text) if *state.auto_escape() == AutoEscape::Html && !value.is_safe() => {
            write_escaped(out, text).map_err(minijinja::Error::from)
        }
        None if *state.auto_escape() == AutoEscape::Html && !value.is_safe() && is_made_of_others(value) => {
            write_escaped(out, &value.to_string()).map_err(minijinja::Error::from)
        }
        _ => minijinja::escape_formatter(out, state, value),
    }
}

/// A value that shows texts of others when it is shown: a list, a mapping, an object.
fn is_made_of_others(value: &Value) -> bool {
    use minijinja::value::ValueKind::{Iterable, Map, Plain, Seq};
    matches!(value.kind(), Iterable | Map | Plain | Seq)
}

pub(crate) fn write_escaped(out: &mut impl std::fmt::Write, text: &str) -> std::fmt::Result {
    let mut written = 0;
    for (at, byte) in text.bytes().enumerate() {
        let escape = match byte {
            b'&' => "&amp;",
            b'<' => "&lt;",
            b'>' => "&gt;",
            b'"' => "&quot;",
            b'\'' => "&#39;",
            _ => continue,
        };
        // These are ASCII, so the cuts are between characters.
        out.write_str(&text[written..at])?;
        out.write_str(escape)?;
        written = at + 1;
    }
    out.write_str(&text[written..])
}

/// The candidate with the smallest edit distance, if it is small enough to be a slip of the pen.
fn nearest(name: &str, candidates: Vec<String>) -> Option<String> {
    let limit = (name.chars().count() / 3).max(2);
    candidates
        .into_iter()
        .map(|candidate| (distance(name, &candidate), candidate))
        .filter(|(distance, _)| *distance <= limit)
        .min()
        .map(|(_, candidate)| candidate)
}

fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, cb) in b.iter().enumerate() {
            let cost = diagonal + usize::from(ca != *cb);
            diagonal = row[j + 1];
            row[j + 1] = cost.min(row[j] + 1).min(row[j + 1] + 1);
        }
    }
    row[b.len()]
}
