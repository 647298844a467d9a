//! Tasks of the workspace: `cargo xtask test | parity | bench | features`.
//!
//! See CONTRIBUTING.md for when to use which.

use std::process::ExitCode;

mod bench;
mod debian;
mod features;
mod junit;
mod libtest;
mod parity;
mod process;
mod records;
mod rows;
mod services;
mod test;
mod workspace;

/// Tasks report to a person, so an error is its text.
pub(crate) type Result<T, E = Box<dyn std::error::Error>> = std::result::Result<T, E>;

const USAGE: &str = "\
cargo xtask test [-- FILTER..]    every test, doc test and cargo-deny; makes a fresh machine ready first
cargo xtask parity [--check]      docs/parity.md from the last full test run (--check: only compare)
cargo xtask bench [FLAGS]          us and the peers in one run, into docs/benchmarks.md
    --only json|db|memory|sockets|build  one section; the others of the page stay
    --rounds N                     rotations (15)
    --quick                        a look: 3 rotations, one build each
cargo xtask features              check the facade with no feature, each alone, and all
";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let (task, rest) = match args.split_first() {
        Some((task, rest)) => (task.as_str(), rest),
        None => ("help", [].as_slice()),
    };
    let done = match task {
        "test" => return test::main(rest),
        "parity" => parity::main(rest),
        "bench" => bench::main(rest),
        "features" => features::main(),
        "help" | "--help" | "-h" => {
            print!("{USAGE}");
            Ok(())
        }
        other => Err(format!("no task `{other}`\n{USAGE}").into()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
