//! Who takes part: our examples, and the peers of bench/peers in release builds or from a virtual environment.

use std::path::PathBuf;
use std::process::Command;

use crate::Result;
use crate::bench::server::{Path, Subject};
use crate::bench::{Bench, LeftOut};
use crate::workspace::{output, succeeds, which};

const JSON: Path = Path {
    path: "/json",
    contains: "\"Hello, World!\"}",
};
const PLAINTEXT: Path = Path {
    path: "/plaintext",
    contains: "Hello, World!",
};
const GREETING: Path = Path {
    path: "/",
    contains: "Hello, World!",
};
const WELCOME: Path = Path {
    path: "/",
    contains: "Notes",
};
/// Of the accounts of `notes`.
pub(crate) const PASSWORD: &str = "for measuring alone";
const DATABASE: [Path; 4] = [
    Path {
        path: "/db",
        contains: "\"randomNumber\":",
    },
    Path {
        path: "/queries?queries=20",
        contains: "\"randomNumber\":",
    },
    Path {
        path: "/fortunes",
        contains: "Additional fortune added at request time.",
    },
    Path {
        path: "/updates?queries=20",
        contains: "\"randomNumber\":",
    },
];

/// The name of the server that ratios refer to.
pub(crate) const BARE_HYPER: &str = "bare hyper";
pub(crate) const HAND_WRITTEN: &str = "rusqlite by hand";

/// Everyone who answers `/json`, bare hyper first. Peers write no log, so we are measured without and with one.
pub(crate) fn json(bench: &Bench, left_out: &mut LeftOut) -> Vec<Subject> {
    let mut subjects = http_peers(bench, uses_mimalloc(bench, "techempower"), left_out);
    match ours(bench, "techempower") {
        Ok(file) => {
            for (name, log) in [
                ("techempower, no request log", "warn"),
                ("techempower, all defaults", "info"),
            ] {
                let subject = served(bench, name, file.clone(), vec![JSON, PLAINTEXT]);
                subjects.push(on_database(bench, logging(subject, log)));
            }
        }
        Err(error) => left_out.add("techempower", &error),
    }
    subjects.extend(python_peers(bench, left_out));
    subjects
}

/// The smallest site of ours among the peers with the same allocator, and the one with a database.
pub(crate) fn footprints(bench: &Bench, left_out: &mut LeftOut) -> Vec<Subject> {
    let mut subjects = http_peers(bench, uses_mimalloc(bench, "hello"), left_out);
    match ours(bench, "hello") {
        Ok(file) => subjects.push(served(bench, "hello", file, vec![GREETING])),
        Err(error) => left_out.add("hello", &error),
    }
    match ours(bench, "techempower") {
        Ok(file) => {
            let subject = served(bench, "techempower", file, vec![JSON]);
            subjects.push(on_database(bench, logging(subject, "warn")));
        }
        Err(error) => left_out.add("techempower", &error),
    }
    subjects.extend(python_peers(bench, left_out));
    subjects
}

/// Ours with connections that stay open.
pub(crate) fn live(bench: &Bench) -> Result<Subject> {
    let file = ours(bench, "live")?;
    Ok(logging(served(bench, "live", file, vec![GREETING]), "warn"))
}

/// Ours without a request log.
pub(crate) fn techempower(bench: &Bench) -> Result<Subject> {
    let file = ours(bench, "techempower")?;
    Ok(on_database(
        bench,
        logging(served(bench, "techempower", file, vec![JSON]), "warn"),
    ))
}

/// Ours with people in it: sessions, forms, uploads, pages.
pub(crate) fn notes(bench: &Bench) -> Result<Subject> {
    let file = ours(bench, "notes")?;
    let mut subject = on_database(bench, logging(served(bench, "notes", file, vec![WELCOME]), "off"));
    let media = bench.folder.join("notes-media").display().to_string();
    subject.environment.push(("MEDIA_ROOT", media));
    subject.environment.push(("DEMO_PASSWORD", PASSWORD.to_owned()));
    subject.environment.push(("DEMO_BOOM", "1".to_owned()));
    Ok(subject)
}

fn http_peers(bench: &Bench, mimalloc: bool, left_out: &mut LeftOut) -> Vec<Subject> {
    match peers(bench, "http", &["peer-hyper", "peer-axum", "peer-actix"], mimalloc) {
        Ok(folder) => [
            (BARE_HYPER, "peer-hyper"),
            ("axum", "peer-axum"),
            ("actix-web", "peer-actix"),
        ]
        .map(|(name, file)| served(bench, name, folder.join(file), vec![JSON, PLAINTEXT]))
        .to_vec(),
        Err(error) => {
            left_out.add("bare hyper, axum, actix-web", &error);
            Vec::new()
        }
    }
}

