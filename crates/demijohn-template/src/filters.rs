//! The filters of Jinja2 that minijinja has not, with the results that Jinja2 documents
//! (<https://jinja.palletsprojects.com/en/stable/templates/#list-of-builtin-filters>).

use crate::engine::write_escaped;
use minijinja::value::{Kwargs, Value, ValueKind};
use minijinja::{AutoEscape, Environment, Error, ErrorKind, State};
use minijinja_contrib::filters as contrib;
use std::fmt::Write as _;

pub(crate) fn add(env: &mut Environment<'static>) {
    env.add_filter("center", center);
    env.add_filter("filesizeformat", contrib::filesizeformat);
    env.add_filter("forceescape", forceescape);
    env.add_filter("pluralize", contrib::pluralize);
    env.add_filter("random", contrib::random);
    env.add_filter("striptags", contrib::striptags);
    env.add_filter("truncate", truncate);
    env.add_filter("urlize", urlize);
    env.add_filter("wordcount", wordcount);
    env.add_filter("wordwrap", wordwrap);
    env.add_filter("xmlattr", xmlattr);
    env.add_test("callable", |value: &Value| {
        // Functions are plain objects; a macro can be looked into like a mapping.
        let is_macro = |value: &Value| {
            value
                .as_object()
                .is_some_and(|object| object.type_name().ends_with("::Macro"))
        };
        value.as_object().is_some() && (value.kind() == ValueKind::Plain || is_macro(value))
    });
}

/// Text as it stands inside of HTML.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    // A text takes what is written to it.
    let _ = write_escaped(&mut out, text);
    out
}

/// Between as many spaces on both sides, in a field of this width.
fn center(text: String, width: Option<usize>) -> String {
    // A width that somebody got from a visitor is bounded, as the others of minijinja are by memory alone.
    let width = width.unwrap_or(80).min(10_000);
    let left = width.saturating_sub(text.chars().count()) / 2;
    let text = format!("{:left$}{text}", "");
    let missing = width.saturating_sub(text.chars().count());
    format!("{text}{:missing$}", "")
}

/// Escaped, even what is escaped already.
fn forceescape(value: &Value) -> Value {
    Value::from_safe_string(escaped(&value.to_string()))
}

/// The beginning of a text, at most `length` characters with `end`; whole words unless `killwords`. A text that is longer by `leeway` only
/// stays as it is.
fn truncate(
    text: String,
    length: Option<usize>,
    killwords: Option<bool>,
    end: Option<String>,
    kwargs: Kwargs,
) -> Result<String, Error> {
    let length = kwargs.get::<Option<usize>>("length")?.or(length).unwrap_or(255);
    let killwords = kwargs.get::<Option<bool>>("killwords")?.or(killwords).unwrap_or(false);
    let end = kwargs
        .get::<Option<String>>("end")?
        .or(end)
        .unwrap_or_else(|| "...".to_owned());
    let leeway = kwargs.get::<Option<usize>>("leeway")?.unwrap_or(5);
    kwargs.assert_all_used()?;
    if text.chars().count() <= length.saturating_add(leeway) {
        return Ok(text);
    }
    let kept = length.saturating_sub(end.chars().count());
    let mut beginning: String = text.chars().take(kept).collect();
    if let Some(space) = beginning.rfind(' ').filter(|_| !killwords) {
        beginning.truncate(space);
    }
    Ok(beginning + &end)
}

/// Words are letters, digits and underscores.
fn wordcount(text: String) -> usize {
    let words = text.split(|c: char| !c.is_alphanumeric() && c != '_');
    words.filter(|word| !word.is_empty()).count()
}

