//! Tokens: JSON Web Tokens signed with the site's secret key, HS256 and nothing else.

use hmac::{Hmac, KeyInit, Mac};
use jsonwebtoken::crypto::{CryptoProvider, JwtSigner, JwtVerifier, KeyUtils};
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::signature::{self, Signer, Verifier};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use std::sync::Once;
use std::time::{SystemTime, UNIX_EPOCH};

/// How long a token is good for.
const SECONDS: u64 = 60 * 24 * 60 * 60;

/// Signs and reads tokens.
#[derive(Clone)]
pub(crate) struct Tokens {
    sign: EncodingKey,
    read: DecodingKey,
    validation: Validation,
}

#[derive(Serialize, Deserialize)]
struct Claims {
    /// The user's id.
    sub: String,
    /// Issued at, in seconds.
    iat: u64,
    /// Good until, in seconds.
    exp: u64,
}

impl Tokens {
    pub(crate) fn new(secret_key: &[u8]) -> Self {
        static PROVIDER: Once = Once::new();
        // A second installation, by another part of the program, is as good as ours if it knows HS256.
        PROVIDER.call_once(|| {
            let _ = HS256_ONLY.install_default();
        });
        // A key of its own for each use of the secret: a token can never pass for another signed thing.
        let mut key = Hmac::<Sha256>::new_from_slice(secret_key).expect("HMAC takes keys of any length");
        key.update(b"conduit.api.token");
        let key = key.finalize().into_bytes();
        Tokens {
            sign: EncodingKey::from_secret(&key),
            read: DecodingKey::from_secret(&key),
            validation: Validation::new(Algorithm::HS256),
        }
    }

    /// A token for this user.
    pub(crate) fn issue(&self, user: i64) -> Result<String, jsonwebtoken::errors::Error> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
        let claims = Claims {
            sub: user.to_string(),
            iat: now,
            exp: now + SECONDS,
        };
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &self.sign)
    }

    /// The user that a token was issued to; `None` for a forged, cut or expired one.
    pub(crate) fn user(&self, token: &str) -> Option<i64> {
        let read = jsonwebtoken::decode::<Claims>(token, &self.read, &self.validation).ok()?;
        read.claims.sub.parse().ok()
    }
}

/// The one algorithm, from the crates that the site has anyway; the ready providers bring RSA and elliptic curves along.
static HS256_ONLY: CryptoProvider = CryptoProvider {
    signer_factory: |algorithm, key| match algorithm {
        Algorithm::HS256 => Ok(Box::new(Hs256::new(key.as_bytes())?)),
        _ => Err(ErrorKind::InvalidAlgorithm.into()),
    },
    verifier_factory: |algorithm, key| match algorithm {
        Algorithm::HS256 => Ok(Box::new(Hs256::new(key.try_get_as_bytes()?)?)),
        _ => Err(ErrorKind::InvalidAlgorithm.into()),
    },
    key_utils: KeyUtils::new_unimplemented(),
};

struct Hs256(Hmac<Sha256>);

impl Hs256 {
    fn new(key: &[u8]) -> Result<Self, jsonwebtoken::errors::Error> {
        match Hmac::new_from_slice(key) {
            Ok(mac) => Ok(Hs256(mac)),
            Err(_) => Err(ErrorKind::InvalidKeyFormat.into()),
        }
    }
}

impl Signer<Vec<u8>> for Hs256 {
    fn try_sign(&self, message: &[u8]) -> Result<Vec<u8>, signature::Error> {
        let mut mac = self.0.clone();
        mac.update(message);
        Ok(mac.finalize().into_bytes().to_vec())
    }
}

impl Verifier<Vec<u8>> for Hs256 {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> Result<(), signature::Error> {
        let mut mac = self.0.clone();
        mac.update(message);
        mac.verify_slice(signature).map_err(|_| signature::Error::new())
    }
}

impl JwtSigner for Hs256 {
    fn algorithm(&self) -> Algorithm {
        Algorithm::HS256
    }
}

impl JwtVerifier for Hs256 {
    fn algorithm(&self) -> Algorithm {
        Algorithm::HS256
    }
}

#[cfg(test)]
mod tests {
    use super::Tokens;

    #[test]
    fn a_token_names_its_user_and_cannot_be_changed() {
        let tokens = Tokens::new(b"secret");
        let token = tokens.issue(7).expect("signs");
        assert_eq!(tokens.user(&token), Some(7));
        assert_eq!(Tokens::new(b"other").user(&token), None);
        assert_eq!(tokens.user(&token[..token.len() - 1]), None);
        assert_eq!(tokens.user(""), None);
        assert_eq!(tokens.user("a.b.c"), None);
        // `alg: none`, with the signature left out.
        let unsigned = format!(
            "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.{}.",
            token.split('.').nth(1).expect("claims")
        );
        assert_eq!(tokens.user(&unsigned), None);
    }
}
