//! Articles are written in Markdown, by anybody: no markup of theirs reaches the page, and no link but a plain one.

use pulldown_cmark::{CowStr, Event, HeadingLevel, Options, Parser, Tag, TagEnd, html};

/// Markdown as HTML that is safe to put on a page.
///
/// HTML in the text shows as text; images show as their description; links that are no web address lead nowhere.
pub(crate) fn html(markdown: &str) -> String {
    let options = Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH | Options::ENABLE_SMART_PUNCTUATION;
    let events = Parser::new_ext(markdown, options).map(|event| match event {
        Event::Html(text) | Event::InlineHtml(text) => Event::Text(text),
        Event::Start(Tag::HtmlBlock) => Event::Start(Tag::Paragraph),
        Event::End(TagEnd::HtmlBlock) => Event::End(TagEnd::Paragraph),
        Event::Start(Tag::Image { .. }) => Event::Start(Tag::Emphasis),
        Event::End(TagEnd::Image) => Event::End(TagEnd::Emphasis),
        Event::Start(Tag::Link { dest_url, .. }) => Event::InlineHtml(link(&dest_url)),
        Event::End(TagEnd::Link) => Event::InlineHtml("</a>".into()),
        // The page has a heading of the first level already.
        Event::Start(Tag::Heading { level, .. }) => Event::Start(Tag::Heading {
            level: lower(level),
            id: None,
            classes: Vec::new(),
            attrs: Vec::new(),
        }),
        Event::End(TagEnd::Heading(level)) => Event::End(TagEnd::Heading(lower(level))),
        other => other,
    });
    let mut out = String::with_capacity(markdown.len() * 5 / 4);
    html::push_html(&mut out, events);
    out
}

fn link(address: &str) -> CowStr<'static> {
    let is_plain = ["https://", "http://", "mailto:"].iter().any(|scheme| {
        address
            .get(..scheme.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(scheme))
    }) || (address.starts_with('/') && !address.starts_with("//") && !address.starts_with("/\\"));
    if !is_plain {
        return "<a>".into();
    }
    let mut escaped = String::with_capacity(address.len() + 40);
    escaped.push_str("<a rel=\"nofollow ugc noopener\" href=\"");
    for c in address.chars() {
        match c {
            '"' => escaped.push_str("%22"),
            '<' => escaped.push_str("%3C"),
            '>' => escaped.push_str("%3E"),
            '&' => escaped.push_str("&amp;"),
            '\'' => escaped.push_str("&#39;"),
            c if c.is_control() => {}
            c => escaped.push(c),
        }
    }
    escaped.push_str("\">");
    escaped.into()
}

fn lower(level: HeadingLevel) -> HeadingLevel {
    match level {
        HeadingLevel::H1 | HeadingLevel::H2 => HeadingLevel::H2,
        HeadingLevel::H3 => HeadingLevel::H3,
        HeadingLevel::H4 => HeadingLevel::H4,
        HeadingLevel::H5 => HeadingLevel::H5,
        HeadingLevel::H6 => HeadingLevel::H6,
    }
}

/// Minutes that a reader takes, at 220 words a minute; at least one.
pub(crate) fn minutes(text: &str) -> usize {
    text.split_whitespace().count().div_ceil(220).max(1)
}

#[cfg(test)]
mod tests {
    use super::html;

    #[test]
    fn markup_of_authors_is_text() {
        for source in [
            "<script>alert(1)</script>",
            "a <img src=x onerror=alert(1)> b",
            "<div\nonclick='x'>\n\nhello",
            "![x](javascript:alert(1))",
            "[x](javascript:alert(1))",
            "[x](JaVaScRiPt:alert(1))",
            "[x](data:text/html,<script>)",
            "[x](//evil.example)",
            "[x](<https://a.example/\" onmouseover=\"alert(1)>)",
            "<https://a.example/?\"onx=1>",
            "```\"><script>\nx\n```",
        ] {
            let out = html(source).to_lowercase();
            for bad in [
                "<script",
                "<img",
                "<div",
                "href=\"javascript",
                "href=\"data",
                "href=\"//",
                "\" onmouse",
            ] {
                assert!(!out.contains(bad), "{source} -> {out}");
            }
        }
    }

    #[test]
    fn headings_begin_at_the_second_level() {
        assert_eq!(html("# One\n\n### Three"), "<h2>One</h2>\n<h3>Three</h3>\n");
    }

    #[test]
    fn web_links_are_links() {
        assert_eq!(
            html("[a](https://a.example/?x=1&y=2)"),
            "<p><a rel=\"nofollow ugc noopener\" href=\"https://a.example/?x=1&amp;y=2\">a</a></p>\n"
        );
    }
}
