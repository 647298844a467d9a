//! What a developer waits for: how many crates, a clean debug build, an edit until it is served.

use std::fmt::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::Result;
use crate::bench::figures::median;
use crate::bench::server::get;
use crate::bench::subjects::crates;
use crate::bench::{Bench, LeftOut};
use crate::process::{Group, free_port};
use crate::workspace::{cargo, shown, succeeds};

/// A hello program, in a copy of its workspace that may be edited.
struct Hello {
    name: &'static str,
    workspace: PathBuf,
    member: &'static str,
    target: PathBuf,
}

pub(crate) fn section(bench: &Bench, left_out: &mut LeftOut) -> String {
    let mut body = "Debug builds without network, `hello` of ours against the one of axum. Edit to served: change the greeting, build, start, answer with it; median of five.\n\n\
        | hello | crates | clean build s | ratio | edit to served s |\n| --- | ---: | ---: | ---: | ---: |\n"
        .to_owned();
    let root = &bench.workspace.root;
    let sides = [
        ("axum-hello", root.join("bench/peers/http"), "axum-hello"),
        ("hello", root.clone(), "examples/hello"),
    ];
    let mut hellos = Vec::new();
    for (name, workspace, member) in sides {
        match Hello::copy(bench, name, &workspace, member) {
            Ok(hello) => hellos.push((hello, Vec::new())),
            Err(error) => left_out.add(name, &error),
        }
    }
    // Builds take turns, as bursts do.
    for _ in 0..if bench.quick { 1 } else { 3 } {
        for (hello, seconds) in &mut hellos {
            match hello.clean_build() {
                Ok(time) => seconds.push(time.as_secs_f64()),
                Err(error) => left_out.add(hello.name, &error),
            }
        }
    }
    let base = hellos.first().map(|(_, seconds)| seconds.clone()).unwrap_or_default();
    for (hello, seconds) in &hellos {
        let Some(clean) = median(seconds.iter().copied()) else {
            continue;
        };
        let ratio = median(seconds.iter().zip(&base).map(|(ours, base)| ours / base)).unwrap_or(f64::NAN);
        let number = hello
            .crates()
            .map_or_else(|_| "–".to_owned(), |number| number.to_string());
        let edit = match hello.edits() {
            Ok(seconds) => format!("{seconds:.2}"),
            Err(error) => {
                left_out.add(&format!("edits of {}", hello.name), &error);
                "–".to_owned()
            }
        };
        let _ = writeln!(body, "| {} | {number} | {clean:.1} | {ratio:.2} | {edit} |", hello.name);
    }
    body
}

impl Hello {
    fn copy(bench: &Bench, name: &'static str, original: &Path, member: &'static str) -> Result<Self> {
        let workspace = bench.workspace.scratch("bench/edit")?.join(name);
        if workspace.exists() {
            std::fs::remove_dir_all(&workspace)?;
        }
        mirror(original, &workspace, Path::new(member))?;
        // Downloads are not what we measure.
        if !succeeds(cargo().arg("fetch").current_dir(&workspace))? {
            return Err("cargo cannot fetch its crates".into());
        }
        let target = bench.workspace.scratch("bench/clean")?.join(name);
        Ok(Self {
            name,
            workspace,
            member,
            target,
        })
    }

    fn crates(&self) -> Result<usize> {
        let mut command = cargo();
        command.current_dir(&self.workspace);
        Ok(crates(command, self.name)?.len())
    }

    fn build(&self) -> Result<()> {
        let mut build = cargo();
        build
            .args(["build", "--quiet", "--offline", "--package", self.name, "--target-dir"])
            .arg(&self.target);
        if succeeds(build.current_dir(&self.workspace))? {
            Ok(())
        } else {
            Err(format!("{} failed", shown(&build)).into())
        }
    }

    fn clean_build(&self) -> Result<Duration> {
        if self.target.exists() {
            std::fs::remove_dir_all(&self.target)?;
        }
        let started = Instant::now();
        self.build()?;
        Ok(started.elapsed())
    }

