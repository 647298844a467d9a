//! The settings of the shield, under Django's names, and what `check` says of them.

use super::csp::{self, Csp};
use super::{FrameOptions, Overrides};
use crate::trie::{Pattern, Trie};
use demijohn_core::check::{Checks, Finding};
use demijohn_core::settings::{Key, Origin, Settings};
use http::HeaderValue;

const HSTS_SECONDS: Key<u64> = Key::new(
    "SECURE_HSTS_SECONDS",
    "31536000",
    "how long browsers that came by https keep to it (HSTS); 0 for not at all; in development only when set",
);
const HSTS_SUBDOMAINS: Key<bool> = Key::new(
    "SECURE_HSTS_INCLUDE_SUBDOMAINS",
    "true",
    "HSTS holds for all names below the site's too",
);
const HSTS_PRELOAD: Key<bool> = Key::new(
    "SECURE_HSTS_PRELOAD",
    "false",
    "lets browsers ship with the site's name (hstspreload.org); hard to undo",
);
const NOSNIFF: Key<bool> = Key::new(
    "SECURE_CONTENT_TYPE_NOSNIFF",
    "true",
    "browsers take the content type as it is said (X-Content-Type-Options)",
);
const REFERRER: Key<Vec<String>> = Key::new(
    "SECURE_REFERRER_POLICY",
    "same-origin",
    "what other sites learn of where a visitor came from (Referrer-Policy); empty for no header",
);
const COOP: Key<String> = Key::new(
    "SECURE_CROSS_ORIGIN_OPENER_POLICY",
    "same-origin",
    "what windows of other origins may do with those of the site; empty for no header",
);
const FRAMES: Key<String> = Key::new(
    "X_FRAME_OPTIONS",
    "DENY",
    "who may put pages of the site into a frame: DENY, SAMEORIGIN, or empty for everybody",
);
const SSL_REDIRECT: Key<bool> = Key::new(
    "SECURE_SSL_REDIRECT",
    "false",
    "leads requests by http to https; on where the site has https and whoever is before it does not do so",
);
const SSL_HOST: Key<String> = Key::new(
    "SECURE_SSL_HOST",
    "",
    "the host that SECURE_SSL_REDIRECT leads to, in place of the one asked for",
);
const SSL_EXEMPT: Key<Vec<String>> = Key::new(
    "SECURE_REDIRECT_EXEMPT",
    "",
    "paths that SECURE_SSL_REDIRECT leaves alone, as patterns of routes: `/health/`, `/.well-known/{*rest}`",
);
const CSP: Key<Csp> = Key::new(
    "SECURE_CSP",
    csp::STRICT,
    "what browsers may load and run for a page (Content-Security-Policy); empty for no header",
);
const CSP_REPORT_ONLY: Key<Csp> = Key::new(
    "SECURE_CSP_REPORT_ONLY",
    "",
    "a policy whose breaches are reported and not kept from happening",
);
const CORS_ORIGINS: Key<Vec<String>> = Key::new(
    "CORS_ALLOWED_ORIGINS",
    "",
    "origins whose pages may read answers of the site: `https://app.example`, `https://*.app.example`, or `*`; none when empty",
);
const CORS_CREDENTIALS: Key<bool> = Key::new(
    "CORS_ALLOW_CREDENTIALS",
    "false",
    "pages of CORS_ALLOWED_ORIGINS may read what the visitor's own cookies open",
);

/// The settings as read.
pub(crate) struct Protections {
    pub(crate) hsts: Option<HeaderValue>,
    pub(crate) nosniff: bool,
    pub(crate) referrer: Option<HeaderValue>,
    pub(crate) coop: Option<HeaderValue>,
    pub(crate) site: Overrides,
    pub(crate) https: Option<Https>,
    pub(crate) cors_origins: Vec<String>,
    pub(crate) cors_credentials: bool,
}

/// Whereto http leads.
pub(crate) struct Https {
    pub(crate) host: Option<String>,
    pub(crate) exempt: Trie,
}

pub(crate) fn declare(settings: &mut Settings) {
    for key in [
        &HSTS_SUBDOMAINS,
        &HSTS_PRELOAD,
        &NOSNIFF,
        &SSL_REDIRECT,
        &CORS_CREDENTIALS,
    ] {
        settings.declare(key);
    }
    settings.declare(&HSTS_SECONDS);
    for key in [&REFERRER, &SSL_EXEMPT, &CORS_ORIGINS] {
        settings.declare(key);
    }
    for key in [&COOP, &FRAMES, &SSL_HOST] {
        settings.declare(key);
    }
    settings.declare(&CSP);
    settings.declare(&CSP_REPORT_ONLY);
}