/// Breaks lines at spaces (and after hyphens); lines that are there stay apart.
fn wordwrap(text: String, width: Option<usize>, kwargs: Kwargs) -> Result<String, Error> {
    let width = kwargs.get::<Option<usize>>("width")?.or(width).unwrap_or(79).max(1);
    let breaks_long_words = kwargs.get::<Option<bool>>("break_long_words")?.unwrap_or(true);
    let breaks_on_hyphens = kwargs.get::<Option<bool>>("break_on_hyphens")?.unwrap_or(true);
    let newline = kwargs
        .get::<Option<String>>("wrapstring")?
        .unwrap_or_else(|| "\n".to_owned());
    kwargs.assert_all_used()?;
    let mut lines = Vec::new();
    for paragraph in text.lines() {
        let mut line = String::new();
        let mut used = 0;
        for word in pieces(paragraph, breaks_on_hyphens) {
            let length = word.trim_end().chars().count();
            if used > 0 && used + length > width {
                lines.push(std::mem::take(&mut line).trim_end().to_owned());
                used = 0;
            }
            let mut rest: Vec<char> = word.chars().collect();
            while breaks_long_words && rest.len() > width && word.trim_end().chars().count() > width {
                let after = rest.split_off(width);
                lines.push(rest.into_iter().collect::<String>().trim_end().to_owned());
                rest = after;
            }
            used += rest.len();
            line.extend(rest);
        }
        lines.push(line.trim_end().to_owned());
    }
    Ok(lines.join(&newline))
}

/// A line in pieces that stay whole, each with the spaces behind it.
fn pieces(line: &str, hyphens: bool) -> Vec<&str> {
    let mut pieces = Vec::new();
    let mut begin = 0;
    let mut before = ' ';
    for (at, c) in line.char_indices() {
        let ends_here = (before == ' ' && c != ' ') || (hyphens && before == '-' && c.is_alphabetic());
        if ends_here && at > begin {
            pieces.push(&line[begin..at]);
            begin = at;
        }
        before = c;
    }
    pieces.push(&line[begin..]);
    pieces
}

/// A mapping as attributes of a tag: ` class="a" id="b"`, without what is none or undefined. A space stands before them unless `autospace`
/// is false.
///
/// A key that would end the name of an attribute is refused (CVE-2024-22195, CVE-2024-34064).
fn xmlattr(state: &State, attributes: &Value, autospace: Option<bool>) -> Result<Value, Error> {
    let mut text = String::new();
    for key in attributes.try_iter()? {
        let value = attributes.get_item(&key)?;
        if value.is_none() || value.is_undefined() {
            continue;
        }
        let name = key.to_string();
        let breaks_out =
            |c: char| c.is_whitespace() || c.is_control() || matches!(c, '/' | '>' | '=' | '"' | '\'' | '<');
        if name.is_empty() || name.contains(breaks_out) {
            let message = format!("`{name}` is no name of an attribute");
            return Err(Error::new(ErrorKind::InvalidOperation, message));
        }
        let shown = value.to_string();
        let shown = if value.is_safe() { shown } else { escaped(&shown) };
        if !text.is_empty() || autospace != Some(false) {
            text.push(' ');
        }
        let _ = write!(text, "{}=\"{shown}\"", escaped(&name));
    }
    Ok(match state.auto_escape() {
        AutoEscape::None => Value::from(text),
        _ => Value::from_safe_string(text),
    })
}

/// Addresses in a text as links: what begins with `http://`, `https://` or `www.`, names with a well-known end, and addresses of mail.
fn urlize(text: &Value, limit: Option<usize>, kwargs: Kwargs) -> Result<Value, Error> {
    let limit = kwargs.get::<Option<usize>>("trim_url_limit")?.or(limit);
    let nofollow = kwargs.get::<Option<bool>>("nofollow")?.unwrap_or(false);
    let target = kwargs.get::<Option<String>>("target")?;
    let rel = kwargs.get::<Option<String>>("rel")?.unwrap_or_default();
    kwargs.assert_all_used()?;
    // As Jinja2 has it; `noopener` keeps the other site's hands off the window.
    let mut rels: Vec<&str> = rel.split_whitespace().collect();
    rels.extend(nofollow.then_some("nofollow"));
    rels.push("noopener");
    rels.sort_unstable();
    rels.dedup();
    let mut attributes = format!(" rel=\"{}\"", escaped(&rels.join(" ")));
    if let Some(target) = target {
        let _ = write!(attributes, " target=\"{}\"", escaped(&target));
    }
    let source = if text.is_safe() {
        text.to_string()
    } else {
        escaped(&text.to_string())
    };
    let mut out = String::with_capacity(source.len());
    let mut rest = source.as_str();
    while !rest.is_empty() {
        let space = rest.find(|c: char| !c.is_whitespace()).unwrap_or(rest.len());
        out.push_str(&rest[..space]);
        rest = &rest[space..];
        let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
        link(&rest[..end], limit, &attributes, &mut out);
        rest = &rest[end..];
    }
    Ok(Value::from_safe_string(out))
}

