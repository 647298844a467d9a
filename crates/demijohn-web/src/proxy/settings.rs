//! Settings of proxies, with Django's names where Django has them.

use super::listen::Rules;
use super::net::Net;
use demijohn_core::check::{Checks, Finding};
use demijohn_core::settings::{Key, Settings};
use http::header::HeaderName;

const PROXIES: Key<Vec<String>> = Key::new(
    "TRUSTED_PROXIES",
    "",
    "addresses and networks (`10.0.0.0/8`, `::1`) of the proxies before the site, which are believed what they say of clients in \
     X-Forwarded-For and SECURE_PROXY_SSL_HEADER; `*` for whoever connects",
);
const SSL_HEADER: Key<Vec<String>> = Key::new(
    "SECURE_PROXY_SSL_HEADER",
    "X-Forwarded-Proto, https",
    "the header of TRUSTED_PROXIES that says whether a client came by https, and the value that says so; empty for none",
);
const HOST: Key<bool> = Key::new(
    "USE_X_FORWARDED_HOST",
    "false",
    "takes the host that was asked for from X-Forwarded-Host of TRUSTED_PROXIES",
);
const PORT: Key<bool> = Key::new(
    "USE_X_FORWARDED_PORT",
    "false",
    "takes the port that was asked for from X-Forwarded-Port of TRUSTED_PROXIES",
);
const STANDARD: Key<bool> = Key::new(
    "USE_FORWARDED",
    "false",
    "reads the header Forwarded (RFC 7239) of TRUSTED_PROXIES in place of X-Forwarded-For, -Proto and -Host",
);

const PROTOCOL: Key<bool> = Key::new(
    "PROXY_PROTOCOL",
    "false",
    "connections from TRUSTED_PROXIES begin with the PROXY protocol (version 1 or 2), which names the client; others do not",
);

pub(crate) fn declare(settings: &mut Settings) {
    settings.declare(&PROXIES);
    settings.declare(&SSL_HEADER);
    for key in [&HOST, &PORT, &STANDARD, &PROTOCOL] {
        settings.declare(key);
    }
}

/// Who is trusted.
pub(super) fn nets(settings: &Settings, findings: &mut Vec<Finding>) -> Vec<Net> {
    let mut nets = Vec::new();
    for text in settings.value(&PROXIES).unwrap_or_default() {
        match text.as_str() {
            "*" => nets.push(Net::ALL),
            text => match Net::parse(text) {
                Some(net) => nets.push(net),
                None => findings.push(
                    Finding::error("web.E050", format!("`{text}` is no address and no network"))
                        .on(PROXIES.name())
                        .hint("write `10.0.0.7`, `10.0.0.0/8` (zeros where addresses differ), `fd00::/8` or `*`"),
                ),
            },
        }
    }
    nets
}

impl Rules {
    pub(super) fn read(settings: &Settings, findings: &mut Vec<Finding>) -> Rules {
        let on = |key| settings.value(key).unwrap_or_default();
        Rules {
            scheme: ssl_header(&settings.value(&SSL_HEADER).unwrap_or_default(), findings),
            host: on(&HOST),
            port: on(&PORT),
            standard: on(&STANDARD),
            protocol: on(&PROTOCOL),
        }
    }
}

/// Django's pair `HTTP_X_FORWARDED_PROTO, https` is understood too.
fn ssl_header(pair: &[String], findings: &mut Vec<Finding>) -> Option<(HeaderName, String)> {
    let wrong = match pair {
        [] => return None,
        [header, secure] => {
            let name = match header.strip_prefix("HTTP_") {
                Some(name) => name.replace('_', "-"),
                None => header.clone(),
            };
            match HeaderName::try_from(name) {
                Ok(name) => return Some((name, secure.clone())),
                Err(_) => format!("`{header}` is no header"),
            }
        }
        _ => "it is no pair".to_owned(),
    };
    findings.push(
        Finding::error("web.E051", wrong)
            .on(SSL_HEADER.name())
            .hint("write the header's name and the value that means https: `X-Forwarded-Proto, https`"),
    );
    None
}

pub(crate) fn add_checks(checks: &mut Checks) {
    checks.add_deploy("security", |site, settings, findings| {
        let proxies = settings.value(&PROXIES).unwrap_or_default();
        if proxies.iter().any(|proxy| proxy == "*" || proxy.ends_with("/0")) {
            findings.push(
                Finding::warning(
                    "security.W054",
                    "it trusts whoever connects: clients choose their address and scheme",
                )
                .on(PROXIES.name())
                .hint("name the addresses or networks of the proxies"),
            );
        }
        let by_code = |engine: &crate::dispatch::Engine| engine.trusts_by_code();
        if proxies.is_empty() && site.get::<crate::dispatch::Engine>().is_some_and(by_code) {
            let what =
                "the code trusts proxies without their addresses: whoever reaches the server past them is believed too";
            findings.push(
                Finding::warning("security.W055", what)
                    .on(PROXIES.name())
                    .hint("name them in the setting"),
            );
        }
        let asked = [&HOST, &PORT, &STANDARD, &PROTOCOL]
            .into_iter()
            .filter(|key| settings.value(key).unwrap_or_default());
        if proxies.is_empty() {
            for key in asked {
                let what = "it is on and has no effect: there are no TRUSTED_PROXIES";
                findings.push(
                    Finding::warning("security.W056", what)
                        .on(key.name())
                        .hint("name the proxies"),
                );
            }
        }
    });
}
