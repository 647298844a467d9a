//! Where a value came from.

use std::fmt;
use std::panic::Location;
use std::path::Path;
use std::sync::Arc;

/// Where the value of a setting came from: every error and the `settings` command name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The default of its declaration.
    Default,
    /// Given in code, `App::setting(..)`.
    Code(&'static Location<'static>),
    /// A line of the settings file.
    File(Arc<Path>, usize),
    /// A line of `.env`.
    DotEnv(Arc<Path>, usize),
    /// An environment variable, by its name.
    Environment(String),
    /// An option of the command line, such as `--bind`.
    Option(&'static str),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Default => f.write_str("default"),
            Origin::Code(at) => write!(f, "{}:{}", at.file(), at.line()),
            Origin::File(path, line) | Origin::DotEnv(path, line) => write!(f, "{}:{line}", path.display()),
            Origin::Environment(name) => write!(f, "environment variable {name}"),
            Origin::Option(name) => write!(f, "option {name}"),
        }
    }
}