fn python_peers(bench: &Bench, left_out: &mut LeftOut) -> Vec<Subject> {
    match python(bench) {
        Ok(bin) => {
            // Flask's pool wants a file even where no query runs.
            let served = |name, app| on_database(bench, gunicorn(bench, name, &bin, app, vec![JSON, PLAINTEXT]));
            vec![
                served("Django (gunicorn)", "django_peer:wsgi"),
                served("Flask (gunicorn)", "flask_peer:app"),
                uvicorn(bench, &bin, vec![JSON, PLAINTEXT]),
            ]
        }
        Err(error) => {
            left_out.add("Django, Flask, FastAPI", &error);
            Vec::new()
        }
    }
}

/// Everyone who answers from the TechEmpower tables in SQLite, the hand-written one first.
pub(crate) fn database(bench: &Bench, left_out: &mut LeftOut) -> Vec<Subject> {
    let mut subjects = Vec::new();
    match peers(bench, "sqlite", &["peer-rusqlite"], uses_mimalloc(bench, "techempower")) {
        Ok(folder) => {
            let subject = served(bench, HAND_WRITTEN, folder.join("peer-rusqlite"), DATABASE.to_vec());
            subjects.push(on_database(bench, subject));
        }
        Err(error) => left_out.add(HAND_WRITTEN, &error),
    }
    match ours(bench, "techempower") {
        Ok(file) => {
            let subject = served(bench, "techempower", file, DATABASE.to_vec());
            subjects.push(on_database(bench, logging(subject, "warn")));
        }
        Err(error) => left_out.add("techempower", &error),
    }
    match python(bench) {
        Ok(bin) => {
            let flask = "Flask and SQLAlchemy (gunicorn)";
            for (name, app) in [("Django (gunicorn)", "django_peer:wsgi"), (flask, "flask_peer:app")] {
                subjects.push(on_database(bench, gunicorn(bench, name, &bin, app, DATABASE.to_vec())));
            }
        }
        Err(error) => left_out.add("Django, Flask and SQLAlchemy", &error),
    }
    subjects
}

/// A program that is served as our examples are.
fn served(bench: &Bench, name: &str, program: PathBuf, paths: Vec<Path>) -> Subject {
    let arguments = ["serve", "--bind", "{address}"].map(str::to_owned).to_vec();
    // One worker, since there is one core; a production setting as a site would have it.
    let settings = [
        ("WORKERS", "1"),
        ("DEBUG", "false"),
        ("ALLOWED_HOSTS", "127.0.0.1"),
        (
            "SECRET_KEY",
            "for measuring alone and never a secret 0123456789 abcdefgh",
        ),
    ];
    let environment = settings.map(|(name, value)| (name, value.to_owned())).to_vec();
    Subject {
        name: name.to_owned(),
        program,
        arguments,
        environment,
        folder: bench.folder.clone(),
        paths,
    }
}

/// Sets what a site of ours logs.
fn logging(mut subject: Subject, level: &str) -> Subject {
    subject.environment.push(("LOG", level.to_owned()));
    subject
}

/// Gives a subject its own database file.
fn on_database(bench: &Bench, mut subject: Subject) -> Subject {
    let url = format!("sqlite://{}", bench.database_of(&subject.name).display());
    subject.environment.push(("DATABASE_URL", url));
    subject
}

fn gunicorn(bench: &Bench, name: &str, bin: &std::path::Path, app: &str, paths: Vec<Path>) -> Subject {
    let line = format!("--log-level warning --bind {{address}} --workers 1 --worker-class gthread --threads 8 {app}");
    python_server(bench, name, bin.join("gunicorn"), &line, paths)
}

fn uvicorn(bench: &Bench, bin: &std::path::Path, paths: Vec<Path>) -> Subject {
    // uvicorn takes host and port apart; a shell splits the address.
    let line = format!(
        "a={{address}}; exec {} --no-access-log --log-level warning --host ${{a%:*}} --port ${{a##*:}} fastapi_peer:app",
        bin.join("uvicorn").display()
    );
    let mut subject = python_server(bench, "FastAPI (uvicorn)", "sh".into(), "", paths);
    subject.arguments = vec!["-c".to_owned(), line];
    subject
}

