//! Forms of other sites that a visitor's browser sends here (CSRF).
//!
//! In a site with sessions, a request that may write needs two things when it came with cookies, or is of a kind that a page of any site
//! can make a browser send (a form's): it comes from a page of this origin, and it has a token that this visitor was shown. Who has
//! neither, such as a program with a bearer token, is not kept away, as nothing is done in a visitor's name. Sources: OWASP's cheat sheet
//! on CSRF; the Fetch standard on simple requests; Django's `CsrfViewMiddleware`.
//!
//! The secret that tokens stand for is in a cookie of its own, signed together with the session's name: it is good for one session, and one
//! that somebody planted is good for none. It is a new one after each login and logout.

use crate::cookie::{Cookie, SameSite};
use crate::origin::{Origin, TrustedOrigins};
use crate::session::Visit;
use crate::session::support::{LateSigner, cookie_name, said, same_site};
use crate::session::{self, cookies::Rule};
use crate::shield::cors::Allowed;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use demijohn_core::check::Finding;
use demijohn_core::session::random_bytes;
use demijohn_core::settings::{Key, Settings};
use demijohn_core::{Bag, Error, Extract, Needs, Rejection, Request, Result};
use http::header::{AUTHORIZATION, CONTENT_TYPE, COOKIE, HeaderName, ORIGIN, REFERER};
use http::{Method, StatusCode};
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

const TRUSTED_ORIGINS: Key<Vec<String>> = Key::new(
    "CSRF_TRUSTED_ORIGINS",
    "",
    "origins beside the site's own whose forms are taken: `https://app.example`, `https://*.app.example`",
);
const HEADER: Key<String> = Key::new(
    "CSRF_HEADER_NAME",
    "X-CSRFToken",
    "the header that scripts send the token in; Django's way to write it, `HTTP_X_CSRFTOKEN`, is understood",
);
const NAME: Key<String> = Key::new(
    "CSRF_COOKIE_NAME",
    "csrftoken",
    "the name of the cookie that tokens are compared with; by https it has `__Host-` before it",
);
const AGE: Key<u64> = Key::new(
    "CSRF_COOKIE_AGE",
    "31449600",
    "how many seconds browsers keep that cookie; 0 for until they are closed",
);
const SECURE: Key<bool> = Key::new(
    "CSRF_COOKIE_SECURE",
    "true",
    "that cookie is sent by https alone; unless set, it is when the request came by https",
);
const HTTP_ONLY: Key<bool> = Key::new(
    "CSRF_COOKIE_HTTPONLY",
    "true",
    "scripts cannot read that cookie: they take the token from the page; off, its value is a token too",
);
const SAME_SITE: Key<String> = Key::new(
    "CSRF_COOKIE_SAMESITE",
    "Lax",
    "when browsers send that cookie with requests from other sites: Strict, Lax, None",
);
const PATH: Key<String> = Key::new("CSRF_COOKIE_PATH", "/", "the path that that cookie is sent for");
const DOMAIN: Key<String> = Key::new(
    "CSRF_COOKIE_DOMAIN",
    "",
    "a domain whose sub-domains all get that cookie; empty for this host alone",
);

/// The field of a form that has the token; Django's name.
const FIELD: &str = "csrfmiddlewaretoken";

/// The settings as read.
pub(crate) struct Rules {
    pub(crate) cookie: Rule,
    pub(crate) cookie_age: Option<Duration>,
    trusted: TrustedOrigins,
    header: HeaderName,
    signer: LateSigner,
}

pub(crate) fn declare(settings: &mut Settings) {
    settings.declare(&TRUSTED_ORIGINS);
    settings.declare(&AGE);
    for key in [&HEADER, &NAME, &SAME_SITE, &PATH, &DOMAIN] {
        settings.declare(key);
    }
    for key in [&SECURE, &HTTP_ONLY] {
        settings.declare(key);
    }
}

