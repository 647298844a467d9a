//! Content security policies: what a browser may load and run for a page.

use demijohn_core::check::nearest;
use http::HeaderValue;
use serde_core::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_core::{Serialize, Serializer};
use std::fmt;

/// A content security policy (<https://www.w3.org/TR/CSP3/>): what a browser may load and run for a page.
///
/// Every answer carries [`Csp::strict`] unless the setting `SECURE_CSP` or the route says otherwise. Text in the page cannot become
/// script then: what the site itself puts inline names the nonce of the request, `<script nonce="{{ csp_nonce }}">`.
///
/// ```
/// use demijohn_web::{Application, Csp, get};
///
/// # demijohn_web::test::block_on(async {
/// let maps = Csp::strict().directive("img-src", [Csp::SELF, "https://tiles.example"]);
/// let client = Application::new().route("/map", get(async || "a map").csp(maps)).test_client();
/// let answer = client.get("/map").await;
/// let policy = answer.header("content-security-policy").unwrap();
/// assert!(policy.contains("img-src 'self' https://tiles.example") && policy.contains("default-src 'self'"));
/// # });
/// ```
///
/// As a setting it is a table of lists, or the text of the header with `'nonce'` where the nonce goes:
/// `SECURE_CSP="default-src 'self'; script-src 'self' 'nonce'"`; an empty text sends none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Csp {
    directives: Vec<(String, Vec<String>)>,
}

/// [`Csp::strict`] as its text.
pub(crate) const STRICT: &str = "default-src 'self'; script-src 'self' 'nonce'; style-src 'self' 'nonce'; object-src 'none'; \
    base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

impl Csp {
    /// What comes from the origin of the page.
    pub const SELF: &'static str = "'self'";
    /// Nothing.
    pub const NONE: &'static str = "'none'";
    /// What names the nonce of the request. Where a page asked for none, it stands for nothing.
    pub const NONCE: &'static str = "'nonce'";
    /// What a script that may run brings in may run too.
    pub const STRICT_DYNAMIC: &'static str = "'strict-dynamic'";
    /// Script and style inside of the page, whoever wrote it there: the very thing that a policy is against.
    pub const UNSAFE_INLINE: &'static str = "'unsafe-inline'";
    /// `eval` and its like.
    pub const UNSAFE_EVAL: &'static str = "'unsafe-eval'";
    /// Handlers in attributes, by their hashes.
    pub const UNSAFE_HASHES: &'static str = "'unsafe-hashes'";
    /// WebAssembly.
    pub const WASM_UNSAFE_EVAL: &'static str = "'wasm-unsafe-eval'";
    /// Reports show the beginning of what was refused.
    pub const REPORT_SAMPLE: &'static str = "'report-sample'";

    /// No policy: the header is not sent. It is the opt-out, and `check --deploy` tells it.
    pub fn none() -> Csp {
        Csp::default()
    }

    /// What every answer has unless told otherwise: everything from the own origin, nothing inline but what names the nonce, no
    /// frames around it, no plug-ins, no other base, forms to the own origin.
    pub fn strict() -> Csp {
        Csp::parse(STRICT)
    }

    /// The policy with this directive, in place of the one of that name. Without sources it is a mere word, as
    /// `upgrade-insecure-requests` is one.
    #[must_use]
    pub fn directive<S: Into<String>>(mut self, name: &str, sources: impl IntoIterator<Item = S>) -> Csp {
        let sources: Vec<String> = sources.into_iter().map(Into::into).collect();
        match self.directives.iter_mut().find(|(known, _)| known == name) {
            Some((_, old)) => *old = sources,
            None => self.directives.push((name.to_owned(), sources)),
        }
        self
    }

    /// The policy without this directive.
    #[must_use]
    pub fn without(mut self, name: &str) -> Csp {
        self.directives.retain(|(known, _)| known != name);
        self
    }

    /// True when no header is sent.
    pub fn is_empty(&self) -> bool {
        self.directives.is_empty()
    }

    /// The directives that allow script or style which anyone could have put into the page.
    pub(crate) fn loose(&self) -> impl Iterator<Item = &str> {
        let loose = |sources: &[String]| {
            sources.iter().any(|source| {
                source == Csp::UNSAFE_INLINE || source == Csp::UNSAFE_EVAL || source == "*" || source == "data:"
            })
        };
        let runs = |name: &str| {
            matches!(
                name,
                "default-src" | "script-src" | "script-src-elem" | "script-src-attr"
            )
        };
        let loose = self
            .directives
            .iter()
            .filter(move |(name, sources)| runs(name) && loose(sources));
        loose.map(|(name, _)| name.as_str())
    }

    fn parse(text: &str) -> Csp {
        let directives = text.split(';').filter_map(|directive| {
            let mut words = directive.split_ascii_whitespace().map(str::to_owned);
            Some((words.next()?, words.collect()))
        });
        Csp {
            directives: directives.collect(),
        }
    }

