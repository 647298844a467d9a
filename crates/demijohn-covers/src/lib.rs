//! What a test says about itself: the parity rows it proves, why it was skipped, which service it needs.
//!
//! `parity/*.toml` lists every feature that Demijohn promises, one row each. A test that would fail if the feature were gone
//! says so where it runs, and `cargo xtask parity` counts a row only when a test that *passed* recorded it:
//!
//! ```
//! use demijohn_covers::covers;
//!
//! // in a #[test]
//! covers!("flask.routing.converter.int");
//! assert!("abc".parse::<i64>().is_err());
//! ```
//!
//! Outside `cargo xtask test` all of this does nothing but print, so a test runs under any runner and in any editor.
//!
//! # How it is recorded
//! `cargo xtask test` sets [`FOLDER`] to an empty folder. Each process appends to a file of its own there, one line a record,
//! the fields parted by tabs: `covers` or `skip`, the row or the reason, the test's binary, its name. nextest tells both
//! through its `NEXTEST_*` variables; under plain `cargo test` the thread carries the test's name, so call the macros on
//! the test's own thread, not in a task that you spawned elsewhere.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;

/// The environment variable that names the folder for records.
pub const FOLDER: &str = "DEMIJOHN_COVERS";

/// Says that the running test proves these parity rows.
///
/// Takes string literals only, so that `cargo xtask parity` finds every id in the sources too and refuses an unknown one.
///
/// ```
/// demijohn_covers::covers!("flask.routing.converter.int", "flask.routing.converter.string");
/// ```
#[macro_export]
macro_rules! covers {
    ($($row:literal),+ $(,)?) => {{
        $($crate::__record("covers", ::core::concat!($row));)+
    }};
}

/// Says that the running test cannot run here and why; the test is then counted as skipped and proves no row.
///
/// For data that is not part of the repository. A missing *service* is no reason to skip: see [`service`].
///
/// ```
/// # fn chinook() -> Option<std::path::PathBuf> { None }
/// # fn test() {
/// let Some(data) = chinook() else { return demijohn_covers::skip!("the Chinook data are not here") };
/// # let _ = data; }
/// # test();
/// ```
#[macro_export]
macro_rules! skip {
    ($($reason:tt)+) => {
        $crate::__record("skip", &::std::format!($($reason)+))
    };
}

/// Where the service is that a test needs, from the environment variable `variable` (such as `TEST_CHROMIUM`).
///
/// # Panics
/// When the variable is not set: a test that needs a service must never pass without it.
#[track_caller]
pub fn service(variable: &str) -> String {
    match std::env::var(variable) {
        Ok(place) if !place.is_empty() => place,
        _ => panic!(
            "this test needs the service that {variable} points to; `cargo xtask test` starts it and sets {variable}"
        ),
    }
}

#[doc(hidden)]
pub fn __record(kind: &str, text: &str) {
    if kind == "skip" {
        eprintln!("skipped: {text}");
    }
    let Some(folder) = std::env::var_os(FOLDER).filter(|folder| !folder.is_empty()) else {
        return;
    };
    let (binary, test) = identity();
    let line = record_line(kind, text, &binary, &test);
    // One file per process and one write per line: processes need no lock, and threads of one process append whole lines.
    let file = Path::new(&folder).join(format!("{}.tsv", std::process::id()));
    let written = OpenOptions::new()
        .create(true)
        .append(true)
        .open(&file)
        .and_then(|mut f| f.write_all(line.as_bytes()));
    if let Err(error) = written {
        panic!("cannot record in {} (from {FOLDER}): {error}", file.display());
    }
}

fn record_line(kind: &str, text: &str, binary: &str, test: &str) -> String {
    let one_line = |text: &str| text.replace(['\t', '\n', '\r'], " ");
    format!("{kind}\t{}\t{}\t{}\n", one_line(text), one_line(binary), one_line(test))
}

/// The binary and the name of the running test.
fn identity() -> (String, String) {
    let exe = || {
        let path = std::env::current_exe().unwrap_or_default();
        path.file_stem()
            .map(|stem| stem.to_string_lossy().into_owned())
            .unwrap_or_default()
    };
    let binary = std::env::var("NEXTEST_BINARY_ID").unwrap_or_else(|_| exe());
    // nextest may run the test on the main thread, so its own word comes first, then the `--exact NAME` it starts us with.
    let test = std::env::var("NEXTEST_TEST_NAME")
        .ok()
        .or_else(|| {
            std::env::args()
                .skip_while(|arg| arg != "--exact")
                .nth(1)
                .filter(|_| in_nextest())
        })
        .or_else(|| std::thread::current().name().map(str::to_owned))
        .unwrap_or_default();
    (binary, test)
}

fn in_nextest() -> bool {
    std::env::var_os("NEXTEST").is_some()
}

#[cfg(test)]
mod tests {
    use super::record_line;

    #[test]
    fn a_record_is_one_line_of_four_fields() {
        assert_eq!(
            record_line("skip", "no\tdata\nhere", "web::it", "a::b"),
            "skip\tno data here\tweb::it\ta::b\n"
        );
    }
}