impl Rules {
    pub(crate) fn read(settings: &Settings) -> Result<Rules, Finding> {
        let header = settings.value(&HEADER)?;
        let plain = header.strip_prefix("HTTP_").unwrap_or(&header).replace('_', "-");
        Ok(Rules {
            cookie: Rule {
                name: cookie_name(settings, &NAME)?,
                secure: said(settings, &SECURE)?,
                http_only: settings.value(&HTTP_ONLY)?,
                same_site: same_site(settings, &SAME_SITE)?,
                path: settings.value(&PATH)?,
                domain: settings.value(&DOMAIN)?,
            },
            cookie_age: Some(settings.value(&AGE)?)
                .filter(|age| *age > 0)
                .map(Duration::from_secs),
            trusted: TrustedOrigins::parse(settings.value(&TRUSTED_ORIGINS)?)
                .map_err(|why| Finding::error("security.E034", why).on(TRUSTED_ORIGINS.name()))?,
            header: HeaderName::try_from(plain).map_err(|_| {
                Finding::error("security.E035", format!("`{header}` is no name of a header"))
                    .on(HEADER.name())
                    .hint("take the setting out, or write it as `X-CSRFToken`")
            })?,
            signer: LateSigner::new(settings, "demijohn.csrf"),
        })
    }
}

/// What `check --deploy` says.
pub(crate) fn check(site: &Bag, _: &Settings, rules: &Rules, findings: &mut Vec<Finding>) {
    let mut tell = |id, name: &str, what: &str| {
        findings.push(
            Finding::warning(id, what.to_owned())
                .on(name)
                .hint("take the setting out"),
        );
    };
    if rules.cookie.secure == Some(false) {
        let what = "it is off: the cookie that forms are compared with goes over the wire in the open";
        tell("security.W016", SECURE.name(), what);
    }
    if !rules.cookie.http_only {
        let what = "it is off: a script that gets into a page reads the token from the cookie";
        tell("security.W017", HTTP_ONLY.name(), what);
    }
    if !rules.cookie.domain.is_empty() {
        let what = "every sub-domain gets the cookie that forms are compared with, and may set it";
        tell("security.W043", DOMAIN.name(), what);
    }
    if rules.cookie.same_site == SameSite::None {
        let what = "it is None: other sites' requests carry the cookie that forms are compared with";
        tell("security.W042", SAME_SITE.name(), what);
    }
    for place in site
        .get::<crate::Routes>()
        .into_iter()
        .flat_map(|routes| routes.csrf_exempt())
    {
        findings.push(
            Finding::warning(
                "security.W003",
                "forms of other sites are taken: its protection (CSRF) is off",
            )
            .on(place)
            .hint("fine where no cookie says who is asking, such as a webhook; silence the id then"),
        );
    }
}

/// Why a request was refused, the cause of that 403: `.on_error(async |why: &CsrfError, _: &mut Request| ..)` shows a page of the site's own.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CsrfError {
    /// It comes from a page of another origin.
    ForeignOrigin(String),
    /// Nothing says where it comes from.
    NoOrigin,
    /// It came without the cookie that its token is compared with, or with one that is not of this session.
    NoCookie,
    /// It has no token.
    NoToken,
    /// Its token is not of this visitor.
    WrongToken,
}

impl fmt::Display for CsrfError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CsrfError::ForeignOrigin(from) => write!(
                f,
                "it comes from {from:?}, which is neither this site nor in CSRF_TRUSTED_ORIGINS"
            ),
            CsrfError::NoOrigin => f.write_str("it has no Origin, Sec-Fetch-Site or Referer"),
            CsrfError::NoCookie => f.write_str(
                "it came without a CSRF cookie of this session: the form has to be shown by this site, and cookies to be on",
            ),
            CsrfError::NoToken => f.write_str(
                "it has no CSRF token: put `{{ csrf_input() }}` into the form, or send the header X-CSRFToken",
            ),
            CsrfError::WrongToken => {
                f.write_str("its CSRF token is not of this session: the form was shown before a login, or to somebody else")
            }
        }
    }
}

impl std::error::Error for CsrfError {}

/// A request of a test that is not asked for tokens.
#[derive(Clone, Copy)]
pub(crate) struct Waived;

/// Only of these it is known that they write nothing.
pub(crate) fn may_write(method: &Method) -> bool {
    !matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE)
}

/// Whether the protection has something to say of a request.
pub(crate) fn concerns(request: &Request) -> bool {
    may_write(request.method()) && request.extensions().get::<Waived>().is_none()
}

