//! The program as its user meets it: this test binary runs itself with a site in place of the tests.
#![allow(clippy::unwrap_used)]

use demijohn::prelude::*;
use std::io::Write;
use std::process::{Command as Process, Output};

const LINE: &str = "DEMIJOHN_TEST_LINE";

fn site() -> App {
    let site = match std::env::var("DEMIJOHN_TEST_START") {
        Ok(text) => App::new().on_start(move |_| {
            let text = text.clone();
            async move { Err(Error::internal(text)) }
        }),
        Err(_) => App::new(),
    };
    site.command(Command::new("boom").about("Panics"), async |_| panic!("at the wall"))
        .command(Command::new("fail").about("Fails"), async |_| {
            Err(Error::internal("no such author"))
        })
        .command(Command::new("say").about("Says it"), async |call| {
            tracing::info!("in the log");
            writeln!(call.out(), "said")?;
            Ok(())
        })
        .command(Command::new("mumble").about("Says it at all levels"), async |_| {
            // As handlers of a site whose program is `my-site` would.
            tracing::debug!(target: "my_site::shop", "a detail of the site");
            tracing::debug!(target: "other", "a detail of a crate");
            tracing::info!(target: "my_site", "a step");
            tracing::warn!(target: "my_site", "a warning");
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
        if std::env::var_os("DEMIJOHN_TEST_OWN_LOG").is_some() {
            let own = tracing_subscriber::fmt().with_max_level(tracing::Level::WARN);
            own.with_writer(|| Marked).init();
        }
        let code = site().run_from(line.split_whitespace());
        std::process::exit(i32::from(code != ExitCode::SUCCESS) * if code == ExitCode::from(2) { 2 } else { 1 });
    }
}

/// Standard error with a mark before what is written.
struct Marked;

impl Write for Marked {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        eprint!("OWN {}", String::from_utf8_lossy(bytes));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
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

#[test]
fn what_is_no_level_of_the_log_is_found_before_it_silences_all() {
    let told = |level: &str| {
        let output = process("check")
            .env("LOG", level)
            .env_remove("RUST_LOG")
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap()
    };
    for good in ["info", "OFF", "warn,my_site=debug", "my_site::shop = trace, error"] {
        assert!(!told(good).contains("settings.E001"), "{good}: {}", told(good));
    }
    for bad in ["loud", "info,my_site", "my_site=loud", "=debug"] {
        assert!(
            told(bad).contains("LOG: (settings.E001) expected a level"),
            "{bad}: {}",
            told(bad)
        );
    }
}

#[test]
fn a_start_that_fails_ends_the_process_with_its_message() {
    demijohn_covers::covers!("server.lifespan");
    let mut process = process("serve --bind 127.0.0.1:0");
    let output = process
        .env("DEMIJOHN_TEST_START", "the shelf is locked")
        .output()
        .unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.ends_with("error: the shelf is locked\n"), "{stderr}");
    // Nobody was told that it serves.
    assert!(!String::from_utf8(output.stdout).unwrap().contains("http://"));
}

#[test]
fn an_option_is_set_by_flag_environment_or_file_in_this_order() {
    demijohn_covers::covers!("server.config");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("settings.toml");
    std::fs::write(&file, "bind = \"127.0.0.1:1111\"\nworkers = 3\n").unwrap();
    let say = |line: &str, variables: &[(&str, &str)]| {
        let mut process = process(line);
        process
            .current_dir(folder.path())
            .env_remove("BIND")
            .env_remove("WORKERS");
        let output = process.envs(variables.iter().copied()).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.code(), text(output.stdout) + &text(output.stderr))
    };
    let bind = |variables: &[(&str, &str)]| say("settings bind", variables).1;
    assert!(
        bind(&[]).contains("127.0.0.1:1111") && bind(&[]).contains("settings.toml:1"),
        "{}",
        bind(&[])
    );
    let variable = bind(&[("BIND", "127.0.0.1:2222")]);
    assert!(
        variable.contains("127.0.0.1:2222") && variable.contains("environment variable BIND"),
        "{variable}"
    );
    // The flag wins, and `check` tells of each what is wrong with it, and where it stands.
    let (code, said) = say("serve --bind nowhere", &[("BIND", "127.0.0.1:2222")]);
    assert!(
        code == Some(1) && said.contains("\"nowhere\" (option --bind)"),
        "{said}"
    );
    let (code, said) = say("serve --workers none", &[]);
    assert!(
        code == Some(1) && said.contains("WORKERS") && said.contains("option --workers"),
        "{said}"
    );
    let (code, said) = say("check", &[("BIND", "nowhere")]);
    assert!(
        code == Some(1) && said.contains("\"nowhere\" (environment variable BIND)"),
        "{said}"
    );
    std::fs::write(&file, "workers = \"many\"\n").unwrap();
    let (code, said) = say("check", &[]);
    assert!(code == Some(1) && said.contains("settings.toml:1"), "{said}");
    std::fs::write(&file, "workers = 3\n").unwrap();
    let (code, said) = say("check", &[]);
    assert!(code == Some(0) && said.contains("no issues"), "{said}");
}

#[cfg(unix)]
#[test]
fn a_site_logs_warnings_by_itself_and_details_in_development() {
    demijohn_covers::covers!("flask.logging");
    use std::os::unix::process::CommandExt;
    let log = |variables: &[(&str, &str)]| {
        let mut process = process("mumble");
        process.arg0("my-site").env_remove("RUST_LOG").env_remove("LOG");
        let output = process.envs(variables.iter().copied()).output().unwrap();
        assert_eq!(output.status.code(), Some(0));
        String::from_utf8(output.stderr).unwrap()
    };
    let heard = |text: &str| {
        let said = ["a detail of the site", "a detail of a crate", "a step", "a warning"];
        said.map(|said| text.contains(said))
    };
    // Nothing is set up: the warning is heard, in development the details of the site too.
    assert_eq!(heard(&log(&[("DEBUG", "false")])), [false, false, true, true]);
    assert_eq!(heard(&log(&[("DEBUG", "true")])), [true, false, true, true]);
    // What somebody sets is kept, in development too.
    assert_eq!(
        heard(&log(&[("DEBUG", "true"), ("LOG", "warn")])),
        [false, false, false, true]
    );
    assert_eq!(
        heard(&log(&[("DEBUG", "true"), ("LOG", "error,other=debug")])),
        [false, true, false, false]
    );
    assert_eq!(
        heard(&log(&[("DEBUG", "true"), ("LOG", "debug"), ("RUST_LOG", "warn")])),
        [false, false, false, true]
    );
    // A log that the program set up before it ran is the only one.
    let own = log(&[("DEBUG", "true"), ("DEMIJOHN_TEST_OWN_LOG", "1")]);
    assert_eq!(heard(&own), [false, false, false, true]);
    assert!(own.contains("OWN "), "{own}");
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
