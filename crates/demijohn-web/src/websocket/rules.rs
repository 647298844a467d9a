//! Settings of sockets.

use crate::origin::{Origin, TrustedOrigins};
use demijohn_core::check::{Checks, Finding};
use demijohn_core::settings::{Key, Settings};
use std::time::Duration;

const MAX_MESSAGE_BYTES: Key<usize> = Key::new(
    "WEBSOCKET_MAX_MESSAGE_BYTES",
    "1048576",
    "a larger message of a client ends its socket",
);
const PING_SECONDS: Key<u64> = Key::new(
    "WEBSOCKET_PING_SECONDS",
    "20",
    "how often clients of sockets are pinged; 0 for never",
);
const IDLE_SECONDS: Key<u64> = Key::new(
    "WEBSOCKET_IDLE_SECONDS",
    "60",
    "a socket whose client nothing is heard of for so long, no answer to pings either, is given up; 0 for never",
);
const TRUSTED_ORIGINS: Key<Vec<String>> = Key::new(
    "WEBSOCKET_TRUSTED_ORIGINS",
    "",
    "origins beside the site's own whose pages may open sockets: `https://app.example`, `https://*.app.example`, or `*`",
);

/// The settings as read.
#[derive(Clone, Debug)]
pub(crate) struct Rules {
    pub(super) max_message_bytes: usize,
    pub(super) ping: Option<Duration>,
    pub(super) idle: Option<Duration>,
    trusted: TrustedOrigins,
    /// Everybody is.
    trusts_all: bool,
}

pub(crate) fn declare(settings: &mut Settings) {
    settings.declare(&MAX_MESSAGE_BYTES);
    settings.declare(&PING_SECONDS);
    settings.declare(&IDLE_SECONDS);
    settings.declare(&TRUSTED_ORIGINS);
}

impl Rules {
    /// Reads them; what is of the right type and still makes no sense is a finding.
    pub(crate) fn read(settings: &Settings, findings: &mut Vec<Finding>) -> Rules {
        let seconds = |key, default| match settings.value(key).unwrap_or(default) {
            0 => None,
            seconds => Some(Duration::from_secs(seconds)),
        };
        let origins = settings.value(&TRUSTED_ORIGINS).unwrap_or_default();
        let named = origins.iter().filter(|origin| *origin != "*");
        let trusted = TrustedOrigins::parse(named).unwrap_or_else(|why| {
            findings.push(Finding::error("web.E040", why).on(TRUSTED_ORIGINS.name()));
            TrustedOrigins::default()
        });
        Rules {
            max_message_bytes: settings.value(&MAX_MESSAGE_BYTES).unwrap_or(1 << 20),
            ping: seconds(&PING_SECONDS, 20),
            idle: seconds(&IDLE_SECONDS, 60),
            trusted,
            trusts_all: origins.iter().any(|origin| origin == "*"),
        }
    }

    /// Whether a page of this origin may open a socket of that one.
    pub(super) fn lets_in(&self, page: Option<&Origin>, site: Option<&Origin>) -> bool {
        self.trusts_all || (page.is_some() && page == site) || page.is_some_and(|page| self.trusted.contains(page))
    }
}

pub(crate) fn add_checks(checks: &mut Checks) {
    checks.add_deploy("security", |site, _, findings| {
        let off = |rules: &Rules| rules.trusts_all;
        if site.get::<Rules>().is_some_and(off) {
            findings.push(
                Finding::warning(
                    "security.W040",
                    "it has `*`: pages of every site may open sockets as the visitor that they are shown to",
                )
                .on(TRUSTED_ORIGINS.name())
                .hint("name the origins"),
            );
        }
        let endless = |rules: &Rules| rules.idle.is_none();
        if site.get::<Rules>().is_some_and(endless) {
            findings.push(
                Finding::warning("security.W041", "it is off: sockets of clients that are gone stay open")
                    .on(IDLE_SECONDS.name())
                    .hint("take the setting out"),
            );
        }
    });
}