fn python_server(bench: &Bench, name: &str, program: PathBuf, line: &str, paths: Vec<Path>) -> Subject {
    Subject {
        name: name.to_owned(),
        program,
        arguments: line.split_whitespace().map(str::to_owned).collect(),
        // Byte code must not land in the source folder.
        environment: vec![("PYTHONDONTWRITEBYTECODE", "1".to_owned())],
        folder: bench.workspace.root.join("bench/peers/python"),
        paths,
    }
}

/// Builds an example of ours as a new project ships it.
pub(crate) fn ours(bench: &Bench, package: &str) -> Result<PathBuf> {
    let mut build = bench.workspace.cargo();
    build
        .args(["build", "--profile", "fat", "--package", package])
        .arg("--target-dir")
        .arg(&bench.workspace.target);
    if !succeeds(&mut build)? {
        return Err(format!("{package} does not build").into());
    }
    Ok(bench.workspace.target.join("fat").join(package))
}

/// Builds packages of one workspace of bench/peers by our own profile; the folder with the programs.
fn peers(bench: &Bench, group: &str, packages: &[&str], mimalloc: bool) -> Result<PathBuf> {
    let target = bench.workspace.scratch("bench/peers")?;
    let mut build = bench.workspace.cargo();
    build.current_dir(bench.workspace.root.join("bench/peers").join(group));
    build
        .args(["build", "--locked", "--profile", "fat", "--target-dir"])
        .arg(&target);
    build.args(packages.iter().flat_map(|package| ["--package", package]));
    if mimalloc {
        build.args(["--features", "mimalloc"]);
    }
    if !succeeds(&mut build)? {
        return Err(format!("bench/peers/{group} does not build").into());
    }
    Ok(target.join("fat"))
}

/// Whether an example of ours sets mimalloc: the peers then do the same, since figures shall not compare allocators.
pub(crate) fn uses_mimalloc(bench: &Bench, package: &str) -> bool {
    crates(bench.workspace.cargo(), package).is_ok_and(|crates| crates.iter().any(|name| name.starts_with("mimalloc ")))
}

/// The crates, name and version, that a package depends on, by `cargo tree -e normal`.
pub(crate) fn crates(mut cargo: Command, package: &str) -> Result<std::collections::BTreeSet<String>> {
    let tree = output(cargo.args(["tree", "--package", package, "-e", "normal", "--prefix", "none"]))?;
    Ok(listed(&tree, package))
}

/// The distinct crates of a flat tree, the package itself aside.
fn listed(tree: &str, package: &str) -> std::collections::BTreeSet<String> {
    let crates = tree
        .lines()
        .map(|line| line.split_whitespace().take(2).collect::<Vec<_>>().join(" "));
    crates
        .filter(|name| !name.is_empty() && name.split(' ').next() != Some(package))
        .collect()
}

/// The programs of the Python peers, installed into a virtual environment where that is missing.
fn python(bench: &Bench) -> Result<PathBuf> {
    let bin = bench.workspace.root.join("bench/.venv/bin");
    let requirements = bench.workspace.root.join("bench/peers/python/requirements.txt");
    // A file that is written last tells a finished environment, and for which requirements.
    let stamp = bench.workspace.root.join("bench/.venv/requirements.txt");
    if std::fs::read(&stamp).ok() == std::fs::read(&requirements).ok() {
        return Ok(bin);
    }
    let python = which("python3").ok_or("python3 is missing (on Debian: apt-get install python3 python3-venv)")?;
    let made = succeeds(
        Command::new(python)
            .args(["-m", "venv", "--clear"])
            .arg(bench.workspace.root.join("bench/.venv")),
    )?;
    if !made {
        return Err("python3 cannot make a virtual environment (on Debian: apt-get install python3-venv)".into());
    }
    if !succeeds(
        Command::new(bin.join("pip"))
            .args(["install", "--quiet", "--requirement"])
            .arg(&requirements),
    )? {
        return Err("pip cannot install bench/peers/python/requirements.txt".into());
    }
    std::fs::copy(requirements, stamp)?;
    Ok(bin)
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_crate_of_a_tree_counts_once() {
        let tree = "hello v0.1.0 (/w/examples/hello)\nhyper v1.12.0\nbytes v1.12.0\nbytes v1.12.0 (*)\nmacros v0.1.0 (proc-macro)\n";
        let crates = super::listed(tree, "hello");
        assert_eq!(
            crates.into_iter().collect::<Vec<_>>(),
            ["bytes v1.12.0", "hyper v1.12.0", "macros v0.1.0"]
        );
    }
}