/// Lets a request pass that may write, or says why not.
///
/// # Errors
/// 403; and what is wrong with a form that has to be read for its token. With `explain` the page says why: for developers.
pub(crate) async fn guard(request: &mut Request, cors: Option<&Allowed>, explain: bool) -> Result<()> {
    match examine(request, cors).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(why)) => {
            // Another visitor would have been let in.
            request.mark_personal();
            tracing::warn!(
                target: "demijohn::security",
                method = %request.method(), path = ?request.path(), id = %request.id(), peer = ?request.peer(), reason = %why,
                "CSRF check failed"
            );
            if explain {
                return Err(Error::new(StatusCode::FORBIDDEN, format!("CSRF: {why}")).with_source(why));
            }
            let text =
                "It could not be made out that you sent this from a page of this site. Reload the page, and try again.";
            Err(Error::new(StatusCode::FORBIDDEN, text).with_source(why))
        }
        Err(error) => Err(error),
    }
}

async fn examine(request: &mut Request, cors: Option<&Allowed>) -> Result<Result<(), CsrfError>> {
    let Some(visit) = Visit::of(request) else {
        return Ok(Ok(()));
    };
    let needs_token = request.headers().contains_key(COOKIE) || is_simple(request);
    match source(request, &visit.support.csrf.trusted) {
        Ok(true) => {}
        Ok(false) if needs_token => return Ok(Err(CsrfError::NoOrigin)),
        Ok(false) => {}
        // A page of another origin that may talk to this route, with what it knows itself.
        Err(_) if !needs_token && cors.is_some_and(|cors| cors.lets_in(request)) => {}
        Err(why) => return Ok(Err(why)),
    }
    if !needs_token {
        return Ok(Ok(()));
    }
    // Without this no token can be right: the body is not even read.
    let Some(secret) = visit.csrf.sent(&visit)? else {
        return Ok(Err(CsrfError::NoCookie));
    };
    let token = match header_token(request, &visit.support.csrf.header) {
        Some(token) => Some(token),
        None => body_token(request).await?,
    };
    Ok(match token {
        None => Err(CsrfError::NoToken),
        Some(token) if visit.csrf.accepts(&secret, &token) => Ok(()),
        Some(_) => Err(CsrfError::WrongToken),
    })
}

/// True for what a page of any site can make a browser send without asking first: a POST of a form's content type and with no
/// credentials but those that browsers add by themselves. (Fetch standard, "CORS-safelisted request-header".)
fn is_simple(request: &Request) -> bool {
    if *request.method() != Method::POST {
        return false;
    }
    if let Some(credentials) = request.headers().get(AUTHORIZATION) {
        let scheme = credentials.as_bytes().split(|b| *b == b' ').next().unwrap_or_default();
        let by_itself = [&b"basic"[..], b"digest", b"negotiate", b"ntlm"];
        if !scheme.is_empty() && !by_itself.iter().any(|known| scheme.eq_ignore_ascii_case(known)) {
            return false;
        }
    }
    let mut types = request.headers().get_all(CONTENT_TYPE).iter();
    let (Some(content_type), None) = (types.next(), types.next()) else {
        return true;
    };
    let essence = content_type
        .as_bytes()
        .split(|b| *b == b';')
        .next()
        .unwrap_or_default()
        .trim_ascii();
    let forms = [
        &b"application/x-www-form-urlencoded"[..],
        b"multipart/form-data",
        b"text/plain",
    ];
    essence.is_empty() || !essence.contains(&b'/') || forms.iter().any(|form| essence.eq_ignore_ascii_case(form))
}