    /// The median seconds from an edit to an answer with it.
    fn edits(&self) -> Result<f64> {
        const GREETING: &str = "Hello, World!";
        let file = self.workspace.join(self.member).join("src/main.rs");
        let source = std::fs::read_to_string(&file)?;
        if !source.contains(GREETING) {
            return Err(format!("{}/src/main.rs does not greet with {GREETING}", self.member).into());
        }
        let mut seconds = Vec::new();
        for round in 0..5 {
            let greeting = format!("Hello, edit {round}!");
            let started = Instant::now();
            std::fs::write(&file, source.replace(GREETING, &greeting))?;
            self.build()?;
            self.serve_until(&greeting)?;
            seconds.push(started.elapsed().as_secs_f64());
        }
        Ok(median(seconds).unwrap_or(f64::NAN))
    }

    fn serve_until(&self, greeting: &str) -> Result<()> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()?));
        let mut serve = std::process::Command::new(self.target.join("debug").join(self.name));
        serve
            .args(["serve", "--bind", &address.to_string()])
            .current_dir(&self.target);
        serve
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null());
        let mut server = Group::start(&mut serve)?;
        let deadline = Instant::now() + Duration::from_secs(20);
        while !get(address, "/").is_ok_and(|answer| answer.contains(greeting)) {
            if server.ended()?.is_some() || Instant::now() > deadline {
                return Err(format!("{} does not serve its greeting at /", self.name).into());
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }
}

/// Makes `copy` a workspace like `original` in which only `member` is copied and all else is linked, so that it can be edited.
fn mirror(original: &Path, copy: &Path, member: &Path) -> Result<()> {
    std::fs::create_dir_all(copy)?;
    let (first, rest) = split(member);
    for entry in std::fs::read_dir(original)? {
        let entry = entry?;
        let name = entry.file_name();
        let hidden = name.to_string_lossy().starts_with('.') || name.to_string_lossy().starts_with("target");
        let (from, to) = (entry.path(), copy.join(&name));
        if hidden {
            continue;
        } else if first.as_deref() == Some(Path::new(&name)) {
            mirror(&from, &to, &rest)?;
        } else if from.is_dir() && first.is_none() {
            mirror(&from, &to, Path::new(""))?;
        } else if from.is_file() && (first.is_none() || name == "Cargo.lock") {
            // cargo may write the lock file, and the member is what we edit.
            std::fs::copy(&from, &to)?;
        } else {
            std::os::unix::fs::symlink(&from, &to)?;
        }
    }
    Ok(())
}

/// The first component of a path and what follows.
fn split(path: &Path) -> (Option<PathBuf>, PathBuf) {
    let mut components = path.components();
    (
        components.next().map(|first| PathBuf::from(first.as_os_str())),
        components.as_path().to_owned(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mirror_copies_the_member_and_links_the_rest() {
        let root = std::env::temp_dir().join(format!("demijohn-mirror-{}", std::process::id()));
        let (original, copy) = (root.join("original"), root.join("copy"));
        for folder in ["crates/web/src", "examples/hello/src", "examples/other"] {
            std::fs::create_dir_all(original.join(folder)).expect("a temporary folder");
        }
        for file in ["Cargo.toml", "Cargo.lock", ".hidden", "examples/hello/src/main.rs"] {
            std::fs::write(original.join(file), file).expect("a file");
        }
        mirror(&original, &copy, Path::new("examples/hello")).expect("a mirror");
        for link in ["crates", "examples/other", "Cargo.toml"] {
            assert!(copy.join(link).is_symlink(), "{link} is linked");
        }
        for file in ["Cargo.lock", "examples/hello/src/main.rs"] {
            assert!(
                copy.join(file).is_file() && !copy.join(file).is_symlink(),
                "{file} is copied"
            );
        }
        assert!(!copy.join(".hidden").exists());
        std::fs::remove_dir_all(&root).expect("the folder can go");
    }
}
