//! What every answer of a site is protected with, whatever it does itself.
//!
//! All that can be worked out before the first request is: an answer costs a few look-ups in its own headers. A header that the handler
//! set itself is kept.

#[cfg(feature = "compression")]
pub(crate) mod compress;
pub(crate) mod cors;
pub(crate) mod csp;
pub(crate) mod host;
pub(crate) mod redirect;
pub(crate) mod settings;

use cors::{Allowed, Cors};
use csp::{Compiled, Csp};
use demijohn_core::check::Finding;
use demijohn_core::{Body, Request, Response};
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY_REPORT_ONLY, CONTENT_TYPE, COOKIE, Entry,
    HeaderMap, HeaderName, HeaderValue, InvalidHeaderValue, LOCATION, REFERRER_POLICY, STRICT_TRANSPORT_SECURITY, VARY,
    X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use http::{Method, StatusCode};
use settings::{Https, Protections};
use std::sync::Arc;

/// Who may put a page into a frame: of the header `X-Frame-Options` and of `frame-ancestors` in the content security policy, unless the
/// site has a policy of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameOptions {
    /// Nobody; so it is unless told otherwise.
    Deny,
    /// Pages of the same origin.
    SameOrigin,
    /// Everybody. It is the opt-out, and `check --deploy` tells it.
    Allow,
}

/// What a route or a blueprint has otherwise than the site.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Overrides {
    pub(crate) csp: Option<Csp>,
    pub(crate) csp_report_only: Option<Csp>,
    pub(crate) frame_options: Option<FrameOptions>,
}

impl Overrides {
    pub(crate) fn is_empty(&self) -> bool {
        *self == Overrides::default()
    }

    /// What stands closer to the handler wins.
    pub(crate) fn lay_over(&mut self, inner: &Overrides) {
        if inner.csp.is_some() {
            self.csp.clone_from(&inner.csp);
        }
        if inner.csp_report_only.is_some() {
            self.csp_report_only.clone_from(&inner.csp_report_only);
        }
        self.frame_options = inner.frame_options.or(self.frame_options);
    }
}

/// The headers of all answers that share their overrides.
#[derive(Default)]
pub(crate) struct Headers {
    fixed: Vec<(HeaderName, HeaderValue)>,
    csp: Option<Compiled>,
    csp_report_only: Option<Compiled>,
}

/// What the site protects all its answers with.
pub(crate) struct Shield {
    protections: Protections,
    headers: Headers,
    /// True when a route, a blueprint or the site lets others read.
    pub(crate) has_cors: bool,
}

impl Shield {
    pub(crate) fn new(protections: Protections, findings: &mut Vec<Finding>) -> Shield {
        let mut shield = Shield {
            protections,
            headers: Headers::default(),
            has_cors: false,
        };
        shield.headers = shield.headers_with(&Overrides::default(), "SECURE_CSP", findings);
        shield
    }

    /// The headers with these overrides; `place` is where they were said.
    pub(crate) fn headers_with(&self, overrides: &Overrides, place: &str, findings: &mut Vec<Finding>) -> Headers {
        let mut all = self.protections.site.clone();
        all.lay_over(overrides);
        let frames = all.frame_options.unwrap_or(FrameOptions::Deny);
        let csp = all.csp.unwrap_or_else(|| match frames {
            FrameOptions::Deny => Csp::strict(),
            FrameOptions::SameOrigin => Csp::strict().directive("frame-ancestors", [Csp::SELF]),
            FrameOptions::Allow => Csp::strict().without("frame-ancestors"),
        });
        let mut compile = |policy: &Csp| {
            policy.compile().unwrap_or_else(|why| {
                findings.push(
                    Finding::error("security.E026", format!("the content security policy: {why}"))
                        .on(place)
                        .hint("a directive is a name and a list of sources: `img-src`, `'self'`, `https:`"),
                );
                None
            })
        };
        let frames = match frames {
            FrameOptions::Deny => Some(HeaderValue::from_static("DENY")),
            FrameOptions::SameOrigin => Some(HeaderValue::from_static("SAMEORIGIN")),
            FrameOptions::Allow => None,
        };
        let nosniff = self.protections.nosniff.then(|| HeaderValue::from_static("nosniff"));
        let fixed = [
            (X_CONTENT_TYPE_OPTIONS, nosniff),
            (REFERRER_POLICY, self.protections.referrer.clone()),
            (X_FRAME_OPTIONS, frames),
            (OPENER_POLICY, self.protections.coop.clone()),
        ];
        Headers {
            fixed: fixed
                .into_iter()
                .filter_map(|(name, value)| Some((name, value?)))
                .collect(),
            csp: compile(&csp),
            csp_report_only: all.csp_report_only.as_ref().and_then(compile),
        }
    }

    /// The site's own rule for pages of other origins, by its settings.
    pub(crate) fn cors(&self) -> Option<Arc<Cors>> {
        let origins = &self.protections.cors_origins;
        let cors = (!origins.is_empty()).then(|| Cors::origins(origins.clone()))?;
        Some(Arc::new(match self.protections.cors_credentials {
            true => cors.credentials(),
            false => cors,
        }))
    }

    /// Whereto a request by http is led, if it is.
    pub(crate) fn to_https(&self, request: &Request) -> Option<Response> {
        let Https { host, exempt } = self.protections.https.as_ref()?;
        if request.is_secure() || exempt.find(request.path(), &mut |_, _| Some(())).is_some() {
            return None;
        }
        let host = host.as_deref().or_else(|| request.host())?;
        // The port of http is none of https.
        let host = match host::split(host) {
            Some((name, Some(80))) => name,
            _ => host,
        };
        let target = format!("https://{host}{}{}", request.script_name(), request.full_path());
        let mut response = Response::new(Body::empty());
        let keeps = matches!(*request.method(), Method::GET | Method::HEAD);
        *response.status_mut() = match keeps {
            true => StatusCode::MOVED_PERMANENTLY,
            false => StatusCode::PERMANENT_REDIRECT,
        };
        response
            .headers_mut()
            .insert(LOCATION, HeaderValue::try_from(target).ok()?);
        Some(response)
    }