/// Whether a request comes from a page of this origin, or a trusted one; `false` when nothing says where it comes from.
fn source(request: &Request, trusted: &TrustedOrigins) -> Result<bool, CsrfError> {
    let one = |name: &HeaderName| -> Option<Result<&str, CsrfError>> {
        let mut values = request.headers().get_all(name).iter();
        let first = values.next()?;
        let shown = || String::from_utf8_lossy(first.as_bytes()).chars().take(200).collect();
        Some(match (first.to_str(), values.next()) {
            (Ok(text), None) => Ok(text),
            _ => Err(CsrfError::ForeignOrigin(shown())),
        })
    };
    let is_known = |origin: Option<Origin>| {
        origin.is_some_and(|origin| Origin::of_request(request).as_ref() == Some(&origin) || trusted.contains(&origin))
    };
    let foreign = |text: &str| Err(CsrfError::ForeignOrigin(text.chars().take(200).collect()));
    let site = one(&HeaderName::from_static("sec-fetch-site")).transpose()?;
    if let Some(origin) = one(&ORIGIN).transpose()? {
        let origin_is = Origin::parse(origin);
        // A browser that knows the page's origin as this one does not know the page's site as another: somebody made that up.
        let is_own = origin_is.is_some() && origin_is == Origin::of_request(request);
        return match site {
            Some(site) if is_own && site != "same-origin" => foreign(site),
            _ if is_known(origin_is) => Ok(true),
            _ => foreign(origin),
        };
    }
    if let Some(site) = site {
        return match site {
            "same-origin" => Ok(true),
            _ => foreign(site),
        };
    }
    match one(&REFERER).transpose()? {
        Some(referer) if is_known(Origin::of_url(referer)) => Ok(true),
        Some(referer) => foreign(referer),
        None => Ok(false),
    }
}

fn header_token(request: &Request, name: &HeaderName) -> Option<String> {
    let value = request.headers().get(name)?;
    // One that is no text is one that is wrong.
    Some(value.to_str().unwrap_or("?").to_owned())
}

/// The token of a form. The form stays where it is, for the handler.
async fn body_token(request: &mut Request) -> Result<Option<String>> {
    #[cfg(feature = "multipart")]
    if crate::upload::is_multipart(request) {
        let texts = crate::upload::texts(request).await?;
        return Ok(texts.get(FIELD).map(str::to_owned));
    }
    let content_type = request.headers().get(CONTENT_TYPE).and_then(|v| v.to_str().ok());
    let essence = content_type.unwrap_or_default().split(';').next().unwrap_or_default();
    if !essence.trim().eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        return Ok(None);
    }
    let bytes = request.bytes().await?;
    let mut pairs = form_urlencoded::parse(&bytes);
    let field = pairs.find(|(name, _)| name == FIELD);
    Ok(field.map(|(_, value)| value.into_owned()))
}

const SECRET_BYTES: usize = 32;

/// What the tokens of one visitor stand for.
pub(crate) type Secret = [u8; SECRET_BYTES];

/// The secret of the request, from its cookie to that of the answer.
pub(crate) struct Secrets {
    cookie: Option<String>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// What tokens of this answer stand for.
    secret: Option<Secret>,
    /// The client does not have it yet.
    untold: bool,
    asked: bool,
}

