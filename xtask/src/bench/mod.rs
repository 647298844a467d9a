//! `cargo xtask bench`: us and the peers in one run, as ratios, into docs/benchmarks.md.
//!
//! All servers of a section run at once and take turns under one-second bursts of wrk; a round visits each path of each server.
//! A ratio is taken within a round and the median over the rounds counts, so that what slows the machine for a while slows both.

mod builds;
mod endurance;
mod figures;
mod machine;
mod page;
mod server;
mod slow;
mod sockets;
mod subjects;
mod wrk;

use std::fmt::{Display, Write};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use figures::{Sample, cells, median};
use machine::Machine;
use server::{Server, Subject};

use crate::Result;
use crate::debian;
use crate::process::Stat;
use crate::workspace::{Workspace, output};

const CONNECTIONS: usize = 64;

/// What a run works with.
pub(crate) struct Bench {
    pub(crate) workspace: Workspace,
    pub(crate) machine: Machine,
    pub(crate) rounds: usize,
    pub(crate) quick: bool,
    /// Databases and logs.
    pub(crate) folder: PathBuf,
}

impl Bench {
    /// The file of a subject's own database.
    pub(crate) fn database_of(&self, subject: &str) -> PathBuf {
        self.folder.join(format!(
            "{}.sqlite3",
            subject.replace(|c: char| !c.is_ascii_alphanumeric(), "-")
        ))
    }
}

/// What a section could not measure, and why.
#[derive(Default)]
pub(crate) struct LeftOut(Vec<String>);

impl LeftOut {
    pub(crate) fn add(&mut self, what: &str, why: &dyn Display) {
        let why = why.to_string();
        eprintln!("left out: {what}: {why}");
        // Places of this machine belong on the terminal, not on the page.
        let short = why
            .lines()
            .next()
            .unwrap_or_default()
            .split(" (")
            .next()
            .unwrap_or_default();
        self.0.push(format!("{what} ({short})"));
    }

    fn line(&self) -> String {
        if self.0.is_empty() {
            String::new()
        } else {
            format!("\nLeft out: {}.\n", self.0.join("; "))
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Section {
    Json,
    Db,
    Memory,
    Sockets,
    Slow,
    Endurance,
    Build,
}

impl Section {
    const ALL: [Self; 7] = [
        Self::Json,
        Self::Db,
        Self::Memory,
        Self::Sockets,
        Self::Slow,
        Self::Endurance,
        Self::Build,
    ];

    fn word(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Db => "db",
            Self::Memory => "memory",
            Self::Sockets => "sockets",
            Self::Slow => "slow",
            Self::Endurance => "endurance",
            Self::Build => "build",
        }
    }

    /// Its heading on the page.
    fn title(self) -> &'static str {
        match self {
            Self::Json => "JSON and plaintext",
            Self::Db => "SQLite",
            Self::Memory => "Memory and start",
            Self::Sockets => "Idle sockets",
            Self::Slow => "Slow clients",
            Self::Endurance => "Endurance",
            Self::Build => "Builds",
        }
    }
}

#[derive(Debug, PartialEq)]
struct Flags {
    sections: Vec<Section>,
    rounds: usize,
    quick: bool,
}

impl Flags {
    fn parse(arguments: &[String]) -> Result<Self> {
        let mut flags = Self {
            sections: Section::ALL.to_vec(),
            rounds: 0,
            quick: false,
        };
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--quick" => flags.quick = true,
                "--rounds" => {
                    let given = arguments
                        .next()
                        .and_then(|number| number.parse().ok())
                        .filter(|rounds| *rounds > 0);
                    flags.rounds = given.ok_or("--rounds takes a number above 0")?;
                }
                "--only" => {
                    let word = arguments.next().map(String::as_str).unwrap_or_default();
                    let section = Section::ALL.into_iter().find(|section| section.word() == word);
                    flags.sections =
                        vec![section.ok_or("--only takes json, db, memory, sockets, slow, endurance or build")?];
                }
                other => return Err(format!("cargo xtask bench has no flag `{other}`").into()),
            }
        }
        if flags.rounds == 0 {
            flags.rounds = if flags.quick { 3 } else { 15 };
        }
        Ok(flags)
    }
}

