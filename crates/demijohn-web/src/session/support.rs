//! The settings of sessions, the store, and what `check` says of them.

use super::MEND;
use super::cookies::Rule;
use super::signed::SignedCookieSessions;
use crate::cookie::SameSite;
use crate::csrf;
use crate::messages;
use crate::routes::Routes;
use crate::signing::Signer;
use demijohn_core::check::{Checks, Finding};
use demijohn_core::session::{SessionKey, SessionRecord, SessionStore};
use demijohn_core::settings::{Key, Origin, Settings};
use demijohn_core::site::{Part, Phase, Site};
use demijohn_core::{Clock, Error, Needs};
use std::any::TypeId;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

const ENGINE: Key<String> = Key::new(
    "SESSION_ENGINE",
    "",
    "where sessions are kept: `db`, or `signed_cookies` for with the client; empty is the database where the site has one",
);
const AGE: Key<u64> = Key::new(
    "SESSION_COOKIE_AGE",
    "1209600",
    "a session that was not used for so many seconds is over",
);
const ABSOLUTE_AGE: Key<u64> = Key::new(
    "SESSION_ABSOLUTE_AGE",
    "2592000",
    "a session is over so many seconds after its login, however much it is used",
);
const RECHECK: Key<u64> = Key::new(
    "SESSION_RECHECK_SECONDS",
    "30",
    "how often sockets and events of somebody who is logged in ask whether the session that opened them is still there; 0 for never",
);
const AT_BROWSER_CLOSE: Key<bool> = Key::new(
    "SESSION_EXPIRE_AT_BROWSER_CLOSE",
    "false",
    "browsers forget the session's cookie when they are closed",
);
const EVERY_REQUEST: Key<bool> = Key::new(
    "SESSION_SAVE_EVERY_REQUEST",
    "false",
    "every use of a session begins its age anew; off, a tenth of it or a day goes by before that is written",
);
const NAME: Key<String> = Key::new(
    "SESSION_COOKIE_NAME",
    "sessionid",
    "the name of the session's cookie; by https it has `__Host-` before it",
);
const SECURE: Key<bool> = Key::new(
    "SESSION_COOKIE_SECURE",
    "true",
    "the session's cookie is sent by https alone; unless set, it is when the request came by https",
);
const HTTP_ONLY: Key<bool> = Key::new(
    "SESSION_COOKIE_HTTPONLY",
    "true",
    "scripts cannot read the session's cookie",
);
const SAME_SITE: Key<String> = Key::new(
    "SESSION_COOKIE_SAMESITE",
    "Lax",
    "when browsers send the session's cookie with requests from other sites: Strict, Lax, None",
);
const PATH: Key<String> = Key::new(
    "SESSION_COOKIE_PATH",
    "/",
    "the path that the session's cookie is sent for",
);
const DOMAIN: Key<String> = Key::new(
    "SESSION_COOKIE_DOMAIN",
    "",
    "a domain whose sub-domains all get the session's cookie; empty for this host alone",
);

/// Sessions and the protection of forms (CSRF) for a site.
///
/// The facade brings it with the feature `sessions`. Sessions are kept by the site's [`SessionStore`], which the part of a database brings,
/// or the site by `site.bag_mut().insert::<Arc<dyn SessionStore>>(..)`; without one, by [`SignedCookieSessions`].
#[derive(Clone, Copy, Debug, Default)]
pub struct SessionSupport;