impl Secrets {
    pub(crate) fn new(cookie: Option<String>) -> Self {
        Secrets {
            cookie,
            state: Mutex::default(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// True when a token was shown: the answer is for this visitor.
    pub(crate) fn were_asked(&self) -> bool {
        self.state().asked
    }

    /// The secret that came with the request, if it is one of ours and of this session.
    fn sent(&self, visit: &Visit) -> Result<Option<Secret>> {
        let Some(cookie) = &self.cookie else { return Ok(None) };
        let secret = visit.support.csrf.signer.unseal(cookie, visit.binding())?;
        Ok(secret.and_then(|secret| BASE64.decode(secret).ok()?.try_into().ok()))
    }

    /// A new secret.
    pub(crate) fn fresh(&self) -> Result<Secret> {
        random_bytes()
    }

    /// Tokens of before are not taken any more.
    pub(crate) fn rotate(&self, secret: Secret) {
        let mut state = self.state();
        if self.cookie.is_some() || state.secret.is_some() {
            state.secret = Some(secret);
            state.untold = true;
        }
    }

    /// A token: the secret under a mask of its own, so that no two are alike (and nothing is learnt from how well they compress).
    fn token(&self, visit: &Visit) -> Result<String> {
        // Without a key nobody could check it.
        visit.support.csrf.signer.get()?;
        let mut state = self.state();
        state.asked = true;
        let secret = match state.secret {
            Some(secret) => secret,
            None => {
                let sent = self.sent(visit)?;
                state.untold |= sent.is_none();
                match sent {
                    Some(sent) => sent,
                    None => random_bytes()?,
                }
            }
        };
        state.secret = Some(secret);
        let mask: Secret = random_bytes()?;
        let mut masked = [0; 2 * SECRET_BYTES];
        masked[..SECRET_BYTES].copy_from_slice(&mask);
        masked[SECRET_BYTES..].copy_from_slice(&xor(&mask, &secret));
        Ok(BASE64.encode(masked))
    }

    /// True for a token of this secret, and for the cookie itself where scripts may read it.
    fn accepts(&self, secret: &Secret, token: &str) -> bool {
        let Ok(bytes) = BASE64.decode(token) else {
            return self
                .cookie
                .as_ref()
                .is_some_and(|cookie| same(cookie.as_bytes(), token.as_bytes()));
        };
        let masked: Result<[u8; 2 * SECRET_BYTES], _> = bytes.try_into();
        masked.is_ok_and(|masked| {
            let (mask, rest) = masked.split_at(SECRET_BYTES);
            same(&xor(mask, rest), secret)
        })
    }

    /// The cookie of the answer: when the client has to learn a secret, or its session has got another name. `binding` is that name.
    pub(crate) fn cookie(&self, visit: &Visit, binding: Option<&str>) -> Result<Option<Cookie>> {
        let mut state = self.state();
        let moved = binding.is_some_and(|binding| binding != visit.binding());
        if moved && state.secret.is_none() {
            state.secret = self.sent(visit)?;
        }
        let Some(secret) = state.secret.filter(|_| moved || state.untold) else {
            return Ok(None);
        };
        let binding = binding.unwrap_or(visit.binding());
        let sealed = visit.support.csrf.signer.seal(&BASE64.encode(secret), binding)?;
        Ok(Some(visit.token_cookie(sealed)))
    }
}

fn xor(mask: &[u8], bytes: &[u8]) -> Secret {
    let mut out = [0; SECRET_BYTES];
    for (out, (a, b)) in out.iter_mut().zip(mask.iter().zip(bytes)) {
        *out = a ^ b;
    }
    out
}

/// Compares without telling by its time where two texts differ.
pub(crate) fn same(a: &[u8], b: &[u8]) -> bool {
    let differ = a
        .iter()
        .zip(b)
        .fold(0, |differ, (a, b)| std::hint::black_box(differ | (a ^ b)));
    a.len() == b.len() && differ == 0
}

/// A token for a form or a script of the page at hand; templates have `{{ csrf_input() }}` and `{{ csrf_token() }}`.
///
/// A form sends it in the field `csrfmiddlewaretoken`, a script in the header `X-CSRFToken`; in the address it counts for nothing.
///
/// ```
/// use demijohn_web::{Application, Assemble, CsrfToken, get, post, session::SessionSupport};
///
/// # demijohn_web::test::block_on(async {
/// let client = Application::new()
///     .with(SessionSupport)
///     .route("/", get(async |token: CsrfToken| token.to_string()).post(async || "saved"))
///     .test_client()
///     .enforce_csrf();
/// assert_eq!(client.post("/").form([("a", "1")]).await.status(), 403);
///
/// let token = client.get("/").await.text().to_owned();
/// let answer = client.post("/").form([("a", "1"), ("csrfmiddlewaretoken", &token)]).await;
/// assert_eq!(answer.text(), "saved");
/// assert_eq!(client.delete("/").header("x-csrftoken", &token).await.status(), 405);
/// # });
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct CsrfToken(String);

impl CsrfToken {
    /// The token of a request, for hooks and middleware.
    ///
    /// # Errors
    /// 500 in a site without sessions, and in production without `SECRET_KEY`.
    pub fn of(request: &Request) -> Result<CsrfToken> {
        // The error is that of sessions.
        session::Session::of(request)?;
        let visit = Visit::of(request).ok_or_else(|| Error::internal("this site has no sessions"))?;
        CsrfToken::of_visit(&visit)
    }

    pub(crate) fn of_visit(visit: &Visit) -> Result<CsrfToken> {
        visit.csrf.token(visit).map(CsrfToken)
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The hidden field of a form, as HTML.
    pub fn input(&self) -> String {
        // The text of a token has no character that HTML knows.
        format!("<input type=\"hidden\" name=\"{FIELD}\" value=\"{}\">", self.0)
    }
}

impl fmt::Display for CsrfToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for CsrfToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CsrfToken(***)")
    }
}

impl Extract for CsrfToken {
    async fn extract(request: &mut Request) -> Result<Self, Rejection> {
        Ok(CsrfToken::of(request)?)
    }

    fn needs(needs: &mut Needs) {
        session::support::need(needs);
    }
}
