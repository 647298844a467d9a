//! Values that must not be seen, and what makes a secret key strong.

use serde_core::{Deserialize, Deserializer};
use std::fmt;

/// A text that prints as `***`: passwords, keys, tokens.
///
/// It reads from settings like a `String`, and is not serialisable, so that it cannot end up in an answer.
///
/// ```
/// use demijohn_core::settings::Secret;
///
/// let password = Secret::new("hunter2");
/// assert_eq!(format!("{password:?}"), "***");
/// assert_eq!(password.expose(), "hunter2");
/// ```
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a text.
    pub fn new(text: impl Into<String>) -> Self {
        Secret(text.into())
    }

    /// The text itself. The name is meant to be found in a review.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// True when there is no text.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Why this is no good key to sign with, if so: the same rule as Django's `security.W009`.
    pub fn weakness(&self) -> Option<&'static str> {
        let text = &self.0;
        let mut seen: Vec<char> = text.chars().collect();
        seen.sort_unstable();
        seen.dedup();
        match () {
            () if text.is_empty() => Some("it is empty"),
            () if ["insecure", "django-insecure-"]
                .iter()
                .any(|start| begins_with(text, start)) =>
            {
                Some("it begins with `insecure`")
            }
            () if text.chars().count() < 50 => Some("it has fewer than 50 characters"),
            () if seen.len() < 5 => Some("it has fewer than 5 different characters"),
            () => None,
        }
    }

    /// A random key of 64 hexadecimal digits from the operating system.
    ///
    /// # Errors
    /// When the operating system has no randomness to give.
    pub fn random() -> std::io::Result<Self> {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes).map_err(|error| std::io::Error::other(error.to_string()))?;
        Ok(Secret(bytes.iter().map(|byte| format!("{byte:02x}")).collect()))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        Secret::new(text)
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Secret)
    }
}

/// True for names whose values are never printed.
pub(super) fn is_secret_name(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    const WORDS: [&str; 8] = [
        "SECRET",
        "TOKEN",
        "KEY",
        "PASS",
        "PWD",
        "AUTH",
        "SIGNATURE",
        "CREDENTIAL",
    ];
    WORDS.iter().any(|word| name.contains(word))
}

/// The value as it may be printed: nothing of a secret, and no password of an address.
pub(super) fn masked(name: &str, shown: &str) -> String {
    // A switch is no secret, whatever it is called.
    match is_secret_name(name) && !matches!(shown, "" | "true" | "false") {
        true => "***".to_owned(),
        false => mask_addresses(shown),
    }
}

/// `postgres://user:***@host/db` for every address in the text.
fn mask_addresses(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (head, tail) = rest.split_at(at + 3);
        out.push_str(head);
        // The part before the path; of several `@` the last one ends the password.
        let end = tail.find(['/', '?', '#', '"', ' ']).unwrap_or(tail.len());
        let authority = &tail[..end];
        // An unescaped `/` in a password would hide the `@`: mask up to the last `@` of the whole word then.
        let word = &tail[..tail.find(['"', ' ', ',']).unwrap_or(tail.len())];
        let account = match (authority.rfind('@'), word.rfind('@')) {
            (Some(at), _) => Some(at),
            (None, Some(at)) if authority.contains(':') => Some(at),
            _ => None,
        };
        match account {
            Some(at) => {
                let user = tail[..at].split(':').next().unwrap_or("");
                out.push_str(user);
                if user.len() < at {
                    out.push_str(":***");
                }
                rest = &tail[at..];
            }
            None => rest = tail,
        }
    }
    out.push_str(rest);
    out
}

/// In whatever case.
fn begins_with(text: &str, start: &str) -> bool {
    text.get(..start.len())
        .is_some_and(|begin| begin.eq_ignore_ascii_case(start))
}

#[cfg(test)]
mod tests {
    use super::{Secret, masked};

    #[test]
    fn passwords_of_addresses_are_masked() {
        let check = |text: &str, expected: &str| assert_eq!(masked("DATABASE_URL", text), expected);
        check("postgres://u:p@h/db", "postgres://u:***@h/db");
        check("postgres://u:p@x@h/db", "postgres://u:***@h/db");
        check("postgres://u:p/x@h/db", "postgres://u:***@h/db");
        check(
            "redis://:p@h:6379, redis://a:b@c",
            "redis://:***@h:6379, redis://a:***@c",
        );
        check("sqlite:///a/b.db", "sqlite:///a/b.db");
        check("https://h:80/a@b", "https://h:***@b");
        check("postgres://u@h/db", "postgres://u@h/db");
    }

    #[test]
    fn secret_names_are_masked() {
        assert_eq!(masked("API_TOKEN", "x"), "***");
        assert_eq!(masked("shop.password", "x"), "***");
        assert_eq!(masked("SECRET_KEY", ""), "");
        assert_eq!(masked("CURRENCY", "EUR"), "EUR");
    }

    #[test]
    fn weak_keys() {
        assert!(Secret::new("").weakness().is_some());
        assert!(Secret::new("short").weakness().is_some());
        assert!(Secret::new("ab".repeat(30)).weakness().is_some());
        assert!(
            Secret::new(format!("insecure-{}", "abcdefghij".repeat(6)))
                .weakness()
                .is_some()
        );
        assert!(
            Secret::new(format!("Insecure{}", "abcdefghij".repeat(6)))
                .weakness()
                .is_some()
        );
        assert_eq!(Secret::new("abcdefghij".repeat(5)).weakness(), None);
        assert_eq!(Secret::random().expect("randomness").weakness(), None);
    }
}
