//! Signed values: what goes through a client's hands and must come back unchanged.
//!
//! A signature keeps a value from being changed, not from being read.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use demijohn_core::settings::Secret;
use demijohn_core::{Clock, Error, Request, Result, Settings};
use hmac::{Hmac, KeyInit, Mac};
use serde_core::Serialize;
use serde_core::de::DeserializeOwned;
use sha2::Sha256;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Signs values and checks signatures, for one purpose: its salt.
///
/// ```
/// use demijohn_web::signing::{SignError, Signer};
/// use std::time::Duration;
///
/// let signer = Signer::new("a long secret key", "activation");
/// let token = signer.dump_timed(&("ann", 7)).unwrap();
/// let (name, id): (String, u32) = signer.load_timed(&token, Duration::from_secs(60))?;
/// assert_eq!((name.as_str(), id), ("ann", 7));
///
/// let other = Signer::new("a long secret key", "password-reset");
/// assert_eq!(other.load_timed::<(String, u32)>(&token, Duration::from_secs(60)), Err(SignError::BadSignature));
/// # Ok::<(), SignError>(())
/// ```
#[derive(Clone)]
pub struct Signer {
    /// One key per secret, the newest first.
    keys: Vec<Hmac<Sha256>>,
    /// Between a value, its time and its signature.
    separator: char,
}

/// Why a signed value was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SignError {
    /// The value or its signature was changed, or it was signed by another key or for another purpose.
    BadSignature,
    /// It is genuine and too old.
    Expired {
        /// When it was signed.
        signed_at: SystemTime,
    },
    /// It is genuine and holds something else than is asked for.
    Malformed,
    /// There is none.
    Missing,
}

impl fmt::Display for SignError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SignError::BadSignature => "the signature does not match",
            SignError::Expired { .. } => "the signature has expired",
            SignError::Malformed => "the signed value is of another form",
            SignError::Missing => "there is no signed value",
        })
    }
}

impl std::error::Error for SignError {}

/// A text that was signed, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timed {
    /// The text.
    pub value: String,
    /// When it was signed, in whole seconds.
    pub signed_at: SystemTime,
}

/// A decompressed value is no longer than this.
const MAX_INFLATED_BYTES: usize = 1 << 20;

impl Signer {
    /// A signer with one secret, for the purpose that `salt` names.
    pub fn new(secret: impl AsRef<[u8]>, salt: &str) -> Self {
        Self::with_secrets([secret], salt)
    }

    /// A signer with several secrets: the first signs, all are good for checking.
    pub fn with_secrets<S: AsRef<[u8]>>(secrets: impl IntoIterator<Item = S>, salt: &str) -> Self {
        let keys = secrets.into_iter().map(|secret| {
            // A key of its own for each purpose: what one signs is nothing to another.
            let mut derive = keyed(secret.as_ref());
            derive.update(b"demijohn.signing\0");
            derive.update(salt.as_bytes());
            keyed(&derive.finalize().into_bytes())
        });
        Signer {
            keys: keys.collect(),
            separator: '.',
        }
    }

    /// Writes another sign than `.` between a value and its signature: `:` as Django does, `hello:<signature>`.
    ///
    /// # Errors
    /// 500 for what a signature itself may hold: letters, digits, `-`, `_` and `=`.
    pub fn separated_by(mut self, separator: char) -> Result<Self> {
        if separator.is_ascii_alphanumeric() || matches!(separator, '-' | '_' | '=') {
            return Err(Error::internal(format!(
                "`{separator}` cannot stand before a signature: it may be part of one"
            )));
        }
        self.separator = separator;
        Ok(self)
    }

    /// The site's signer: by `SECRET_KEY`, and checking by `SECRET_KEY_FALLBACKS` too.
    ///
    /// # Errors
    /// 500 when production has no secret key.
    pub fn of_settings(settings: &Settings, salt: &str) -> Result<Self> {
        let newest = settings
            .secret_key()
            .map_err(|finding| Error::internal(finding.to_string()))?;
        let all = std::iter::once(newest).chain(settings.secret_key_fallbacks());
        Ok(Self::with_secrets(all.map(Secret::expose), salt))
    }

