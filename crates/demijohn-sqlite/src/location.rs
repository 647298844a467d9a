//! Which database a URL means.

use demijohn_model::{Error, Result};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A database and how it is opened.
#[derive(Debug, PartialEq)]
pub(crate) struct Location {
    file: Option<PathBuf>,
    pub(crate) read_only: bool,
    pub(crate) readers: usize,
    /// How long a write waits for a transaction that holds the writer.
    pub(crate) wait: Duration,
}

impl Location {
    pub(crate) fn parse(url: &str) -> Result<Location> {
        let wrong = |what: &str| {
            Error::usage(format!(
                "DATABASE_URL `{url}`: {what}; write sqlite:///absolute/path.db, sqlite://relative.db or sqlite::memory:"
            ))
        };
        let rest = url
            .strip_prefix("sqlite:")
            .ok_or_else(|| wrong("it does not begin with `sqlite:`"))?;
        let rest = rest.strip_prefix("//").unwrap_or(rest);
        let (file, options) = rest.split_once('?').unwrap_or((rest, ""));
        let file = match file {
            "" => return Err(wrong("it names no file")),
            ":memory:" => None,
            // SQLAlchemy writes an absolute path with four slashes.
            file if file.starts_with("//") => Some(PathBuf::from(format!("/{}", file.trim_start_matches('/')))),
            file => Some(PathBuf::from(file)),
        };
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let mut location = Location {
            // Messages name the whole path, and a later change of the working folder changes nothing.
            file: file.map(|file| std::path::absolute(&file).unwrap_or(file)),
            read_only: false,
            readers: (cores + 1).min(4),
            wait: Duration::from_secs(5),
        };
        for option in options.split('&').filter(|option| !option.is_empty()) {
            match option.split_once('=') {
                Some(("mode", "ro")) => location.read_only = true,
                Some(("mode", "rwc")) => {}
                Some(("readers", count)) => {
                    location.readers = count
                        .parse()
                        .ok()
                        .filter(|count| (1..=64).contains(count))
                        .ok_or_else(|| wrong("`readers` is a number from 1 to 64"))?;
                }
                Some(("wait", seconds)) => {
                    location.wait = seconds
                        .parse()
                        .ok()
                        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
                        .filter(|wait| *wait <= Duration::from_secs(3600))
                        .ok_or_else(|| wrong("`wait` is a number of seconds, 3600 at most"))?;
                }
                _ => {
                    return Err(wrong(&format!(
                        "no option `{option}`, there are `mode=ro`, `readers=4` and `wait=5`"
                    )));
                }
            }
        }
        if location.file.is_none() && location.read_only {
            return Err(wrong("a new database in memory cannot be read only"));
        }
        Ok(location)
    }

    /// The file; `None` for memory.
    pub(crate) fn path(&self) -> Option<&Path> {
        self.file.as_deref()
    }
}

impl std::fmt::Display for Location {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.file {
            Some(file) => write!(f, "{}", file.display()),
            None => f.write_str("the database in memory"),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn file(url: &str) -> Option<PathBuf> {
        Location::parse(url).unwrap().file
    }

    #[test]
    fn three_and_four_slashes_are_an_absolute_path_and_two_a_relative_one() {
        assert_eq!(file("sqlite:///srv/a.db"), Some("/srv/a.db".into()));
        assert_eq!(file("sqlite:////srv/a.db"), Some("/srv/a.db".into()));
        let here = std::env::current_dir().unwrap();
        assert_eq!(file("sqlite://a.db"), Some(here.join("a.db")));
        assert_eq!(file("sqlite://data/a.db"), Some(here.join("data/a.db")));
        assert_eq!(file("sqlite::memory:"), None);
        assert_eq!(file("sqlite://:memory:"), None);
    }

    #[test]
    fn options_are_checked() {
        let location = Location::parse("sqlite://a.db?mode=ro&readers=2&wait=0.5").unwrap();
        assert!(location.read_only);
        assert_eq!((location.readers, location.wait), (2, Duration::from_millis(500)));
        for wrong in [
            "postgres://x",
            "sqlite://",
            "sqlite:",
            "sqlite://a?cache=1",
            "sqlite://a?wait=-1",
            "sqlite://a?readers=0",
        ] {
            let error = Location::parse(wrong).unwrap_err().to_string();
            assert!(error.contains("sqlite:///absolute/path.db"), "{error}");
        }
    }
}
