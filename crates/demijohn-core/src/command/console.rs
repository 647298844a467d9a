//! What a command reads from and writes to: the process's own, or a test's.

use std::collections::BTreeMap;
use std::io::{self, BufRead, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Standard input and output, the environment and the folder of a command: the process's own, or a test's.
pub struct Console {
    out: Mutex<Box<dyn Write + Send>>,
    err: Mutex<Box<dyn Write + Send>>,
    input: Mutex<Box<dyn BufRead + Send>>,
    variables: BTreeMap<String, String>,
    folder: PathBuf,
    color: bool,
    err_color: bool,
}

/// What a styled text means; how it looks is the terminal's affair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// It worked.
    Success,
    /// It will hurt some day.
    Warning,
    /// It went wrong.
    Error,
    /// A heading.
    Heading,
}

impl Style {
    fn code(self) -> &'static str {
        match self {
            Style::Success => "32",
            Style::Warning => "33",
            Style::Error => "31",
            Style::Heading => "1",
        }
    }
}

impl Console {
    /// The console of this process. Colours are for terminals, and never where `NO_COLOR` is set.
    pub fn process() -> Self {
        let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Console {
            out: Mutex::new(Box::new(io::stdout())),
            err: Mutex::new(Box::new(io::stderr())),
            input: Mutex::new(Box::new(io::BufReader::new(io::stdin()))),
            variables: std::env::vars_os()
                .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
                .collect(),
            folder: PathBuf::new(),
            color: !plain && io::stdout().is_terminal(),
            err_color: !plain && io::stderr().is_terminal(),
        }
    }

    pub(super) fn captured(
        out: impl Write + Send + 'static,
        err: impl Write + Send + 'static,
        input: Vec<u8>,
        variables: BTreeMap<String, String>,
        folder: PathBuf,
        color: bool,
    ) -> Self {
        Console {
            out: Mutex::new(Box::new(out)),
            err: Mutex::new(Box::new(err)),
            input: Mutex::new(Box::new(io::Cursor::new(input))),
            variables,
            folder,
            color,
            err_color: color,
        }
    }

    /// The same without colours.
    #[must_use]
    pub fn plain(mut self) -> Self {
        self.color = false;
        self.err_color = false;
        self
    }

    pub(super) fn out(&self) -> Output<'_> {
        Output(lock(&self.out))
    }

    pub(super) fn err(&self) -> Output<'_> {
        Output(lock(&self.err))
    }

    pub(super) fn read_line(&self) -> io::Result<String> {
        let mut line = String::new();
        lock(&self.input).read_line(&mut line)?;
        line.truncate(line.trim_end_matches(['\r', '\n']).len());
        Ok(line)
    }

    pub(super) fn read_all(&self) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        lock(&self.input).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    pub(super) fn variable(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str)
    }

    pub(super) fn path(&self, path: &Path) -> PathBuf {
        self.folder.join(path)
    }

    pub(super) fn styled(&self, style: Style, text: &str) -> String {
        paint(self.color, style, text)
    }

    /// Prints `error: ..` on stderr.
    pub fn error(&self, text: &str) {
        let label = paint(self.err_color, Style::Error, "error:");
        self.problem(&format!("{label} {text}"));
    }

    /// Prints text on stderr. That nobody listens there is no reason to fail.
    pub fn problem(&self, text: &str) {
        // In one write, so that lines of the log do not come in between.
        let _ = self.err().write_all(format!("{text}\n").as_bytes());
    }

    /// Prints a line on standard output.
    pub fn say(&self, text: &str) {
        let mut out = self.out();
        let _ = out.write_all(format!("{text}\n").as_bytes());
        let _ = out.flush();
    }

    pub(super) fn flush(&self) {
        let _ = self.out().flush();
        let _ = self.err().flush();
    }
}

fn paint(color: bool, style: Style, text: &str) -> String {
    match color {
        true => format!("\u{1b}[{}m{text}\u{1b}[0m", style.code()),
        false => text.to_owned(),
    }
}

/// A panic while somebody wrote leaves nothing broken behind.
fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Where a command writes. Hold it for one write, not over an `.await`.
pub struct Output<'c>(MutexGuard<'c, Box<dyn Write + Send>>);

impl Write for Output<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}