pub(crate) fn main(arguments: &[String]) -> Result<()> {
    let flags = Flags::parse(arguments)?;
    let workspace = Workspace::load()?;
    let folder = workspace.scratch("bench/run")?;
    let bench = Bench {
        workspace,
        machine: Machine::look(),
        rounds: flags.rounds,
        quick: flags.quick,
        folder,
    };
    let wrk = debian::provide("wrk", &["wrk"]);
    if let Err(error) = &wrk {
        eprintln!("left out: every figure under load: {error}");
    }

    for section in flags.sections {
        println!("\n=== {}", section.title());
        let mut left_out = LeftOut::default();
        let body = match section {
            Section::Json | Section::Db | Section::Slow if wrk.is_err() => {
                left_out.add("this section", &"wrk is missing");
                String::new()
            }
            Section::Json => under_load(&bench, &subjects::json(&bench, &mut left_out), &mut left_out)?,
            Section::Db => {
                empty_databases(&bench)?;
                let subjects = subjects::database(&bench, &mut left_out);
                fill_databases(&bench, &subjects, &mut left_out);
                under_load(&bench, &subjects, &mut left_out)?
            }
            Section::Memory => memory(&bench, wrk.is_ok(), &mut left_out),
            Section::Sockets => sockets::section(&bench, &mut left_out),
            Section::Slow => slow::section(&bench, &mut left_out),
            Section::Endurance => endurance::section(&bench, &mut left_out),
            Section::Build => builds::section(&bench, &mut left_out),
        };
        let head = format!("Measured {} with `{}`.\n\n", today(), command(section, &bench));
        page::replace(
            &bench.workspace.root,
            section.title(),
            &format!("{head}{body}{}", left_out.line()),
        )?;
    }
    Ok(())
}

fn command(section: Section, bench: &Bench) -> String {
    let quick = if bench.quick { " --quick" } else { "" };
    format!(
        "cargo xtask bench --only {} --rounds {}{quick}",
        section.word(),
        bench.rounds
    )
}

fn today() -> String {
    output(Command::new("date").args(["-u", "+%Y-%m-%d"]))
        .map_or_else(|_| "on an unknown day".to_owned(), |day| day.trim().to_owned())
}

/// The table of each path: all subjects that serve it against the first of them.
fn under_load(bench: &Bench, subjects: &[Subject], left_out: &mut LeftOut) -> Result<String> {
    let mut servers = Vec::new();
    for subject in subjects {
        match Server::start(&bench.machine, subject, &bench.folder) {
            Ok(server) => servers.push(server),
            Err(error) => left_out.add(&subject.name, &error),
        }
    }
    let mut body = format!(
        "{}; {CONNECTIONS} connections, {} rounds of one-second bursts; {}.\n\nRatios are to the first line, each the median over the rounds of the ratio within a round. `core` is the part of its core that the server used: \
         below 100 % wrk is the limit, not the server, and the ratio of CPU per request tells more than the one of requests.\n",
        bench.machine.pinning(),
        bench.rounds,
        page::versions(&bench.workspace.root, subjects)
    );
    let mut paths: Vec<&'static str> = Vec::new();
    for path in servers.iter().flat_map(|server| &server.subject.paths) {
        if !paths.contains(&path.path) {
            paths.push(path.path);
        }
    }
    let samples = rotate(bench, &servers, &paths)?;
    for (path, of_path) in paths.iter().zip(&samples) {
        body += &format!(
            "\n### `{path}`\n\n| server | req/s | ratio | CPU µs/req | ratio | core | p50 ms | p99 ms |\n| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n"
        );
        let base = of_path.iter().find(|samples| !samples.is_empty()).map(Vec::as_slice);
        for (server, samples) in servers.iter().zip(of_path).filter(|(_, samples)| !samples.is_empty()) {
            writeln!(body, "| {} | {} |", server.subject.name, cells(samples, base))?;
        }
        let others = median(of_path.iter().flatten().map(|sample| sample.others)).unwrap_or_default();
        writeln!(
            body,
            "\nOther programs used {:.0} % of a core meanwhile.",
            others * 100.0
        )?;
        if others > 0.1 {
            eprintln!(
                "warning: the machine is busy ({:.0} % of a core); the figures of {path} are noise",
                others * 100.0
            );
        }
    }
    Ok(body)
}

