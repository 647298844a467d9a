//! Sessions: what a site remembers of a visitor from one request to the next.
//!
//! A handler takes a [`Session`]. The client holds a cookie with a random key (or, in a site without a database, with the signed session
//! itself: [`SignedCookieSessions`]); a visitor of whom nothing is remembered has none. Sources: OWASP ASVS 5.0, chapter 7; Django's
//! `contrib.sessions`.
//!
//! - A session's id is new at every login, and an id that the site did not give out opens nothing.
//! - It ends when it was not used for `SESSION_COOKIE_AGE`, and after `SESSION_ABSOLUTE_AGE` however much it was used.
//! - What the session says is written before the answer goes out. When that fails, the answer is the error, without a cookie. An answer of
//!   status 5xx changes nothing.
//! - An answer for which the session was looked at is kept by no shared cache (`Vary: Cookie`, `Cache-Control: private, no-store`).

pub(crate) mod cookies;
mod signed;
pub(crate) mod support;

pub use signed::SignedCookieSessions;
pub use support::SessionSupport;
pub(crate) use support::Support;

use crate::bound::Bound;
use crate::csrf;
use crate::messages;
use crate::stream::EndsWithServer;
#[cfg(feature = "template")]
use demijohn_core::Bag;
pub use demijohn_core::session::{Principal, SessionKey, SessionRecord, SessionStore};
use demijohn_core::{Body, Error, Extract, Needs, Rejection, Request, Response, Result};
use http::header::{CACHE_CONTROL, COOKIE, HeaderValue};
use http::{Method, StatusCode};
use serde_core::Serialize;
use serde_core::de::DeserializeOwned;
use serde_json::{Map, Value};
#[cfg(feature = "template")]
use std::cell::OnceCell;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::sync::{Mutex, MutexGuard};

/// The session of the request: values that stay with the visitor, and who is logged in.
///
/// A clone is the same session, and so is what other extractors and hooks of the request get. Nothing is read before somebody asks.
///
/// ```
/// use demijohn_web::{Application, Assemble, Session, get, post, session::SessionSupport};
///
/// async fn count(session: Session) -> demijohn_web::Result<String> {
///     let visits: u32 = session.get("visits").await?.unwrap_or(0) + 1;
///     session.insert("visits", visits).await?;
///     Ok(visits.to_string())
/// }
///
/// # demijohn_web::test::block_on(async {
/// let client = Application::new().with(SessionSupport).route("/", get(count)).test_client();
/// assert_eq!(client.get("/").await.text(), "1");
/// assert_eq!(client.get("/").await.text(), "2");
/// assert_eq!(client.stranger().get("/").await.text(), "1");
/// # });
/// ```
///
/// # Errors
/// Every method fails with 503 when the store is out of reach, and with 500 in production without `SECRET_KEY` where something is signed.
#[derive(Clone)]
pub struct Session(Arc<Visit>);

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Session(..)")
    }
}

/// What the site knows of the visitor in one request: the session, and what its forms are protected by.
pub(crate) struct Visit {
    pub(crate) support: Arc<Support>,
    https: bool,
    /// The session's cookie as it came. It says nothing until the store knows it.
    sent: Option<SessionKey>,
    state: Mutex<State>,
    accessed: AtomicBool,
    pub(crate) csrf: csrf::Secrets,
    pub(crate) messages: messages::Pending,
}

/// A visit for a template, which has not the request itself at hand: it begins when something of it is asked for.
#[cfg(feature = "template")]
pub(crate) struct LateVisit {
    https: bool,
    cookies: Vec<HeaderValue>,
    visit: OnceCell<Arc<Visit>>,
}

#[cfg(feature = "template")]
impl LateVisit {
    pub(crate) fn of(request: &Request) -> Self {
        let begun = request.visit().get().cloned();
        LateVisit {
            https: request.is_secure(),
            cookies: request.headers().get_all(COOKIE).iter().cloned().collect(),
            visit: begun
                .and_then(|visit| visit.downcast().ok())
                .map_or_else(OnceCell::new, OnceCell::from),
        }
    }

