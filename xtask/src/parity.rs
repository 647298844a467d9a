//! `cargo xtask parity`: docs/parity.md, which promised features a passing test proves.

use std::fmt::Write;

use crate::Result;
use crate::records::{Results, TestId};
use crate::rows::{Row, Rows};
use crate::workspace::Workspace;

const PAGE: &str = "docs/parity.md";

/// Writes the page, or with `--check` says whether it is the one that would be written.
///
/// # Errors
/// On an id that no row has, a row both covered and not applicable, or results that are missing or partial.
pub(crate) fn main(args: &[String]) -> Result<()> {
    let check = match args {
        [] => false,
        [flag] if flag == "--check" => true,
        other => return Err(format!("cargo xtask parity takes only --check, not {}", other.join(" ")).into()),
    };
    let workspace = Workspace::load()?;
    let rows = Rows::load(&workspace.root)?;
    let results = Results::load(&workspace.scratch("test")?)?;
    let mut faults = rows.unknown(&workspace.root)?;
    faults.extend(contradictions(&rows, &results));
    if !results.complete {
        faults.push("the last test run was filtered; run all: cargo xtask test".to_owned());
    }
    if !faults.is_empty() {
        return Err(faults.join("\nerror: ").into());
    }
    let page = page(&rows, &results);
    let file = workspace.root.join(PAGE);
    if check {
        let there = std::fs::read_to_string(&file).unwrap_or_default();
        return if there == page {
            Ok(())
        } else {
            Err(format!("{PAGE} is old; write it: cargo xtask parity").into())
        };
    }
    std::fs::create_dir_all(workspace.root.join("docs"))?;
    std::fs::write(&file, &page)?;
    println!("{PAGE}: {}", total(&rows, &results));
    Ok(())
}

/// Recorded rows that do not exist, and rows that are said not to apply although a test proves them.
fn contradictions(rows: &Rows, results: &Results) -> Vec<String> {
    let mut faults = Vec::new();
    for (id, tests) in &results.covered {
        if !rows.contains(id) {
            faults.push(format!("{}: no parity row `{id}`", named(tests.first())));
        }
        if rows.not_applicable.contains_key(id) {
            faults.push(format!(
                "`{id}` is in not_applicable.toml, yet {} proves it",
                named(tests.first())
            ));
        }
    }
    faults
}

#[derive(Default, Clone, Copy)]
struct Count {
    covered: usize,
    not_applicable: usize,
    all: usize,
}

impl Count {
    fn of<'a>(rows: impl IntoIterator<Item = &'a Row>, all: &Rows, results: &Results) -> Self {
        rows.into_iter().fold(Self::default(), |count, row| Self {
            covered: count.covered + usize::from(results.covered.contains_key(&row.id)),
            not_applicable: count.not_applicable + usize::from(all.not_applicable.contains_key(&row.id)),
            all: count.all + 1,
        })
    }

    fn open(self) -> usize {
        self.all - self.covered - self.not_applicable
    }

    fn cells(self) -> String {
        if self.all == 0 {
            return "– | – | –".to_owned();
        }
        format!("{} | {} | {}", self.covered, self.not_applicable, self.open())
    }
}

fn total(rows: &Rows, results: &Results) -> String {
    let count = Count::of(rows.files.values().flatten(), rows, results);
    let first = Count::of(rows.files.values().flatten().filter(|row| row.tier == 1), rows, results);
    format!(
        "{} of {} rows covered, {} not applicable; of {} in tier 1: {} covered, {} not applicable",
        count.covered, count.all, count.not_applicable, first.all, first.covered, first.not_applicable
    )
}

