//! Finds the names that a template's tags mention, without running it.
//!
//! The engine resolves `{% include "x.html" %}` when the page is rendered; `check` wants to know before. This walks the
//! tags of a source (skipping comments and `raw` blocks) and reads the few words it needs. It knows no expressions:
//! names that are computed are not found, and nothing is reported for them.

/// A text literal that a tag or expression mentions, and its line.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Mention<'a> {
    pub(crate) name: &'a str,
    pub(crate) line: usize,
}

/// The templates that this source extends, includes or imports by a literal name. `ignore missing` ones are left out.
pub(crate) fn templates(source: &str) -> Vec<Mention<'_>> {
    let mut found = Vec::new();
    for (inner, line, is_statement) in tags(source) {
        if !is_statement || inner.contains("ignore missing") {
            continue;
        }
        let inner = inner.trim_start_matches(['-', '+']).trim_start();
        let Some(rest) = ["extends", "include", "import", "from"]
            .iter()
            .find_map(|word| inner.strip_prefix(word))
        else {
            continue;
        };
        if let Some(name) = literal(rest.trim_start()) {
            found.push(Mention { name, line });
        }
    }
    found
}

/// The first arguments of calls of `function`, where they are literals.
pub(crate) fn calls<'a>(source: &'a str, function: &str) -> Vec<Mention<'a>> {
    let mut found = Vec::new();
    for (inner, line, _) in tags(source) {
        for (at, _) in inner.match_indices(function) {
            let before = inner[..at].chars().next_back();
            if before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == '.') {
                continue;
            }
            let rest = inner[at + function.len()..].trim_start();
            if let Some(name) = rest.strip_prefix('(').and_then(|rest| literal(rest.trim_start())) {
                let line = line + inner[..at].matches('\n').count();
                found.push(Mention { name, line });
            }
        }
    }
    found
}

/// A quoted text at the start, without escapes (names have none).
fn literal(text: &str) -> Option<&str> {
    let quote = text.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    let rest = &text[1..];
    let name = &rest[..rest.find(quote)?];
    (!name.contains('\\')).then_some(name)
}

/// The insides of `{% %}` (true) and `{{ }}` (false), with the line each starts on.
fn tags(source: &str) -> Vec<(&str, usize, bool)> {
    let mut found = Vec::new();
    let mut at = 0;
    let mut in_raw = false;
    while let Some(open) = source[at..].find('{').map(|i| i + at) {
        let rest = &source[open..];
        let (end, kind) = match rest.as_bytes().get(1) {
            Some(b'%') => ("%}", Some(true)),
            Some(b'{') => ("}}", Some(false)),
            Some(b'#') => ("#}", None),
            _ => {
                at = open + 1;
                continue;
            }
        };
        let Some(length) = rest[2..].find(end) else { break };
        let inner = &rest[2..2 + length];
        let word = inner.trim_matches(['-', '+']).trim();
        at = match (kind, in_raw) {
            (Some(true), _) if word == "raw" => {
                in_raw = true;
                open + 2 + length + 2
            }
            (Some(true), _) if word == "endraw" => {
                in_raw = false;
                open + 2 + length + 2
            }
            // Inside raw everything but `endraw` is text; step over the bracket alone.
            (_, true) => open + 1,
            (None, false) => open + 2 + length + 2,
            (Some(is_statement), false) => {
                found.push((inner, source[..open].matches('\n').count() + 1, is_statement));
                open + 2 + length + 2
            }
        };
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names<'a>(mentions: &[Mention<'a>]) -> Vec<(&'a str, usize)> {
        mentions.iter().map(|m| (m.name, m.line)).collect()
    }

    #[test]
    fn literal_names_are_found_with_their_lines() {
        let source = "{% extends 'base.html' %}\n{%- include \"a/b.html\" -%}\n{% from \"m.html\" import x %}\n{% include name %}";
        assert_eq!(
            names(&templates(source)),
            [("base.html", 1), ("a/b.html", 2), ("m.html", 3)]
        );
    }

    #[test]
    fn comments_raw_blocks_and_optional_includes_are_passed_over() {
        let source = "{# {% include 'no.html' %} #}{% raw %}{% include 'no.html' %}{% endraw %}\
                      {% include 'maybe.html' ignore missing %}{% include 'yes.html' %}";
        assert_eq!(names(&templates(source)), [("yes.html", 1)]);
    }

    #[test]
    fn calls_are_found_in_expressions_and_tags() {
        let source = "<a href=\"{{ url_for('blog.index') }}\">\n{% set u = url_for(\n\"x\", id=1) %}{{ my_url_for('no') }}{{ url_for(name) }}";
        assert_eq!(names(&calls(source, "url_for")), [("blog.index", 1), ("x", 2)]);
    }

    #[test]
    fn an_open_tag_ends_the_scan() {
        assert!(tags("{% if x").is_empty());
        assert!(tags("{ {").is_empty());
    }
}