    /// The visit; `None` in a site without sessions.
    pub(crate) fn get(&self, site: &Bag) -> Option<Arc<Visit>> {
        let support = site.get::<Arc<Support>>()?;
        let visit = || {
            let cookies: Vec<&HeaderValue> = self.cookies.iter().collect();
            Arc::new(Visit::new(support, self.https, &cookies))
        };
        Some(Arc::clone(self.visit.get_or_init(visit)))
    }

    /// Gives the request the visit that began without it.
    pub(crate) fn adopt(&self, request: &Request) {
        if let Some(visit) = self.visit.get() {
            let visit: Arc<Visit> = Arc::clone(visit);
            let _ = request.visit().set(visit);
        }
    }
}

/// The session as it stands.
#[derive(Default)]
struct State {
    loaded: bool,
    /// The answer is on its way: what changes now would be lost.
    closed: bool,
    /// Leads to the session in the store.
    key: Option<SessionKey>,
    data: Map<String, Value>,
    principal: Option<String>,
    created_at: Option<SystemTime>,
    expire_at: Option<SystemTime>,
    changed: bool,
    /// The client does not know the key yet.
    untold: bool,
    /// The client's cookie leads nowhere any more.
    ended: bool,
}

/// When one session is over, in place of what the settings say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expiry {
    /// As the settings say.
    Usual,
    /// When the browser is closed, and when it is not used for the usual time.
    WithBrowser,
    /// When it was not used for so long.
    After(Duration),
    /// Then, however it is used.
    At(SystemTime),
}

/// Where it is kept.
const EXPIRY: &str = "_expiry";

impl Expiry {
    fn of(data: &Map<String, Value>) -> Expiry {
        let Some(said) = data.get(EXPIRY) else {
            return Expiry::Usual;
        };
        let at = said.get("at").and_then(Value::as_u64);
        match (
            said.as_u64(),
            at.map(|at| UNIX_EPOCH.checked_add(Duration::from_secs(at))),
        ) {
            (Some(0), _) => Expiry::WithBrowser,
            (Some(seconds), _) => Expiry::After(Duration::from_secs(seconds)),
            (_, Some(Some(at))) => Expiry::At(at),
            _ => Expiry::Usual,
        }
    }

    fn to_json(self) -> Option<Value> {
        match self {
            Expiry::Usual => None,
            Expiry::WithBrowser => Some(0.into()),
            Expiry::After(age) => Some(age.as_secs().max(1).into()),
            Expiry::At(at) => {
                let seconds = at.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
                Some(serde_json::json!({ "at": seconds }))
            }
        }
    }

    fn end(self, support: &Support, created_at: SystemTime, now: SystemTime) -> SystemTime {
        match self {
            Expiry::Usual | Expiry::WithBrowser => support.end(created_at, now, None),
            Expiry::After(idle) => support.end(created_at, now, Some(idle)),
            Expiry::At(at) => at.min(support.last_end(created_at)),
        }
    }
}

/// Where the hash of who logged in is kept. Names that begin like this are the framework's.
const AUTH_HASH: &str = "_auth_hash";

impl State {
    fn record(&self, support: &Support, now: SystemTime) -> SessionRecord {
        SessionRecord {
            data: self.data.clone(),
            principal: self.principal.clone(),
            created_at: self.created_at.unwrap_or(now),
            expire_at: self.expire_at.unwrap_or_else(|| self.end(support, now)),
        }
    }

    /// When it is over if it is not used after now.
    fn end(&self, support: &Support, now: SystemTime) -> SystemTime {
        Expiry::of(&self.data).end(support, self.created_at.unwrap_or(now), now)
    }

    fn adopt(&mut self, key: SessionKey, record: SessionRecord) {
        self.key = Some(key);
        self.data = record.data;
        self.principal = record.principal;
        self.created_at = Some(record.created_at);
        self.expire_at = Some(record.expire_at);
    }

    /// Nothing is remembered of the visitor. An expiry of nothing is nothing.
    fn is_empty(&self) -> bool {
        self.principal.is_none() && self.data.keys().all(|key| key == EXPIRY)
    }

    /// There is no session any more.
    fn forget(&mut self) {
        *self = State {
            loaded: true,
            ended: true,
            ..State::default()
        };
    }
}