    /// The policy as it is sent.
    ///
    /// # Errors
    /// What is no directive, or no source of one.
    pub(crate) fn compile(&self) -> Result<Option<Compiled>, String> {
        if self.is_empty() {
            return Ok(None);
        }
        for (name, sources) in &self.directives {
            if name.is_empty() || !name.bytes().all(|b| b.is_ascii_lowercase() || b == b'-') {
                return Err(format!("`{name}` is no directive"));
            }
            // Browsers pass over what they do not know, and over its protection. One that is like none may be new.
            if !KNOWN.contains(&name.as_str())
                && let Some(meant) = nearest(name, KNOWN.iter().copied())
            {
                return Err(format!("`{name}` is no directive; did you mean `{meant}`?"));
            }
            // Without quotes it would be a host of that name.
            let keyword = |source: &&String| KEYWORDS.contains(&source.to_ascii_lowercase().as_str());
            if let Some(bare) = sources.iter().find(keyword) {
                return Err(format!(
                    "`{bare}` in {name} is the name of a host: write `'{bare}'`, in quotes"
                ));
            }
            let plain = |b: u8| b.is_ascii_graphic() && b != b';' && b != b',';
            if let Some(wrong) = sources.iter().find(|s| s.is_empty() || !s.bytes().all(plain)) {
                return Err(format!("`{wrong}` is no source: {name} takes a list of them"));
            }
        }
        let mut pieces = vec![String::new()];
        let mut plain = String::new();
        for (name, sources) in &self.directives {
            let separator = if plain.is_empty() { "" } else { "; " };
            let last = pieces.last_mut().ok_or("there is always a piece")?;
            last.push_str(separator);
            last.push_str(name);
            plain.push_str(separator);
            plain.push_str(name);
            let mut said = sources.is_empty();
            for source in sources {
                let last = pieces.last_mut().ok_or("there is always a piece")?;
                last.push(' ');
                if source == Csp::NONCE {
                    pieces.push(String::new());
                } else {
                    last.push_str(source);
                    plain.push(' ');
                    plain.push_str(source);
                    said = true;
                }
            }
            // What only a nonce would have allowed, nothing is allowed without one.
            if !said {
                plain.push(' ');
                plain.push_str(Csp::NONE);
            }
        }
        Ok(Some(Compiled {
            plain: super::fixed_value(plain).map_err(|_| "it is no text for a header")?,
            with_nonce: (pieces.len() > 1).then_some(pieces),
        }))
    }
}

/// The directives of CSP 3 and of those around it (<https://www.w3.org/TR/CSP3/#csp-directives>).
const KNOWN: &[&str] = &[
    "base-uri",
    "block-all-mixed-content",
    "child-src",
    "connect-src",
    "default-src",
    "fenced-frame-src",
    "font-src",
    "form-action",
    "frame-ancestors",
    "frame-src",
    "img-src",
    "manifest-src",
    "media-src",
    "object-src",
    "plugin-types",
    "prefetch-src",
    "report-to",
    "report-uri",
    "require-trusted-types-for",
    "sandbox",
    "script-src",
    "script-src-attr",
    "script-src-elem",
    "style-src",
    "style-src-attr",
    "style-src-elem",
    "trusted-types",
    "upgrade-insecure-requests",
    "webrtc",
    "worker-src",
];

/// Sources that stand in quotes.
const KEYWORDS: &[&str] = &[
    "none",
    "nonce",
    "report-sample",
    "self",
    "strict-dynamic",
    "unsafe-eval",
    "unsafe-hashes",
    "unsafe-inline",
    "wasm-unsafe-eval",
];

/// A policy, ready to be sent.
#[derive(Debug)]
pub(crate) struct Compiled {
    plain: HeaderValue,
    /// What stands between the nonces.
    with_nonce: Option<Vec<String>>,
}

impl Compiled {
    pub(crate) fn value(&self, nonce: Option<&str>) -> HeaderValue {
        let (Some(pieces), Some(nonce)) = (&self.with_nonce, nonce) else {
            return self.plain.clone();
        };
        let text = pieces.join(&format!("'nonce-{nonce}'"));
        HeaderValue::try_from(text).unwrap_or_else(|_| self.plain.clone())
    }
}

/// The text of the header, with `'nonce'` where the nonce goes.
impl fmt::Display for Csp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, (name, sources)) in self.directives.iter().enumerate() {
            if i > 0 {
                f.write_str("; ")?;
            }
            f.write_str(name)?;
            for source in sources {
                write!(f, " {source}")?;
            }
        }
        Ok(())
    }
}

impl Serialize for Csp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Csp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Policy;

        impl<'de> Visitor<'de> for Policy {
            type Value = Csp;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a content security policy: its text, or a table of directives")
            }

            fn visit_str<E>(self, text: &str) -> Result<Csp, E> {
                Ok(Csp::parse(text))
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Csp, M::Error> {
                let mut policy = Csp::none();
                while let Some((name, sources)) = map.next_entry::<String, Sources>()? {
                    policy = policy.directive(&name.replace('_', "-"), sources.0);
                }
                Ok(policy)
            }
        }

        deserializer.deserialize_any(Policy)
    }
}

/// The sources of one directive: a list, or a text of several.
struct Sources(Vec<String>);

impl<'de> Deserialize<'de> for Sources {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct List;

        impl<'de> Visitor<'de> for List {
            type Value = Sources;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of sources")
            }

            fn visit_str<E>(self, text: &str) -> Result<Sources, E> {
                Ok(Sources(text.split_ascii_whitespace().map(str::to_owned).collect()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Sources, A::Error> {
                let mut sources = Vec::new();
                while let Some(source) = list.next_element()? {
                    sources.push(source);
                }
                Ok(Sources(sources))
            }
        }

        deserializer.deserialize_any(List)
    }
}
