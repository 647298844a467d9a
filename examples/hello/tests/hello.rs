//! The five lines as a program: what it serves, what it says when something is in its way, and how it ends.
#![allow(clippy::unwrap_used)]

use demijohn_covers::covers;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// The program in a folder of its own, with nothing of our environment.
fn hello(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hello"));
    command.current_dir(folder).env_clear().stdin(Stdio::null());
    command
}

struct Outcome {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

fn run(command: &mut Command) -> Outcome {
    let output = command.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let outcome = Outcome {
        code: output.status.code(),
        stdout: text(output.stdout),
        stderr: text(output.stderr),
    };
    for word in ["panicked", "stack backtrace", "RUST_BACKTRACE"] {
        assert!(!outcome.stderr.contains(word), "{}", outcome.stderr);
    }
    outcome
}

/// A served program, killed when the test is over.
struct Served {
    child: Child,
    address: String,
}

impl Served {
    fn start(command: &mut Command) -> Served {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap())
            .read_line(&mut line)
            .unwrap();
        let address = line
            .trim()
            .strip_prefix("http://")
            .and_then(|rest| rest.strip_suffix('/'));
        let address = address.unwrap_or_else(|| panic!("no address in {line:?}")).to_owned();
        Served { child, address }
    }

    fn get(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        let host = &self.address;
        write!(
            stream,
            "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    #[cfg(unix)]
    fn end(mut self) -> (Option<i32>, String) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
        let code = self.child.wait().unwrap().code();
        let mut log = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut log).unwrap();
        (code, log)
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn five_lines_serve_hello_world() {
    covers!("flask.routing.hello_world_size");
    let source = include_str!("../src/main.rs");
    let code = source
        .lines()
        .filter(|line| !line.trim().is_empty() && !line.starts_with("//"));
    assert!(code.count() <= 5);
    let folder = tempfile::tempdir().unwrap();
    let served = Served::start(hello(folder.path()).args(["--bind", "127.0.0.1:0"]));
    let answer = served.get("/");
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.ends_with("\r\n\r\nHello, World!"), "{answer}");
    assert_eq!(
        std::fs::read_dir(folder.path()).unwrap().count(),
        0,
        "it leaves nothing behind"
    );
}

#[cfg(unix)]
#[test]
fn it_logs_a_line_a_request_and_ends_gently() {
    let folder = tempfile::tempdir().unwrap();
    let served = Served::start(
        hello(folder.path())
            .args(["serve", "--bind", "127.0.0.1:0"])
            .env("DEBUG", "1"),
    );
    served.get("/");
    served.get("/nowhere%0a");
    let (code, log) = served.end();
    assert_eq!(code, Some(0));
    let lines: Vec<&str> = log.lines().collect();
    assert_eq!(lines.len(), 3, "{log}");
    assert!(lines[0].contains("not for production"), "{log}");
    assert!(lines[1].contains(" 200 GET / "), "{log}");
    assert!(lines[2].contains(" 404 GET /nowhere%0a "), "{log}");
}

#[cfg(unix)]
#[test]
fn production_logs_json_and_levels_are_chosen() {
    let folder = tempfile::tempdir().unwrap();
    let production = || {
        let mut command = hello(folder.path());
        command
            .args(["--bind", "127.0.0.1:0"])
            .env("DEBUG", "0")
            .env("WORKERS", "2");
        command
    };
    let served = Served::start(&mut production());
    served.get("/");
    let (code, log) = served.end();
    assert_eq!(code, Some(0));
    assert!(log.starts_with("{\"time\":\""), "{log}");
    for part in [
        "\"level\":\"INFO\"",
        "\"method\":\"GET\"",
        "\"path\":\"/\"",
        "\"status\":200",
    ] {
        assert!(log.contains(part), "no {part} in {log}");
    }
    let served = Served::start(production().env("RUST_LOG", "warn"));
    served.get("/");
    assert_eq!(served.end(), (Some(0), String::new()));
    let served = Served::start(production().env("LOG", "demijohn::request=off,info"));
    served.get("/");
    assert_eq!(served.end(), (Some(0), String::new()));
}

#[test]
fn an_occupied_port_is_told_with_the_mend() {
    let folder = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let outcome = run(hello(folder.path()).args(["--bind", &address]));
    assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(1), ""));
    for part in ["error: cannot serve on", &address, "--bind"] {
        assert!(outcome.stderr.contains(part), "{}", outcome.stderr);
    }
    // `check` needs no port.
    assert_eq!(
        run(hello(folder.path()).arg("check").env("BIND", &address)).code,
        Some(0)
    );
}

#[test]
fn a_bad_address_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let outcome = run(hello(folder.path()).args(["--bind", "nowhere"]));
    assert_eq!(outcome.code, Some(1));
    assert!(outcome.stderr.contains("BIND: (settings.E001)"), "{}", outcome.stderr);
    assert!(outcome.stderr.contains("(option --bind)"), "{}", outcome.stderr);
    let outcome = run(hello(folder.path()).args(["--bind", "no-such-host.invalid:1", "--settings"]));
    assert_eq!(outcome.code, Some(2));
    assert!(outcome.stderr.contains("--settings"), "{}", outcome.stderr);
}