    /// The signer of the site that a request belongs to.
    ///
    /// # Errors
    /// 500 when production has no secret key.
    pub fn of(request: &Request, salt: &str) -> Result<Self> {
        Self::of_settings(request.provided::<Arc<Settings>>()?, salt)
    }

    /// The text with its signature behind it.
    pub fn sign(&self, value: &str) -> String {
        format!("{value}{}{}", self.separator, self.signature(value))
    }

    /// The text of a signed one.
    ///
    /// # Errors
    /// [`SignError::BadSignature`]
    pub fn unsign<'t>(&self, signed: &'t str) -> Result<&'t str, SignError> {
        let (value, signature) = signed.rsplit_once(self.separator).ok_or(SignError::BadSignature)?;
        let signature = BASE64.decode(signature).map_err(|_| SignError::BadSignature)?;
        // Every key is tried, each in constant time.
        let good = self.keys.iter().fold(false, |good, key| {
            let mut mac = key.clone();
            mac.update(value.as_bytes());
            mac.verify_slice(&signature).is_ok() | good
        });
        if good { Ok(value) } else { Err(SignError::BadSignature) }
    }

    /// The text with the time and its signature behind it.
    pub fn sign_timed(&self, value: &str) -> String {
        self.sign_at(value, SystemTime::now())
    }

    /// The same as of another time.
    pub fn sign_at(&self, value: &str, time: SystemTime) -> String {
        let seconds = time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        self.sign(&format!("{value}{}{seconds}", self.separator))
    }

    /// The text of a signed one that is not older than `max_age`.
    ///
    /// # Errors
    /// [`SignError::Expired`] for an older one, with its time; [`SignError::BadSignature`].
    pub fn unsign_timed(&self, signed: &str, max_age: Duration) -> Result<Timed, SignError> {
        self.unsign_at(signed, max_age, SystemTime::now())
    }

    /// The same as seen from another time.
    ///
    /// # Errors
    /// As for [`unsign_timed`](Self::unsign_timed).
    pub fn unsign_at(&self, signed: &str, max_age: Duration, now: SystemTime) -> Result<Timed, SignError> {
        let value = self.unsign(signed)?;
        let (value, seconds) = value.rsplit_once(self.separator).ok_or(SignError::Malformed)?;
        let seconds = seconds.parse().map_err(|_| SignError::Malformed)?;
        let signed_at = UNIX_EPOCH
            .checked_add(Duration::from_secs(seconds))
            .ok_or(SignError::Malformed)?;
        // A time to come is no better than one long past: somebody's clock is wrong. A minute of that is usual.
        let fresh = match now.duration_since(signed_at) {
            Ok(age) => age <= max_age,
            Err(ahead) => ahead.duration() <= Duration::from_secs(60),
        };
        match fresh {
            true => Ok(Timed {
                value: value.to_owned(),
                signed_at,
            }),
            false => Err(SignError::Expired { signed_at }),
        }
    }

    /// Any value as a signed text of characters that URLs take as they are: letters, digits, `-`, `_`, `.`.
    ///
    /// # Errors
    /// 500 when JSON cannot hold the value.
    pub fn dump<T: Serialize + ?Sized>(&self, value: &T) -> Result<String> {
        Ok(self.sign(&encode(value)?))
    }

    /// The value of a signed text.
    ///
    /// # Errors
    /// [`SignError::BadSignature`], and [`SignError::Malformed`] when it holds something else.
    pub fn load<T: DeserializeOwned>(&self, signed: &str) -> Result<T, SignError> {
        decode(self.unsign(signed)?)
    }

    /// As [`dump`](Self::dump), with the time.
    ///
    /// # Errors
    /// 500 when JSON cannot hold the value.
    pub fn dump_timed<T: Serialize + ?Sized>(&self, value: &T) -> Result<String> {
        Ok(self.sign_timed(&encode(value)?))
    }

    /// As [`load`](Self::load), of what is not older than `max_age`.
    ///
    /// # Errors
    /// [`SignError::Expired`] too.
    pub fn load_timed<T: DeserializeOwned>(&self, signed: &str, max_age: Duration) -> Result<T, SignError> {
        decode(&self.unsign_timed(signed, max_age)?.value)
    }

    fn signature(&self, value: &str) -> String {
        // Without a key nothing is signed, and nothing that is checked is good.
        let Some(key) = self.keys.first() else {
            return String::new();
        };
        let mut mac = key.clone();
        mac.update(value.as_bytes());
        BASE64.encode(mac.finalize().into_bytes())
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signer({} keys)", self.keys.len())
    }
}

