//! An answer as a test reads it, and what a test says of it.

use demijohn_core::{Request, Response};
#[cfg(feature = "template")]
use demijohn_template::minijinja::Value;
use http::header::CONTENT_LENGTH;
use http::{HeaderMap, StatusCode};
use http_body_util::BodyExt;
use serde_core::de::DeserializeOwned;
#[cfg(feature = "template")]
use std::sync::{Arc, Mutex, PoisonError};

/// An answer, read to its end.
#[derive(Debug)]
pub struct TestResponse {
    head: http::response::Parts,
    body: Result<Vec<u8>, String>,
    pub(super) history: Vec<TestResponse>,
    #[cfg_attr(not(feature = "template"), allow(dead_code, reason = "pages come with templates"))]
    pages: Pages,
}

/// The templates that were rendered for an answer, each with what it was given.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pages {
    #[cfg(feature = "template")]
    rendered: Arc<Mutex<Vec<(String, Value)>>>,
}

impl Pages {
    /// Lets what is rendered for this request be noted; see `page::render_text`.
    pub(super) fn record(request: &mut Request) -> Pages {
        let pages = Pages::default();
        request.extensions_mut().insert(pages.clone());
        pages
    }
}

#[cfg(feature = "template")]
impl Pages {
    pub(crate) fn note(&self, templates: Vec<String>, context: &Value) {
        let pages = templates.into_iter().map(|template| (template, context.clone()));
        self.list().extend(pages);
    }

    fn list(&self) -> std::sync::MutexGuard<'_, Vec<(String, Value)>> {
        self.rendered.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl TestResponse {
    pub(super) async fn read(response: Response, pages: Pages) -> TestResponse {
        let (mut head, body) = response.into_parts();
        if let Some(length) = body.len_hint() {
            // As the server does for a body of known length.
            let empty = length == 0 && (head.status.is_informational() || head.status == StatusCode::NO_CONTENT);
            if !empty && !head.headers.contains_key(CONTENT_LENGTH) {
                head.headers.insert(CONTENT_LENGTH, length.into());
            }
        }
        let body = body
            .collect()
            .await
            .map(|body| body.to_bytes().to_vec())
            .map_err(|e| e.to_string());
        TestResponse {
            head,
            body,
            history: Vec::new(),
            pages,
        }
    }

    /// The answers on the way here, when redirects were followed.
    pub fn history(&self) -> &[TestResponse] {
        &self.history
    }

    /// The status.
    pub fn status(&self) -> StatusCode {
        self.head.status
    }

    /// The headers.
    pub fn headers(&self) -> &HeaderMap {
        &self.head.headers
    }

    /// A header as text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.headers.get(name).and_then(|v| v.to_str().ok())
    }

    /// The body.
    ///
    /// # Panics
    /// When the body broke off.
    #[track_caller]
    pub fn bytes(&self) -> &[u8] {
        match &self.body {
            Ok(bytes) => bytes,
            Err(error) => panic!("the body broke off: {error}"),
        }
    }

    /// The body as text.
    ///
    /// # Panics
    /// When it is not UTF-8.
    #[track_caller]
    pub fn text(&self) -> &str {
        std::str::from_utf8(self.bytes()).expect("a body of text")
    }

    /// The body, parsed as JSON.
    ///
    /// # Panics
    /// When it is no such JSON; the message shows it.
    #[track_caller]
    pub fn json<T: DeserializeOwned>(&self) -> T {
        serde_json::from_slice(self.bytes()).unwrap_or_else(|error| panic!("no such JSON ({error}): {}", self.text()))
    }
}

/// What a test says of an answer. Each gives the answer back, so that several stand in a row; a failure shows what the
/// answer was.
///
/// ```
/// use demijohn_web::{Application, Redirect, get};
/// # demijohn_web::test::block_on(async {
/// let client = Application::new()
///     .route("/", get(async || "Hello, Ann! Hello, Bob!"))
///     .route("/old", get(async || Redirect::to("/")))
///     .test_client();
/// client.get("/").await
///     .assert_contains("Ann")
///     .assert_contains_times("Hello", 2)
///     .assert_not_contains("Eve");
/// client.get("/old").await.assert_redirects("/");
/// client.get("/none").await.assert_status(404);
/// # });
/// ```
impl TestResponse {
    /// The answer has this status.
    #[track_caller]
    pub fn assert_status(&self, status: u16) -> &Self {
        assert!(
            self.status() == status,
            "the status is {}, not {status}{}",
            self.status(),
            self.shown()
        );
        self
    }

