//! `demijohn new NAME`: a project.

use crate::fill::{Files, Words};
use crate::{Result, all, name};
use clap::ArgMatches;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

/// The project as it is made without `--template`. Names of files have no dot at their beginning here, and `.in` at their end where
/// tools would take them for their own.
const SKELETON: &[(&str, &str)] = &[
    ("Cargo.toml", include_str!("../skeleton/project/Cargo.toml.in")),
    (".gitignore", include_str!("../skeleton/project/gitignore")),
    (".env", include_str!("../skeleton/project/env")),
    ("README.md", include_str!("../skeleton/project/README.md")),
    ("settings.toml", include_str!("../skeleton/project/settings.toml")),
    ("src/main.rs", include_str!("../skeleton/project/src/main.rs")),
    ("src/lib.rs", include_str!("../skeleton/project/src/lib.rs")),
    ("src/home.rs", include_str!("../skeleton/project/src/home.rs")),
    ("static/site.css", include_str!("../skeleton/project/static/site.css")),
    (
        "templates/base.html",
        include_str!("../skeleton/project/templates/base.html"),
    ),
    (
        "templates/home/index.html",
        include_str!("../skeleton/project/templates/home/index.html"),
    ),
    ("tests/site.rs", include_str!("../skeleton/project/tests/site.rs")),
];

pub(crate) fn new(call: &ArgMatches) -> Result<ExitCode> {
    let word = call.get_one::<String>("name").map(String::as_str).unwrap_or_default();
    let module = name::of_module(word)?;
    if matches!(module.as_str(), "demijohn" | "home" | "serde") {
        return Err(format!(
            "`{word}` is the name of something that the project has already; choose another, such as `my_{module}`"
        ));
    }
    let folder = call
        .get_one::<PathBuf>("folder")
        .cloned()
        .unwrap_or_else(|| PathBuf::from(word));
    let words = Words(vec![
        ("project_name", word.to_owned()),
        ("crate_name", module),
        ("secret_key", secret_key()?),
        ("demijohn", demijohn(call.get_one::<PathBuf>("demijohn"))?),
        ("workspace", own_workspace(&folder)),
    ]);
    let files = match call.get_one::<String>("template") {
        None => skeleton(&words),
        Some(template) => {
            let choice = Choice {
                extensions: all(call, "extension")
                    .iter()
                    .map(|e| e.trim_start_matches('.').to_owned())
                    .collect(),
                names: all(call, "name-of-file"),
                excluded: all(call, "exclude"),
            };
            custom(template, &words, &choice)?
        }
    };
    if files.is_empty() {
        return Err("there is no file to begin with in that folder".to_owned());
    }
    fs::create_dir_all(&folder)
        .map_err(|error| format!("the folder `{}` cannot be made: {error}", folder.display()))?;
    files.write(&folder)?;
    println!(
        "Made `{word}` in {}. What to do next:\n\n  cd {}",
        folder.display(),
        folder.display()
    );
    println!("  cargo run             # serves it on http://127.0.0.1:8000/");
    println!("  demijohn dev          # the same, and builds it again when you edit");
    println!("  demijohn add blog     # a blueprint with a model, a page and a test");
    println!("  cargo test");
    Ok(ExitCode::SUCCESS)
}

fn skeleton(words: &Words) -> Files {
    let mut files = Files::default();
    for (path, text) in SKELETON {
        files.add(path, words.fill(text));
    }
    files
}

/// Sixty-four characters that need no quotes anywhere.
fn secret_key() -> Result<String> {
    const ALPHABET: &[u8; 64] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_";
    let mut bytes = [0; 64];
    getrandom::fill(&mut bytes)
        .map_err(|error| format!("the system gives no random bytes for a SECRET_KEY: {error}"))?;
    Ok(bytes
        .iter()
        .map(|byte| char::from(ALPHABET[usize::from(byte % 64)]))
        .collect())
}

