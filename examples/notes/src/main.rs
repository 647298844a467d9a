//! `cargo run -p notes` serves the site; `cargo run -p notes -- --help` lists what else it can do.

use std::process::ExitCode;

fn main() -> ExitCode {
    notes::app().on_start(notes::fill).run()
}
