//! Cookies that are set.

use demijohn_core::{Error, Response, Result};
use http::header::{HeaderValue, SET_COOKIE};
use std::time::{Duration, SystemTime};

/// When browsers send a cookie along with requests from other sites.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SameSite {
    /// Never.
    Strict,
    /// When a link is followed.
    Lax,
    /// Always; browsers want `Secure` for it.
    None,
}

/// A cookie to set: `HttpOnly`, `SameSite=Lax` and `Path=/` unless said otherwise.
///
/// ```
/// use demijohn_web::{get, Application, Cookie, Html, Reply, Request, Response, Result};
/// use std::time::Duration;
///
/// # demijohn_web::test::block_on(async {
/// async fn seen(mut response: Response) -> Result<Response> {
///     Cookie::new("seen", "yes").max_age(Duration::from_secs(60)).secure().set(&mut response)?;
///     Ok(response)
/// }
/// let client = Application::new()
///     .route("/", get(async || "").after(async |_: &mut Request, r: Response| seen(r).await))
///     .test_client();
/// let cookie = client.get("/").await.header("set-cookie").unwrap().to_owned();
/// assert!(cookie.starts_with("seen=yes; Path=/; Max-Age=60; Expires="), "{cookie}");
/// assert!(cookie.ends_with("; Secure; HttpOnly; SameSite=Lax"), "{cookie}");
/// # });
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "a cookie is set by `.set(&mut response)`"]
pub struct Cookie {
    name: String,
    value: String,
    path: String,
    domain: Option<String>,
    max_age: Option<Duration>,
    expires: Option<SystemTime>,
    secure: bool,
    http_only: bool,
    same_site: Option<SameSite>,
    partitioned: bool,
}

impl Cookie {
    /// A cookie that ends with the browser.
    pub fn new(name: impl Into<String>, value: impl Into<String>) -> Self {
        Cookie {
            name: name.into(),
            value: value.into(),
            path: "/".into(),
            domain: None,
            max_age: None,
            expires: None,
            secure: false,
            http_only: true,
            same_site: Some(SameSite::Lax),
            partitioned: false,
        }
    }

    /// A cookie whose value comes back as it was set, or not at all: signed by `SECRET_KEY`, with the time and its own name. Read it by
    /// [`signing::signed_cookie`](crate::signing::signed_cookie). Its visitor can read it.
    ///
    /// # Errors
    /// 500 when JSON cannot hold the value, and in production without a key.
    #[cfg(feature = "signing")]
    pub fn signed<T: serde_core::Serialize + ?Sized>(
        request: &demijohn_core::Request,
        name: impl Into<String>,
        value: &T,
    ) -> Result<Self> {
        let name = name.into();
        let value = crate::signing::cookie_signer(request, &name)?.dump_timed(value)?;
        Ok(Cookie::new(name, value))
    }

    /// What makes a browser forget a cookie; path, domain and same-site must be those that it was set with.
    pub fn deleted(name: impl Into<String>) -> Self {
        Cookie {
            max_age: Some(Duration::ZERO),
            expires: Some(SystemTime::UNIX_EPOCH),
            ..Cookie::new(name, "")
        }
    }

    /// The path that it is sent for, with all below it.
    pub fn path(mut self, path: impl Into<String>) -> Self {
        self.path = path.into();
        self
    }

    /// A domain whose sub-domains get it too. Without one only this host does, which is safer.
    pub fn domain(mut self, domain: impl Into<String>) -> Self {
        self.domain = Some(domain.into());
        self
    }

    /// How long it lives; `Expires` is worked out for old browsers.
    pub fn max_age(mut self, age: Duration) -> Self {
        self.max_age = Some(age);
        self.expires = SystemTime::now().checked_add(age);
        self
    }

    /// Only over https.
    pub fn secure(mut self) -> Self {
        self.secure = true;
        self
    }

    /// Readable by scripts of the page.
    pub fn readable_by_scripts(mut self) -> Self {
        self.http_only = false;
        self
    }

    /// When it goes with requests from other sites.
    pub fn same_site(mut self, same_site: SameSite) -> Self {
        self.same_site = Some(same_site);
        self
    }

    /// One per site that embeds this one.
    pub fn partitioned(mut self) -> Self {
        self.partitioned = true;
        self
    }

    /// Adds it to a response.
    ///
    /// # Errors
    /// 500 when a name, value or attribute has characters that a cookie cannot have.
    pub fn set(&self, response: &mut Response) -> Result<()> {
        response.headers_mut().append(SET_COOKIE, self.header()?);
        Ok(())
    }

    /// The value of `Set-Cookie`.
    ///
    /// # Errors
    /// As for [`set`](Self::set).
    pub fn header(&self) -> Result<HeaderValue> {
        let token = |b: u8| b.is_ascii_graphic() && !b"()<>@,;:\\\"/[]?={}".contains(&b);
        // RFC 6265, 4.1.1: no white space, quotes, commas, semicolons, back-slashes.
        let value = |b: u8| b.is_ascii_graphic() && !b"\",;\\".contains(&b);
        let attribute = |b: u8| (b.is_ascii_graphic() || b == b' ') && b != b';';
        let wrong = |what: &str| {
            Error::internal(format!(
                "the cookie `{}` has a {what} that cookies cannot have; encode it",
                self.name
            ))
        };
        if self.name.is_empty() || !self.name.bytes().all(token) {
            return Err(wrong("name"));
        }
        if !self.value.bytes().all(value) {
            return Err(wrong("value"));
        }
        if !self
            .path
            .bytes()
            .chain(self.domain.iter().flat_map(|d| d.bytes()))
            .all(attribute)
        {
            return Err(wrong("path or domain"));
        }
        let mut text = format!("{}={}; Path={}", self.name, self.value, self.path);
        if let Some(domain) = &self.domain {
            text.push_str("; Domain=");
            text.push_str(domain);
        }
        if let Some(age) = self.max_age {
            text.push_str(&format!("; Max-Age={}", age.as_secs()));
        }
        if let Some(expires) = self.expires {
            text.push_str("; Expires=");
            text.push_str(&crate::conditional::http_date(expires));
        }
        if self.secure {
            text.push_str("; Secure");
        }
        if self.http_only {
            text.push_str("; HttpOnly");
        }
        match self.same_site {
            Some(SameSite::Strict) => text.push_str("; SameSite=Strict"),
            Some(SameSite::Lax) => text.push_str("; SameSite=Lax"),
            Some(SameSite::None) => text.push_str("; SameSite=None"),
            None => {}
        }
        if self.partitioned {
            text.push_str("; Partitioned");
        }
        HeaderValue::try_from(text).map_err(|_| wrong("character"))
    }
}
