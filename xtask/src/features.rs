//! `cargo xtask features`: the facade in every combination that we promise.

use crate::Result;
use crate::workspace::{Workspace, succeeds};

const FACADE: &str = "demijohn";

/// Checks the facade with no feature, each alone (`site` is one of them) and all, warnings denied.
pub(crate) fn main() -> Result<()> {
    let workspace = Workspace::load()?;
    let mut failed = Vec::new();
    for (name, flags) in combinations(&workspace.features(FACADE)?) {
        println!("features of {FACADE}: {name}");
        let mut check = workspace.cargo();
        check
            .args(["clippy", "--quiet", "--package", FACADE, "--no-default-features"])
            .args(flags);
        if !succeeds(check.args(["--", "-D", "warnings"]))? {
            failed.push(name);
        }
    }
    if failed.is_empty() {
        Ok(())
    } else {
        Err(format!("{FACADE} fails with features: {}", failed.join(", ")).into())
    }
}

/// Each combination's name and its flags for cargo.
fn combinations(features: &[String]) -> Vec<(String, Vec<String>)> {
    let none = ("none".to_owned(), Vec::new());
    let each = features
        .iter()
        .map(|feature| (feature.clone(), vec!["--features".to_owned(), feature.clone()]));
    let all = ("all".to_owned(), vec!["--all-features".to_owned()]);
    std::iter::once(none).chain(each).chain([all]).collect()
}

#[cfg(test)]
mod tests {
    use super::combinations;

    #[test]
    fn none_each_alone_and_all() {
        let names = combinations(&["site".to_owned(), "sqlite".to_owned()])
            .into_iter()
            .map(|(name, _)| name);
        assert_eq!(names.collect::<Vec<_>>(), ["none", "site", "sqlite", "all"]);
    }
}
