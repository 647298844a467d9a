//! How the cookies of sessions look, and how they are read back.

use crate::cookie::{Cookie, SameSite};
use demijohn_core::request::cookie_pairs;
use http::HeaderValue;
use std::time::Duration;

/// Name and attributes of one cookie, as the settings have them.
#[derive(Clone, Debug)]
pub(crate) struct Rule {
    pub(crate) name: String,
    /// Whether it is for https alone; by the scheme of the request unless set.
    pub(crate) secure: Option<bool>,
    pub(crate) http_only: bool,
    pub(crate) same_site: SameSite,
    pub(crate) path: String,
    pub(crate) domain: String,
}

impl Rule {
    fn is_secure(&self, https: bool) -> bool {
        self.secure.unwrap_or(https)
    }

    /// The name as browsers send it. They let nobody but this very host, by https, set a cookie whose name begins with `__Host-`: no
    /// neighbour under the same domain, and nobody on the wire (RFC 6265bis, 4.1.3).
    fn full_name(&self, https: bool) -> String {
        let prefix = match (self.is_secure(https), self.domain.is_empty() && self.path == "/") {
            _ if self.name.starts_with("__") => "",
            (false, _) => "",
            (true, true) => "__Host-",
            (true, false) => "__Secure-",
        };
        format!("{prefix}{}", self.name)
    }

    /// What the client sent. Of two that differ none is taken: one of them is somebody else's, and nothing tells which.
    pub(crate) fn read<'v>(&self, https: bool, lines: impl Iterator<Item = &'v HeaderValue>) -> Option<String> {
        let mut lines = lines.peekable();
        lines.peek()?;
        let name = self.full_name(https);
        let mut sent = cookie_pairs(lines).filter(|(n, _)| *n == name).map(|(_, value)| value);
        let first = sent.next().filter(|first| !first.is_empty())?;
        sent.all(|other| other == first).then(|| first.to_owned())
    }

    /// The cookie to set; without an age it ends with the browser.
    pub(crate) fn cookie(&self, https: bool, value: String, age: Option<Duration>) -> Cookie {
        let cookie = Cookie::new(self.full_name(https), value);
        self.dressed(https, age.into_iter().fold(cookie, Cookie::max_age))
    }

    /// What takes it from the browser.
    pub(crate) fn deleted(&self, https: bool) -> Cookie {
        self.dressed(https, Cookie::deleted(self.full_name(https)))
    }

    fn dressed(&self, https: bool, mut cookie: Cookie) -> Cookie {
        cookie = cookie.path(self.path.clone()).same_site(self.same_site);
        if !self.domain.is_empty() {
            cookie = cookie.domain(self.domain.clone());
        }
        if self.is_secure(https) {
            cookie = cookie.secure();
        }
        match self.http_only {
            true => cookie,
            false => cookie.readable_by_scripts(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Rule;
    use crate::cookie::SameSite;
    use http::HeaderValue;

    fn rule() -> Rule {
        Rule {
            name: "sessionid".to_owned(),
            secure: None,
            http_only: true,
            same_site: SameSite::Lax,
            path: "/".to_owned(),
            domain: String::new(),
        }
    }

    fn read(cookies: &[&str], https: bool) -> Option<String> {
        let lines: Vec<_> = cookies
            .iter()
            .map(|line| HeaderValue::from_str(line).expect("a header"))
            .collect();
        rule().read(https, lines.iter())
    }

    #[test]
    fn of_two_that_differ_none_is_taken() {
        assert_eq!(read(&["sessionid=a"], false).as_deref(), Some("a"));
        assert_eq!(read(&["sessionid=a; sessionid=a"], false).as_deref(), Some("a"));
        for two in [
            &["sessionid=a; sessionid=b"][..],
            &["sessionid=a", "sessionid=b"],
            &["sessionid=; sessionid=b"],
        ] {
            assert_eq!(read(two, false), None, "{two:?}");
        }
        // By https only what a neighbour cannot set.
        assert_eq!(read(&["sessionid=planted"], true), None);
        assert_eq!(
            read(&["sessionid=planted; __Host-sessionid=own"], true).as_deref(),
            Some("own")
        );
        assert_eq!(read(&["__Host-sessionid=own"], false), None);
    }

    #[test]
    fn a_prefix_where_browsers_hold_to_it() {
        assert_eq!(rule().full_name(false), "sessionid");
        assert_eq!(rule().full_name(true), "__Host-sessionid");
        let wide = Rule {
            domain: "example.org".to_owned(),
            ..rule()
        };
        assert_eq!(wide.full_name(true), "__Secure-sessionid");
    }
}
