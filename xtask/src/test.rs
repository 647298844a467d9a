//! `cargo xtask test`: every check that needs no person, on a machine that may be fresh.
//!
//! A step that cannot run is a failure and the next one goes on; whatever happens, the last line is the tally.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{BufRead, BufReader};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

use crate::Result;
use crate::junit;
use crate::libtest::{self, Outcome};
use crate::records::{self, Results};
use crate::rows::Rows;
use crate::services;
use crate::workspace::{Workspace, answers, cargo, output, shown, succeeds, which};

/// nextest's configuration: everything runs, a hung test is ended, so that a run always comes to its closing line. nextest
/// keeps results under the root's `target` even where cargo builds elsewhere, hence the explicit folder.
const NEXTEST: &str = r#"
[profile.default]
fail-fast = false
status-level = "fail"
final-status-level = "fail"
slow-timeout = { period = "60s", terminate-after = 10 }

[profile.default.junit]
path = "junit.xml"
store-success-output = false
store-failure-output = false
"#;
const ALL: [&str; 2] = ["--workspace", "--all-features"];

#[derive(Default, Debug, PartialEq)]
struct Tally {
    passed: usize,
    failed: usize,
    skipped: usize,
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} passed, {} failed, {} skipped",
            self.passed, self.failed, self.skipped
        )
    }
}

