//! Who may see the admin while there are no accounts.

use demijohn_core::check::Finding;
use demijohn_core::{Error, Request, Result, Settings, Site};
use demijohn_web::http::StatusCode;
use std::sync::Arc;

/// Answers 404 to everyone but the developer: the site is in development, the client is this machine, and it asked for a
/// name of this machine. (A page elsewhere whose name was made to point here would come with that name; what a
/// proxy hands on comes with its header.) The test client has no address and is let in.
pub(crate) async fn only_developer(request: &mut Request) -> Result<()> {
    let debug = request.provided::<Arc<Settings>>()?.debug();
    let near = request.peer().is_none_or(|peer| peer.ip().to_canonical().is_loopback());
    let handed_on = ["forwarded", "x-forwarded-for", "x-real-ip", "via"];
    let direct = handed_on.iter().all(|name| !request.headers().contains_key(*name));
    match debug && near && direct && request.host().is_some_and(is_local) {
        true => Ok(()),
        false => Err(Error::bare(StatusCode::NOT_FOUND)),
    }
}

/// `localhost`, names below it, and loopback addresses, with or without a port.
fn is_local(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    let name = name.to_ascii_lowercase();
    name == "localhost"
        || name.ends_with(".localhost")
        || name
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.to_canonical().is_loopback())
}

/// Tells `check --deploy` how it stands.
pub(crate) fn tell(site: &mut Site, open: bool) {
    let prefix = site.scope().prefix.clone();
    site.checks.add_deploy("security", move |_, _, findings| {
        findings.push(match open {
            false => Finding::warning(
                "admin.W001",
                "the admin has no login yet: it answers in development on this machine alone, and is 404 in production",
            )
            .on(prefix.as_str())
            .hint("guard it in another way and say `AdminSite::new().without_login()`, or leave it as it is"),
            true => Finding::warning("admin.W002", "the admin asks for no login: everyone can read its rows")
                .on(prefix.as_str())
                .hint("take `.without_login()` out, unless something before the site asks for one"),
        });
    });
}

#[cfg(test)]
mod tests {
    use super::is_local;

    #[test]
    fn names_of_this_machine_are_told_from_others() {
        for host in [
            "localhost",
            "LOCALHOST:8000",
            "a.localhost",
            "127.0.0.1:80",
            "127.9.9.9",
            "[::1]:8000",
            "[::ffff:127.0.0.1]",
        ] {
            assert!(is_local(host), "{host}");
        }
        for host in [
            "example.org",
            "localhost.example.org",
            "10.0.0.1",
            "[2001:db8::1]",
            "127.0.0.1.nip.io",
            "",
            "evil:localhost",
        ] {
            assert!(!is_local(host), "{host}");
        }
    }
}
