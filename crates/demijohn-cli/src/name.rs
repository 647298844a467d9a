//! Names that Rust takes.

use crate::Result;

/// Keywords of the edition, of now and reserved, and the crates that are everywhere.
const TAKEN: &[&str] = &[
    "abstract",
    "alloc",
    "as",
    "async",
    "await",
    "become",
    "box",
    "break",
    "const",
    "continue",
    "core",
    "crate",
    "do",
    "dyn",
    "else",
    "enum",
    "extern",
    "false",
    "final",
    "fn",
    "for",
    "gen",
    "if",
    "impl",
    "in",
    "let",
    "loop",
    "macro",
    "match",
    "mod",
    "move",
    "mut",
    "override",
    "priv",
    "proc_macro",
    "pub",
    "ref",
    "return",
    "self",
    "static",
    "std",
    "struct",
    "super",
    "test",
    "trait",
    "true",
    "try",
    "type",
    "typeof",
    "union",
    "unsafe",
    "unsized",
    "use",
    "virtual",
    "where",
    "while",
    "yield",
];

/// The name of a crate or a module for this word; an error when Rust would not take it.
pub(crate) fn of_module(word: &str) -> Result<String> {
    let name = word.replace('-', "_");
    let starts = name.starts_with(|c: char| c.is_ascii_lowercase());
    let goes_on = name
        .chars()
        .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    if !starts || !goes_on {
        return Err(format!(
            "`{word}` is no name for a module: it begins with a small letter, and has small letters, digits and `_`, such as `{}`",
            suggestion(word)
        ));
    }
    if TAKEN.contains(&name.as_str()) {
        return Err(format!(
            "`{word}` is a word of Rust's own; choose another, such as `{name}s` or `my_{name}`"
        ));
    }
    Ok(name)
}

fn suggestion(word: &str) -> String {
    let mut name: String = word
        .to_lowercase()
        .chars()
        .map(|c| {
            if c.is_ascii_lowercase() || c.is_ascii_digit() {
                c
            } else {
                '_'
            }
        })
        .collect();
    name = name.trim_start_matches(|c: char| !c.is_ascii_lowercase()).to_owned();
    match name.is_empty() {
        true => "shop".to_owned(),
        false => name,
    }
}

#[cfg(test)]
mod tests {
    use super::of_module;

    #[test]
    fn words_become_modules_or_are_refused_with_one_that_would_do() {
        assert_eq!(of_module("my-shop"), Ok("my_shop".to_owned()));
        assert!(of_module("2Fast").is_err_and(|error| error.contains("such as `fast`")));
        assert!(of_module("Ünder wegs").is_err_and(|error| error.contains("such as `nder_wegs`")));
        assert!(of_module("").is_err_and(|error| error.contains("such as `shop`")));
        assert!(of_module("async").is_err_and(|error| error.contains("Rust's own")));
    }
}
