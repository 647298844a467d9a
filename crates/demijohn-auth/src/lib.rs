//! Accounts, as far as they go: passwords that are hashed and verified without holding up the site.
//!
//! What is here needs no model of a user: a hash is a text that your user's row keeps in a `sensitive` field.

extern crate self as demijohn_auth;

mod hashers;
mod passwords;
mod session_hash;

pub use passwords::{Hashing, MAX_PASSWORD_BYTES, Passwords, UNUSABLE, hashing};
pub use session_hash::session_auth_hash;
