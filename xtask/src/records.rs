//! What the tests recorded about themselves (crate demijohn-covers), and what became of them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::Result;

/// A test: its binary (nextest's id, such as `demijohn-web::routes`) and its name.
pub(crate) type TestId = (String, String);

/// The outcome of one run, kept for `cargo xtask parity`.
#[derive(Default, Serialize, Deserialize)]
pub(crate) struct Results {
    /// False when a filter left tests out.
    pub(crate) complete: bool,
    pub(crate) passed: BTreeSet<TestId>,
    pub(crate) failed: BTreeSet<TestId>,
    /// Skipped tests with the reason.
    pub(crate) skipped: BTreeMap<String, String>,
    /// Parity rows and the passed tests that recorded them.
    pub(crate) covered: BTreeMap<String, BTreeSet<TestId>>,
}

impl Results {
    const FILE: &str = "results.json";

    pub(crate) fn save(&self, folder: &Path) -> Result<()> {
        Ok(std::fs::write(
            folder.join(Self::FILE),
            serde_json::to_vec_pretty(self)?,
        )?)
    }

    pub(crate) fn load(folder: &Path) -> Result<Self> {
        let file = folder.join(Self::FILE);
        let text = std::fs::read(&file).map_err(|_| "no results of a test run; first: cargo xtask test")?;
        Ok(serde_json::from_slice(&text).map_err(|error| format!("{}: {error}", file.display()))?)
    }

    /// Settles what the tests recorded: a passed test that said it was skipped is skipped, and rows count for passed tests.
    pub(crate) fn settle(&mut self, records: &[Record]) {
        for record in records.iter().filter(|record| record.kind == "skip") {
            if self.passed.remove(&record.test) {
                self.skipped
                    .insert(format!("{} {}", record.test.0, record.test.1), record.text.clone());
            }
        }
        for record in records
            .iter()
            .filter(|record| record.kind == "covers" && self.passed.contains(&record.test))
        {
            self.covered
                .entry(record.text.clone())
                .or_default()
                .insert(record.test.clone());
        }
    }
}

/// One line that a test recorded.
pub(crate) struct Record {
    kind: String,
    /// The row or the reason.
    text: String,
    test: TestId,
}

/// Reads the records of all processes of a run. `binaries` gives the id of a binary that is known by its file only, as under
/// plain `cargo test`.
pub(crate) fn read(folder: &Path, binaries: &BTreeMap<String, String>) -> Result<Vec<Record>> {
    let mut records = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let text = std::fs::read_to_string(entry?.path())?;
        records.extend(text.lines().filter_map(|line| parse(line, binaries)));
    }
    Ok(records)
}

fn parse(line: &str, binaries: &BTreeMap<String, String>) -> Option<Record> {
    let mut fields = line.split('\t').map(str::to_owned);
    let (kind, text, binary, test) = (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
    let binary = binaries.get(&binary).cloned().unwrap_or(binary);
    Some(Record {
        kind,
        text,
        test: (binary, test),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(test: &str) -> TestId {
        ("web".to_owned(), test.to_owned())
    }

    #[test]
    fn a_row_counts_only_for_a_test_that_passed_and_was_not_skipped() {
        let lines = [
            "covers\ta.b\tweb\tgood",
            "covers\ta.c\tweb\tbad",
            "covers\ta.d\tweb\tidle",
            "skip\tno data\tweb\tidle",
        ];
        let records: Vec<Record> = lines.iter().filter_map(|line| parse(line, &BTreeMap::new())).collect();
        let mut results = Results {
            passed: [id("good"), id("idle")].into(),
            failed: [id("bad")].into(),
            ..Results::default()
        };
        results.settle(&records);
        assert_eq!(
            results.covered,
            BTreeMap::from([("a.b".to_owned(), [id("good")].into())])
        );
        assert_eq!(
            results.skipped,
            BTreeMap::from([("web idle".to_owned(), "no data".to_owned())])
        );
        assert_eq!(results.passed, [id("good")].into());
    }

    #[test]
    fn a_binary_known_by_its_file_gets_its_id() {
        let binaries = BTreeMap::from([("routes-0123".to_owned(), "web::routes".to_owned())]);
        let record = parse("covers\ta.b\troutes-0123\tgood", &binaries).expect("four fields");
        assert_eq!(record.test, ("web::routes".to_owned(), "good".to_owned()));
    }
}