#[test]
fn production_refuses_to_be_reached_under_any_name() {
    let folder = tempfile::tempdir().unwrap();
    let outcome = run(hello(folder.path()).args(["--bind", "0.0.0.0:0"]).env("DEBUG", "false"));
    assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(1), ""));
    assert!(
        outcome.stderr.contains("ALLOWED_HOSTS: (settings.E009)"),
        "{}",
        outcome.stderr
    );
}

#[test]
fn settings_that_cannot_be_read_are_told_by_file_and_line() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| std::fs::write(folder.path().join(name), bytes).unwrap();
    let told = |command: &mut Command, code: i32, parts: &[&str]| {
        let outcome = run(command);
        assert_eq!(outcome.code, Some(code), "{}", outcome.stderr);
        for part in parts {
            assert!(outcome.stderr.contains(part), "no {part} in {}", outcome.stderr);
        }
    };
    told(
        hello(folder.path()).args(["check", "--settings", "none.toml"]),
        1,
        &["none.toml: (settings.E003)", "HINT"],
    );
    told(
        hello(folder.path()).arg("check").env("DEMIJOHN_SETTINGS", "."),
        1,
        &[".: (settings.E003)", "folder"],
    );
    write("settings.toml", b"workers = 1\nbind = \n");
    told(
        hello(folder.path()).arg("check"),
        1,
        &["settings.toml:2: (settings.E004)"],
    );
    // Also when it is to be served.
    told(&mut hello(folder.path()), 1, &["settings.toml:2: (settings.E004)"]);
    write("settings.toml", b"workers = \"\xff\"\n");
    told(
        hello(folder.path()).arg("check"),
        1,
        &["settings.toml: (settings.E003)", "UTF-8 at line 1"],
    );
    write("settings.toml", b"workers = 1\nwrkers = 2\n");
    write(".env", b"oops\n");
    told(
        hello(folder.path()).arg("check"),
        1,
        &[
            ".env:1: (settings.E005)",
            "WRKERS: (settings.W001)",
            "did you mean `WORKERS`?",
        ],
    );
    // What mends it still works.
    let outcome = run(hello(folder.path()).args(["settings", "workers"]));
    assert_eq!(outcome.stdout, "WORKERS = 1  # settings.toml:1\n");
}

#[cfg(unix)]
#[test]
fn what_is_no_utf8_is_refused_with_a_message() {
    use std::os::unix::ffi::OsStringExt;
    let bad = || std::ffi::OsString::from_vec(vec![b'x', 0xff]);
    let folder = tempfile::tempdir().unwrap();
    let outcome = run(hello(folder.path()).arg("check").env("BIND", bad()));
    assert_eq!(outcome.code, Some(1));
    assert!(
        outcome.stderr.contains("environment variable BIND is no UTF-8"),
        "{}",
        outcome.stderr
    );
    assert_eq!(run(hello(folder.path()).arg(bad())).code, Some(2));
    assert_eq!(
        run(hello(folder.path()).arg("check").env("DEMIJOHN_SETTINGS", bad())).code,
        Some(1)
    );
    assert_eq!(run(hello(folder.path()).arg("check").env("OTHER", bad())).code, Some(0));
}

#[test]
fn a_folder_that_is_gone_or_closed_does_no_harm() {
    let folder = tempfile::tempdir().unwrap();
    let gone = folder.path().join("gone");
    std::fs::create_dir(&gone).unwrap();
    // The shell goes into the folder, and takes it away before the program starts.
    let script = format!(
        "rmdir {0} && exec {1} check",
        gone.display(),
        env!("CARGO_BIN_EXE_hello")
    );
    let outcome = run(Command::new("sh")
        .args(["-c", &script])
        .current_dir(&gone)
        .env_remove("RUST_LOG"));
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
}

#[test]
fn words_of_the_command_line() {
    covers!("platform.cmd.help_version");
    let folder = tempfile::tempdir().unwrap();
    let help = run(hello(folder.path()).arg("help"));
    assert_eq!(help.code, Some(0));
    assert!(help.stdout.starts_with("Usage: hello "), "{}", help.stdout);
    for name in ["serve", "routes", "check", "settings", "version", "help"] {
        assert!(help.stdout.contains(&format!("\n  {name}")), "{}", help.stdout);
    }
    assert!(
        run(hello(folder.path()).args(["help", "serve"]))
            .stdout
            .contains("--bind <ADDR:PORT>")
    );
    assert!(run(hello(folder.path()).arg("version")).stdout.starts_with("hello "));
    let near = run(hello(folder.path()).arg("rotues"));
    assert_eq!(near.code, Some(2));
    assert!(near.stderr.contains("routes"), "{}", near.stderr);
    assert!(run(hello(folder.path()).arg("routes")).stdout.starts_with("GET  /"));
}
