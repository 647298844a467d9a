//! The smallest site: `cargo run -p hello` serves it, `cargo run -p hello -- help` lists its commands.

use demijohn::prelude::*;

fn main() -> ExitCode {
    App::new().route("/", get(async || "Hello, World!")).run()
}
