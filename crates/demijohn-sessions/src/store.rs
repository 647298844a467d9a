//! The table of sessions, and the store over it.

use demijohn_core::session::{SessionKey, SessionRecord, SessionStore};
use demijohn_core::{BoxFuture, Error, Result};
use demijohn_macros::model;
use demijohn_orm::{DateTime, Db, Model, new};
use sha2::{Digest, Sha256};
use std::time::SystemTime;

/// A session at rest. Its key is not among it, only what the key hashes to.
#[model(table = "demijohn_session", index(expire_at), index(principal))]
pub struct Session {
    /// Primary key.
    pub id: i64,
    /// SHA-256 of the key, in hex. The key is random and long, so a slow hash would add nothing.
    #[field(unique, sensitive, max_length = 64)]
    pub key_hash: String,
    /// Who is logged in, as their [`Principal`](demijohn_core::session::Principal) names them; empty for nobody.
    #[field(max_length = 100)]
    pub principal: String,
    /// The values, as a JSON object.
    #[field(text, sensitive)]
    pub data: String,
    /// When it began.
    pub created_at: DateTime,
    /// When it is over.
    pub expire_at: DateTime,
}

/// Sessions in a database.
#[derive(Clone)]
pub struct DatabaseSessions {
    db: Db,
}

impl DatabaseSessions {
    /// The store over this database; its table is that of [`Session`].
    pub fn new(db: Db) -> Self {
        DatabaseSessions { db }
    }
}

fn hash(key: &SessionKey) -> String {
    let digest = Sha256::digest(key.expose().as_bytes());
    let digit = |nibble: u8| char::from(b"0123456789abcdef"[usize::from(nibble & 15)]);
    digest
        .iter()
        .flat_map(|byte| [digit(byte >> 4), digit(*byte)])
        .collect()
}

fn timestamp(time: SystemTime) -> Result<DateTime> {
    DateTime::try_from(time)
        .map_err(|error| Error::internal("a session ends at a time that no calendar has").with_source(error))
}

/// What a row says. One that cannot be read (somebody wrote to the table) is no session.
fn record(row: &Session) -> Option<SessionRecord> {
    Some(SessionRecord {
        data: serde_json::from_str(&row.data).ok()?,
        principal: (!row.principal.is_empty()).then(|| row.principal.clone()),
        created_at: SystemTime::try_from(row.created_at).ok()?,
        expire_at: SystemTime::try_from(row.expire_at).ok()?,
    })
}

/// The values of a record as columns.
struct Columns {
    principal: String,
    data: String,
    created_at: DateTime,
    expire_at: DateTime,
}

impl Columns {
    fn of(record: &SessionRecord) -> Result<Self> {
        Ok(Columns {
            principal: record.principal.clone().unwrap_or_default(),
            data: serde_json::to_string(&record.data)?,
            created_at: timestamp(record.created_at)?,
            expire_at: timestamp(record.expire_at)?,
        })
    }
}

impl SessionStore for DatabaseSessions {
    fn load<'a>(&'a self, key: &'a SessionKey, now: SystemTime) -> BoxFuture<'a, Result<Option<SessionRecord>>> {
        Box::pin(async move {
            let now = timestamp(now)?;
            let row = Session::objects()
                .filter(|s| s.key_hash.eq(hash(key)) & s.expire_at.gt(now))
                .first(&self.db)
                .await?;
            Ok(row.as_ref().and_then(record))
        })
    }

    fn create<'a>(&'a self, record: &'a SessionRecord) -> BoxFuture<'a, Result<SessionKey>> {
        Box::pin(async move {
            let key = SessionKey::random()?;
            let columns = Columns::of(record)?;
            let row = new!(Session {
                key_hash: hash(&key),
                principal: columns.principal,
                data: columns.data,
                created_at: columns.created_at,
                expire_at: columns.expire_at,
            });
            row.save(&self.db).await?;
            Ok(key)
        })
    }

    fn update<'a>(
        &'a self,
        key: &'a SessionKey,
        record: &'a SessionRecord,
    ) -> BoxFuture<'a, Result<Option<SessionKey>>> {
        Box::pin(async move {
            let columns = Columns::of(record)?;
            // An UPDATE, never an INSERT: what was deleted meanwhile stays deleted.
            let updated = Session::objects()
                .filter(|s| s.key_hash.eq(hash(key)))
                .update(&self.db, |s| {
                    (
                        s.principal.set(columns.principal),
                        s.data.set(columns.data),
                        s.expire_at.set(columns.expire_at),
                    )
                })
                .await?;
            Ok((updated == 1).then(|| key.clone()))
        })
    }

    fn delete<'a>(&'a self, key: &'a SessionKey) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            Session::objects()
                .filter(|s| s.key_hash.eq(hash(key)))
                .delete(&self.db)
                .await?;
            Ok(())
        })
    }

    fn delete_of_principal<'a>(
        &'a self,
        principal: &'a str,
        keep: Option<&'a SessionKey>,
    ) -> BoxFuture<'a, Result<u64>> {
        Box::pin(async move {
            let sessions = Session::objects().filter(|s| s.principal.eq(principal));
            let ended = match keep {
                Some(key) => sessions.exclude(|s| s.key_hash.eq(hash(key))),
                None => sessions,
            };
            Ok(ended.delete(&self.db).await?)
        })
    }

    fn clear_expired(&self, now: SystemTime) -> BoxFuture<'_, Result<u64>> {
        Box::pin(async move {
            let now = timestamp(now)?;
            Ok(Session::objects()
                .filter(|s| s.expire_at.le(now))
                .delete(&self.db)
                .await?)
        })
    }
}
