//! Small manners of whole sites (Django's common middleware).

use crate::dispatch::Next;
use crate::hook::{Middleware, MiddlewareHook};
use crate::reply::Redirect;
use crate::routes::scoped;
use demijohn_core::{BoxFuture, Error, Part, Reply, Request, Response, Result, Site};
use std::sync::Arc;

/// Leads to `www.`, and turns programs away that name themselves so. Lengths and slashes are seen to without it.
///
/// ```
/// use demijohn_web::{get, Application, Assemble, Common};
///
/// # demijohn_web::test::block_on(async {
/// let client = Application::new()
///     .with(Common::new().prepend_www().disallow_user_agent("BadBot"))
///     .allowed_hosts([".example.org"])
///     .route("/", get(async || "ok"))
///     .test_client();
/// let bare = client.get("http://example.org/?q=1").without_header("host").await;
/// assert_eq!(bare.header("location"), Some("http://www.example.org/?q=1"));
/// # });
/// ```
#[derive(Clone, Debug, Default)]
#[must_use = "give it to the site: `.with(Common::new())`"]
pub struct Common {
    prepend_www: bool,
    disallowed: Vec<String>,
}

impl Common {
    /// Nothing yet.
    pub fn new() -> Self {
        Common::default()
    }

    /// Leads `example.org` to `www.example.org`, with 301.
    pub fn prepend_www(mut self) -> Self {
        self.prepend_www = true;
        self
    }

    /// Answers 403 to clients whose `User-Agent` has this in it, whatever the case.
    pub fn disallow_user_agent(mut self, part: impl Into<String>) -> Self {
        self.disallowed.push(part.into().to_ascii_lowercase());
        self
    }
}

impl Part for Common {
    fn install(self: Box<Self>, site: &mut Site) {
        let middleware: Middleware = Arc::new(*self);
        scoped(site).middleware.push(middleware);
    }
}

impl MiddlewareHook for Common {
    fn run<'a>(&'a self, request: &'a mut Request, next: Next<'a>) -> BoxFuture<'a, Result<Response>> {
        Box::pin(async move {
            let agent = request.header("user-agent").unwrap_or_default().to_ascii_lowercase();
            if self.disallowed.iter().any(|part| agent.contains(part.as_str())) {
                return Err(Error::forbidden("this program is not welcome here"));
            }
            let host = request.host().unwrap_or_default();
            if self.prepend_www && !host.is_empty() && !host.starts_with("www.") {
                let target = format!(
                    "{}://www.{host}{}{}",
                    request.scheme(),
                    request.script_name(),
                    request.full_path()
                );
                return Redirect::away(target).permanent().reply(request);
            }
            Ok(next.run(request).await)
        })
    }
}