pub(crate) fn main(args: &[String]) -> ExitCode {
    let mut tally = Tally::default();
    let filter = args.strip_prefix(&["--".to_owned()]).unwrap_or(args);
    // A fault in xtask itself must not swallow the closing line.
    let run = catch_unwind(AssertUnwindSafe(|| run(filter, &mut tally)));
    match run {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tally.fault(&error),
        Err(_) => tally.failed += 1,
    }
    println!("{tally}");
    if tally.failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

impl Tally {
    /// A step that did not work counts as one failure.
    fn fault(&mut self, error: &dyn fmt::Display) {
        eprintln!("error: {error}");
        self.failed += 1;
    }
}

fn run(filter: &[String], tally: &mut Tally) -> Result<()> {
    let workspace = Workspace::load()?;
    match Rows::load(&workspace.root).and_then(|rows| rows.unknown(&workspace.root)) {
        Ok(unknown) => unknown.iter().for_each(|fault| tally.fault(fault)),
        Err(error) => tally.fault(&error),
    }

    let folder = workspace.scratch("test")?;
    let records = folder.join("records");
    // Records of an earlier run must not count for this one.
    if records.exists() {
        std::fs::remove_dir_all(&records)?;
    }
    std::fs::create_dir(&records)?;
    let services = services::start(&workspace)?;
    let mut environment = vec![(demijohn_covers::FOLDER, records.display().to_string())];
    environment.extend(services.iter().map(|service| (service.variable, service.place.clone())));

    let ran = if answers(cargo().args(["nextest", "--version"])) {
        with_nextest(&workspace, filter, &environment, &records)
    } else {
        println!("cargo-nextest is not installed: the tests run with `cargo test`");
        with_cargo_test(&workspace, filter, &environment, &records)
    };
    match ran {
        Ok(results) => {
            tally.passed += results.passed.len();
            tally.failed += results.failed.len();
            tally.skipped += results.skipped.len();
            results.save(&folder)?;
            for (test, reason) in &results.skipped {
                println!("skipped: {test}: {reason}");
            }
            doc_tests(&workspace, filter, &environment, tally);
        }
        // What does not compile for the tests does not for the doc tests either.
        Err(error) => tally.fault(&error),
    }
    drop(services);
    if *tally == Tally::default() && !filter.is_empty() {
        tally.fault(&format!("no test matches `{}`", filter.join(" ")));
    }
    deny(&workspace, tally);
    Ok(())
}

type Environment = [(&'static str, String)];

fn with_nextest(
    workspace: &Workspace,
    filter: &[String],
    environment: &Environment,
    records: &Path,
) -> Result<Results> {
    let folder = workspace.scratch("nextest")?;
    let configuration = folder.join("nextest.toml");
    std::fs::write(
        &configuration,
        format!("[store]\ndir = {:?}\n{NEXTEST}", folder.display().to_string()),
    )?;
    let nextest = |task: &str| {
        let mut command = workspace.cargo();
        command
            .args(["nextest", task, "--profile", "default", "--config-file"])
            .arg(&configuration)
            .args(ALL);
        command
    };
    let listed = junit::listed(&output(
        nextest("list").args(["--message-format", "json"]).args(filter),
    )?)?;

    let report = folder.join("default").join("junit.xml");
    if report.exists() {
        std::fs::remove_file(&report)?;
    }
    let mut run = nextest("run");
    run.args(["--no-tests", "pass"])
        .args(filter)
        .envs(environment.iter().cloned());
    let ended_well = succeeds(&mut run)?;

    let mut results = Results {
        complete: filter.is_empty(),
        ..Results::default()
    };
    if report.exists() {
        for (test, passed) in junit::results(&std::fs::read_to_string(&report)?)? {
            if passed {
                results.passed.insert(test)
            } else {
                results.failed.insert(test)
            };
        }
    }
    // A run that breaks off leaves tests without a result: those did not pass.
    for test in listed.expected {
        if !results.passed.contains(&test) && results.failed.insert(test.clone()) {
            eprintln!("error: no result: {} {}", test.0, test.1);
        }
    }
    if !ended_well && results.failed.is_empty() {
        return Err(format!("{} did not end well", shown(&run)).into());
    }
    results.skipped = listed
        .ignored
        .iter()
        .map(|(binary, test)| (format!("{binary} {test}"), "ignored".to_owned()))
        .collect();
    results.settle(&records::read(records, &BTreeMap::new())?);
    Ok(results)
}

fn with_cargo_test(
    workspace: &Workspace,
    filter: &[String],
    environment: &Environment,
    records: &Path,
) -> Result<Results> {
    let targets = ["--lib", "--bins", "--tests", "--examples"];
    let mut build = workspace.cargo();
    build
        .arg("test")
        .args(ALL)
        .args(targets)
        .args(["--no-run", "--message-format", "json-render-diagnostics"]);
    let binaries = libtest::binaries(&output(&mut build)?);

    let mut run = workspace.cargo();
    run.arg("test").args(ALL).args(targets).arg("--no-fail-fast");
    add_filter(&mut run, filter);
    run.envs(environment.iter().cloned());
    let (reader, ended_well) = follow(&run)?;

    let mut results = Results {
        complete: filter.is_empty(),
        ..Results::default()
    };
    for ((binary, name), outcome) in reader.results {
        let test = (binaries.get(&binary).cloned().unwrap_or(binary), name);
        match outcome {
            Outcome::Passed => drop(results.passed.insert(test)),
            Outcome::Failed => drop(results.failed.insert(test)),
            Outcome::Ignored => drop(
                results
                    .skipped
                    .insert(format!("{} {}", test.0, test.1), "ignored".to_owned()),
            ),
        }
    }
    if !ended_well && results.failed.is_empty() {
        return Err(format!("{} did not end well", shown(&run)).into());
    }
    results.settle(&records::read(records, &binaries)?);
    Ok(results)
}

/// Options choose what cargo builds; words choose among the tests.
fn add_filter(command: &mut Command, filter: &[String]) {
    if filter.iter().any(|word| word.starts_with('-')) {
        command.args(filter);
    } else {
        command.arg("--").args(filter);
    }
}

fn doc_tests(workspace: &Workspace, filter: &[String], environment: &Environment, tally: &mut Tally) {
    // nextest's filter language means nothing to doc tests.
    if filter.iter().any(|word| word.starts_with('-')) {
        println!("doc tests are left out: the filter has options");
        return;
    }
    let mut run = workspace.cargo();
    run.args(["test", "--doc"]).args(ALL).arg("--no-fail-fast");
    add_filter(&mut run, filter);
    run.envs(environment.iter().cloned());
    match follow(&run) {
        Ok((reader, ended_well)) => {
            let count = |wanted| reader.results.iter().filter(|(_, outcome)| *outcome == wanted).count();
            tally.passed += count(Outcome::Passed);
            tally.skipped += count(Outcome::Ignored);
            let failed = count(Outcome::Failed);
            tally.failed += failed;
            if !ended_well && failed == 0 {
                tally.fault(&format!("{} did not end well", shown(&run)));
            }
        }
        Err(error) => tally.fault(&error),
    }
}

/// Runs `cargo test`, shows what it prints and reads it. cargo names the binary on standard error and the tests go to standard
/// output: only in one pipe does their order stay.
fn follow(command: &Command) -> Result<(libtest::Reader, bool)> {
    let mut joined = Command::new("sh");
    joined
        .args(["-c", "exec \"$0\" \"$@\" 2>&1"])
        .arg(command.get_program())
        .args(command.get_args());
    if let Some(folder) = command.get_current_dir() {
        joined.current_dir(folder);
    }
    joined.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let mut child = joined.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
    let mut reader = libtest::Reader::default();
    if let Some(pipe) = child.stdout.take() {
        for line in BufReader::new(pipe).split(b'\n') {
            let line = line?;
            let line = String::from_utf8_lossy(&line);
            println!("{line}");
            reader.line(&line);
        }
    }
    Ok((reader, child.wait()?.success()))
}

/// Licences, sources and banned crates fail the run; so do advisories, unless their database cannot be fetched here.
fn deny(workspace: &Workspace, tally: &mut Tally) {
    if which("cargo-deny").is_none() {
        println!(
            "cargo-deny is not installed: licences, sources and advisories are not checked (cargo install cargo-deny)"
        );
        return;
    }
    let check = |what: &[&str]| {
        let mut command = workspace.cargo();
        command
            .args(["deny", "--all-features", "check", "--hide-inclusion-graph"])
            .args(what)
            .stdin(Stdio::null())
            .output()
    };
    match check(&["bans", "licenses", "sources"]) {
        Ok(run) if run.status.success() => println!("cargo-deny: licences, sources and bans are in order"),
        Ok(run) => tally.fault(&format!("cargo-deny:\n{}", String::from_utf8_lossy(&run.stderr))),
        Err(error) => tally.fault(&error),
    }
    match check(&["advisories"]) {
        Ok(run) if run.status.success() => println!("cargo-deny: no advisory against a dependency"),
        Ok(run) => {
            let said = String::from_utf8_lossy(&run.stderr);
            if said.contains("failed to fetch advisory database") {
                println!("cargo-deny: the advisory database cannot be fetched here; advisories are not checked");
            } else {
                tally.fault(&format!("cargo-deny:\n{said}"));
            }
        }
        Err(error) => tally.fault(&error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_closing_line_reads_as_promised() {
        let mut tally = Tally {
            passed: 3,
            failed: 0,
            skipped: 2,
        };
        tally.fault(&"a step");
        assert_eq!(tally.to_string(), "3 passed, 1 failed, 2 skipped");
    }

    #[test]
    fn words_filter_tests_and_options_go_to_cargo() {
        let given = |filter: &[&str]| {
            let mut command = Command::new("cargo");
            add_filter(
                &mut command,
                &filter.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>(),
            );
            shown(&command)
        };
        assert_eq!(given(&["routes"]), "cargo -- routes");
        assert_eq!(given(&["-p", "web"]), "cargo -p web");
    }
}
