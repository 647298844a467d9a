//! What a command is called with.

use super::console::{Console, Output, Style};
use super::line::Parsed;
use super::{Program, Runner};
use crate::error::{Error, Result};
use crate::settings::Settings;
use crate::site::Bag;
use clap::ArgMatches;
use std::any::type_name;
use std::ffi::OsString;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What a command is called with: its arguments, the site, and where it reads and writes.
///
/// Write with `writeln!(call.out(), ..)?`: `println!` goes past tests.
pub struct Call {
    program: Arc<Program>,
    console: Arc<Console>,
    args: ArgMatches,
    path: Vec<String>,
    choices: Vec<(String, Vec<String>)>,
}

impl Call {
    pub(super) fn new(program: Arc<Program>, parsed: &Parsed, console: Arc<Console>) -> Self {
        Call {
            program,
            console,
            args: parsed.matches.clone(),
            path: parsed.path.clone(),
            choices: parsed.choices.clone(),
        }
    }

    /// The value of an option or argument that always has one: a required one, or one with a default.
    ///
    /// # Errors
    /// When it has none, is not declared, or was declared with another type.
    pub fn get<T: Clone + Send + Sync + 'static>(&self, name: &str) -> Result<T> {
        self.opt(name)?.ok_or_else(|| {
            self.wrong(
                name,
                "has no value here; make it `.required(true)`, give it a default, or read it with `opt`",
            )
        })
    }

    /// The value of an option or argument, if it was given.
    ///
    /// # Errors
    /// When it is not declared, or was declared with another type.
    pub fn opt<T: Clone + Send + Sync + 'static>(&self, name: &str) -> Result<Option<T>> {
        let value = self.args.try_get_one::<T>(name);
        value
            .map(|value| value.cloned())
            .map_err(|error| self.mistyped::<T>(name, &error))
    }

    /// All values of an option or argument that takes several.
    ///
    /// # Errors
    /// When it is not declared, or was declared with another type.
    pub fn all<T: Clone + Send + Sync + 'static>(&self, name: &str) -> Result<Vec<T>> {
        let values = self.args.try_get_many::<T>(name);
        let values = values.map_err(|error| self.mistyped::<T>(name, &error))?;
        Ok(values.map(|values| values.cloned().collect()).unwrap_or_default())
    }

    /// True when the flag was given.
    pub fn flag(&self, name: &str) -> bool {
        matches!(self.args.try_get_one::<bool>(name), Ok(Some(true)))
    }

    /// How often a flag was given: 3 for `-vvv`.
    pub fn count(&self, name: &str) -> u8 {
        self.args.try_get_one::<u8>(name).ok().flatten().copied().unwrap_or(0)
    }

    /// What [`Command::switch`](super::Command::switch) was set to, if at all.
    pub fn switch(&self, name: &str) -> Option<bool> {
        match (self.flag(name), self.flag(&format!("no-{name}"))) {
            (true, _) => Some(true),
            (_, true) => Some(false),
            _ => None,
        }
    }

    /// The flag that was given of those of [`Command::choice`](super::Command::choice).
    pub fn chosen(&self, name: &str) -> Option<&str> {
        let (_, flags) = self.choices.iter().find(|(choice, _)| choice == name)?;
        flags.iter().find(|flag| self.flag(flag)).map(String::as_str)
    }

    /// All arguments, in clap's terms.
    pub fn args(&self) -> &ArgMatches {
        &self.args
    }

    /// What the site provides, by type.
    pub fn site(&self) -> &Arc<Bag> {
        &self.program.site
    }

    /// A value that the site provides.
    ///
    /// # Errors
    /// When nothing provides it.
    #[track_caller]
    pub fn provided<T: Send + Sync + 'static>(&self) -> Result<&T> {
        let value = self.program.site.get::<T>();
        value.ok_or_else(|| Error::internal(format!("nothing provides `{}`", type_name::<T>())))
    }

    /// A value that the site was given by `.state(..)`, or a table of settings that it declares.
    ///
    /// # Errors
    /// When it was given none.
    #[track_caller]
    pub fn state<T: Send + Sync + 'static>(&self) -> Result<Arc<T>> {
        let value = self.program.site.get::<Arc<T>>().cloned();
        value.ok_or_else(|| Error::internal(format!("the site has no state of type `{}`", type_name::<T>())))
    }

    /// The settings.
    pub fn settings(&self) -> &Settings {
        &self.program.settings
    }

    /// The program, with its commands and checks.
    pub fn program(&self) -> &Arc<Program> {
        &self.program
    }

    /// Standard output.
    pub fn out(&self) -> Output<'_> {
        self.console.out()
    }

    /// Standard error.
    pub fn err(&self) -> Output<'_> {
        self.console.err()
    }

    /// A text in the colours of its meaning, where output goes to a terminal; else the text itself.
    pub fn styled(&self, style: Style, text: &str) -> String {
        self.console.styled(style, text)
    }

    /// One line of standard input, without its end; empty when there is no more.
    ///
    /// # Errors
    /// When standard input cannot be read.
    pub fn read_line(&self) -> io::Result<String> {
        self.console.read_line()
    }

    /// A variable of the environment.
    pub fn var(&self, name: &str) -> Option<&str> {
        self.console.variable(name)
    }

    /// A path as the user meant it: relative to the folder that the command was called in.
    pub fn path(&self, path: impl AsRef<Path>) -> PathBuf {
        self.console.path(path.as_ref())
    }

    /// The bytes of a file; `-` is standard input.
    ///
    /// # Errors
    /// When it cannot be read; the message names it.
    pub fn read(&self, path: impl AsRef<Path>) -> Result<Vec<u8>> {
        let path = path.as_ref();
        let bytes = match path == Path::new("-") {
            true => self.console.read_all(),
            false => std::fs::read(self.path(path)),
        };
        bytes.map_err(|error| Error::internal(format!("cannot read {}: {error}", path.display())))
    }

    /// Writes bytes to a file; `-` is standard output.
    ///
    /// # Errors
    /// When it cannot be written; the message names it.
    pub fn write(&self, path: impl AsRef<Path>, bytes: &[u8]) -> Result<()> {
        let path = path.as_ref();
        let written = match path == Path::new("-") {
            true => self.out().write_all(bytes),
            false => std::fs::write(self.path(path), bytes),
        };
        written.map_err(|error| Error::internal(format!("cannot write {}: {error}", path.display())))
    }

    /// Runs another command of the site on the same console: `call.command(["migrate"]).await?`.
    ///
    /// # Errors
    /// When it exits with another code than 0; it has told why by then.
    pub async fn command<A: Into<OsString>>(&self, args: impl IntoIterator<Item = A>) -> Result<()> {
        let args: Vec<OsString> = args.into_iter().map(Into::into).collect();
        let name = args.first().map(|name| name.to_string_lossy().into_owned());
        // Boxed, for a command may call itself.
        match Box::pin(self.program.call(args, Arc::clone(&self.console))).await {
            0 => Ok(()),
            code => Err(Error::internal(format!(
                "the command `{}` ended with code {code}",
                name.unwrap_or_default()
            ))),
        }
    }

    /// Runs another command of the site and captures what it prints.
    pub fn capture<A: Into<OsString>>(&self, args: impl IntoIterator<Item = A>) -> Runner<'_> {
        Runner::new(&self.program).args(args)
    }

    fn mistyped<T>(&self, name: &str, error: &clap::parser::MatchesError) -> Error {
        match error {
            clap::parser::MatchesError::Downcast { .. } => self.wrong(
                name,
                &format!(
                    "is not declared as `{0}`: give it `.value_parser(value_parser!({0}))`",
                    type_name::<T>()
                ),
            ),
            _ => self.wrong(name, "is not declared"),
        }
    }

    fn wrong(&self, name: &str, what: &str) -> Error {
        Error::internal(format!(
            "argument `{name}` of the command `{}` {what}",
            self.path.join(" ")
        ))
    }
}