impl Visit {
    /// The visit that a request is part of; `None` in a site without sessions.
    pub(crate) fn of(request: &Request) -> Option<Arc<Visit>> {
        let support = request.site().get::<Arc<Support>>()?;
        let visit = request.visit().get_or_init(|| {
            let cookies: Vec<&HeaderValue> = request.headers().get_all(COOKIE).iter().collect();
            Arc::new(Visit::new(support, request.is_secure(), &cookies))
        });
        Arc::clone(visit).downcast().ok()
    }

    fn new(support: &Arc<Support>, https: bool, cookies: &[&HeaderValue]) -> Visit {
        let read = |rule: &cookies::Rule| rule.read(https, cookies.iter().copied());
        Visit {
            support: Arc::clone(support),
            https,
            sent: read(&support.cookie).map(SessionKey::from_client),
            state: Mutex::default(),
            accessed: AtomicBool::new(false),
            csrf: csrf::Secrets::new(read(&support.csrf.cookie)),
            messages: messages::Pending::new(read(&support.messages)),
        }
    }

    /// What names the session that came with the request, for what is bound to it.
    pub(crate) fn binding(&self) -> &str {
        self.sent.as_ref().map_or("", binding)
    }

    /// The session, read from the store.
    async fn open(&self) -> Result<MutexGuard<'_, State>> {
        self.accessed.store(true, Ordering::Relaxed);
        let mut state = self.state.lock().await;
        if !state.loaded {
            if let Some(key) = &self.sent {
                let now = self.support.clock.wall();
                let record = self.support.store.load(key, now).await?;
                if let Some(record) = record.filter(|record| self.support.is_alive(record, now)) {
                    state.adopt(key.clone(), record);
                }
            }
            state.loaded = true;
        }
        Ok(state)
    }

    async fn open_to_change(&self) -> Result<MutexGuard<'_, State>> {
        let state = self.open().await?;
        match state.closed {
            false => Ok(state),
            true => Err(Error::internal(
                "the session changes after its answer was sent: change it in the handler, before the reply",
            )),
        }
    }

    /// Writes what has changed; the answer is the cookie to set, if any, and what names the session from now on.
    async fn save(&self, failed: bool) -> Result<(Option<crate::Cookie>, Option<String>)> {
        let mut state = self.state.lock().await;
        state.closed = true;
        let Support { store, clock, .. } = &*self.support;
        if failed
            && state.key != self.sent
            && let Some(key) = state.key.take()
        {
            // A login in a request that failed: the client is told nothing, so nobody is to have that session. Should this fail too, it
            // leads nowhere, and expires.
            let _ = store.delete(&key).await;
        }
        if failed || !state.loaded {
            return Ok((None, None));
        }
        let now = clock.wall();
        let empty = state.is_empty();
        let Some(key) = state.key.clone() else {
            if !empty {
                let record = state.record(&self.support, now);
                let key = store.create(&record).await?;
                state.adopt(key, record);
                return Ok(self.told(&state, now));
            }
            let gone = state.ended && self.sent.is_some();
            return Ok(match gone {
                true => (Some(self.support.cookie.deleted(self.https)), Some(String::new())),
                false => (None, None),
            });
        };
        if empty && state.changed {
            store.delete(&key).await?;
            return Ok((Some(self.support.cookie.deleted(self.https)), Some(String::new())));
        }
        let end = state.end(&self.support, now);
        let due = Some(end).filter(|end| self.support.is_worth_writing(state.expire_at.unwrap_or(now), *end));
        if state.changed || due.is_some() {
            if let Some(expire_at) = due {
                state.expire_at = Some(expire_at);
            }
            let Some(new_key) = store.update(&key, &state.record(&self.support, now)).await? else {
                // Somebody ended it meanwhile. The cookie is left as it is: the client may have a new one from them.
                return match state.changed {
                    true => Err(Error::bad_request(
                        "Your session ended while this was on its way. Load the page again.",
                    )),
                    false => Ok((None, None)),
                };
            };
            state.untold |= new_key != key || due.is_some();
            state.key = Some(new_key);
        }
        Ok(match state.untold {
            true => self.told(&state, now),
            false => (None, None),
        })
    }

    /// The cookie that leads to the session.
    fn told(&self, state: &State, now: SystemTime) -> (Option<crate::Cookie>, Option<String>) {
        let Some(key) = &state.key else { return (None, None) };
        let left = state.expire_at.and_then(|at| at.duration_since(now).ok());
        let age = match Expiry::of(&state.data) {
            Expiry::WithBrowser => None,
            Expiry::Usual if self.support.ends_with_browser => None,
            _ => left,
        };
        let cookie = self.support.cookie.cookie(self.https, key.expose().to_owned(), age);
        (Some(cookie), Some(binding(key).to_owned()))
    }
}

