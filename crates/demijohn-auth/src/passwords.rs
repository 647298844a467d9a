//! Passwords: Argon2id, away from the threads that serve requests, a few at a time.

use crate::hashers::Hashers;
use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use demijohn_core::{Error, Extract, Needs, Part, Rejection, Request, Result, Site};
use std::sync::{Arc, LazyLock};

/// Hashes and verifies passwords: Argon2id with the parameters that OWASP recommends, in the PHC format.
///
/// One per site, shared by all its threads: `.with(hashing())` provides it, and handlers take it as an argument. One hash takes
/// some 20 ms and 19 MiB on purpose, so as many run at once as the machine has cores, on threads that do nothing else: a flood of
/// logins queues here and leaves the rest of the site alone.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> demijohn_core::Result<()> {
/// use demijohn_auth::Passwords;
///
/// let passwords = Passwords::new();
/// let hash = passwords.hash("correct horse").await?;
/// assert!(hash.starts_with("$argon2id$"));
/// assert!(passwords.verify("correct horse", Some(&hash)).await?);
/// assert!(!passwords.verify("Correct horse", Some(&hash)).await?);
/// // Nobody has that name: it takes as long, and says no.
/// assert!(!passwords.verify("correct horse", None).await?);
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct Passwords {
    hashers: Arc<Hashers>,
}

/// No longer password is hashed or compared, in bytes: how long that takes must not be the client's to choose.
pub const MAX_PASSWORD_BYTES: usize = 4096;

/// What stands in place of a hash for an account without a password: nothing verifies against it.
pub const UNUSABLE: &str = "!";

impl Default for Passwords {
    fn default() -> Self {
        Passwords::new()
    }
}

impl Passwords {
    /// Hashing for one site.
    pub fn new() -> Self {
        Passwords {
            hashers: Arc::default(),
        }
    }

    /// The hash of a password, with its parameters and a salt of its own. The password is taken as it is: nothing is cut
    /// off, folded or trimmed.
    ///
    /// # Errors
    /// 400 when it is longer than [`MAX_PASSWORD_BYTES`], 503 when there is no thread to be had.
    pub async fn hash(&self, password: &str) -> Result<String> {
        if password.len() > MAX_PASSWORD_BYTES {
            return Err(Error::bad_request("the password is too long"));
        }
        let password = password.to_owned();
        self.hashers.run(move || hash_now(&password)).await?
    }

    /// True when the password belongs to the hash. Without a hash (nobody has that name), and with one that is none, it takes
    /// as long and says no, so that the time of an answer does not tell who is registered.
    ///
    /// # Errors
    /// 503 when there is no thread to be had.
    pub async fn verify(&self, password: &str, hash: Option<&str>) -> Result<bool> {
        static NOBODY: LazyLock<Option<String>> = LazyLock::new(|| hash_now("nobody").ok());
        // A password beyond the cap was never hashed, so it never fits; it is not compared, for the time that this takes.
        let has_length = password.len() <= MAX_PASSWORD_BYTES;
        let password = if has_length { password.to_owned() } else { String::new() };
        let hash = hash.map(str::to_owned);
        let work = move || {
            let known = hash.as_deref().and_then(|text| PasswordHash::new(text).ok());
            let is_known = known.is_some();
            let nobody = || NOBODY.as_deref().and_then(|text| PasswordHash::new(text).ok());
            let Some(parsed) = known.or_else(nobody) else {
                return false;
            };
            let fits = Argon2::default().verify_password(password.as_bytes(), &parsed).is_ok();
            fits && is_known && has_length
        };
        self.hashers.run(work).await
    }
}

fn hash_now(password: &str) -> Result<String> {
    let hash: PasswordHash = Argon2::default()
        .hash_password(password.as_bytes())
        .map_err(|e| Error::internal("a password could not be hashed").with_source(std::io::Error::other(e)))?;
    Ok(hash.to_string())
}

impl Extract for Passwords {
    async fn extract(request: &mut Request) -> Result<Self, Rejection> {
        Ok(request.provided::<Passwords>()?.clone())
    }

    fn needs(needs: &mut Needs) {
        needs.provider::<Passwords>("add `.with(hashing())` to the App");
    }
}

/// The part that provides [`Passwords`]: `.with(hashing())`.
pub fn hashing() -> Hashing {
    Hashing(())
}

/// See [`hashing`].
#[derive(Debug)]
pub struct Hashing(());

impl Part for Hashing {
    fn install(self: Box<Self>, site: &mut Site) {
        site.entry::<Passwords>();
    }
}