/// One word of a text that is escaped already, as a link if it is an address.
fn link(word: &str, limit: Option<usize>, attributes: &str, out: &mut String) {
    const OPENING: [&str; 3] = ["(", "&lt;", "&#39;"];
    const CLOSING: [&str; 8] = [")", "&gt;", "&#39;", "&quot;", ".", ",", ";", "!"];
    let (mut before, mut middle) = ("", word);
    for mark in OPENING {
        if let Some(inner) = middle.strip_prefix(mark) {
            (before, middle) = (mark, inner);
            break;
        }
    }
    let mut core = middle;
    loop {
        // An entity ends with a semicolon of its own, and a bracket that was opened inside is part of the address.
        let mark = CLOSING.iter().find(|mark| {
            let is_entity = **mark == ";"
                && core
                    .rfind('&')
                    .is_some_and(|at| !core[at..core.len() - 1].contains(';'));
            let is_paired = **mark == ")" && core.matches('(').count() >= core.matches(')').count();
            core.ends_with(**mark) && !is_entity && !is_paired
        });
        match mark {
            Some(mark) => core = &core[..core.len() - mark.len()],
            None => break,
        }
    }
    let after = &middle[core.len()..];
    let lower = core.to_ascii_lowercase();
    let is_name = |name: &str| {
        !name.is_empty()
            && name
                .chars()
                .all(|c| c.is_alphanumeric() || matches!(c, '.' | '-' | ':'))
            && name.contains('.')
    };
    let host = |rest: &str| rest.split(['/', '?', '#']).next().unwrap_or_default().to_owned();
    let scheme = ["https://", "http://"]
        .into_iter()
        .find(|scheme| lower.starts_with(scheme));
    let begins_like_a_site =
        lower.starts_with("www.") || [".com", ".org", ".net"].iter().any(|end| host(&lower).ends_with(end));
    let has_scheme = scheme.is_some_and(|scheme| lower.len() > scheme.len());
    let href = match core {
        _ if has_scheme || lower.strip_prefix("mailto:").is_some_and(is_mail) => Some(core.to_owned()),
        _ if begins_like_a_site && is_name(&host(&lower)) => Some(format!("https://{core}")),
        _ if is_mail(&lower) => Some(format!("mailto:{core}")),
        _ => None,
    };
    // Markup that was handed over as safe may have tags of its own in the word.
    let Some(href) = href.filter(|href| !href.contains(['<', '>', '"', '\''])) else {
        out.push_str(word);
        return;
    };
    let shown = core.strip_prefix("mailto:").unwrap_or(core);
    let mut shortened = String::new();
    let shown = match limit.filter(|limit| shown.chars().count() > *limit) {
        Some(limit) => {
            shortened.extend(shown.chars().take(limit));
            // Half an entity would show as such.
            if let Some(at) = shortened.rfind('&').filter(|at| !shortened[*at..].contains(';')) {
                shortened.truncate(at);
            }
            shortened.push_str("...");
            shortened.as_str()
        }
        None => shown,
    };
    // Mail needs no protection of windows.
    let attributes = if href.starts_with("mailto:") { "" } else { attributes };
    let _ = write!(out, "{before}<a href=\"{href}\"{attributes}>{shown}</a>{after}");
}

fn is_mail(word: &str) -> bool {
    let Some((name, host)) = word.split_once('@') else {
        return false;
    };
    let is_part = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_' | '+');
    !name.is_empty()
        && name.chars().all(is_part)
        && host.chars().all(is_part)
        && host.contains('.')
        && !host.starts_with('.')
        && !host.ends_with('.')
}
