//! The program as its user meets it: this test binary runs itself with a site in place of the tests.
#![allow(clippy::unwrap_used)]

use demijohn::prelude::*;
use std::io::Write;
use std::process::{Command as Process, Output};

const LINE: &str = "DEMIJOHN_TEST_LINE";

fn site() -> App {
    App::new()
        .command(Command::new("boom").about("Panics"), async |_| panic!("at the wall"))
        .command(Command::new("fail").about("Fails"), async |_| {
            Err(Error::internal("no such author"))
        })
        .command(Command::new("say").about("Says it"), async |call| {
            tracing::info!("in the log");
            writeln!(call.out(), "said")?;
            Ok(())
        })
        .command(Command::new("flood").about("Writes for ever"), async |call| {
            loop {
                writeln!(call.out(), "more")?;
            }
        })
}

/// Not a test by itself: what the tests below run.
#[test]
fn child() {
    if let Ok(line) = std::env::var(LINE) {
        let code = site().run_from(line.split_whitespace());
        std::process::exit(i32::from(code != ExitCode::SUCCESS) * if code == ExitCode::from(2) { 2 } else { 1 });
    }
}

fn process(line: &str) -> Process {
    let folder = std::env::temp_dir();
    let mut process = Process::new(std::env::current_exe().unwrap());
    process
        .args(["--exact", "child", "--nocapture", "--test-threads=1"])
        .current_dir(folder)
        .env(LINE, line)
        .env("RUST_BACKTRACE", "full");
    process
}

fn run(line: &str) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } = process(line).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (status.code(), text(stdout), text(stderr))
}

#[test]
fn a_panic_is_a_line_and_no_backtrace() {
    let (code, _, stderr) = run("boom");
    assert_eq!(code, Some(1));
    assert!(
        stderr.contains("error: the command `boom` panicked: at the wall\n"),
        "{stderr}"
    );
    assert!(stderr.contains("program.rs:"), "the log names the place: {stderr}");
    assert!(stderr.lines().count() <= 3, "{stderr}");
}

#[test]
fn a_failure_is_a_line() {
    let (code, _, stderr) = run("fail");
    assert_eq!((code, stderr.as_str()), (Some(1), "error: no such author\n"));
}

#[test]
fn output_and_log_are_apart() {
    let (code, stdout, stderr) = run("say");
    assert_eq!(code, Some(0));
    assert!(stdout.ends_with("said\n"), "{stdout}");
    assert!(stderr.contains("in the log"), "{stderr}");
}

#[test]
fn a_log_that_cannot_be_understood_is_told() {
    let output = process("say").env("RUST_LOG", "demijohn=loud").output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert!(stderr.contains("`demijohn=loud` does not say what to log"), "{stderr}");
}

#[cfg(unix)]
#[test]
fn a_closed_pipe_ends_the_command_without_a_word() {
    let script = format!(
        "\"{}\" --exact child --nocapture | head -n 20",
        std::env::current_exe().unwrap().display()
    );
    let output = Process::new("sh")
        .args(["-c", &script])
        .env(LINE, "flood")
        .output()
        .unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(stderr, "");
}

#[test]
fn a_subscriber_of_the_program_is_left_in_place() {
    // In a process of its own under nextest; under one process it is enough that nothing panics.
    let first = tracing::subscriber::set_global_default(tracing::subscriber::NoSubscriber::default());
    let code = site().run_from(["say"]);
    assert_eq!(code, ExitCode::SUCCESS);
    let _ = first;
}