impl Part for SessionSupport {
    fn install(self: Box<Self>, site: &mut Site) {
        let settings = site.settings_mut();
        for key in [&ENGINE, &NAME, &SAME_SITE, &PATH, &DOMAIN] {
            settings.declare(key);
        }
        for key in [&AGE, &ABSOLUTE_AGE, &RECHECK] {
            settings.declare(key);
        }
        for key in [&AT_BROWSER_CLOSE, &EVERY_REQUEST, &SECURE, &HTTP_ONLY] {
            settings.declare(key);
        }
        csrf::declare(settings);
        settings.declare(&messages::LEVEL);
        add_checks(&mut site.checks);
        site.on_build(Phase::Provide, |site| {
            // Chosen before a database can offer its own.
            if engine(site.settings())? == Engine::SignedCookies && store(site).is_none() {
                let store = signed_cookies(site.settings());
                site.bag_mut().insert(store);
            }
            Ok(())
        });
        site.on_build(Phase::Finish, |site| {
            if store(site).is_none() {
                if engine(site.settings())? == Engine::Database {
                    return Err(Finding::error(
                        "sessions.E002",
                        "it says `db`, and the site has no database for sessions",
                    )
                    .on(ENGINE.name())
                    .hint("set DATABASE_URL and turn the feature `database-sessions` on, or take the setting out"));
                }
                let store = signed_cookies(site.settings());
                site.bag_mut().insert(store);
            }
            let Some(store) = store(site).cloned() else {
                return Ok(());
            };
            let clock = site.bag().get::<Clock>().cloned().unwrap_or_default();
            let support = Arc::new(Support::read(site.settings(), store, clock)?);
            site.bag_mut().insert(support);
            if is_needed(site.bag_mut().get::<Routes>()) {
                site.settings_mut().needs_secret("sessions and the protection of forms");
            }
            Ok(())
        });
    }
}

#[derive(PartialEq, Eq)]
enum Engine {
    Given,
    Database,
    SignedCookies,
}

/// Django's long names are understood by their ends.
fn engine(settings: &Settings) -> Result<Engine, Finding> {
    let said = settings.value(&ENGINE)?;
    match said.rsplit('.').next().unwrap_or_default() {
        "" => Ok(Engine::Given),
        "db" | "cached_db" => Ok(Engine::Database),
        "signed_cookies" => Ok(Engine::SignedCookies),
        _ => Err(Finding::error("sessions.E001", format!("`{said}` keeps no sessions"))
            .on(ENGINE.name())
            .hint("use `db`, `signed_cookies`, or take the setting out")),
    }
}

fn store(site: &Site) -> Option<&Arc<dyn SessionStore>> {
    site.bag().get::<Arc<dyn SessionStore>>()
}

fn signed_cookies(settings: &Settings) -> Arc<dyn SessionStore> {
    Arc::new(SignedCookieSessions::late(LateSigner::new(
        settings,
        "demijohn.session",
    )))
}

/// The site's signer for one purpose, made when something is first signed: a site that never signs anything needs no key.
pub(crate) struct LateSigner {
    settings: Settings,
    salt: &'static str,
    signer: OnceLock<Signer>,
}

impl LateSigner {
    pub(crate) fn new(settings: &Settings, salt: &'static str) -> Self {
        LateSigner {
            settings: settings.clone(),
            salt,
            signer: OnceLock::new(),
        }
    }

    /// A value and its signature, which is good together with `binding` alone.
    ///
    /// # Errors
    /// As for [`get`](Self::get).
    pub(crate) fn seal(&self, value: &str, binding: &str) -> Result<String, Error> {
        let signed = self.get()?.sign(&format!("{value}~{binding}"));
        let signature = signed.rsplit('.').next().unwrap_or_default();
        Ok(format!("{value}.{signature}"))
    }

    /// The value of a sealed one; `None` for one that is changed or bound to something else.
    ///
    /// # Errors
    /// As for [`get`](Self::get).
    pub(crate) fn unseal<'t>(&self, sealed: &'t str, binding: &str) -> Result<Option<&'t str>, Error> {
        let Some((value, signature)) = sealed.split_once('.') else {
            return Ok(None);
        };
        // Neither has a tilde where it is ours.
        let good = self.get()?.unsign(&format!("{value}~{binding}.{signature}")).is_ok();
        Ok(Some(value).filter(|value| good && !value.contains('~')))
    }

    /// # Errors
    /// 500 in production without a key.
    pub(crate) fn get(&self) -> Result<&Signer, Error> {
        if let Some(signer) = self.signer.get() {
            return Ok(signer);
        }
        let signer = Signer::of_settings(&self.settings, self.salt)?;
        Ok(self.signer.get_or_init(|| signer))
    }
}