    /// The answer is a success, and its text contains this.
    #[track_caller]
    pub fn assert_contains(&self, text: &str) -> &Self {
        assert!(
            self.status().is_success(),
            "the status is {}{}",
            self.status(),
            self.shown()
        );
        assert!(
            self.text().contains(text),
            "`{text}` is not in the answer{}",
            self.shown()
        );
        self
    }

    /// The answer is a success, and its text contains this so many times.
    #[track_caller]
    pub fn assert_contains_times(&self, text: &str, times: usize) -> &Self {
        assert!(
            self.status().is_success(),
            "the status is {}{}",
            self.status(),
            self.shown()
        );
        let found = self.text().matches(text).count();
        assert!(
            found == times,
            "`{text}` is {found} times in the answer, not {times}{}",
            self.shown()
        );
        self
    }

    /// The answer is a success, and its text does not contain this.
    #[track_caller]
    pub fn assert_not_contains(&self, text: &str) -> &Self {
        assert!(
            self.status().is_success(),
            "the status is {}{}",
            self.status(),
            self.shown()
        );
        assert!(!self.text().contains(text), "`{text}` is in the answer{}", self.shown());
        self
    }

    /// The answer leads there: it is a redirect to this address, or redirects were followed and the last one led there. Query
    /// parameters may stand in any order; the host of the test client may be left out.
    #[track_caller]
    pub fn assert_redirects(&self, to: &str) -> &Self {
        let last = self.history.last().unwrap_or(self);
        assert!(
            last.status().is_redirection(),
            "the answer is {}, no redirect{}",
            last.status(),
            last.shown()
        );
        let location = last.header("location").unwrap_or_default();
        assert!(
            same_url(location, to),
            "the redirect leads to `{location}`, not to `{to}`"
        );
        self
    }

    /// The answer has this header, with this value.
    #[track_caller]
    pub fn assert_header(&self, name: &str, value: &str) -> &Self {
        match self.header(name) {
            Some(is) => assert!(is == value, "the header `{name}` is `{is}`, not `{value}`"),
            None => panic!("the answer has no header `{name}`, only {:?}", self.headers().keys()),
        }
        self
    }

    /// The template was rendered for this answer: named by a page, or extended or included on the way.
    #[cfg(feature = "template")]
    #[track_caller]
    pub fn assert_template_used(&self, name: &str) -> &Self {
        let names = self.templates();
        assert!(
            names.iter().any(|n| n == name),
            "`{name}` was not rendered; rendered were {names:?}"
        );
        self
    }

    /// The template was not rendered for this answer.
    #[cfg(feature = "template")]
    #[track_caller]
    pub fn assert_template_not_used(&self, name: &str) -> &Self {
        assert!(!self.templates().iter().any(|n| n == name), "`{name}` was rendered");
        self
    }

    /// The templates that were rendered for this answer, in order, each page's with those that it extends or includes.
    #[cfg(feature = "template")]
    pub fn templates(&self) -> Vec<String> {
        self.pages.list().iter().map(|(name, _)| name.clone()).collect()
    }

    /// A value that a page was given, by its name; the first page that has it.
    #[cfg(feature = "template")]
    pub fn context(&self, name: &str) -> Option<Value> {
        let pages = self.pages.list();
        let mut found = pages.iter().filter_map(|(_, context)| context.get_attr(name).ok());
        found.find(|value| !value.is_undefined())
    }

    /// The body for a message: the beginning of it, and where the rest is.
    fn shown(&self) -> String {
        const SHOWN: usize = 2000;
        let Ok(bytes) = &self.body else {
            return "; the body broke off".to_owned();
        };
        let text = String::from_utf8_lossy(bytes);
        match text.char_indices().nth(SHOWN) {
            _ if text.is_empty() => "; the body is empty".to_owned(),
            Some((at, _)) => format!("; the body ({} bytes) begins\n{}", bytes.len(), &text[..at]),
            None => format!("; the body is\n{text}"),
        }
    }
}

/// True when two addresses mean the same page of the site under test.
fn same_url(a: &str, b: &str) -> bool {
    fn parts(url: &str) -> (&str, Vec<(String, String)>, &str) {
        let local = ["http://localhost", "https://localhost"].into_iter();
        let url = local
            .filter_map(|host| url.strip_prefix(host))
            .find(|rest| rest.starts_with('/'))
            .unwrap_or(url);
        let (url, fragment) = url.split_once('#').unwrap_or((url, ""));
        let (path, query) = url.split_once('?').unwrap_or((url, ""));
        let mut pairs: Vec<(String, String)> = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        // Stable: values of one name keep their order, which may have a meaning.
        pairs.sort_by(|a, b| a.0.cmp(&b.0));
        (path, pairs, fragment)
    }
    parts(a) == parts(b)
}