/// What of a key stays the same while the session does: all of an opaque key, the id of a signed session.
fn binding(key: &SessionKey) -> &str {
    key.expose().split('.').next().unwrap_or_default()
}

/// The session is written, and the answer gets its cookies.
///
/// # Errors
/// What keeps the session from being written: the answer is that error then.
pub(crate) async fn finish(request: &mut Request, response: &mut Response) -> Result<()> {
    let Some(visit) = request.visit().get().cloned() else {
        return Ok(());
    };
    let Ok(visit) = visit.downcast::<Visit>() else {
        return Ok(());
    };
    if visit.accessed.load(Ordering::Relaxed) || visit.csrf.were_asked() || visit.messages.were_shown() {
        request.mark_personal();
    }
    let failed = response.status().is_server_error();
    let is_seen = *request.method() != Method::HEAD;
    let (cookie, binding) = visit.save(failed).await?;
    let (token, messages) = match failed {
        true => (None, None),
        false => (
            visit.csrf.cookie(&visit, binding.as_deref())?,
            visit.messages.cookie(&visit, binding.as_deref(), is_seen)?,
        ),
    };
    for cookie in [cookie, token, messages].into_iter().flatten() {
        cookie.set(response)?;
        // Whatever the handler says of caches: a cookie is for one visitor.
        request.mark_personal();
        response
            .headers_mut()
            .insert(CACHE_CONTROL, HeaderValue::from_static("private, no-store"));
    }
    visit.bind(response).await;
    Ok(())
}

impl Visit {
    /// Ends an answer that stays open with the session, where somebody is logged in by it. (A store that keeps sessions with the client
    /// does not know when one has ended.)
    async fn bind(&self, response: &mut Response) {
        let is_socket = response.status() == StatusCode::SWITCHING_PROTOCOLS;
        let is_endless = response.extensions().get::<EndsWithServer>().is_some();
        if !is_socket && !is_endless || !self.support.store.can_revoke() {
            return;
        }
        let state = self.state.lock().await;
        let (Some(every), Some(key), Some(principal)) = (self.support.recheck, &state.key, &state.principal) else {
            return;
        };
        let asked = Arc::new((Arc::clone(&self.support), key.clone(), principal.clone()));
        let bound = Bound::new(
            Box::new(move || {
                let asked = Arc::clone(&asked);
                Box::pin(async move {
                    let (support, key, principal) = &*asked;
                    support.is_still(key, principal).await
                })
            }),
            every,
        );
        if is_endless {
            let body = std::mem::take(response.body_mut());
            *response.body_mut() = Body::stream(bound.ends(body));
        } else {
            #[cfg(feature = "websocket")]
            crate::websocket::Switch::bind(response, bound);
        }
    }

    pub(crate) fn token_cookie(&self, value: String) -> crate::Cookie {
        let csrf = &self.support.csrf;
        csrf.cookie.cookie(self.https, value, csrf.cookie_age)
    }

    /// With nothing in it, it is taken from the browser.
    pub(crate) fn messages_cookie(&self, value: Option<String>) -> crate::Cookie {
        let rule = &self.support.messages;
        match value {
            Some(value) => rule.cookie(self.https, value, None),
            None => rule.deleted(self.https),
        }
    }
}

impl Session {
    /// The session of a request, for hooks and middleware.
    ///
    /// # Errors
    /// 500 in a site without sessions.
    pub fn of(request: &Request) -> Result<Session> {
        Visit::of(request)
            .map(Session)
            .ok_or_else(|| Error::internal(format!("this site has no sessions: {MEND}")))
    }

