//! `cargo run` serves the site; `cargo run -- --help` lists what else it can do.

use std::process::ExitCode;

fn main() -> ExitCode {
    conduit::app().on_start(conduit::fill).run()
}
