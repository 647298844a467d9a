//! What sessions and accounts agree on: who somebody is, and where sessions are kept.
//!
//! The crates that keep sessions know no user model, and user models know no store; they meet in [`Principal`] and [`SessionStore`].

use crate::BoxFuture;
use crate::error::{Error, Result};
use serde_json::{Map, Value};
use std::fmt;
use std::time::SystemTime;

/// Who is logged in, whatever the site's user model is.
///
/// ```
/// use demijohn_core::session::Principal;
///
/// let ann = Principal::new("7", "hash-of-ann's-password-hash").staff(true);
/// assert!(ann.is_active() && ann.is_staff() && !ann.is_superuser());
/// assert!(!format!("{ann:?}").contains("hash-of"));
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Principal {
    id: String,
    session_auth_hash: String,
    active: bool,
    staff: bool,
    superuser: bool,
}

impl Principal {
    /// An active user without special rights.
    ///
    /// `session_auth_hash` is a keyed hash of what must end all sessions when it changes: the password (Django's `get_session_auth_hash`).
    pub fn new(id: impl Into<String>, session_auth_hash: impl Into<String>) -> Self {
        Principal {
            id: id.into(),
            session_auth_hash: session_auth_hash.into(),
            active: true,
            staff: false,
            superuser: false,
        }
    }

    /// Whether the user may log in at all.
    #[must_use]
    pub fn active(mut self, active: bool) -> Self {
        self.active = active;
        self
    }

    /// Whether the user may enter the admin.
    #[must_use]
    pub fn staff(mut self, staff: bool) -> Self {
        self.staff = staff;
        self
    }

    /// Whether the user has every permission.
    #[must_use]
    pub fn superuser(mut self, superuser: bool) -> Self {
        self.superuser = superuser;
        self
    }

    /// The user's primary key as text.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// What a session remembers of the user's password. Compare it in constant time.
    pub fn session_auth_hash(&self) -> &str {
        &self.session_auth_hash
    }

    /// True for users who may log in.
    pub fn is_active(&self) -> bool {
        self.active
    }

    /// True for users of the admin. A user who is not active is none of them.
    pub fn is_staff(&self) -> bool {
        self.active && self.staff
    }

    /// True for users who may do everything. A user who is not active is none of them.
    pub fn is_superuser(&self) -> bool {
        self.active && self.superuser
    }
}

impl fmt::Debug for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Principal")
            .field("id", &self.id)
            .field("active", &self.active)
            .field("staff", &self.staff)
            .field("superuser", &self.superuser)
            .finish_non_exhaustive()
    }
}

/// Randomness of the system, for keys and secrets.
///
/// # Errors
/// 500 when the system has none to give.
#[doc(hidden)]
pub fn random_bytes<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| Error::internal(format!("no randomness for a secret: {error}")))?;
    Ok(bytes)
}

/// What the session's cookie holds. Whoever has it is the visitor, so it never shows itself in logs.
///
/// ```
/// use demijohn_core::session::SessionKey;
///
/// let key = SessionKey::random()?;
/// assert_ne!(key, SessionKey::random()?);
/// assert_eq!(key.expose().len(), 64);
/// assert_eq!(format!("{key:?}"), "SessionKey(***)");
/// # Ok::<(), demijohn_core::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct SessionKey(String);

impl SessionKey {
    /// A new key: 256 bits of the system's randomness, in hexadecimal digits.
    ///
    /// # Errors
    /// 500 when the system has no randomness to give: then there is no session rather than a guessable one.
    pub fn random() -> Result<Self> {
        let bytes: [u8; 32] = random_bytes()?;
        let digit = |nibble: u8| char::from(b"0123456789abcdef"[usize::from(nibble & 15)]);
        Ok(SessionKey(
            bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(*byte)]).collect(),
        ))
    }

    /// What a client sent. It says nothing yet: only a store knows whether there is such a session.
    pub fn from_client(text: impl Into<String>) -> Self {
        SessionKey(text.into())
    }

    /// The text, for the cookie and for stores. A store keeps a hash of it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SessionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionKey(***)")
    }
}

/// A session as a store keeps it.
#[derive(Clone, PartialEq)]
pub struct SessionRecord {
    /// What the site put in.
    pub data: Map<String, Value>,
    /// The id of the principal who is logged in by it.
    pub principal: Option<String>,
    /// When it began: what the absolute time-out counts from.
    pub created_at: SystemTime,
    /// From when on it is no session any more.
    pub expire_at: SystemTime,
}

impl fmt::Debug for SessionRecord {
    /// Without the values: they are the visitor's.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionRecord")
            .field("keys", &self.data.keys().collect::<Vec<_>>())
            .field("principal", &self.principal)
            .field("created_at", &self.created_at)
            .field("expire_at", &self.expire_at)
            .finish_non_exhaustive()
    }
}

/// Where sessions are kept between requests.
///
/// Every method does all of its work or, on an error, none of it. Stores that keep sessions on the server store a hash of the key, never the
/// key: who reads the store must not become its visitors.
///
/// # Errors
/// All methods fail with 503 when the store is out of reach.
pub trait SessionStore: Send + Sync + 'static {
    /// The session of a key; `None` for one that is unknown, ended, or over at `now`. An unknown key is never adopted.
    fn load<'a>(&'a self, key: &'a SessionKey, now: SystemTime) -> BoxFuture<'a, Result<Option<SessionRecord>>>;

    /// Keeps a new session; the answer is the key that leads to it, which the store chooses.
    fn create<'a>(&'a self, record: &'a SessionRecord) -> BoxFuture<'a, Result<SessionKey>>;

    /// Changes a session that is there, and answers with the key that leads to it from now on; `None` when it was ended in the meantime.
    ///
    /// It must not bring an ended session back: a slow request that began before a logout would undo it.
    fn update<'a>(
        &'a self,
        key: &'a SessionKey,
        record: &'a SessionRecord,
    ) -> BoxFuture<'a, Result<Option<SessionKey>>>;

    /// Ends a session. One that is not there is ended already.
    fn delete<'a>(&'a self, key: &'a SessionKey) -> BoxFuture<'a, Result<()>>;

    /// Ends all sessions of a principal, but for the one to `keep`; the answer says how many.
    fn delete_of_principal<'a>(
        &'a self,
        principal: &'a str,
        keep: Option<&'a SessionKey>,
    ) -> BoxFuture<'a, Result<u64>>;

    /// Removes the sessions that are over at `now`; the answer says how many.
    fn clear_expired(&self, now: SystemTime) -> BoxFuture<'_, Result<u64>>;

    /// Whether a session that was ended here is over everywhere. A store that keeps sessions with the client answers `false`: a copy of
    /// the cookie stays good until it expires.
    fn can_revoke(&self) -> bool {
        true
    }
}
