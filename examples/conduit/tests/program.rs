//! The program itself: what it prints, where it keeps its data, and what it says when it cannot.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, ChildStderr, ChildStdout, Command, Stdio};

struct Running {
    child: Child,
    out: BufReader<ChildStdout>,
    err: ChildStderr,
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn program(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_conduit"));
    command
        .current_dir(folder)
        .env_clear()
        .args(["serve", "--bind", "127.0.0.1:0"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

fn start(command: &mut Command) -> Running {
    let mut child = command.spawn().expect("the program starts");
    let out = BufReader::new(child.stdout.take().expect("a pipe"));
    let err = child.stderr.take().expect("a pipe");
    Running { child, out, err }
}

impl Running {
    fn line(&mut self) -> String {
        let mut line = String::new();
        self.out.read_line(&mut line).expect("text");
        if line.is_empty() {
            let mut err = String::new();
            self.err.read_to_string(&mut err).expect("text");
            panic!("the program ended: {err}");
        }
        line.trim_end().to_owned()
    }

    /// The address in the first line that has one, and what was told before: a site that is filled says so before it serves.
    fn address(&mut self) -> (String, String) {
        let mut told = String::new();
        loop {
            let line = self.line();
            if let Some((_, rest)) = line.split_once("http://") {
                let (address, _) = rest.split_once('/').expect("an address ends in a slash");
                return (address.to_owned(), told);
            }
            told.push_str(&line);
        }
    }
}

fn get(address: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(address).expect("it listens");
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n"
    )
    .expect("writes");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("text");
    answer
}

/// Runs a command to its end, which it must find by itself.
fn fails(command: &mut Command) -> String {
    let output = command.output().expect("the program starts");
    assert!(!output.status.success(), "{output:?}");
    String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout)
}

#[test]
fn an_empty_folder_is_all_it_needs() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut running = start(&mut program(folder.path()));
    let (address, told) = running.address();
    assert!(!told.contains('\u{1b}'), "plain text: {told}");
    let password = told.rsplit(' ').next().expect("a password").to_owned();
    assert_eq!(password.len(), 16, "{told}");
    assert!(get(&address, "/").starts_with("HTTP/1.1 200 OK"));
    assert!(get(&address, "/api/articles?limit=1").contains("\"articlesCount\":200"));
    drop(running);

    // It finds what it wrote, and makes up no new password.
    let mut again = start(&mut program(folder.path()));
    let (address, _) = again.address();
    assert!(get(&address, "/api/articles?limit=1").contains("\"articlesCount\":200"));
    drop(again);
    assert!(folder.path().join("conduit.sqlite3").is_file());
}

#[test]
fn it_runs_on_the_database_that_it_is_given() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("given.db");
    let mut command = program(Path::new("/"));
    command
        .env("DATABASE_URL", format!("sqlite://{}", file.display()))
        .env("DEMO_PASSWORD", "open sesame");
    let mut running = start(&mut command);
    let (address, told) = running.address();
    assert!(
        told.contains("DEMO_PASSWORD") && !told.contains("open sesame"),
        "{told}"
    );
    assert!(get(&address, "/").starts_with("HTTP/1.1 200 OK"));
    assert!(file.is_file());
}

#[test]
fn production_makes_up_no_password() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut command = program(folder.path());
    command
        .env("DEBUG", "false")
        .env("SECRET_KEY", "0123456789abcdef-not-for-any-real-site-0123456789abcdef");
    let mut running = start(&mut command);
    let (address, told) = running.address();
    assert!(told.contains("none has a password"), "{told}");
    assert!(get(&address, "/api/articles?limit=1").contains("\"articlesCount\":200"));
}

#[test]
fn production_wants_a_secret_key() {
    let folder = tempfile::tempdir().expect("a folder");
    let said = fails(program(folder.path()).env("DEBUG", "false"));
    assert!(said.contains("SECRET_KEY"), "{said}");
}

#[test]
fn a_missing_folder_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let url = format!("sqlite://{}/no/such/folder/site.db", folder.path().display());
    let said = fails(program(folder.path()).env("DATABASE_URL", &url));
    assert!(said.contains("no/such/folder"), "{said}");
    assert!(!said.contains("panicked"), "{said}");
}

#[cfg(unix)]
#[test]
fn a_folder_that_cannot_be_written_is_named() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().expect("a folder");
    let closed = folder.path().join("closed");
    std::fs::create_dir(&closed).expect("makes a folder");
    std::fs::set_permissions(&closed, std::fs::Permissions::from_mode(0o555)).expect("closes it");
    if std::fs::write(closed.join("probe"), "").is_ok() {
        // The superuser writes anywhere; a folder inside a file is closed to everyone.
        std::fs::write(folder.path().join("file"), "").expect("writes");
        let url = format!("sqlite://{}/file/site.db", folder.path().display());
        let said = fails(program(folder.path()).env("DATABASE_URL", &url));
        assert!(said.contains("/file") && !said.contains("panicked"), "{said}");
        return;
    }
    let said = fails(program(folder.path()).env("DATABASE_URL", format!("sqlite://{}/site.db", closed.display())));
    assert!(said.contains("closed") && !said.contains("panicked"), "{said}");
}

#[test]
fn a_port_that_is_taken_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address").to_string();
    let mut plain = Command::new(env!("CARGO_BIN_EXE_conduit"));
    plain
        .current_dir(folder.path())
        .env_clear()
        .args(["serve", "--bind", &address]);
    let said = fails(&mut plain);
    assert!(said.contains(&address) && !said.contains("panicked"), "{said}");
}

#[test]
fn an_unknown_engine_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let said = fails(program(folder.path()).env("DATABASE_URL", "oracle://db"));
    assert!(said.contains("oracle"), "{said}");
    let said = fails(program(folder.path()).env("DATABASE_URL", "site.db"));
    assert!(said.contains("names no engine") && said.contains("sqlite"), "{said}");
}
