//! docs/benchmarks.md: sections that a run replaces one by one.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

use crate::Result;
use crate::bench::machine::Machine;
use crate::bench::server::Subject;
use crate::bench::{Section, wrk};

const PAGE: &str = "docs/benchmarks.md";

const HEAD: &str = "# Benchmarks

Us and the peers in one run on one machine: trust the ratios, not the absolute figures. Written by `cargo xtask bench`; see
`cargo xtask help` for its flags and bench/peers for what the peers run.
";

/// Puts a section in place of the one with its title and leaves the others.
pub(crate) fn replace(root: &Path, title: &str, body: &str) -> Result<()> {
    let file = root.join(PAGE);
    let order = Section::ALL.map(Section::title);
    let body = format!("{}. {body}", Machine::names());
    let page = with_section(
        &std::fs::read_to_string(&file).unwrap_or_default(),
        &order,
        title,
        &body,
    );
    std::fs::create_dir_all(root.join("docs"))?;
    std::fs::write(&file, page)?;
    println!("{PAGE}: {title}");
    Ok(())
}

fn with_section(page: &str, order: &[&str], title: &str, body: &str) -> String {
    let mut sections: BTreeMap<&str, &str> = page
        .split("\n## ")
        .skip(1)
        .filter_map(|section| section.split_once('\n'))
        .collect();
    sections.insert(title, body);
    let section = |title: &&str| {
        sections
            .get(title)
            .map(|body| format!("\n## {title}\n\n{}\n", body.trim()))
    };
    order
        .iter()
        .filter_map(section)
        .fold(HEAD.to_owned(), |page, section| page + &section)
}

#[derive(Deserialize)]
struct Lock {
    package: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    version: String,
}

/// What took part, by the lock files and wrk itself.
pub(crate) fn versions(root: &Path, subjects: &[Subject]) -> String {
    let mut versions = vec![wrk::version()];
    let told = ["hyper", "axum", "actix-web", "rusqlite", "tokio"];
    for lock in ["bench/peers/http/Cargo.lock", "bench/peers/sqlite/Cargo.lock"] {
        let packages = std::fs::read_to_string(root.join(lock))
            .ok()
            .and_then(|text| toml::from_str::<Lock>(&text).ok());
        let packages = packages.into_iter().flat_map(|lock| lock.package);
        versions.extend(
            packages
                .filter(|p| told.contains(&p.name.as_str()))
                .map(|p| format!("{} {}", p.name, p.version)),
        );
    }
    if subjects.iter().any(|subject| subject.name.contains("gunicorn")) {
        let requirements =
            std::fs::read_to_string(root.join("bench/peers/python/requirements.txt")).unwrap_or_default();
        let pinned = requirements.lines().filter_map(|line| line.split_once("=="));
        versions.extend(pinned.map(|(name, version)| format!("{} {version}", name.split('[').next().unwrap_or(name))));
    }
    let mut seen = std::collections::BTreeSet::new();
    versions.retain(|version| seen.insert(version.clone()));
    versions.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_section_is_replaced_and_the_others_stay_in_order() {
        let order = ["One", "Two"];
        let first = with_section("", &order, "Two", "old\n\n### part\n\n| a |\n");
        let second = with_section(&first, &order, "One", "first");
        assert_eq!(
            second,
            format!("{HEAD}\n## One\n\nfirst\n\n## Two\n\nold\n\n### part\n\n| a |\n")
        );
        assert_eq!(
            with_section(&second, &order, "Two", "new"),
            format!("{HEAD}\n## One\n\nfirst\n\n## Two\n\nnew\n")
        );
    }
}
