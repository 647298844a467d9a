//! `cargo run --release -p techempower` serves the tests on the database that `DATABASE_URL` names.

use std::process::ExitCode;

/// The allocator is a program's choice, not a library's; this one is worth some fifteen percent here.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    techempower::app().run()
}