    pub(crate) fn into_visit(self) -> Arc<Visit> {
        self.0
    }

    /// A value; `None` when it is not there, or is something else than a `T`.
    ///
    /// # Errors
    /// As for all of them.
    pub async fn get<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>> {
        let state = self.0.open().await?;
        let value = state.data.get(key).filter(|_| !is_ours(key));
        Ok(value.and_then(|value| T::deserialize(value).ok()))
    }

    /// Keeps a value under a name, which does not begin with `_`.
    ///
    /// # Errors
    /// 500 for what JSON cannot hold, too.
    pub async fn insert<T: Serialize>(&self, key: &str, value: T) -> Result<()> {
        if is_ours(key) {
            return Err(Error::internal(format!(
                "`{key}`: names of session values that begin with `_` are the framework's own"
            )));
        }
        let value = serde_json::to_value(value)?;
        let mut state = self.0.open_to_change().await?;
        if state.data.get(key) != Some(&value) {
            state.data.insert(key.to_owned(), value);
            state.changed = true;
        }
        Ok(())
    }

    /// Takes a value out; `None` when it was not there, or was something else than a `T`.
    ///
    /// # Errors
    /// As for all of them.
    pub async fn take<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>> {
        if is_ours(key) {
            return Ok(None);
        }
        let mut state = self.0.open_to_change().await?;
        let Some(value) = state.data.remove(key) else {
            return Ok(None);
        };
        state.changed = true;
        Ok(T::deserialize(value).ok())
    }

    /// Takes a value out; `false` when it was not there.
    ///
    /// # Errors
    /// As for all of them.
    pub async fn remove(&self, key: &str) -> Result<bool> {
        Ok(self.take::<Value>(key).await?.is_some())
    }

    /// Takes everything out, who is logged in with it: the session is over.
    ///
    /// # Errors
    /// As for all of them.
    pub async fn clear(&self) -> Result<()> {
        self.logout().await
    }

    /// The id of who is logged in by this session. Whether that is still so is for the user's own record to say: see
    /// [`is_of`](Self::is_of).
    ///
    /// # Errors
    /// As for all of them.
    pub async fn principal_id(&self) -> Result<Option<String>> {
        Ok(self.0.open().await?.principal.clone())
    }

    /// True when this principal is logged in by the session, is active, and has had the same password ever since.
    ///
    /// # Errors
    /// As for all of them.
    pub async fn is_of(&self, principal: &Principal) -> Result<bool> {
        let state = self.0.open().await?;
        let hash = state.data.get(AUTH_HASH).and_then(Value::as_str).unwrap_or_default();
        Ok(principal.is_active()
            && state.principal.as_deref() == Some(principal.id())
            && csrf::same(hash.as_bytes(), principal.session_auth_hash().as_bytes()))
    }

    /// Logs somebody in: from now on the session is theirs, under a new id, and what others had in it is gone. What the visitor had
    /// before they were known (a basket) stays.
    ///
    /// Whoever knew the id of before knows nothing of the session now (session fixation), and forms that were shown before are not taken
    /// any more. It is done at once: an error leaves the session as it was.
    ///
    /// # Errors
    /// 403 for a principal who is not active.
    pub async fn login(&self, principal: &Principal) -> Result<()> {
        if !principal.is_active() {
            return Err(Error::forbidden("this account is closed"));
        }
        let mut state = self.0.open_to_change().await?;
        let keeps = state.principal.as_deref().is_none_or(|id| id == principal.id());
        let mut data = if keeps { state.data.clone() } else { Map::new() };
        data.insert(AUTH_HASH.to_owned(), principal.session_auth_hash().into());
        self.begin(&mut state, data, Some(principal.id().to_owned())).await
    }

    /// Gives the session a new id, with all that is in it: when what the visitor may do has changed.
    ///
    /// # Errors
    /// As for all of them.
    pub async fn renew_id(&self) -> Result<()> {
        let mut state = self.0.open_to_change().await?;
        let (data, principal) = (state.data.clone(), state.principal.clone());
        if state.is_empty() {
            return Ok(());
        }
        self.begin(&mut state, data, principal).await
    }