impl From<Signer> for LateSigner {
    fn from(signer: Signer) -> Self {
        LateSigner {
            settings: Settings::new(),
            salt: "",
            signer: signer.into(),
        }
    }
}

/// Whether a handler says that it works with sessions: then production does not start without a key.
fn is_needed(routes: Option<&Routes>) -> bool {
    let arms = routes
        .into_iter()
        .flat_map(|routes| routes.routes.iter().flat_map(|declared| &declared.route.arms));
    let mut needs = Needs::default();
    arms.for_each(|arm| (arm.endpoint.needs)(&mut needs));
    let support = TypeId::of::<Arc<Support>>();
    needs.items().iter().any(|need| need.type_id == support)
}

pub(crate) fn need(needs: &mut Needs) {
    needs.provider::<Arc<Support>>(MEND);
}

/// What a site's sessions are made of.
pub(crate) struct Support {
    pub(crate) store: Arc<dyn SessionStore>,
    pub(crate) clock: Clock,
    pub(crate) cookie: Rule,
    pub(crate) csrf: csrf::Rules,
    /// The cookie of messages: as the session's, under another name.
    pub(crate) messages: Rule,
    pub(crate) message_signer: LateSigner,
    pub(crate) message_level: u8,
    pub(crate) ends_with_browser: bool,
    /// How often what stays open asks whether it may.
    pub(super) recheck: Option<Duration>,
    idle: Duration,
    absolute: Duration,
    renew_after: Duration,
}

impl Support {
    fn read(settings: &Settings, store: Arc<dyn SessionStore>, clock: Clock) -> Result<Support, Finding> {
        let idle = Duration::from_secs(settings.value(&AGE)?);
        let cookie = Rule {
            name: cookie_name(settings, &NAME)?,
            secure: said(settings, &SECURE)?,
            http_only: settings.value(&HTTP_ONLY)?,
            same_site: same_site(settings, &SAME_SITE)?,
            path: settings.value(&PATH)?,
            domain: settings.value(&DOMAIN)?,
        };
        Ok(Support {
            store,
            clock,
            messages: Rule {
                name: "messages".to_owned(),
                http_only: true,
                ..cookie.clone()
            },
            message_signer: LateSigner::new(settings, "demijohn.messages"),
            message_level: settings.value(&messages::LEVEL)?,
            cookie,
            csrf: csrf::Rules::read(settings)?,
            ends_with_browser: settings.value(&AT_BROWSER_CLOSE)?,
            recheck: Some(settings.value(&RECHECK)?)
                .filter(|seconds| *seconds > 0)
                .map(Duration::from_secs),
            idle,
            absolute: Duration::from_secs(settings.value(&ABSOLUTE_AGE)?),
            renew_after: match settings.value(&EVERY_REQUEST)? {
                true => Duration::ZERO,
                false => (idle / 10).min(Duration::from_secs(24 * 60 * 60)),
            },
        })
    }

    /// When a session that began then is over, if it is not used after now; `idle` in place of the setting.
    pub(super) fn end(&self, created_at: SystemTime, now: SystemTime, idle: Option<Duration>) -> SystemTime {
        let last = self.last_end(created_at);
        let end = now.checked_add(idle.unwrap_or(self.idle));
        end.map_or(last, |end| end.min(last))
    }

    /// When a session that began then is over, however it is used.
    pub(super) fn last_end(&self, created_at: SystemTime) -> SystemTime {
        created_at.checked_add(self.absolute).unwrap_or(created_at)
    }

    /// A store may keep what these settings do not allow any more.
    pub(super) fn is_alive(&self, record: &SessionRecord, now: SystemTime) -> bool {
        record.expire_at.min(self.last_end(record.created_at)) > now
    }

    /// Whether the session of a key is this principal's. While the store is out of reach nobody knows better.
    pub(super) async fn is_still(&self, key: &SessionKey, principal: &str) -> bool {
        let now = self.clock.wall();
        match self.store.load(key, now).await {
            Ok(record) => record
                .is_some_and(|record| record.principal.as_deref() == Some(principal) && self.is_alive(&record, now)),
            Err(error) => {
                tracing::warn!("whether a session is still there cannot be seen: {error}");
                true
            }
        }
    }