impl Protections {
    /// Reads them; what a setting of the right type still cannot say is a finding. (What is of the wrong type is one already.)
    pub(crate) fn read(settings: &Settings, findings: &mut Vec<Finding>) -> Protections {
        let on = |key| settings.value(key).unwrap_or_default();
        let text = |key| settings.value(key).unwrap_or_default();
        let list = |key| settings.value(key).unwrap_or_default();
        let referrer = list(&REFERRER);
        let unknown = referrer.iter().find(|value| !REFERRER_VALUES.contains(&value.as_str()));
        if let Some(unknown) = unknown {
            let known = REFERRER_VALUES.join(", ");
            findings.push(
                Finding::error("security.E023", format!("`{unknown}` is no referrer policy"))
                    .on(REFERRER.name())
                    .hint(format!("use one of {known}")),
            );
        }
        let coop = text(&COOP);
        if !coop.is_empty() && !COOP_VALUES.contains(&coop.as_str()) {
            findings.push(
                Finding::error("security.E024", format!("`{coop}` is no opener policy"))
                    .on(COOP.name())
                    .hint(format!("use one of {}", COOP_VALUES.join(", "))),
            );
        }
        let frames = text(&FRAMES);
        let frame_options = match frames.to_ascii_uppercase().as_str() {
            "" => Some(FrameOptions::Allow),
            "DENY" => Some(FrameOptions::Deny),
            "SAMEORIGIN" => Some(FrameOptions::SameOrigin),
            _ => {
                findings.push(
                    Finding::error("security.E030", format!("`{frames}` says nothing of frames"))
                        .on(FRAMES.name())
                        .hint("use DENY, SAMEORIGIN, or an empty text"),
                );
                None
            }
        };
        let own_csp = !matches!(settings.origin(CSP.name()), None | Some(Origin::Default));
        Protections {
            hsts: hsts(settings),
            nosniff: on(&NOSNIFF),
            referrer: header(&referrer.join(",")),
            coop: header(&coop),
            site: Overrides {
                csp: own_csp.then(|| settings.value(&CSP).unwrap_or_else(|_| Csp::strict())),
                csp_report_only: settings.value(&CSP_REPORT_ONLY).ok().filter(|csp| !csp.is_empty()),
                frame_options,
            },
            https: on(&SSL_REDIRECT).then(|| Https {
                host: Some(text(&SSL_HOST)).filter(|host| !host.is_empty()),
                exempt: exempt(&list(&SSL_EXEMPT), findings),
            }),
            cors_origins: list(&CORS_ORIGINS),
            cors_credentials: on(&CORS_CREDENTIALS),
        }
    }
}

const REFERRER_VALUES: [&str; 8] = [
    "no-referrer",
    "no-referrer-when-downgrade",
    "origin",
    "origin-when-cross-origin",
    "same-origin",
    "strict-origin",
    "strict-origin-when-cross-origin",
    "unsafe-url",
];
const COOP_VALUES: [&str; 4] = [
    "same-origin",
    "same-origin-allow-popups",
    "noopener-allow-popups",
    "unsafe-none",
];

fn header(text: &str) -> Option<HeaderValue> {
    match text.is_empty() {
        true => None,
        false => super::fixed_value(text.to_owned()).ok(),
    }
}

/// In development nobody wants a browser to remember that `localhost` has https, unless it was asked for.
fn hsts(settings: &Settings) -> Option<HeaderValue> {
    let seconds = settings.value(&HSTS_SECONDS).unwrap_or_default();
    let by_default = matches!(settings.origin(HSTS_SECONDS.name()), None | Some(Origin::Default));
    if seconds == 0 || (settings.debug() && by_default) {
        return None;
    }
    let mut text = format!("max-age={seconds}");
    if settings.value(&HSTS_SUBDOMAINS).unwrap_or_default() {
        text.push_str("; includeSubDomains");
    }
    if settings.value(&HSTS_PRELOAD).unwrap_or_default() {
        text.push_str("; preload");
    }
    header(&text)
}

fn exempt(patterns: &[String], findings: &mut Vec<Finding>) -> Trie {
    let mut trie = Trie::default();
    for pattern in patterns {
        match Pattern::parse(pattern) {
            Ok(pattern) => trie.insert(&pattern, 0),
            Err(why) => findings.push(
                Finding::error("security.E031", format!("`{pattern}` is no pattern: {why}"))
                    .on(SSL_EXEMPT.name())
                    .hint("write it as a route: `/health/`, `/.well-known/{*rest}`"),
            ),
        }
    }
    trie
}

