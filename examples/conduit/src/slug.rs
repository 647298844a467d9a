//! Titles as parts of addresses.

/// A title as a slug: lower-case letters and digits of ASCII, with single hyphens between words.
///
/// Other scripts are spelt out (`Über Flüsse` is `uber-flusse`), so that every title that has letters keeps some. What
/// is left of a title of signs alone is `article`.
pub(crate) fn slug(title: &str) -> String {
    const LONGEST: usize = 80;
    let mut slug = String::new();
    for c in deunicode::deunicode(title).chars() {
        if c.is_ascii_alphanumeric() {
            slug.push(c.to_ascii_lowercase());
        } else if c != '\'' && !slug.is_empty() && !slug.ends_with('-') {
            slug.push('-');
        }
        if slug.len() == LONGEST {
            break;
        }
    }
    let slug = slug.trim_end_matches('-');
    match slug {
        "" => "article".to_owned(),
        slug => slug.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::slug;

    #[test]
    fn slugs_are_safe_in_addresses() {
        for (title, expected) in [
            ("How to train your dragon", "how-to-train-your-dragon"),
            ("  -- What's new?! --  ", "whats-new"),
            ("Über Flüsse & Meere", "uber-flusse-meere"),
            ("フレームワーク", "huremuwaku"),
            ("a/b?c#d%2e", "a-b-c-d-2e"),
            ("...", "article"),
            ("", "article"),
            ("\u{202e}\0", "article"),
        ] {
            assert_eq!(slug(title), expected, "{title}");
        }
        assert_eq!(slug(&"x".repeat(500)).len(), 80);
    }
}
