//! What development and production refuse.

use super::{BIND, Settings};
use crate::check::{Checks, Finding};

/// The rules of the mode that the site runs in, and what no mode understands.
pub(super) fn mode(settings: &Settings, findings: &mut Vec<Finding>) {
    for host in settings.allowed_hosts() {
        if let Some(mend) = no_host(host) {
            findings.push(
                Finding::error(
                    "settings.E011",
                    format!("`{host}` is no name of a host, so no visitor would be answered by it"),
                )
                .on("ALLOWED_HOSTS")
                .hint(mend),
            );
        }
    }
    let loopback = settings.bind().is_loopback();
    match settings.debug() {
        true if !loopback && !cfg!(debug_assertions) => findings.push(
            Finding::error(
                "settings.E010",
                format!("DEBUG is on in a release build that listens on {}", settings.bind()),
            )
            .on("DEBUG")
            .hint("set DEBUG=false, or listen on 127.0.0.1"),
        ),
        true if !loopback => findings.push(
            Finding::warning(
                "settings.W002",
                format!("DEBUG is on and {} can be reached by others", settings.bind()),
            )
            .on("DEBUG")
            .hint("set DEBUG=false where others can reach the site"),
        ),
        true => {}
        false => production(settings, loopback, findings),
    }
}

/// What to write in place of something that no host is called.
fn no_host(text: &str) -> Option<String> {
    const PLAIN: &str = "write names such as `www.example.org`, `.example.org` for all below one, or an address: `192.0.2.7`, `[2001:db8::7]`";
    let is_name = |name: &str| {
        let is_part = |part: &str| {
            !part.is_empty()
                && part
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        };
        name.split('.').all(is_part)
    };
    let is_address = |text: &str| text.parse::<std::net::Ipv6Addr>().is_ok();
    if text == "*" || is_name(text.strip_prefix('.').unwrap_or(text)) {
        return None;
    }
    if let Some(inside) = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'))
        && is_address(inside)
    {
        return None;
    }
    if is_address(text) {
        return Some(format!("write `[{text}]`"));
    }
    if !text.is_ascii() {
        return Some("write the name as browsers send it, in ASCII: `xn--..`".to_owned());
    }
    // An address of a page, a port, a star as in other programs, a dot at the end: the name is in it.
    let name = text.split_once("://").map_or(text, |(_, rest)| rest);
    let name = name.split(['/', ':']).next().unwrap_or_default();
    let name = name.strip_prefix('*').unwrap_or(name).trim_end_matches('.');
    Some(match is_name(name.strip_prefix('.').unwrap_or(name)) {
        true => format!("write `{name}`"),
        false => PLAIN.to_owned(),
    })
}

fn production(settings: &Settings, loopback: bool, findings: &mut Vec<Finding>) {
    let needed_by = &settings.secret_needed_by;
    if !needed_by.is_empty() {
        match settings.own.secret_key.weakness() {
            Some(_) if settings.own.secret_key.is_empty() => findings.push(no_secret_key(needed_by)),
            Some(_) if settings.own.django_compat => {}
            Some(weakness) => findings.push(
                Finding::error("settings.E008", format!("the key can be guessed: {weakness}"))
                    .on("SECRET_KEY")
                    .hint(MAKE_A_KEY),
            ),
            None => {}
        }
        for (n, key) in settings.own.secret_key_fallbacks.iter().enumerate() {
            if let Some(weakness) = key.weakness().filter(|_| !settings.own.django_compat || key.is_empty()) {
                findings.push(
                    Finding::error("settings.E008", format!("key {} can be guessed: {weakness}", n + 1))
                        .on("SECRET_KEY_FALLBACKS")
                        .hint("take it out: whoever guesses it can still sign"),
                );
            }
        }
    }
    if settings.allowed_hosts().is_empty() && !loopback {
        findings.push(
            Finding::error(
                "settings.E009",
                format!("it is empty, and {} {} can be reached by others", BIND.name(), settings.bind()),
            )
            .on("ALLOWED_HOSTS")
            .hint("set ALLOWED_HOSTS=www.example.org to the names that visitors use, or listen on 127.0.0.1; for development set DEBUG=true"),
        );
    }
}

/// What `check` looks at: the settings themselves, and for `--deploy` what of their protections is off.
pub fn add_checks(checks: &mut Checks) {
    checks.add("settings", |_, settings, findings| findings.extend(settings.findings()));
    checks.add_deploy("security", |_, settings, findings| {
        if settings.debug() {
            findings.push(
                Finding::warning("security.W018", "it is on: visitors see details of errors")
                    .on("DEBUG")
                    .hint("set DEBUG=false, or build with --release"),
            );
        }
        match settings.allowed_hosts() {
            [] => findings.push(
                Finding::warning(
                    "security.W020",
                    "it is empty: only names of this machine are answered, or none is checked",
                )
                .on("ALLOWED_HOSTS")
                .hint("set it to the names that visitors use"),
            ),
            hosts if hosts.iter().any(|host| host == "*") => findings.push(
                Finding::warning(
                    "security.W020",
                    "it has `*`: links may be made with any name a visitor sends",
                )
                .on("ALLOWED_HOSTS")
                .hint("name the hosts, `.example.org` for all below one"),
            ),
            _ => {}
        }
        if settings.secret_needed_by.is_empty() {
            return;
        }
        // What production refuses outright is told by that; here is what it would refuse, or was told to take.
        if settings.debug() || settings.own.django_compat {
            if let Some(weakness) = settings.own.secret_key.weakness() {
                findings.push(
                    Finding::warning("security.W009", format!("it can be guessed: {weakness}"))
                        .on("SECRET_KEY")
                        .hint(MAKE_A_KEY),
                );
            }
            for (n, key) in settings.own.secret_key_fallbacks.iter().enumerate() {
                if let Some(weakness) = key.weakness() {
                    findings.push(
                        Finding::warning("security.W025", format!("key {} can be guessed: {weakness}", n + 1))
                            .on("SECRET_KEY_FALLBACKS")
                            .hint("take it out as soon as nothing is signed by it any more"),
                    );
                }
            }
        }
    });
}

const MAKE_A_KEY: &str = "set SECRET_KEY to 50 or more random characters, such as `openssl rand -hex 32` prints";

pub(super) fn no_secret_key(needed_by: &[String]) -> Finding {
    let by = match needed_by {
        [] => String::new(),
        names => format!(" by {}", names.join(", ")),
    };
    Finding::error("settings.E007", format!("it is not set, and needed{by}"))
        .on("SECRET_KEY")
        .hint(MAKE_A_KEY)
}