    async fn begin(&self, state: &mut State, data: Map<String, Value>, principal: Option<String>) -> Result<()> {
        let support = &self.0.support;
        let now = support.clock.wall();
        let record = SessionRecord {
            expire_at: Expiry::of(&data).end(support, now, now),
            data,
            principal,
            created_at: now,
        };
        let secret = self.0.csrf.fresh()?;
        let key = support.store.create(&record).await?;
        if let Some(old) = &state.key
            && let Err(error) = support.store.delete(old).await
        {
            // Nobody was told of the new one. Should it stay, it leads nowhere, and expires.
            let _ = support.store.delete(&key).await;
            return Err(error);
        }
        state.adopt(key, record);
        state.untold = true;
        self.0.csrf.rotate(secret);
        Ok(())
    }

    /// Ends the session on the server and takes the cookie from the client. What is put in afterwards begins a new one.
    ///
    /// It is done at once, whatever becomes of the request.
    ///
    /// # Errors
    /// As for all of them: then the session goes on.
    pub async fn logout(&self) -> Result<()> {
        let mut state = self.0.open_to_change().await?;
        let secret = self.0.csrf.fresh()?;
        if let Some(key) = &state.key {
            self.0.support.store.delete(key).await?;
        }
        state.forget();
        self.0.csrf.rotate(secret);
        Ok(())
    }

    /// Ends all other sessions of who is logged in, on every machine; the answer says how many. Call it when the password was changed.
    ///
    /// # Errors
    /// As for all of them.
    pub async fn end_others(&self) -> Result<u64> {
        let state = self.0.open_to_change().await?;
        match &state.principal {
            Some(principal) => {
                let store = &self.0.support.store;
                store.delete_of_principal(principal, state.key.as_ref()).await
            }
            None => Ok(0),
        }
    }

    /// Says when this session is over, in place of `SESSION_COOKIE_AGE`: for "stay logged in". `SESSION_ABSOLUTE_AGE` holds all the same.
    ///
    /// # Errors
    /// As for all of them.
    pub async fn set_expiry(&self, expiry: Expiry) -> Result<()> {
        let mut state = self.0.open_to_change().await?;
        match expiry.to_json() {
            Some(json) => state.data.insert(EXPIRY.to_owned(), json),
            None => state.data.remove(EXPIRY),
        };
        state.expire_at = Some(state.end(&self.0.support, self.0.support.clock.wall()));
        state.changed = true;
        state.untold = true;
        Ok(())
    }

    /// The names of what is in it.
    ///
    /// # Errors
    /// As for all of them.
    pub async fn keys(&self) -> Result<Vec<String>> {
        let state = self.0.open().await?;
        Ok(state.data.keys().filter(|key| !is_ours(key)).cloned().collect())
    }

    /// Whether there is a value of this name.
    ///
    /// # Errors
    /// As for all of them.
    pub async fn contains(&self, key: &str) -> Result<bool> {
        Ok(!is_ours(key) && self.0.open().await?.data.contains_key(key))
    }

    /// A value, which `default` makes and the session keeps when it was not there.
    ///
    /// # Errors
    /// As for [`insert`](Self::insert).
    pub async fn get_or_insert_with<T>(&self, key: &str, default: impl FnOnce() -> T) -> Result<T>
    where
        T: Serialize + DeserializeOwned,
    {
        if let Some(value) = self.get(key).await? {
            return Ok(value);
        }
        let value = default();
        self.insert(key, &value).await?;
        Ok(value)
    }

    /// When it ends if it is not used any more; `None` while there is none.
    ///
    /// # Errors
    /// As for all of them.
    pub async fn expires_in(&self) -> Result<Option<Duration>> {
        let state = self.0.open().await?;
        let now = self.0.support.clock.wall();
        Ok(state
            .expire_at
            .map(|expire_at| expire_at.duration_since(now).unwrap_or_default()))
    }
}

fn is_ours(key: &str) -> bool {
    key.starts_with('_')
}

const MEND: &str = "turn the feature `sessions` on, or give the site `.with(SessionSupport)`";

impl Extract for Session {
    async fn extract(request: &mut Request) -> Result<Self, Rejection> {
        Ok(Session::of(request)?)
    }

    fn needs(needs: &mut Needs) {
        support::need(needs);
    }
}
