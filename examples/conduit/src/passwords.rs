//! Passwords: Argon2id, away from the threads that serve requests, a few at a time.

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use demijohn::{Error, Part, Result, Site};
use std::sync::{Arc, LazyLock};
use tokio::sync::Semaphore;

/// Hashes and verifies. One per site, shared by all its threads.
///
/// One hash takes some 20 ms and 19 MiB on purpose, so the number that run at once is bounded: a flood of logins
/// queues here and leaves the rest of the site alone.
#[derive(Clone, Debug)]
pub(crate) struct Passwords {
    at_once: Arc<Semaphore>,
}

impl Passwords {
    pub(crate) fn new() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Passwords {
            at_once: Arc::new(Semaphore::new(cores)),
        }
    }

    /// The hash of a password in the PHC format, with parameters and salt.
    ///
    /// Any password that is not empty is taken: this API asks for no more (see [`crate::api`]).
    pub(crate) async fn hash(&self, password: String) -> Result<String> {
        self.run(move || hash_now(&password)).await?
    }

    /// True when the password belongs to the hash. Without a hash (nobody has that e-mail) it takes as long and says
    /// no, so that the time of an answer does not tell who is registered.
    pub(crate) async fn verify(&self, password: String, hash: Option<String>) -> Result<bool> {
        static NOBODY: LazyLock<Option<String>> = LazyLock::new(|| hash_now("nobody").ok());
        self.run(move || {
            let known = hash.is_some();
            let Some(text) = hash.or_else(|| NOBODY.clone()) else {
                return false;
            };
            let Ok(parsed) = PasswordHash::new(&text) else {
                return false;
            };
            let fits = Argon2::default().verify_password(password.as_bytes(), &parsed).is_ok();
            fits && known
        })
        .await
    }

    async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
        let permit = Arc::clone(&self.at_once).acquire_owned().await?;
        let work = tokio::task::spawn_blocking(move || {
            // Held until the work is done: a client that hangs up does not make room for another hash.
            let _permit = permit;
            work()
        });
        Ok(work.await?)
    }
}

fn hash_now(password: &str) -> Result<String> {
    let hash: PasswordHash = Argon2::default()
        .hash_password(password.as_bytes())
        .map_err(|e| Error::internal("a password could not be hashed").with_source(std::io::Error::other(e)))?;
    Ok(hash.to_string())
}

/// Provides [`Passwords`].
pub(crate) struct Hashing;

impl Part for Hashing {
    fn install(self: Box<Self>, site: &mut Site) {
        site.bag_mut().insert(Arc::new(Passwords::new()));
    }
}