/// The same rows and results always give the same page.
fn page(rows: &Rows, results: &Results) -> String {
    let mut page = format!(
        "# Parity\n\n\
         Every feature of the systems that Demijohn replaces is a row in `parity/*.toml` with a check that can be observed. A row is covered\n\
         when a test that passed recorded it while running (`covers!`); it is not applicable for the reason in\n\
         `parity/not_applicable.toml`. Tier 1: most projects need it; 2: common; 3: rare. Written by `cargo xtask parity`.\n\n\
         {}.\n\n\
         | File | 1: covered | n/a | open | 2: covered | n/a | open | 3: covered | n/a | open |\n\
         | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n",
        total(rows, results)
    );
    let everything = ("**all**".to_owned(), rows.files.values().flatten().collect::<Vec<_>>());
    let files = rows
        .files
        .iter()
        .map(|(file, rows)| (file.clone(), rows.iter().collect::<Vec<_>>()));
    for (file, of_file) in files.chain([everything]) {
        let tier = |tier| Count::of(of_file.iter().copied().filter(|row| row.tier == tier), rows, results).cells();
        push(
            &mut page,
            format_args!("| {file} | {} | {} | {} |\n", tier(1), tier(2), tier(3)),
        );
    }

    page.push_str("\n## Covered\n");
    section(&mut page, rows, |row| {
        let tests = results.covered.get(&row.id)?;
        let more = if tests.len() > 1 {
            format!(" and {} more", tests.len() - 1)
        } else {
            String::new()
        };
        Some(format!("{}: `{}`{more}", row.name, named(tests.first())))
    });
    page.push_str("\n## Open in tier 1\n");
    section(&mut page, rows, |row| {
        let settled = results.covered.contains_key(&row.id) || rows.not_applicable.contains_key(&row.id);
        (row.tier == 1 && !settled).then(|| row.name.clone())
    });
    page.push_str("\n## Not applicable\n");
    section(&mut page, rows, |row| {
        rows.not_applicable
            .get(&row.id)
            .map(|reason| format!("{}: {reason}", row.name))
    });
    page
}

/// A list per file of the rows that `text` has something to say of.
fn section(page: &mut String, rows: &Rows, text: impl Fn(&Row) -> Option<String>) {
    let mut any = false;
    for (file, of_file) in &rows.files {
        let lines: Vec<_> = of_file
            .iter()
            .filter_map(|row| Some(format!("- `{}` {}\n", row.id, text(row)?)))
            .collect();
        if !lines.is_empty() {
            any = true;
            push(page, format_args!("\n### {file}\n{}", lines.concat()));
        }
    }
    if !any {
        page.push_str("\nNone.\n");
    }
}

fn named(test: Option<&TestId>) -> String {
    test.map(|(binary, name)| format!("{binary} {name}"))
        .unwrap_or_default()
}

fn push(page: &mut String, text: std::fmt::Arguments<'_>) {
    page.write_fmt(text).expect("writing to a string cannot fail");
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn row(id: &str, tier: u8) -> Row {
        Row {
            id: id.to_owned(),
            name: id.to_uppercase(),
            tier,
        }
    }

    fn example() -> (Rows, Results) {
        let rows = Rows {
            files: BTreeMap::from([
                (
                    "flask".to_owned(),
                    vec![
                        row("flask.a", 1),
                        row("flask.b", 1),
                        row("flask.c", 1),
                        row("flask.d", 3),
                    ],
                ),
                ("http".to_owned(), vec![row("http.a", 2)]),
            ]),
            not_applicable: BTreeMap::from([("flask.b".to_owned(), "needs a metaclass".to_owned())]),
        };
        let test = |name: &str| ("web".to_owned(), name.to_owned());
        let mut results = Results::default();
        results
            .covered
            .insert("flask.a".to_owned(), [test("routes"), test("int")].into());
        results.covered.insert("http.a".to_owned(), [test("head")].into());
        (rows, results)
    }

    #[test]
    fn rows_are_counted_once_per_file_and_tier() {
        let (rows, results) = example();
        let page = page(&rows, &results);
        for line in [
            "2 of 5 rows covered, 1 not applicable; of 3 in tier 1: 1 covered, 1 not applicable.",
            "| flask | 1 | 1 | 1 | – | – | – | 0 | 0 | 1 |",
            "| http | – | – | – | 1 | 0 | 0 | – | – | – |",
            "| **all** | 1 | 1 | 1 | 1 | 0 | 0 | 0 | 0 | 1 |",
            "- `flask.a` FLASK.A: `web int` and 1 more",
            "- `flask.c` FLASK.C",
            "- `flask.b` FLASK.B: needs a metaclass",
        ] {
            assert!(page.lines().any(|found| found == line), "no line {line:?} in\n{page}");
        }
        assert!(!page.contains("FLASK.D"), "tier 3 stays out of the open list");
    }

    #[test]
    fn a_row_cannot_be_both_proved_and_excused() {
        let (mut rows, results) = example();
        rows.not_applicable.insert("http.a".to_owned(), "..".to_owned());
        assert_eq!(
            contradictions(&rows, &results),
            ["`http.a` is in not_applicable.toml, yet web head proves it"]
        );
    }
}