/// What `check --deploy` says of protections that are off. The ids are Django's where it has the same check.
pub(crate) fn add_checks(checks: &mut Checks) {
    checks.add_deploy("security", |_, settings, findings| {
        let on = |key| settings.value(key).unwrap_or_default();
        let text = |key| settings.value(key).unwrap_or_default();
        let mut told = Vec::new();
        let mut tell = |id, name: &str, what: &str, mend: &str| {
            told.push(Finding::warning(id, what.to_owned()).on(name).hint(mend.to_owned()));
        };
        if settings.value(&HSTS_SECONDS).unwrap_or_default() == 0 {
            let what = "it is 0: visitors of https can be led to http";
            tell(
                "security.W004",
                HSTS_SECONDS.name(),
                what,
                "take the setting out, or begin with 3600",
            );
        } else {
            if !on(&HSTS_SUBDOMAINS) {
                let what = "it is off: a name below the site's can be attacked by http, and set cookies for the site";
                tell("security.W005", HSTS_SUBDOMAINS.name(), what, "take the setting out");
            }
            if !on(&HSTS_PRELOAD) {
                // Not a protection that is off, but one that cannot be taken back: a hint, not a warning.
                findings.push(
                    Finding::info("security.W021", "it is off: the very first visit may still go by http")
                        .on(HSTS_PRELOAD.name())
                        .hint("set it to true and submit the site at hstspreload.org, if it will have https for good"),
                );
            }
        }
        if !on(&NOSNIFF) {
            let what = "it is off: browsers may take an upload for a script";
            tell("security.W006", NOSNIFF.name(), what, "take the setting out");
        }
        if !on(&SSL_REDIRECT) {
            let what = "it is off: who comes by http stays there";
            let mend = "set it to true, or silence this where a proxy leads to https";
            tell("security.W008", SSL_REDIRECT.name(), what, mend);
        }
        if !text(&FRAMES).eq_ignore_ascii_case("DENY") {
            let what = "it is not DENY: pages can be put into frames";
            tell(
                "security.W019",
                FRAMES.name(),
                what,
                "take the setting out, and allow frames route by route",
            );
        }
        if settings.value(&REFERRER).unwrap_or_default().is_empty() {
            let what = "it is empty: other sites learn where visitors come from";
            tell("security.W022", REFERRER.name(), what, "take the setting out");
        }
        let coop = text(&COOP);
        if coop.is_empty() || coop == "unsafe-none" {
            let what = "it is off: windows that pages open can reach back into them";
            tell("security.W030", COOP.name(), what, "take the setting out");
        }
        let csp = settings.value(&CSP).unwrap_or_default();
        if csp.is_empty() {
            let what = "it is empty: script that gets into a page runs";
            tell(
                "security.W031",
                CSP.name(),
                what,
                "take the setting out, or name what the site needs",
            );
        }
        let loose: Vec<&str> = csp.loose().collect();
        if !loose.is_empty() {
            let what = format!("{} lets script run that got into a page", loose.join(" and "));
            tell(
                "security.W032",
                CSP.name(),
                &what,
                "use `'nonce'` and `nonce=\"{{ csp_nonce }}\"`",
            );
        }
        if settings
            .value(&CORS_ORIGINS)
            .unwrap_or_default()
            .iter()
            .any(|origin| origin == "*")
        {
            let what = "it has `*`: pages of every site may read answers";
            tell("security.W033", CORS_ORIGINS.name(), what, "name the origins");
        }
        findings.append(&mut told);
    });
    checks.add_deploy("security", |site, _, findings| {
        let Some(routes) = site.get::<crate::Routes>() else {
            return;
        };
        #[cfg(feature = "compression")]
        for declared in routes
            .routes
            .iter()
            .filter(|declared| declared.route.compress == Some(true))
        {
            findings.push(
                Finding::warning(
                    "security.W034",
                    "its answers are compressed even where they are personal",
                )
                .on(declared.pattern())
                .hint("fine where none of them shows a secret beside what was sent; silence the id then"),
            );
        }
        for (place, overrides) in routes.overrides() {
            let mut tell = |id, what: &str| {
                findings.push(
                    Finding::warning(id, what.to_owned())
                        .on(place.clone())
                        .hint("fine if that is meant; silence the id then"),
                );
            };
            match &overrides.csp {
                Some(csp) if csp.is_empty() => tell("security.W031", "its content security policy is off"),
                Some(csp) if csp.loose().next().is_some() => {
                    tell(
                        "security.W032",
                        "its content security policy lets script run that got into a page",
                    );
                }
                _ => {}
            }
            if overrides.frame_options == Some(FrameOptions::Allow) {
                tell("security.W019", "every site may put it into a frame");
            }
        }
    });
}
