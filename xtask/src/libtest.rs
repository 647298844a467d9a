//! What plain `cargo test` prints, for machines without nextest and for doc tests.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::records::TestId;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Passed,
    Failed,
    Ignored,
}

/// Follows the output of `cargo test` line by line.
#[derive(Default)]
pub(crate) struct Reader {
    /// The stem of the test file that is running, or the crate whose doc tests are.
    binary: String,
    pub(crate) results: Vec<(TestId, Outcome)>,
}

impl Reader {
    pub(crate) fn line(&mut self, line: &str) {
        let trimmed = line.trim();
        if let Some(rest) = trimmed.strip_prefix("Running ") {
            // `Running tests/routes.rs (target/debug/deps/routes-0123abcd)`
            if let Some((_, path)) = rest.trim_end_matches(')').rsplit_once('(') {
                self.binary = path
                    .rsplit(['/', '\\'])
                    .next()
                    .unwrap_or(path)
                    .trim_end_matches(".exe")
                    .to_owned();
            }
        } else if let Some(name) = trimmed.strip_prefix("Doc-tests ") {
            self.binary = format!("{name} (doc)");
        } else if let Some((name, outcome)) = result(line) {
            self.results.push(((self.binary.clone(), name.to_owned()), outcome));
        }
    }
}

/// `test routes::int ... ok`; a test that should panic carries a note that is no part of its name.
fn result(line: &str) -> Option<(&str, Outcome)> {
    let (name, word) = line.strip_prefix("test ")?.rsplit_once(" ... ")?;
    let outcome = match word.split([',', ' ']).next()? {
        "ok" => Outcome::Passed,
        "FAILED" => Outcome::Failed,
        "ignored" => Outcome::Ignored,
        _ => return None,
    };
    Some((name.trim_end_matches(" - should panic"), outcome))
}

/// The ids, as nextest would give them, of the test files that `cargo test --no-run --message-format json` names.
pub(crate) fn binaries(messages: &str) -> BTreeMap<String, String> {
    let messages = messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok());
    messages.filter_map(|message| binary(&message)).collect()
}

fn binary(message: &Value) -> Option<(String, String)> {
    let stem = std::path::Path::new(message["executable"].as_str()?)
        .file_stem()?
        .to_string_lossy()
        .into_owned();
    let manifest = std::path::Path::new(message["manifest_path"].as_str()?);
    // Every package of ours lies in a folder of its name.
    let package = manifest.parent()?.file_name()?.to_string_lossy();
    let target = message["target"]["name"].as_str()?;
    let id = match message["target"]["kind"][0].as_str()? {
        "test" => format!("{package}::{target}"),
        kind @ ("bin" | "example" | "bench") => format!("{package}::{kind}/{target}"),
        _ => package.into_owned(),
    };
    Some((stem, id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_result_belongs_to_the_binary_that_is_running() {
        let output = "   Compiling web v0.1.0
     Running unittests src/lib.rs (target/debug/deps/web-0123abcd)

running 3 tests
test routes::int ... ok
test routes::panics - should panic ... FAILED
test slow ... ignored, takes an hour
test result: FAILED. 1 passed; 1 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s
   Doc-tests web
test crates/web/src/lib.rs - Router::at (line 12) ... ok
test crates/web/src/lib.rs - Router::no (line 15) - compile fail ... ok
";
        let mut reader = Reader::default();
        output.lines().for_each(|line| reader.line(line));
        let results: Vec<(&str, &str, Outcome)> = reader
            .results
            .iter()
            .map(|((binary, test), outcome)| (binary.as_str(), test.as_str(), *outcome))
            .collect();
        let expected = [
            ("web-0123abcd", "routes::int", Outcome::Passed),
            ("web-0123abcd", "routes::panics", Outcome::Failed),
            ("web-0123abcd", "slow", Outcome::Ignored),
            (
                "web (doc)",
                "crates/web/src/lib.rs - Router::at (line 12)",
                Outcome::Passed,
            ),
            (
                "web (doc)",
                "crates/web/src/lib.rs - Router::no (line 15) - compile fail",
                Outcome::Passed,
            ),
        ];
        assert_eq!(results, expected);
    }

    #[test]
    fn test_files_get_the_ids_that_nextest_gives() {
        let message = |kind: &str, target: &str| {
            format!(
                r#"{{"reason":"compiler-artifact","executable":"/t/deps/{target}-01","manifest_path":"/w/crates/web/Cargo.toml","target":{{"kind":["{kind}"],"name":"{target}"}}}}"#
            )
        };
        let messages = [
            message("lib", "web_"),
            message("bin", "tool"),
            message("test", "routes"),
            "no json".into(),
        ];
        let ids = binaries(&messages.join("\n"));
        let expected = [
            ("routes-01", "web::routes"),
            ("tool-01", "web::bin/tool"),
            ("web_-01", "web"),
        ];
        assert_eq!(ids, expected.map(|(stem, id)| (stem.to_owned(), id.to_owned())).into());
    }
}
