//! Sessions that the client keeps: signed, so that they cannot be changed, and readable for whoever has the cookie.

use super::support::LateSigner;
use crate::signing::Signer;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use demijohn_core::session::{SessionKey, SessionRecord, SessionStore, random_bytes};
use demijohn_core::{BoxFuture, Error, Result};
use serde_json::{Map, Value, json};
use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The store of sites without a database: the whole session is in its cookie, as in Flask and in Django's
/// `signed_cookies` backend.
///
/// A copy of the cookie stays good until it expires: what ends a session here cannot end the copy. What must end on the server needs a
/// store on the server, and secrets have no place in it: the visitor can read them.
pub struct SignedCookieSessions {
    signer: LateSigner,
}

/// Browsers keep about 4 KiB of a cookie, its name and attributes among them.
const MAX_BYTES: usize = 3800;

impl SignedCookieSessions {
    /// Sessions signed by this signer.
    pub fn new(signer: Signer) -> Self {
        SignedCookieSessions { signer: signer.into() }
    }

    pub(crate) fn late(signer: LateSigner) -> Self {
        SignedCookieSessions { signer }
    }

    /// `id.payload.signature`. The id stays while the session does, which is what other things are bound to.
    fn write(&self, id: &str, record: &SessionRecord) -> Result<SessionKey> {
        let json = json!({
            "d": record.data,
            "p": record.principal,
            "c": seconds(record.created_at),
            "e": seconds(record.expire_at),
        });
        let text = self
            .signer
            .get()?
            .sign(&format!("{id}.{}", BASE64.encode(serde_json::to_vec(&json)?)));
        if text.len() > MAX_BYTES {
            return Err(Error::internal(format!(
                "the session takes {} bytes and a cookie holds {MAX_BYTES}: keep less in it, or sessions in the database",
                text.len()
            )));
        }
        Ok(SessionKey::from_client(text))
    }

    fn read(&self, key: &SessionKey) -> Result<Option<(String, SessionRecord)>> {
        let signer = self.signer.get()?;
        Ok((|| {
            if key.expose().len() > MAX_BYTES {
                return None;
            }
            let (id, payload) = signer.unsign(key.expose()).ok()?.split_once('.')?;
            let json: Map<String, Value> = serde_json::from_slice(&BASE64.decode(payload).ok()?).ok()?;
            let time = |name: &str| UNIX_EPOCH.checked_add(Duration::from_secs(json.get(name)?.as_u64()?));
            let record = SessionRecord {
                data: json.get("d")?.as_object()?.clone(),
                principal: json.get("p")?.as_str().map(str::to_owned),
                created_at: time("c")?,
                expire_at: time("e")?,
            };
            Some((id.to_owned(), record))
        })())
    }
}

impl fmt::Debug for SignedCookieSessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SignedCookieSessions")
    }
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

impl SessionStore for SignedCookieSessions {
    fn load<'a>(&'a self, key: &'a SessionKey, now: SystemTime) -> BoxFuture<'a, Result<Option<SessionRecord>>> {
        Box::pin(async move {
            let found = self.read(key)?.map(|(_, record)| record);
            Ok(found.filter(|record| record.expire_at > now))
        })
    }

    fn create<'a>(&'a self, record: &'a SessionRecord) -> BoxFuture<'a, Result<SessionKey>> {
        Box::pin(async move { self.write(&BASE64.encode(random_bytes::<16>()?), record) })
    }

    fn update<'a>(
        &'a self,
        key: &'a SessionKey,
        record: &'a SessionRecord,
    ) -> BoxFuture<'a, Result<Option<SessionKey>>> {
        Box::pin(async move {
            match self.read(key)? {
                Some((id, _)) => self.write(&id, record).map(Some),
                None => Ok(None),
            }
        })
    }

    fn delete<'a>(&'a self, _: &'a SessionKey) -> BoxFuture<'a, Result<()>> {
        Box::pin(async { Ok(()) })
    }

    fn delete_of_principal<'a>(&'a self, _: &'a str, _: Option<&'a SessionKey>) -> BoxFuture<'a, Result<u64>> {
        Box::pin(async { Ok(0) })
    }

    fn clear_expired(&self, _: SystemTime) -> BoxFuture<'_, Result<u64>> {
        Box::pin(async { Ok(0) })
    }

    fn can_revoke(&self) -> bool {
        false
    }
}
