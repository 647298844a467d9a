//! The parity rows, and where the sources name them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::Result;

/// A promised feature.
#[derive(Debug, Deserialize)]
pub(crate) struct Row {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) tier: u8,
}

/// All rows, per file of `parity/` in the order of the names, and those that cannot exist in Rust.
pub(crate) struct Rows {
    pub(crate) files: BTreeMap<String, Vec<Row>>,
    /// Row and reason.
    pub(crate) not_applicable: BTreeMap<String, String>,
}

const NOT_APPLICABLE: &str = "not_applicable.toml";

#[derive(Deserialize)]
struct Features {
    feature: Vec<Row>,
}

#[derive(Deserialize)]
struct NotApplicable {
    #[serde(default)]
    row: Vec<Excuse>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Excuse {
    id: String,
    reason: String,
}

impl Rows {
    /// Reads `parity/` under `root`.
    ///
    /// # Errors
    /// When a file is unreadable, an id stands twice, or an excuse names no row.
    pub(crate) fn load(root: &Path) -> Result<Self> {
        let folder = root.join("parity");
        let mut rows = Self {
            files: BTreeMap::new(),
            not_applicable: BTreeMap::new(),
        };
        let mut excuses = NotApplicable { row: Vec::new() };
        for entry in std::fs::read_dir(&folder).map_err(|error| format!("{}: {error}", folder.display()))? {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if name == NOT_APPLICABLE {
                excuses = read(&path)?;
            } else if let Some(stem) = name.strip_suffix(".toml") {
                rows.files.insert(stem.to_owned(), read::<Features>(&path)?.feature);
            }
        }
        let mut seen = BTreeSet::new();
        if let Some(twice) = rows.files.values().flatten().find(|row| !seen.insert(row.id.as_str())) {
            return Err(format!("parity: the id `{}` stands twice", twice.id).into());
        }
        for excuse in excuses.row {
            if !seen.contains(excuse.id.as_str()) {
                return Err(format!("parity/{NOT_APPLICABLE}: no row has the id `{}`", excuse.id).into());
            }
            rows.not_applicable.insert(excuse.id, excuse.reason);
        }
        Ok(rows)
    }

    pub(crate) fn contains(&self, id: &str) -> bool {
        self.files.values().flatten().any(|row| row.id == id)
    }

    /// The ids that the sources give to `covers!` but no row has, each with its place and the row that may be meant.
    pub(crate) fn unknown(&self, root: &Path) -> Result<Vec<String>> {
        let mut faults = Vec::new();
        for source in sources(root)? {
            for (line, id) in covered(&source.text) {
                if !self.contains(&id) {
                    let place = source.path.strip_prefix(root).unwrap_or(&source.path).display();
                    faults.push(format!("{place}:{line}: no parity row `{id}`{}", self.meant(&id)));
                }
            }
        }
        Ok(faults)
    }

    /// `; did you mean ..?` for the row that shares the longest start with `id`.
    fn meant(&self, id: &str) -> String {
        let shared = |row: &Row| row.id.bytes().zip(id.bytes()).take_while(|(a, b)| a == b).count();
        let nearest = self.files.values().flatten().max_by_key(|row| shared(row));
        nearest
            .filter(|row| shared(row) > id.len() / 2)
            .map_or_else(String::new, |row| format!("; did you mean `{}`?", row.id))
    }
}

fn read<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T> {
    let text = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(toml::from_str(&text).map_err(|error| format!("{}: {error}", path.display()))?)
}

/// A Rust file of ours.
pub(crate) struct Source {
    pub(crate) path: PathBuf,
    pub(crate) text: String,
}

/// The Rust files of crates and examples, in the order of their paths. The crate that defines `covers!` is left out: the rows
/// it names are examples.
pub(crate) fn sources(root: &Path) -> Result<Vec<Source>> {
    let mut sources = Vec::new();
    let mut folders = vec![root.join("crates"), root.join("examples")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).map_err(|error| format!("{}: {error}", folder.display()))? {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default();
            if path.is_dir() {
                if name != "demijohn-covers" && name != "target" {
                    folders.push(path);
                }
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = String::from_utf8_lossy(&std::fs::read(&path)?).into_owned();
                sources.push(Source { path, text });
            }
        }
    }
    sources.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(sources)
}

/// The literals given to `covers!` in a source text, with their lines; comments do not count.
fn covered(text: &str) -> Vec<(usize, String)> {
    let code: String = text
        .split_inclusive('\n')
        .map(|line| {
            if line.trim_start().starts_with("//") {
                "\n"
            } else {
                line
            }
        })
        .collect();
    let mut found = Vec::new();
    for (start, opening) in code.match_indices("covers!(") {
        let line = code[..start].matches('\n').count();
        let body = code[start + opening.len()..].split(')').next().unwrap_or_default();
        // Between quotes is every second piece; ids hold no escapes.
        let mut at = 0;
        for (index, piece) in body.split('"').enumerate() {
            if index % 2 == 1 {
                found.push((line + body[..at].matches('\n').count() + 1, piece.to_owned()));
            }
            at += piece.len() + 1;
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_are_found_with_their_lines() {
        let text = "fn a() {\n    covers!(\"a.b\");\n}\n// covers!(\"no\")\nfn b() {\n    demijohn_covers::covers!(\n        \"c.d\",\n        \"e.f\",\n    );\n}\n";
        let expected = [(2, "a.b"), (7, "c.d"), (8, "e.f")].map(|(line, id)| (line, id.to_owned()));
        assert_eq!(covered(text), expected);
    }

    #[test]
    fn an_excuse_is_read_and_the_near_row_is_named() {
        let root = std::env::temp_dir().join(format!("demijohn-rows-{}", std::process::id()));
        std::fs::create_dir_all(root.join("parity")).expect("a temporary folder");
        let write = |name: &str, text: &str| std::fs::write(root.join("parity").join(name), text).expect("a file");
        write(
            "flask.toml",
            "[[feature]]\nid = \"flask.a.int\"\nname = \"Int\"\nfrom = \"Flask\"\ntier = 1\ncheck = \"..\"\n",
        );
        write(NOT_APPLICABLE, "[[row]]\nid = \"flask.a.int\"\nreason = \"no\"\n");
        let rows = Rows::load(&root).expect("rows");
        assert_eq!(rows.not_applicable["flask.a.int"], "no");
        assert_eq!(rows.meant("flask.a.inn"), "; did you mean `flask.a.int`?");

        write(NOT_APPLICABLE, "[[row]]\nid = \"flask.b\"\nreason = \"no\"\n");
        let error = Rows::load(&root).err().expect("an unknown row is refused").to_string();
        assert_eq!(error, "parity/not_applicable.toml: no row has the id `flask.b`");
        std::fs::remove_dir_all(&root).expect("the folder can go");
    }
}
