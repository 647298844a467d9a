//! The reference of settings says what is declared.

use demijohn::prelude::*;

/// The rows of the table as they have to be.
fn rows() -> Vec<String> {
    let mut app = App::new();
    let settings = app.site_mut().settings_mut();
    let row = |row: demijohn::settings::Row| {
        let default = match row.value.as_str() {
            "" => String::new(),
            value => format!("`{value}`"),
        };
        format!("| `{}` | {default} | {} |", row.name, row.about)
    };
    settings.rows().into_iter().map(row).collect()
}

#[test]
fn the_reference_lists_every_setting() {
    let document = include_str!("../../../docs/settings.md");
    // The default of DEBUG is that of a debug build.
    if !cfg!(debug_assertions) {
        return;
    }
    let written: Vec<&str> = document.lines().filter(|line| line.starts_with("| `")).collect();
    let declared = rows();
    let missing: Vec<&String> = declared.iter().filter(|row| !written.contains(&row.as_str())).collect();
    assert!(missing.is_empty(), "docs/settings.md lacks these rows:\n{missing:#?}");
    if cfg!(feature = "site") {
        let old: Vec<&&str> = written
            .iter()
            .filter(|row| !declared.iter().any(|d| d == *row))
            .collect();
        assert!(
            old.is_empty(),
            "docs/settings.md has rows that nothing declares:\n{old:#?}"
        );
    }
}