/// The value of a cookie that [`Cookie::signed`](crate::Cookie::signed) set, if it is not older than `max_age`.
///
/// ```
/// use demijohn_web::signing::{SignError, signed_cookie};
/// use demijohn_web::{Application, Cookie, Request, Response, Result, get};
/// use std::time::Duration;
///
/// async fn remember(request: &mut Request, mut response: Response) -> Result<Response> {
///     Cookie::signed(request, "theme", "dark")?.set(&mut response)?;
///     Ok(response)
/// }
///
/// async fn theme(request: &mut Request) -> Option<String> {
///     let theme: Result<String, SignError> = signed_cookie(request, "theme", Duration::from_secs(3600));
///     Some(theme.unwrap_or_else(|_| "light".to_owned()))
/// }
///
/// # demijohn_web::test::block_on(async {
/// let client = Application::new()
///     .route("/set", get(async || "").after(remember))
///     .route("/", get(async || "").before(theme))
///     .test_client();
/// assert_eq!(client.get("/").await.text(), "light");
/// client.get("/set").await;
/// assert_eq!(client.get("/").await.text(), "dark");
/// client.set_cookie("theme", "ImRhcmsi.1.x");
/// assert_eq!(client.get("/").await.text(), "light");
/// # });
/// ```
///
/// # Errors
/// [`SignError::Missing`] when it did not come; what is wrong with it otherwise. `.unwrap_or(default)` is the way to do without.
pub fn signed_cookie<T: DeserializeOwned>(request: &Request, name: &str, max_age: Duration) -> Result<T, SignError> {
    let value = request.cookie(name).ok_or(SignError::Missing)?;
    // Without a key nothing was ever signed.
    let signer = cookie_signer(request, name).map_err(|_| SignError::BadSignature)?;
    let now = request.site().get::<Clock>().cloned().unwrap_or_default().wall();
    decode(&signer.unsign_at(value, max_age, now)?.value)
}

/// Each cookie has a key of its own: one cannot be passed off as another.
pub(crate) fn cookie_signer(request: &Request, name: &str) -> Result<Signer> {
    Signer::of(request, &format!("demijohn.cookie.{name}"))
}

fn keyed(secret: &[u8]) -> Hmac<Sha256> {
    Hmac::new_from_slice(secret).expect("HMAC takes keys of every length")
}

/// JSON in base64, compressed when that is shorter: a dot comes first then.
fn encode<T: Serialize + ?Sized>(value: &T) -> Result<String> {
    let json = serde_json::to_vec(value)?;
    let small = miniz_oxide::deflate::compress_to_vec_zlib(&json, 6);
    Ok(match small.len() + 1 < json.len() {
        true => format!(".{}", BASE64.encode(small)),
        false => BASE64.encode(json),
    })
}

fn decode<T: DeserializeOwned>(text: &str) -> Result<T, SignError> {
    let bytes = BASE64
        .decode(text.trim_start_matches('.'))
        .map_err(|_| SignError::Malformed)?;
    let json = match text.starts_with('.') {
        true => miniz_oxide::inflate::decompress_to_vec_zlib_with_limit(&bytes, MAX_INFLATED_BYTES)
            .map_err(|_| SignError::Malformed)?,
        false => bytes,
    };
    serde_json::from_slice(&json).map_err(|_| SignError::Malformed)
}
