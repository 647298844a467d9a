//! References inside of static files: `url(..)` and `@import` in style sheets, and where the sources of a script are.

/// Replaces what a style sheet refers to. `replace` is asked for each reference as it is written, without quotes; `None` leaves it.
pub(crate) fn css(text: &str, replace: &mut dyn FnMut(&str) -> Option<String>) -> String {
    let mut out = String::with_capacity(text.len() + 64);
    let mut at = 0;
    while at < text.len() {
        let rest = &text[at..];
        if let Some(comment) = rest.strip_prefix("/*") {
            let end = comment.find("*/").map_or(rest.len(), |end| end + 4);
            out.push_str(&source_map(&rest[..end], replace));
            at += end;
        } else if let Some((before, reference, length)) =
            import(rest).or_else(|| url(rest, text[..at].chars().next_back()))
        {
            out.push_str(&rest[..before]);
            out.push_str(&replace(reference).unwrap_or_else(|| reference.to_owned()));
            out.push_str(&rest[before + reference.len()..length]);
            at += length;
        } else if rest.starts_with(['"', '\'']) {
            let length = quoted(rest).map_or(1, |inner| inner.len() + 2);
            out.push_str(&rest[..length]);
            at += length;
        } else {
            let length = rest.chars().next().map_or(1, char::len_utf8);
            out.push_str(&rest[..length]);
            at += length;
        }
    }
    out
}

/// The same for scripts: only the comment that names their source map.
pub(crate) fn js(text: &str, replace: &mut dyn FnMut(&str) -> Option<String>) -> String {
    let mut out = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        match line.starts_with("//# sourceMappingURL=") || line.starts_with("/*# sourceMappingURL=") {
            true => out.push_str(&source_map(line, replace)),
            false => out.push_str(line),
        }
    }
    out
}

/// `# sourceMappingURL=a.map` in a comment.
fn source_map(comment: &str, replace: &mut dyn FnMut(&str) -> Option<String>) -> String {
    const MARK: &str = "# sourceMappingURL=";
    let Some(start) = comment.find(MARK).map(|at| at + MARK.len()) else {
        return comment.to_owned();
    };
    let reference = comment[start..]
        .split(|c: char| c.is_whitespace() || c == '*')
        .next()
        .unwrap_or_default();
    match replace(reference) {
        Some(new) => format!("{}{new}{}", &comment[..start], &comment[start + reference.len()..]),
        None => comment.to_owned(),
    }
}

/// Where the reference of `@import "a.css"` begins, the reference, and how long all of it is.
fn import(text: &str) -> Option<(usize, &str, usize)> {
    const WORD: &str = "@import";
    let after = text
        .get(WORD.len()..)
        .filter(|_| text[..WORD.len()].eq_ignore_ascii_case(WORD))?;
    let space = after.len() - after.trim_start().len();
    let inner = quoted(&after[space..])?;
    let before = WORD.len() + space + 1;
    Some((before, inner, before + inner.len() + 1))
}

/// The same of `url(a.png)`, `url( "a.png" )`.
fn url(text: &str, previous: Option<char>) -> Option<(usize, &str, usize)> {
    const WORD: &str = "url(";
    let is_word = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_');
    if previous.is_some_and(is_word) || !text.get(..WORD.len())?.eq_ignore_ascii_case(WORD) {
        return None;
    }
    let after = &text[WORD.len()..];
    let space = after.len() - after.trim_start().len();
    let inside = &after[space..];
    let before = WORD.len() + space;
    if let Some(inner) = quoted(inside) {
        return Some((before + 1, inner, before + 1 + inner.len() + 1));
    }
    let end = inside.find([')', '"', '\'', '(', '\n'])?;
    let inner = inside[..end].trim_end();
    inside[end..]
        .starts_with(')')
        .then_some((before, inner, before + inner.len()))
}

/// What stands between quotes. Escapes have no place in a reference.
fn quoted(text: &str) -> Option<&str> {
    let quote = text.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    let end = text[1..].find([quote, '\n', '\\'])?;
    text[1 + end..].starts_with(quote).then(|| &text[1..1 + end])
}

#[cfg(test)]
mod tests {
    use super::{css, js};

    #[test]
    fn references_of_style_sheets() {
        for (text, expected) in [
            ("a{b:url(x.png)}", "a{b:url(<x.png>)}"),
            ("a{b:URL( \"x.png\" )}", "a{b:URL( \"<x.png>\" )}"),
            (
                "@import 'a.css';@IMPORT url(b.css);",
                "@import '<a.css>';@IMPORT url(<b.css>);",
            ),
            ("/* url(x) */ a{c:\"url(y)\"}", "/* url(x) */ a{c:\"url(y)\"}"),
            ("a{b:curl(x) -url(y) url(z)", "a{b:curl(x) -url(y) url(<z>)"),
            ("url(", "url("),
            ("url(\"a", "url(\"a"),
            ("@import", "@import"),
            ("@import \"a", "@import \"a"),
            ("/* open url(x)", "/* open url(x)"),
            (
                "ä{b:url(ä.png)}/*# sourceMappingURL=a.map */",
                "ä{b:url(<ä.png>)}/*# sourceMappingURL=<a.map> */",
            ),
            ("\"\\\"url(x)\"", "\"\\\"url(x)\""),
        ] {
            assert_eq!(css(text, &mut |reference| Some(format!("<{reference}>"))), expected);
            assert_eq!(css(text, &mut |_| None), text);
        }
    }

    #[test]
    fn source_maps_of_scripts() {
        let text = "f(\"//# sourceMappingURL=no\")\n//# sourceMappingURL=a.js.map\n";
        let mut seen = Vec::new();
        js(text, &mut |reference| {
            seen.push(reference.to_owned());
            None
        });
        assert_eq!(seen, ["a.js.map"]);
    }
}