    /// Whether a session in use gains enough by a new end. A clock that was set back takes nothing away.
    pub(super) fn is_worth_writing(&self, old_end: SystemTime, new_end: SystemTime) -> bool {
        let gained = new_end.duration_since(old_end).unwrap_or_default();
        !gained.is_zero() && gained >= self.renew_after
    }
}

/// What a setting says; `None` while nobody has set it.
pub(crate) fn said(settings: &Settings, key: &Key<bool>) -> Result<Option<bool>, Finding> {
    let value = settings.value(key)?;
    Ok(match settings.origin(key.name()) {
        None | Some(Origin::Default) => None,
        Some(_) => Some(value),
    })
}

pub(crate) fn same_site(settings: &Settings, key: &Key<String>) -> Result<SameSite, Finding> {
    let value = settings.value(key)?;
    match value.to_ascii_lowercase().as_str() {
        "lax" => Ok(SameSite::Lax),
        "strict" => Ok(SameSite::Strict),
        "none" => Ok(SameSite::None),
        _ => Err(
            Finding::error("sessions.E003", format!("`{value}` does not say when a cookie is sent"))
                .on(key.name())
                .hint("use Strict, Lax or None"),
        ),
    }
}

pub(crate) fn cookie_name(settings: &Settings, key: &Key<String>) -> Result<String, Finding> {
    let name = settings.value(key)?;
    match crate::Cookie::new(name.clone(), "").header() {
        Ok(_) => Ok(name),
        Err(_) => Err(
            Finding::error("sessions.E004", format!("`{name}` is no name of a cookie"))
                .on(key.name())
                .hint("use letters, digits, `-` and `_`"),
        ),
    }
}

fn add_checks(checks: &mut Checks) {
    checks.add("sessions", |site, _, findings| {
        let Some(support) = site.get::<Arc<Support>>() else {
            return;
        };
        if support.idle > support.absolute {
            findings.push(
                Finding::warning(
                    "sessions.W001",
                    "it is longer than SESSION_ABSOLUTE_AGE, which ends sessions before",
                )
                .on(AGE.name())
                .hint("raise SESSION_ABSOLUTE_AGE too, or lower this one"),
            );
        }
    });
    checks.add_deploy("security", |site, settings, findings| {
        let Some(support) = site.get::<Arc<Support>>() else {
            return;
        };
        let mut tell = |id, name: &str, what: &str| {
            findings.push(
                Finding::warning(id, what.to_owned())
                    .on(name)
                    .hint("take the setting out"),
            );
        };
        if support.cookie.secure == Some(false) {
            tell(
                "security.W012",
                SECURE.name(),
                "it is off: the session's cookie goes over the wire in the open",
            );
        }
        if !support.cookie.http_only {
            tell(
                "security.W015",
                HTTP_ONLY.name(),
                "it is off: a script that gets into a page takes the session",
            );
        }
        if support.recheck.is_none() {
            tell(
                "security.W045",
                RECHECK.name(),
                "it is 0: sockets and events that are open at a logout or a new password stay open",
            );
        }
        if support.cookie.same_site == SameSite::None {
            tell(
                "security.W042",
                SAME_SITE.name(),
                "it is None: other sites' requests carry the session",
            );
        }
        if !support.cookie.domain.is_empty() {
            tell(
                "security.W043",
                DOMAIN.name(),
                "every sub-domain gets the session's cookie, and may set it",
            );
        }
        if !support.store.can_revoke() && is_needed(site.get::<Routes>()) {
            findings.push(
                Finding::warning(
                    "security.W044",
                    "sessions are kept in cookies: who has a copy of one is not logged out by a logout",
                )
                .on(ENGINE.name())
                .hint(
                    "keep them in the database, by the feature `database-sessions` and DATABASE_URL; or silence the id",
                ),
            );
        }
        csrf::check(site, settings, &support.csrf, findings);
    });
}
