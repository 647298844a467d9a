//! `cargo run` serves the site; `cargo run -- help` lists what else it can do.

use std::process::ExitCode;

fn main() -> ExitCode {
    {{ crate_name }}::app().run()
}
