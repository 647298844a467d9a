//! Origins (RFC 6454): the scheme, host and port that a request is for, and those that a browser says it comes from.

use crate::shield::host;
use demijohn_core::Request;
use std::fmt;

/// Scheme, host and port of a site, as browsers compare them.
///
/// Two origins are the same when all three are; a sub-domain is another origin, and so is the other scheme. What browsers send as
/// `null` (a sandboxed frame, a local file) is no origin, and so it equals none.
///
/// ```
/// use demijohn_web::Origin;
///
/// let origin = Origin::parse("https://Example.org").unwrap();
/// assert_eq!(Some(origin.clone()), Origin::parse("https://example.org:443"));
/// assert_ne!(Some(origin.clone()), Origin::parse("http://example.org"));
/// assert_ne!(Some(origin), Origin::parse("https://a.example.org"));
/// assert_eq!(Origin::parse("null"), None);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Origin {
    secure: bool,
    /// In lower case. A dot at its end is kept: to browsers `example.org.` is another origin than `example.org`.
    host: String,
    port: u16,
}

impl Origin {
    /// Reads the header `Origin`: a scheme and a host, perhaps a port, and nothing else. `None` for `null`, for other schemes than
    /// http and https, and for whatever is no origin.
    pub fn parse(header: &str) -> Option<Origin> {
        let (scheme, host) = header.split_once("://")?;
        Origin::new(scheme, host)
    }

    /// The origin of a whole address, such as the header `Referer` has.
    pub fn of_url(address: &str) -> Option<Origin> {
        let (scheme, rest) = address.split_once("://")?;
        let host = &rest[..rest.find(['/', '?', '#']).unwrap_or(rest.len())];
        Origin::new(scheme, host)
    }

    /// Where the request was sent to; `None` when it names no host.
    ///
    /// The scheme is that of the connection, or what a trusted proxy says of it.
    pub fn of_request(request: &Request) -> Option<Origin> {
        Origin::new(request.scheme(), request.host()?)
    }

    fn new(scheme: &str, host: &str) -> Option<Origin> {
        let secure = scheme.eq_ignore_ascii_case("https");
        if !secure && !scheme.eq_ignore_ascii_case("http") {
            return None;
        }
        let (name, port) = host::split(host)?;
        let host = match name.strip_prefix('[').and_then(|name| name.strip_suffix(']')) {
            // One address has many texts.
            Some(address) => format!("[{}]", address.parse::<std::net::Ipv6Addr>().ok()?),
            None => {
                let is_absolute = host.as_bytes().get(name.len()) == Some(&b'.');
                host[..name.len() + usize::from(is_absolute)].to_ascii_lowercase()
            }
        };
        Some(Origin {
            secure,
            host,
            port: port.unwrap_or(default_port(secure)),
        })
    }

    /// True for https.
    pub fn is_secure(&self) -> bool {
        self.secure
    }

    /// The host, in lower case.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port, 443 or 80 where none was named.
    pub fn port(&self) -> u16 {
        self.port
    }
}

fn default_port(secure: bool) -> u16 {
    if secure { 443 } else { 80 }
}

/// As browsers write it.
impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.secure { "https" } else { "http" };
        write!(f, "{scheme}://{}", self.host)?;
        match self.port == default_port(self.secure) {
            true => Ok(()),
            false => write!(f, ":{}", self.port),
        }
    }
}

/// A list of origins that a site trusts: `https://shop.example`, or `https://*.shop.example` for all that is below it.
///
/// ```
/// use demijohn_web::{Origin, TrustedOrigins};
///
/// let trusted = TrustedOrigins::parse(["https://pay.example", "https://*.shop.example"]).unwrap();
/// let trusts = |origin| Origin::parse(origin).is_some_and(|origin| trusted.contains(&origin));
/// assert!(trusts("https://pay.example") && trusts("https://a.shop.example"));
/// assert!(!trusts("http://pay.example") && !trusts("https://shop.example") && !trusts("https://badshop.example"));
/// assert!(TrustedOrigins::parse(["pay.example"]).is_err());
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrustedOrigins(Vec<Trusted>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Trusted {
    origin: Origin,
    /// Those below the host, in place of the host.
    below: bool,
}

impl TrustedOrigins {
    /// The list.
    ///
    /// # Errors
    /// The entry that is no origin and why, in words for whoever wrote it.
    pub fn parse<T: AsRef<str>>(list: impl IntoIterator<Item = T>) -> Result<TrustedOrigins, String> {
        let mut trusted = Vec::new();
        for entry in list {
            let entry = entry.as_ref();
            let Some((scheme, host)) = entry.split_once("://") else {
                return Err(format!("`{entry}` has no scheme: write `https://{entry}`"));
            };
            let (host, below) = match host.strip_prefix("*.") {
                Some(host) => (host, true),
                None => (host, false),
            };
            let Some(origin) = Origin::new(scheme, host) else {
                return Err(format!(
                    "`{entry}` is no origin: write a scheme and a host, such as `https://shop.example` or `https://*.shop.example`"
                ));
            };
            trusted.push(Trusted { origin, below });
        }
        Ok(TrustedOrigins(trusted))
    }

    /// True when the list has it.
    pub fn contains(&self, origin: &Origin) -> bool {
        self.0.iter().any(|trusted| match trusted.below {
            false => trusted.origin == *origin,
            true => {
                trusted.origin.secure == origin.secure
                    && trusted.origin.port == origin.port
                    && origin.host.len() > trusted.origin.host.len()
                    && host::is_under(&origin.host, &trusted.origin.host)
            }
        })
    }

    /// True when nothing is trusted.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::Origin;

    #[test]
    fn origins() {
        for (text, shown) in [
            ("https://example.org", "https://example.org"),
            ("HTTPS://EXAMPLE.org:443", "https://example.org"),
            ("http://example.org:443", "http://example.org:443"),
            ("https://example.org.", "https://example.org."),
            ("https://example.org.:443", "https://example.org."),
            ("http://[0:0::1]:8000", "http://[::1]:8000"),
        ] {
            assert_eq!(
                Origin::parse(text).map(|origin| origin.to_string()).as_deref(),
                Some(shown)
            );
        }
        for text in [
            "",
            "null",
            "example.org",
            "//example.org",
            "https:example.org",
            "https://",
            "https://example.org/",
            "https://example.org https://evil.example",
            "https://example.org,https://evil.example",
            "https://user@example.org",
            "https://example.org@evil.example",
            "https://example.org\\evil",
            "https://ex\u{e4}mple.org",
            "javascript://example.org",
            "file://",
            " https://example.org",
            "https://example.org\t",
            "https://*",
        ] {
            assert_eq!(Origin::parse(text), None, "{text:?}");
        }
        let of = |address| Origin::of_url(address).map(|origin| origin.to_string());
        assert_eq!(of("https://example.org/a?b#c").as_deref(), Some("https://example.org"));
        assert_eq!(of("https://example.org?b").as_deref(), Some("https://example.org"));
        assert_eq!(of("https://example.org@evil.example/"), None);
        assert_eq!(of("https://example.org\\@evil.example/"), None);
    }
}
