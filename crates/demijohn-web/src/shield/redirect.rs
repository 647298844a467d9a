//! Where a redirect may lead, by the rules of browsers (<https://url.spec.whatwg.org/>), which are laxer than those of RFC 3986.

use super::host;

/// A longer target leads nowhere: our own server would answer it with 414.
pub(crate) const MAX_TARGET_BYTES: usize = 8 << 10;

/// True when a browser resolves `target` to this site or to one of `hosts` by http or https: the check for a target that came with
/// the request, such as `?next=..`. (Django's `url_has_allowed_host_and_scheme`.)
///
/// `hosts` are names, with their port where it is not the usual one. With `require_https`, a whole address needs https. What browsers
/// would rewrite is refused: back-slashes, tabs and other control characters, `//host`, `https:host`, user information, other schemes,
/// white space at the ends, more than 8 KB.
///
/// ```
/// use demijohn_web::is_safe_redirect;
///
/// let hosts = ["shop.example"];
/// for target in ["/cart?x=1", "item", "https://shop.example/cart"] {
///     assert!(is_safe_redirect(target, &hosts, true), "{target}");
/// }
/// for target in ["//evil.example", "/\\evil.example", "https://evil.example", "javascript:alert(1)", "http://shop.example/"] {
///     assert!(!is_safe_redirect(target, &hosts, true), "{target}");
/// }
/// ```
pub fn is_safe_redirect(target: &str, hosts: &[impl AsRef<str>], require_https: bool) -> bool {
    if stays_here(target) {
        return true;
    }
    let Some((scheme, rest)) = target.split_once("://").filter(|_| is_plain(target)) else {
        return false;
    };
    let secure = scheme.eq_ignore_ascii_case("https");
    let known = secure || (scheme.eq_ignore_ascii_case("http") && !require_https);
    let host = &rest[..rest.find(['/', '?', '#']).unwrap_or(rest.len())];
    known
        && host::split(host).is_some()
        && hosts.iter().any(|allowed| {
            // A list may be that of ALLOWED_HOSTS, whose `*` is about requests, and not an offer to lead everywhere.
            let allowed = allowed.as_ref();
            allowed.eq_ignore_ascii_case(host)
        })
}

/// No control characters, white space at the ends, or back-slashes: what browsers strip or turn into something else.
pub(crate) fn is_plain(target: &str) -> bool {
    target.len() <= MAX_TARGET_BYTES && !target.chars().any(|c| c.is_control() || c == '\\') && target.trim() == target
}

/// True when a browser (WHATWG URL) resolves `target` to this site: no scheme, no `//host`, nothing it would rewrite
/// into one.
pub(crate) fn stays_here(target: &str) -> bool {
    if !is_plain(target) || target.starts_with("//") {
        return false;
    }
    match target.as_bytes().first() {
        Some(b'/' | b'?' | b'#' | b'.') => true,
        // `javascript:..`, `host:80`; a colon after a slash is part of a path.
        Some(_) => {
            let before_slash = target.split(['/', '?', '#']).next().unwrap_or_default();
            !before_slash.contains(':')
        }
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::{is_safe_redirect, stays_here};

    #[test]
    fn targets_on_this_site() {
        for target in [
            "/",
            "/x?next=http://a/",
            "x/y",
            "?q=1",
            "#top",
            "../up",
            "/a:b",
            "x/a:b",
            "/%5Cx",
            "/%09/x",
        ] {
            assert!(stays_here(target), "{target}");
        }
        let long = format!("/{}", "x".repeat(9000));
        for target in [
            "",
            "//evil.example",
            "\\\\evil.example",
            "/\\evil.example",
            "\\/evil.example",
            "http://evil.example",
            "https:evil.example",
            "https:/evil.example",
            "javascript:alert(1)",
            "JaVaScRiPt:alert(1)",
            "java\tscript:alert(1)",
            "\u{1}javascript:alert(1)",
            "\t//evil.example",
            " //evil.example",
            "/\n/evil.example",
            "/\t/evil.example",
            "/\r\nset-cookie: a=b",
            "\u{0}//evil.example",
            "\u{a0}//evil.example",
            "data:x",
            "vbscript:x",
            "///evil.example",
            "////evil.example",
            "http:/\\evil.example",
            "evil.example:80",
            &long,
        ] {
            assert!(!stays_here(target), "{target:?}");
        }
    }

    #[test]
    fn targets_on_named_hosts() {
        let hosts = ["shop.example", "local.example:8000", "*"];
        for target in [
            "/ok",
            "https://shop.example",
            "https://SHOP.example/x?y#z",
            "https://local.example:8000/",
            "https://shop.example?x",
        ] {
            assert!(is_safe_redirect(target, &hosts, true), "{target}");
        }
        assert!(is_safe_redirect("http://shop.example/", &hosts, false));
        for target in [
            "http://shop.example/",
            "https://evil.example",
            "https://shop.example.evil.example",
            "https://shop.example:8000",
            "https://shop.example@evil.example",
            "https://evil.example@shop.example",
            "https://shop.example\\@evil.example",
            "https:///shop.example",
            "https:shop.example",
            "//shop.example",
            "ftp://shop.example",
            "javascript://shop.example/%0aalert(1)",
            "https://shop.example /",
            "https://shop.example\t",
            "https://*",
            "",
        ] {
            assert!(!is_safe_redirect(target, &hosts, true), "{target:?}");
        }
    }
}
