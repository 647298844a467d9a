//! What nextest reports: its list of tests (JSON) and its results (JUnit XML). Both formats are stable.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::Result;
use crate::records::TestId;

/// The tests that a run shall run, and those marked `#[ignore]`.
#[derive(Debug, PartialEq)]
pub(crate) struct Listed {
    pub(crate) expected: BTreeSet<TestId>,
    pub(crate) ignored: BTreeSet<TestId>,
}

/// Reads `cargo nextest list --message-format json`. Tests that a filter left out are in neither set.
pub(crate) fn listed(json: &str) -> Result<Listed> {
    let list: Value = serde_json::from_str(json)?;
    let suites = list["rust-suites"]
        .as_object()
        .ok_or("nextest's list has no rust-suites")?;
    let mut listed = Listed {
        expected: BTreeSet::new(),
        ignored: BTreeSet::new(),
    };
    for (binary, suite) in suites {
        for (name, case) in suite["testcases"].as_object().into_iter().flatten() {
            let matched = &case["filter-match"];
            let set = match (matched["status"].as_str(), matched["reason"].as_str()) {
                (Some("matches"), _) => &mut listed.expected,
                (_, Some("ignored")) => &mut listed.ignored,
                _ => continue,
            };
            set.insert((binary.clone(), name.clone()));
        }
    }
    Ok(listed)
}

/// Reads a JUnit file: each test and whether it passed.
pub(crate) fn results(xml: &str) -> Result<Vec<(TestId, bool)>> {
    let document = roxmltree::Document::parse(xml)?;
    let cases = document.descendants().filter(|node| node.has_tag_name("testcase"));
    let result = |case: roxmltree::Node<'_, '_>| {
        let attribute = |name| case.attribute(name).unwrap_or_default().to_owned();
        let passed = !case
            .children()
            .any(|child| child.has_tag_name("failure") || child.has_tag_name("error"));
        ((attribute("classname"), attribute("name")), passed)
    };
    Ok(cases.map(result).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(binary: &str, test: &str) -> TestId {
        (binary.to_owned(), test.to_owned())
    }

    #[test]
    fn the_list_tells_ignored_tests_from_filtered_ones() {
        let json = r#"{"rust-suites": {"web::routes": {"testcases": {
            "a": {"ignored": false, "filter-match": {"status": "matches"}},
            "b": {"ignored": true, "filter-match": {"status": "mismatch", "reason": "ignored"}},
            "c": {"ignored": false, "filter-match": {"status": "mismatch", "reason": "string"}}}}}}"#;
        let expected = Listed {
            expected: [id("web::routes", "a")].into(),
            ignored: [id("web::routes", "b")].into(),
        };
        assert_eq!(listed(json).expect("a list"), expected);
    }

    #[test]
    fn results_tell_passed_from_failed() {
        let xml = r#"<?xml version="1.0"?><testsuites><testsuite name="web">
            <testcase name="a&lt;b&gt;" classname="web"/>
            <testcase name="c" classname="web"><failure type="test failure"/></testcase>
            <testcase name="d" classname="web"><error/></testcase></testsuite></testsuites>"#;
        let expected = vec![
            (id("web", "a<b>"), true),
            (id("web", "c"), false),
            (id("web", "d"), false),
        ];
        assert_eq!(results(xml).expect("results"), expected);
    }
}
