//! Runs commands without a process, for tests and for other commands.

use super::{Console, Program, TemporaryFolder};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{self, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

/// What a command did.
#[derive(Debug)]
pub struct Outcome {
    /// The exit code.
    pub code: u8,
    /// What it wrote to standard output.
    pub stdout: String,
    /// What it wrote to standard error.
    pub stderr: String,
    folder: Option<TemporaryFolder>,
}

impl Outcome {
    /// The folder of [`Runner::isolated`]; gone when this is dropped.
    pub fn folder(&self) -> Option<&Path> {
        self.folder.as_ref().map(TemporaryFolder::path)
    }
}

/// Runs a command in this process and captures what it prints.
///
/// It sees the input, variables and folder that are given here, and nothing of the process's own.
#[must_use = "a runner does nothing until `run`"]
pub struct Runner<'p> {
    program: &'p Arc<Program>,
    args: Vec<OsString>,
    input: Vec<u8>,
    variables: BTreeMap<String, String>,
    isolated: bool,
    color: bool,
}

impl<'p> Runner<'p> {
    /// A runner for the commands of a program.
    pub fn new(program: &'p Arc<Program>) -> Self {
        Runner {
            program,
            args: Vec::new(),
            input: Vec::new(),
            variables: BTreeMap::new(),
            isolated: false,
            color: false,
        }
    }

    /// The command and its arguments.
    pub fn args<A: Into<OsString>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// What standard input holds.
    pub fn input(mut self, input: impl Into<Vec<u8>>) -> Self {
        self.input = input.into();
        self
    }

    /// A variable of the environment.
    pub fn var(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.variables.insert(name.into(), value.into());
        self
    }

    /// Runs in an empty folder of its own: paths that go through [`Call`](super::Call) are relative to it.
    pub fn isolated(mut self) -> Self {
        self.isolated = true;
        self
    }

    /// Keeps colours, as on a terminal.
    pub fn color(mut self) -> Self {
        self.color = true;
        self
    }

    /// Runs it.
    pub async fn run(self) -> Outcome {
        let (out, err) = (Capture::default(), Capture::default());
        let folder = match self.isolated.then(TemporaryFolder::make).transpose() {
            Ok(folder) => folder,
            Err(error) => {
                return Outcome {
                    code: 1,
                    stdout: String::new(),
                    stderr: format!("cannot make a temporary folder: {error}"),
                    folder: None,
                };
            }
        };
        let place = folder
            .as_ref()
            .map(|folder| folder.path().to_owned())
            .unwrap_or_default();
        let console = Console::captured(out.clone(), err.clone(), self.input, self.variables, place, self.color);
        let code = self.program.call(self.args, Arc::new(console)).await;
        Outcome {
            code,
            stdout: out.text(),
            stderr: err.text(),
            folder,
        }
    }
}

/// Runs a command of a site in this process, Django's `call_command`.
pub async fn call_command<A: Into<OsString>>(program: &Arc<Program>, args: impl IntoIterator<Item = A>) -> Outcome {
    Runner::new(program).args(args).run().await
}

#[derive(Clone, Default)]
struct Capture(Arc<Mutex<Vec<u8>>>);

impl Capture {
    fn text(&self) -> String {
        let bytes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

impl Write for Capture {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
