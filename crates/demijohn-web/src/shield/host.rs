//! Which hosts a site answers for.

/// The name in `name`, `name:port`, `[::1]` or `[::1]:port`, and the port; `None` where a host is none of these.
///
/// Stricter than RFC 3986, which allows an empty port, user information and percent-encoding: no client sends those in `Host`, and what
/// two programs read in two ways is an attack. A dot at the end is left out (RFC 1034's absolute names).
pub(crate) fn split(host: &str) -> Option<(&str, Option<u16>)> {
    let (name, port) = match host.strip_prefix('[') {
        Some(inside) => {
            let (address, after) = inside.split_once(']')?;
            address.parse::<std::net::Ipv6Addr>().ok()?;
            (&host[..address.len() + 2], after)
        }
        None => {
            let end = end_of_name(host.as_bytes())?;
            let (name, port) = host.split_at(end);
            (name.strip_suffix('.').unwrap_or(name), port)
        }
    };
    let port = match port.strip_prefix(':') {
        Some(digits) if digits.len() <= 5 && digits.bytes().all(|b| b.is_ascii_digit()) => {
            Some(digits.parse().ok().filter(|port| *port > 0)?)
        }
        Some(_) => return None,
        None if port.is_empty() => None,
        None => return None,
    };
    Some((name, port))
}

/// Where a name ends: at its port, or with the text. Every request comes here, so it is one pass over the bytes.
fn end_of_name(host: &[u8]) -> Option<usize> {
    let mut label = 0;
    let mut end = host.len();
    for (at, byte) in host.iter().enumerate() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' if label < 63 => label += 1,
            // What is between two dots is not empty.
            b'.' if label > 0 => label = 0,
            b':' => {
                end = at;
                break;
            }
            _ => return None,
        }
    }
    let is_absolute = host[..end].ends_with(b".");
    ((label > 0 || is_absolute) && end - usize::from(is_absolute) <= 253).then_some(end)
}

/// True for `name` itself and for what is below `domain`.
pub(crate) fn is_under(name: &str, domain: &str) -> bool {
    let Some(at) = name.len().checked_sub(domain.len()) else {
        return false;
    };
    // A name that was split is ASCII; the domain is whatever a setting says.
    let (Some(below), Some(end)) = (name.get(..at), name.get(at..)) else {
        return false;
    };
    end.eq_ignore_ascii_case(domain) && (below.is_empty() || below.ends_with('.'))
}

/// True for `example.org`, for `.example.org` with all its sub-domains, for `*`, and without a list for every host that is well-formed.
pub(crate) fn is_allowed(host: &str, allowed: &[String]) -> bool {
    let Some((name, _)) = split(host) else { return false };
    // The settings see to it that production has a list.
    allowed.is_empty()
        || allowed.iter().any(|pattern| match pattern.strip_prefix('.') {
            Some(domain) => is_under(name, domain),
            None => pattern == "*" || pattern.eq_ignore_ascii_case(name),
        })
}

/// True for names of this machine: `localhost`, what is below it, and the loopback addresses.
pub(crate) fn is_loopback(host: &str) -> bool {
    let Some((name, _)) = split(host) else { return false };
    is_under(name, "localhost")
        || match name.strip_prefix('[').and_then(|name| name.strip_suffix(']')) {
            Some(address) => address
                .parse::<std::net::Ipv6Addr>()
                .is_ok_and(|address| address.is_loopback()),
            None => name
                .parse::<std::net::Ipv4Addr>()
                .is_ok_and(|address| address.is_loopback()),
        }
}

#[cfg(test)]
mod tests {
    use super::{is_allowed, is_loopback};

    #[test]
    fn hosts() {
        let allowed = ["example.org".to_owned(), ".example.net".to_owned()];
        for host in [
            "example.org",
            "EXAMPLE.org:8000",
            "example.net",
            "a.b.example.net",
            "example.org.",
            "example.org.:80",
        ] {
            assert!(is_allowed(host, &allowed), "{host}");
        }
        for host in [
            "",
            ":80",
            ".",
            "..",
            "a.example.org",
            "badexample.net",
            "a..example.net",
            ".example.net",
            "example.org..",
            "example.org.evil.com",
            "example.org:80:90",
            "example.org:70000",
            "example.org:0",
            "example.org:",
            "example.org:+80",
            "example.org:http",
            "example.org:80@evil.com",
            "user@example.org",
            "example.org, evil.com",
            "example.org evil.com",
            "example.org\\.evil.com",
            "example.org/evil",
            "example.org?x",
            "example.org#x",
            "ex%61mple.org",
            "http://example.org",
        ] {
            assert!(!is_allowed(host, &allowed), "{host}");
        }
        assert!(is_allowed("anything.example", &[]));
        assert!(is_allowed("evil.com", &["*".to_owned()]));
        for host in ["[::1]", "[::1]:8000", "localhost"] {
            assert!(is_allowed(host, &[]), "{host}");
        }
        for host in [
            "lo\u{e9}calhost",
            "a/localhost",
            "a b",
            "[",
            "[::1",
            "[::1]x",
            "[::1%25eth0]",
            "[zz]",
            "::1",
            ":::",
            "a,b",
        ] {
            assert!(!is_allowed(host, &["*".to_owned()]), "{host}");
        }
        assert!(!is_allowed(&"a.".repeat(150), &[]));
    }

    #[test]
    fn names_of_this_machine() {
        for host in [
            "localhost:8000",
            "a.localhost",
            "127.0.0.1",
            "127.8.8.8:1",
            "[::1]:80",
            "LOCALHOST.",
        ] {
            assert!(is_loopback(host), "{host}");
        }
        for host in [
            "",
            "localhost.evil.com",
            "127.0.0.1.evil.com",
            "evil-localhost",
            "0.0.0.0",
            "[::2]",
            "localhost@evil",
        ] {
            assert!(!is_loopback(host), "{host}");
        }
    }
}