/// Takes every path of every server in turn, round by round; gives samples by path, then server. The first round warms up and
/// does not count.
fn rotate(bench: &Bench, servers: &[Server], paths: &[&'static str]) -> Result<Vec<Vec<Vec<Sample>>>> {
    let mut samples = vec![vec![Vec::new(); servers.len()]; paths.len()];
    for round in 0..=bench.rounds {
        servers.iter().for_each(Server::forget_output);
        println!("round {round} of {}", bench.rounds);
        for (path, of_path) in paths.iter().zip(&mut samples) {
            for (server, of_server) in servers.iter().zip(of_path).filter(|(server, _)| server.has(path)) {
                let sample = sample(&bench.machine, server, path)?;
                if round > 0 {
                    of_server.push(sample);
                }
            }
        }
    }
    Ok(samples)
}

fn sample(machine: &Machine, server: &Server, path: &str) -> Result<Sample> {
    let children = || Stat::own().map_or(0, |stat| stat.child_ticks);
    let started = std::time::Instant::now();
    let before = (server.group.cpu_ticks(), Machine::busy_ticks(), children());
    let burst = wrk::burst(machine, &server.url(path), CONNECTIONS, 1)?;
    let after = (server.group.cpu_ticks(), Machine::busy_ticks(), children());
    let used = after.0.saturating_sub(before.0);
    let load = after.2.saturating_sub(before.2);
    let seconds = started.elapsed().as_secs_f64();
    let others = (after.1.saturating_sub(before.1)).saturating_sub(used + load);
    Ok(Sample {
        per_second: burst.per_second,
        cpu_us: machine.seconds(used) * 1e6 / burst.requests.max(1) as f64,
        p50_ms: burst.p50_ms,
        p99_ms: burst.p99_ms,
        faults: burst.faults,
        core: machine.seconds(used) / seconds,
        others: machine.seconds(others) / seconds,
    })
}

/// Each server alone: the time to its first answer, its memory before any load and after one.
fn memory(bench: &Bench, with_load: bool, left_out: &mut LeftOut) -> String {
    let subjects = subjects::footprints(bench, left_out);
    let mut body = format!(
        "One worker each; start is from the program's start to its first right answer (median of three); memory is proportional set size, idle after the first answer and after 2 s of load over 256 connections; {}.\n\n\
         | server | start ms | idle MB | above bare hyper | loaded MB |\n| --- | ---: | ---: | ---: | ---: |\n",
        page::versions(&bench.workspace.root, &subjects)
    );
    let mut bare = None;
    for subject in &subjects {
        match footprint(bench, subject, with_load) {
            Ok((start_ms, idle, loaded)) => {
                let bare = *bare.get_or_insert(idle);
                let loaded = loaded.map_or_else(|| "–".to_owned(), |loaded| format!("{loaded:.1}"));
                body += &format!(
                    "| {} | {start_ms:.1} | {idle:.1} | {:+.1} | {loaded} |\n",
                    subject.name,
                    idle - bare
                );
            }
            Err(error) => left_out.add(&subject.name, &error),
        }
    }
    body
}

fn footprint(bench: &Bench, subject: &Subject, with_load: bool) -> Result<(f64, f64, Option<f64>)> {
    // A first start fills a database and the page cache; it does not count.
    drop(Server::start(&bench.machine, subject, &bench.folder)?);
    let mut starts = Vec::new();
    let mut last = None;
    for _ in 0..3 {
        drop(last.take());
        let server = Server::start(&bench.machine, subject, &bench.folder)?;
        starts.push(server.first_answer.as_secs_f64() * 1e3);
        last = Some(server);
    }
    let server = last.ok_or("the server started three times")?;
    std::thread::sleep(Duration::from_millis(500));
    let idle = server.group.memory_mib();
    let path = subject.paths.first().map_or("/", |path| path.path);
    let loaded = if with_load {
        wrk::burst(&bench.machine, &server.url(path), 256, 2)?;
        Some(server.group.memory_mib())
    } else {
        None
    };
    Ok((median(starts).unwrap_or(f64::NAN), idle, loaded))
}

/// A run starts from fresh tables, whatever an earlier one left.
fn empty_databases(bench: &Bench) -> Result<()> {
    for entry in std::fs::read_dir(&bench.folder)? {
        let path = entry?.path();
        if path
            .file_name()
            .is_some_and(|name| name.to_string_lossy().contains(".sqlite3"))
        {
            std::fs::remove_file(path)?;
        }
    }
    Ok(())
}

/// The Python peers do not make their tables: the hand-written peer makes and fills them.
fn fill_databases(bench: &Bench, subjects: &[Subject], left_out: &mut LeftOut) {
    let Some(filler) = subjects.iter().find(|subject| subject.name == subjects::HAND_WRITTEN) else {
        return;
    };
    for subject in subjects.iter().filter(|subject| subject.name.contains("gunicorn")) {
        let url = subject
            .environment
            .iter()
            .filter(|(name, _)| *name == "DATABASE_URL")
            .cloned();
        let mut fill = filler.clone();
        fill.environment.extend(url);
        if let Err(error) = Server::start(&bench.machine, &fill, &bench.folder) {
            left_out.add(&format!("the tables of {}", subject.name), &error);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_read_and_faults_named() {
        let parse = |text: &str| Flags::parse(&text.split_whitespace().map(str::to_owned).collect::<Vec<_>>());
        let flags = parse("--only db --rounds 7").expect("good flags");
        assert_eq!(
            flags,
            Flags {
                sections: vec![Section::Db],
                rounds: 7,
                quick: false
            }
        );
        assert_eq!(parse("--quick").expect("good flags").rounds, 3);
        let fault = |text| parse(text).err().map(|error| error.to_string());
        assert_eq!(
            fault("--only speed").as_deref(),
            Some("--only takes json, db, memory, sockets, slow, endurance or build")
        );
        assert_eq!(
            fault("--fast").as_deref(),
            Some("cargo xtask bench has no flag `--fast`")
        );
    }
}