/// The dependency on the framework: a checkout, or a version of the registry.
fn demijohn(checkout: Option<&PathBuf>) -> Result<String> {
    let version = format!("version = \"{}\"", env!("CARGO_PKG_VERSION"));
    let built_from = Path::new(env!("CARGO_MANIFEST_DIR")).join("../demijohn");
    let crate_folder = match checkout {
        None if !built_from.join("Cargo.toml").is_file() => return Ok(version),
        None => built_from,
        Some(folder) => {
            let inner = folder.join("crates/demijohn");
            match inner.join("Cargo.toml").is_file() {
                true => inner,
                false => folder.clone(),
            }
        }
    };
    let found = crate_folder
        .join("Cargo.toml")
        .is_file()
        .then(|| crate_folder.canonicalize().ok())
        .flatten();
    let Some(found) = found else {
        return Err(format!(
            "there is no checkout of Demijohn at `{}`: it would have `crates/demijohn/Cargo.toml`",
            crate_folder.display()
        ));
    };
    // A literal string of TOML keeps backslashes.
    Ok(format!("path = '{}'", found.display()))
}

/// Inside of another workspace the project needs to say that it is one of its own.
fn own_workspace(folder: &Path) -> String {
    let here = std::env::current_dir().unwrap_or_default().join(folder);
    let inside = here.ancestors().skip(1).any(|above| {
        fs::read_to_string(above.join("Cargo.toml"))
            .is_ok_and(|text| text.lines().any(|line| line.trim() == "[workspace]"))
    });
    match inside {
        true => "\n# Not a member of the workspace around it.\n[workspace]\n".to_owned(),
        false => String::new(),
    }
}

/// Which files of a folder are taken, and which are filled in.
struct Choice {
    extensions: Vec<String>,
    names: Vec<String>,
    excluded: Vec<String>,
}

impl Choice {
    fn is_filled(&self, path: &Path) -> bool {
        let extension = path.extension().and_then(|e| e.to_str()).unwrap_or_default();
        let name = path.file_name().and_then(|n| n.to_str()).unwrap_or_default();
        matches!(extension, "rs" | "toml" | "md")
            || name == ".env"
            || self.extensions.iter().any(|e| e == extension)
            || self.names.iter().any(|n| n == name)
    }

    fn is_left_out(&self, folder: &str) -> bool {
        matches!(folder, ".git" | "target") || self.excluded.iter().any(|name| name == folder)
    }
}

fn custom(template: &str, words: &Words, choice: &Choice) -> Result<Files> {
    let is_address = template.contains("://") || template.ends_with(".git") || template.starts_with("git@");
    if !is_address {
        return from_folder(Path::new(template), words, choice);
    }
    let clone = Clone::of(template)?;
    from_folder(&clone.0, words, choice)
}

/// A repository in a temporary folder.
struct Clone(PathBuf);

impl Clone {
    fn of(address: &str) -> Result<Clone> {
        let mut random = [0; 8];
        getrandom::fill(&mut random).map_err(|error| format!("the system gives no random bytes: {error}"))?;
        let clone = Clone(std::env::temp_dir().join(format!("demijohn-new-{:016x}", u64::from_le_bytes(random))));
        let git = Command::new("git")
            .args(["clone", "--quiet", "--depth", "1", "--", address])
            .arg(&clone.0)
            .status();
        match git {
            Ok(status) if status.success() => Ok(clone),
            Ok(_) => Err(format!("`git clone` did not fetch {address}; what it said is above")),
            Err(error) => Err(format!("git, which fetches the template, cannot be run: {error}")),
        }
    }
}

impl Drop for Clone {
    fn drop(&mut self) {
        // What cannot be removed is left to the system's own sweep.
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn from_folder(root: &Path, words: &Words, choice: &Choice) -> Result<Files> {
    let mut files = Files::default();
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        let told = |error| format!("the folder `{}` cannot be read: {error}", root.join(&folder).display());
        let mut entries = fs::read_dir(root.join(&folder))
            .and_then(Iterator::collect::<std::io::Result<Vec<_>>>)
            .map_err(told)?;
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            let name = entry.file_name().to_string_lossy().into_owned();
            let from = entry.path();
            // `main.rs-tpl` is how Django's templates keep tools off their files.
            let path = folder.join(name.strip_suffix("-tpl").unwrap_or(&name));
            if from.is_dir() {
                if !choice.is_left_out(&name) {
                    folders.push(folder.join(&name));
                }
                continue;
            }
            let content = fs::read(&from).map_err(|error| format!("`{}` cannot be read: {error}", from.display()))?;
            let content = match std::str::from_utf8(&content) {
                Ok(text) if choice.is_filled(&path) => words.fill(text).into_bytes(),
                _ => content,
            };
            files.add(words.fill_name(&path.to_string_lossy()), content);
        }
    }
    Ok(files)
}
