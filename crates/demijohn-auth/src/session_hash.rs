//! What ties sessions to the password that opened them.

use sha2::{Digest, Sha256};

/// What a session keeps of its user's password hash, so that a change of the password ends the sessions that the old one opened
/// (Django's `get_session_auth_hash`): the `session_auth_hash` of a [`Principal`](demijohn_core::session::Principal).
///
/// The password's hash holds a random salt, so a plain digest of it tells nothing about the password.
///
/// ```
/// use demijohn_auth::session_auth_hash;
///
/// let (before, after) = ("$argon2id$v=19$m=19456,t=2,p=1$c2FsdA$aGFzaA", "$argon2id$v=19$m=19456,t=2,p=1$bmV3$aGFzaA");
/// assert_ne!(session_auth_hash(before), session_auth_hash(after));
/// assert_eq!(session_auth_hash(before).len(), 32);
/// ```
pub fn session_auth_hash(password_hash: &str) -> String {
    let digest = Sha256::new()
        .chain_update(b"demijohn.session_auth_hash\0")
        .chain_update(password_hash)
        .finalize();
    digest[..16].iter().map(|byte| format!("{byte:02x}")).collect()
}
