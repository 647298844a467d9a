//! The settings file: TOML, with the line of every value.

use super::origin::Origin;
use super::tree::{Node, Table, Value, find};
use crate::check::Finding;
use serde_json::Number;
use std::path::Path;
use std::sync::Arc;
use toml::de::{DeFloat, DeInteger, DeTable, DeValue};

/// Reads the text of the file at `path` (for messages only).
///
/// # Errors
/// All faults of syntax, each with its line.
pub(super) fn parse(text: &str, path: &Arc<Path>) -> Result<Node, Vec<Finding>> {
    let lines = Lines { text, path };
    let text_without_mark = text.strip_prefix('\u{feff}').unwrap_or(text);
    let (table, mut errors) = DeTable::parse_recoverable(text_without_mark);
    errors.sort_by_key(|error| error.span().map(|span| span.start));
    let mut findings: Vec<Finding> = errors
        .iter()
        .map(|error| {
            let line = error.span().map_or(1, |span| lines.line(span.start));
            // The text of the line stays out of the message: it may be a secret.
            Finding::error("settings.E004", error.message().replace('\n', ", "))
                .on(format!("{}:{line}", path.display()))
                .hint("mend the line: the file is TOML, as in `workers = 4` or `allowed_hosts = [\"a.example\"]`")
        })
        .collect();
    let node = table_node(table.get_ref(), &lines, 0, true, &mut findings);
    match findings.is_empty() {
        true => Ok(node),
        false => Err(findings),
    }
}

struct Lines<'t> {
    text: &'t str,
    path: &'t Arc<Path>,
}

impl Lines<'_> {
    fn line(&self, offset: usize) -> usize {
        let before = self.text.as_bytes().iter().take(offset);
        before.filter(|b| **b == b'\n').count() + 1
    }

    fn origin(&self, offset: usize) -> Origin {
        Origin::File(self.path.clone(), self.line(offset))
    }
}

/// Names of settings ignore case, so at the top they are all made lower case; keys further down are the user's own.
fn table_node(table: &DeTable<'_>, lines: &Lines<'_>, at: usize, top: bool, findings: &mut Vec<Finding>) -> Node {
    let mut keys: Vec<_> = table.iter().collect();
    keys.sort_by_key(|(key, _)| key.span().start);
    let mut nodes = Table::new();
    for (key, value) in keys {
        let start = key.span().start;
        let name = match top {
            true => key.get_ref().to_ascii_lowercase(),
            false => key.get_ref().to_string(),
        };
        if let Some(twin) = find(&nodes, &name) {
            let first = &nodes[twin].origin;
            findings.push(
                Finding::error(
                    "settings.E004",
                    format!("`{}` is there twice: see {first}", key.get_ref()),
                )
                .on(format!("{}:{}", lines.path.display(), lines.line(start)))
                .hint("names of settings ignore case: take one of the two out"),
            );
            continue;
        }
        nodes.insert(name, node(value.get_ref(), lines, start, findings));
    }
    Node {
        value: Value::Table(nodes),
        origin: lines.origin(at),
    }
}

fn node(value: &DeValue<'_>, lines: &Lines<'_>, at: usize, findings: &mut Vec<Finding>) -> Node {
    let value = match value {
        DeValue::String(text) => Value::String(text.to_string()),
        DeValue::Integer(number) => whole(number),
        DeValue::Float(number) => float(number),
        DeValue::Boolean(b) => Value::Bool(*b),
        DeValue::Datetime(when) => Value::String(when.to_string()),
        DeValue::Array(items) => {
            let items = items.iter();
            Value::List(
                items
                    .map(|item| node(item.get_ref(), lines, item.span().start, findings))
                    .collect(),
            )
        }
        DeValue::Table(table) => return table_node(table, lines, at, false, findings),
    };
    Node {
        value,
        origin: lines.origin(at),
    }
}

fn whole(number: &DeInteger<'_>) -> Value {
    let (digits, radix) = (number.as_str(), number.radix());
    match (i64::from_str_radix(digits, radix), u64::from_str_radix(digits, radix)) {
        (Ok(n), _) => Value::Number(n.into()),
        (_, Ok(n)) => Value::Number(n.into()),
        _ => Value::String(digits.to_owned()),
    }
}

/// JSON has no infinity: it stays a text, which no number accepts.
fn float(number: &DeFloat<'_>) -> Value {
    let parsed = number.as_str().parse().ok();
    match parsed.and_then(Number::from_f64) {
        Some(n) => Value::Number(n),
        None => Value::String(number.as_str().to_owned()),
    }
}
