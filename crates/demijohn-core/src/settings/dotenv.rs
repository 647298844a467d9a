//! The `.env` file: lines of `NAME=value`.
//!
//! Blank lines and lines that begin with `#` are passed over, `export ` before a name too. A value in single quotes is
//! taken as it is; in double quotes `\n`, `\t`, `\r`, `\"`, `\\` and `\$` mean what they mean in a shell; both kinds may go over several
//! lines. A value without quotes ends at ` #`. Nothing is put in place of `$NAME`: a password with a dollar sign stays one.

use std::collections::BTreeMap;

/// A line that is none of these, by its number.
#[derive(Debug, PartialEq)]
pub(super) struct BadLine {
    pub(super) line: usize,
    pub(super) message: String,
}

/// Names with the value and the line of each; of two lines for one name the later one counts.
pub(super) type Lines = BTreeMap<String, (String, usize)>;

/// Reads all lines; the bad ones are told together.
pub(super) fn parse(text: &str) -> (Lines, Vec<BadLine>) {
    let mut lines = Lines::new();
    let mut bad = Vec::new();
    let mut rest = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut number = 1;
    while !rest.is_empty() {
        let end = rest.find('\n').unwrap_or(rest.len());
        let line = rest[..end].trim();
        let mut used = (end + 1).min(rest.len());
        match assignment(line) {
            Ok(None) => {}
            Ok(Some((name, value))) => match value.chars().next() {
                Some(quote @ ('"' | '\'')) => {
                    let start = value.as_ptr() as usize - rest.as_ptr() as usize + 1;
                    match quoted(&rest[start..], quote) {
                        Ok((value, length)) => {
                            let after = &rest[start + length..];
                            let tail = after.split('\n').next().unwrap_or("");
                            used = (start + length + tail.len() + 1).min(rest.len());
                            match tail.trim() {
                                tail if tail.is_empty() || tail.starts_with('#') => {
                                    lines.insert(name.to_owned(), (value, number));
                                }
                                tail => bad.push(BadLine {
                                    line: number,
                                    message: format!("expected nothing after the closing {quote}, found `{tail}`"),
                                }),
                            }
                        }
                        Err(message) => bad.push(BadLine { line: number, message }),
                    }
                }
                _ => {
                    let value = match value.find(" #").or_else(|| value.find("\t#")) {
                        Some(comment) => value[..comment].trim_end(),
                        None => value,
                    };
                    lines.insert(name.to_owned(), (value.to_owned(), number));
                }
            },
            Err(message) => bad.push(BadLine { line: number, message }),
        }
        number += rest[..used].matches('\n').count();
        rest = &rest[used..];
    }
    (lines, bad)
}

/// Name and value of a line; nothing of a blank line or a comment.
fn assignment(line: &str) -> Result<Option<(&str, &str)>, String> {
    if line.is_empty() || line.starts_with('#') {
        return Ok(None);
    }
    let line = line.strip_prefix("export ").unwrap_or(line);
    // The line itself is not shown: it may be a secret.
    let Some((name, value)) = line.split_once('=') else {
        return Err("expected NAME=value, found no `=`".to_owned());
    };
    let name = name.trim();
    let good = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '.';
    if name.is_empty() || !name.chars().all(good) || name.starts_with(|c: char| c.is_ascii_digit()) {
        return Err(format!(
            "expected a name of letters, digits and `_` before `=`, found `{}`",
            name.escape_debug()
        ));
    }
    Ok(Some((name, value.trim_start())))
}

/// The value up to the closing quote, and how many bytes it took with the quote.
fn quoted(text: &str, quote: char) -> Result<(String, usize), String> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            c if c == quote => return Ok((value, at + 1)),
            '\\' if quote == '"' => match chars.next() {
                Some((_, 'n')) => value.push('\n'),
                Some((_, 't')) => value.push('\t'),
                Some((_, 'r')) => value.push('\r'),
                Some((_, c @ ('"' | '\\' | '$'))) => value.push(c),
                Some((_, c)) => value.extend(['\\', c]),
                None => break,
            },
            c => value.push(c),
        }
    }
    Err(format!("the {quote} that opens the value is never closed"))
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[track_caller]
    fn check(text: &str, expected: &[(&str, &str, usize)]) {
        let (lines, bad) = parse(text);
        let found: Vec<_> = lines.iter().map(|(k, (v, n))| (k.as_str(), v.as_str(), *n)).collect();
        assert_eq!(found, expected);
        assert_eq!(bad, []);
    }

    #[track_caller]
    fn check_bad(text: &str, line: usize, message: &str) {
        let (_, bad) = parse(text);
        assert_eq!(bad.len(), 1, "{bad:?}");
        assert_eq!((bad[0].line, bad[0].message.as_str()), (line, message));
    }

    #[test]
    fn plain_values_comments_and_export() {
        check(
            "\u{feff}# head\r\nA=1\r\n\r\nexport B = two words # no\nC=\nD=x#y\n",
            &[("A", "1", 2), ("B", "two words", 4), ("C", "", 5), ("D", "x#y", 6)],
        );
    }

    #[test]
    fn quotes_keep_spaces_and_lines() {
        check(
            "A=' x # $HOME\\n ' # note\nB=\"one\\ntwo \\\"q\\\" \\$5\"\nC=\"a\nb\"\nD=4",
            &[
                ("A", " x # $HOME\\n ", 1),
                ("B", "one\ntwo \"q\" $5", 2),
                ("C", "a\nb", 3),
                ("D", "4", 5),
            ],
        );
    }

    #[test]
    fn the_later_line_counts() {
        check("A=1\nA=2\n", &[("A", "2", 2)]);
    }

    #[test]
    fn bad_lines_are_named_by_number() {
        check_bad("A=1\njust words\nB=2", 2, "expected NAME=value, found no `=`");
        check_bad(
            "1A=1",
            1,
            "expected a name of letters, digits and `_` before `=`, found `1A`",
        );
        check_bad("\n\nA=\"open\nB=2", 3, "the \" that opens the value is never closed");
        check_bad("A='x'y", 1, "expected nothing after the closing ', found `y`");
    }

    /// Every text gives lines or faults; none hangs or panics.
    #[test]
    fn any_text_is_read() {
        let pieces = [
            "A", "=", "\"", "'", "\\", "\n", "\r", "#", " ", "\t", "ä", "\u{feff}", "export ", "\0", "$",
        ];
        let mut seed = 1_u64;
        for _ in 0..20_000 {
            let mut text = String::new();
            for _ in 0..12 {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                text.push_str(pieces[(seed >> 33) as usize % pieces.len()]);
            }
            let (lines, bad) = parse(&text);
            let most = text.matches('\n').count() + 1;
            assert!(lines.values().all(|(_, line)| (1..=most).contains(line)), "{text:?}");
            assert!(bad.iter().all(|bad| (1..=most).contains(&bad.line)), "{text:?}");
        }
    }

    #[test]
    fn all_bad_lines_are_told() {
        let (lines, bad) = parse("x\nA=1\ny\n");
        assert_eq!(lines.len(), 1);
        assert_eq!(bad.iter().map(|b| b.line).collect::<Vec<_>>(), [1, 3]);
    }
}
