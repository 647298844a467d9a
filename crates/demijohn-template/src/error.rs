//! Why a template failed, with the line under a caret.

use std::fmt;

/// Why a template could not be found, parsed or rendered.
///
/// `{}` is one line with the template and the line; `{:#}` adds the source with a caret under the failing part:
///
/// ```
/// # use demijohn_template::{Engine, Folder, context};
/// # let engine = Engine::builder().folder(Folder::embedded(&[("a.html", "<h1>\n  {{ titel }}\n</h1>")])).build();
/// let error = engine.render("a.html", context! { title => "Hello" }).unwrap_err();
/// assert_eq!(error.to_string(), "undefined value: `titel` is undefined (in a.html:2)");
/// assert_eq!(format!("{error:#}"), "undefined value: `titel` is undefined
///   --> a.html:2
///   |
/// 2 |   {{ titel }}
///   |      ^^^^^
/// ");
/// ```
pub struct Error(Box<Inner>);

struct Inner {
    outer: minijinja::Error,
    /// Templates on the way to the failing one, outermost first: `base.html:3` includes ..
    through: Vec<String>,
    hint: Option<String>,
}

impl Error {
    pub(crate) fn new(outer: minijinja::Error) -> Self {
        let mut through = Vec::new();
        let mut at = &outer;
        while let Some(next) = inner(at) {
            if let (Some(name), Some(line)) = (at.name(), at.line()) {
                through.push(format!("{name}:{line}"));
            }
            at = next;
        }
        Error(Box::new(Inner {
            outer,
            through,
            hint: None,
        }))
    }

    pub(crate) fn hint(mut self, hint: String) -> Self {
        self.0.hint = Some(hint);
        self
    }

    /// The error where it happened: inside the included template, not at the `include`.
    fn innermost(&self) -> &minijinja::Error {
        let mut at = &self.0.outer;
        while let Some(next) = inner(at) {
            at = next;
        }
        at
    }

    /// What kind of failure it is.
    pub fn kind(&self) -> minijinja::ErrorKind {
        self.innermost().kind()
    }

    /// True when the template itself is not there.
    pub fn is_not_found(&self) -> bool {
        self.kind() == minijinja::ErrorKind::TemplateNotFound
    }

    /// The template that failed (an included one rather than the one that includes it).
    pub fn template(&self) -> Option<&str> {
        self.innermost().name()
    }

    /// The line in it, from 1.
    pub fn line(&self) -> Option<usize> {
        self.innermost().line()
    }

    /// The failure without its place.
    pub fn message(&self) -> String {
        let error = self.innermost();
        let mut text = match error.detail() {
            Some(detail) => format!("{}: {detail}", error.kind()),
            None => error.kind().to_string(),
        };
        if let Some(hint) = &self.0.hint {
            text.push_str("; ");
            text.push_str(hint);
        }
        text
    }

    /// The failing line with a caret under the failing part, as `{:#}` shows it.
    pub fn excerpt(&self) -> Option<String> {
        let error = self.innermost();
        let source = error.template_source()?;
        let line = error.line()?;
        let text = source.lines().nth(line.checked_sub(1)?)?;
        let number = line.to_string();
        let margin = " ".repeat(number.len());
        let mut out = format!("{margin} |\n{number} | {text}\n");
        // The range is in bytes of the whole source; where it starts on another line there is no caret to draw.
        let line_start = text.as_ptr() as usize - source.as_ptr() as usize;
        if let Some(range) = error
            .range()
            .filter(|r| r.start >= line_start && r.start <= line_start + text.len())
        {
            let start = text.get(..range.start - line_start)?;
            let end = (range.end - line_start).min(text.len());
            let length = text.get(range.start - line_start..end)?.chars().count().max(1);
            // Tabs stay tabs, so that the caret stands under its character.
            let lead: String = start.chars().map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
            out.push_str(&format!("{margin} | {lead}{}\n", "^".repeat(length)));
        }
        Some(out)
    }
}

fn inner(error: &minijinja::Error) -> Option<&minijinja::Error> {
    std::error::Error::source(error)?.downcast_ref()
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message())?;
        let place = match (self.template(), self.line()) {
            (Some(name), Some(line)) => Some(format!("{name}:{line}")),
            (Some(name), None) => Some(name.to_owned()),
            _ => None,
        };
        if !f.alternate() {
            return match place {
                Some(place) => write!(f, " (in {place})"),
                None => Ok(()),
            };
        }
        writeln!(f)?;
        if let Some(place) = place {
            writeln!(f, "  --> {place}")?;
        }
        if let Some(excerpt) = self.excerpt() {
            f.write_str(&excerpt)?;
        }
        for place in self.0.through.iter().rev() {
            writeln!(f, "  from {place}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:#}")
    }
}

impl std::error::Error for Error {
    /// The failure inside a filter or function of yours, if that was the cause.
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        std::error::Error::source(self.innermost())
    }
}