    /// The last thing that is done to an answer: its headers are what they must be.
    pub(crate) fn finish(
        &self,
        own: Option<&Headers>,
        cors: Option<&Allowed>,
        request: &Request,
        response: &mut Response,
    ) {
        let Headers {
            fixed,
            csp,
            csp_report_only,
        } = own.unwrap_or(&self.headers);
        if let Some(cors) = cors {
            cors.mark(request, response);
        }
        if request.is_personal() {
            keep_personal(response.headers_mut());
        }
        // A 304 leaves the page as the browser has it, and the nonces in it are those of the policy that came with it. A file has none.
        let unchanged =
            response.status() == StatusCode::NOT_MODIFIED && response.extensions_mut().remove::<NoNonces>().is_none();
        let headers = response.headers_mut();
        headers.reserve(8);
        with_charset(headers);
        for (name, value) in fixed {
            if let Entry::Vacant(missing) = headers.entry(name) {
                missing.insert(value.clone());
            }
        }
        if !unchanged {
            let nonce = request.given_csp_nonce();
            let policies = [
                (CONTENT_SECURITY_POLICY, csp),
                (CONTENT_SECURITY_POLICY_REPORT_ONLY, csp_report_only),
            ];
            for (name, policy) in policies {
                if let Some(policy) = policy
                    && let Entry::Vacant(missing) = headers.entry(name)
                {
                    missing.insert(policy.value(nonce));
                }
            }
        }
        if request.is_secure()
            && let Some(hsts) = &self.protections.hsts
            && let Entry::Vacant(missing) = headers.entry(STRICT_TRANSPORT_SECURITY)
        {
            missing.insert(hsts.clone());
        }
    }
}

/// Of an answer in which nobody can have written a nonce.
#[derive(Clone, Copy)]
pub(crate) struct NoNonces;

/// An answer for one visitor is kept by nobody, unless the handler said how; then at most by that visitor's own browser.
fn keep_personal(headers: &mut HeaderMap) {
    vary(headers, &COOKIE);
    let mut said = headers.get_all(CACHE_CONTROL).iter().peekable();
    if said.peek().is_none() {
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-store"));
        return;
    }
    let mut words = said.flat_map(|line| line.as_bytes().split(|b| *b == b',').map(<[u8]>::trim_ascii));
    // `public` is the handler's word that this is for everybody, whatever it read of the session.
    let settled = |word: &[u8]| {
        [&b"private"[..], b"no-store", b"public"]
            .iter()
            .any(|w| word.eq_ignore_ascii_case(w))
    };
    if !words.any(settled) {
        headers.append(CACHE_CONTROL, HeaderValue::from_static("private"));
    }
}

const OPENER_POLICY: HeaderName = HeaderName::from_static("cross-origin-opener-policy");

/// A header's value that all threads clone without counting on one number: its text lives as long as the program. There are a few per
/// site, made when it is built.
pub(crate) fn fixed_value(text: String) -> Result<HeaderValue, InvalidHeaderValue> {
    HeaderValue::from_str(&text)?;
    Ok(HeaderValue::from_static(Box::leak(text.into_boxed_str())))
}

/// Text without a charset is guessed at by browsers, and there are charsets in which `<script>` is written otherwise.
fn with_charset(headers: &mut HeaderMap) {
    let Some(value) = headers.get_mut(CONTENT_TYPE) else {
        return;
    };
    let bytes = value.as_bytes();
    let end = bytes.iter().position(|b| *b == b';').unwrap_or(bytes.len());
    let (essence, params) = bytes.split_at(end);
    let said = params.windows(8).any(|part| part.eq_ignore_ascii_case(b"charset="));
    if said || !is_text(essence.trim_ascii()) {
        return;
    }
    let known = match bytes {
        b"text/html" => Some("text/html; charset=utf-8"),
        b"text/plain" => Some("text/plain; charset=utf-8"),
        b"text/css" => Some("text/css; charset=utf-8"),
        b"text/javascript" => Some("text/javascript; charset=utf-8"),
        _ => None,
    };
    match known {
        Some(known) => *value = HeaderValue::from_static(known),
        None => {
            let text = [bytes, b"; charset=utf-8"].concat();
            if let Ok(text) = HeaderValue::from_bytes(&text) {
                *value = text;
            }
        }
    }
}

fn is_text(media_type: &[u8]) -> bool {
    let is = |name: &[u8]| media_type.eq_ignore_ascii_case(name);
    let begins = |start: &[u8]| {
        media_type
            .get(..start.len())
            .is_some_and(|s| s.eq_ignore_ascii_case(start))
    };
    // Event streams are UTF-8 by their own rules.
    (begins(b"text/") && !is(b"text/event-stream"))
        || is(b"application/javascript")
        || is(b"application/xml")
        || is(b"application/xhtml+xml")
        || is(b"image/svg+xml")
}

/// Says that the answer depends on this header of the request.
pub(crate) fn vary(headers: &mut HeaderMap, name: &HeaderName) {
    let said = headers.get_all(VARY).iter().any(|line| {
        let names = line.as_bytes().split(|b| *b == b',').map(<[u8]>::trim_ascii);
        let mut names = names.filter(|said| *said == b"*" || said.eq_ignore_ascii_case(name.as_str().as_bytes()));
        names.next().is_some()
    });
    if !said {
        headers.append(VARY, HeaderValue::from(name.clone()));
    }
}
