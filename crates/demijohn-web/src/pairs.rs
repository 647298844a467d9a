//! Pairs of names and values, as query strings and forms carry them.

use demijohn_core::{Fault, Place};
use percent_encoding::percent_decode;
use std::borrow::Cow;

/// Names with values, in the order sent, names repeatable: Flask's `MultiDict`, Django's `QueryDict`.
///
/// ```
/// use demijohn_web::Pairs;
///
/// let pairs = Pairs::parse("a=1&a=2&b=%C3%A4").unwrap();
/// assert_eq!(pairs.get("a"), Some("1"));
/// assert_eq!(pairs.last("a"), Some("2"));
/// assert_eq!(pairs.all("a").collect::<Vec<_>>(), ["1", "2"]);
/// assert_eq!(pairs.get("b"), Some("ä"));
/// assert_eq!(pairs.parsed_or("b", 7), 7);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pairs(Vec<(String, String)>);

/// More than this many pairs are refused, unless the site has a limit of its own.
pub(crate) const MAX_PAIRS: usize = 1000;

impl Pairs {
    /// None.
    pub fn new() -> Self {
        Pairs::default()
    }

    /// The pairs of a query string.
    ///
    /// # Errors
    /// What is no UTF-8, holds NUL, or is more than 1,000 pairs.
    pub fn parse(text: &str) -> Result<Pairs, Fault> {
        Self::parse_at(Place::Query, text.as_bytes(), MAX_PAIRS)
    }

    pub(crate) fn parse_at(place: Place, bytes: &[u8], max_pairs: usize) -> Result<Pairs, Fault> {
        let mut pairs = Vec::new();
        for pair in bytes.split(|b| *b == b'&').filter(|pair| !pair.is_empty()) {
            if pairs.len() == max_pairs {
                return Err(Fault::new(place, "", format!("has more than {max_pairs} values")));
            }
            let at = pair.iter().position(|b| *b == b'=');
            let (name, value) = match at {
                Some(at) => (&pair[..at], &pair[at + 1..]),
                None => (pair, &[][..]),
            };
            let name = decode(name).map_err(|why| Fault::new(place, "", format!("has a name that {why}")))?;
            let value = decode(value).map_err(|why| Fault::new(place, name.clone(), why))?;
            pairs.push((name, value));
        }
        Ok(Pairs(pairs))
    }

    /// The first value of a name (Flask's `args[name]`).
    pub fn get(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    /// The last value of a name (Django's `GET[name]`).
    pub fn last(&self, name: &str) -> Option<&str> {
        self.all(name).last()
    }

    /// All values of a name, in the order sent.
    pub fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |(n, _)| n == name).map(|(_, v)| v.as_str())
    }

    /// The first value of a name as a `T`; `default` when it is absent or no `T`.
    pub fn parsed_or<T: std::str::FromStr>(&self, name: &str, default: T) -> T {
        self.get(name).and_then(|text| text.parse().ok()).unwrap_or(default)
    }

    /// True when the name is there.
    pub fn contains(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// The pairs, in the order sent.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(n, v)| (n.as_str(), v.as_str()))
    }

    /// How many pairs there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// True when there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds a value to those of a name.
    pub fn push(&mut self, name: impl Into<String>, value: impl Into<String>) {
        self.0.push((name.into(), value.into()));
    }

    /// Makes this the only value of a name.
    pub fn set(&mut self, name: impl Into<String>, value: impl Into<String>) {
        let name = name.into();
        self.set_all(name, [value]);
    }

    /// Makes these the values of a name.
    pub fn set_all<V: Into<String>>(&mut self, name: impl Into<String>, values: impl IntoIterator<Item = V>) {
        let name = name.into();
        self.remove(&name);
        self.0
            .extend(values.into_iter().map(|value| (name.clone(), value.into())));
    }

    /// Takes a name out, with all its values.
    pub fn remove(&mut self, name: &str) -> Vec<String> {
        let mut removed = Vec::new();
        self.0.retain_mut(|(n, value)| {
            let keep = n != name;
            if !keep {
                removed.push(std::mem::take(value));
            }
            keep
        });
        removed
    }

    /// The pairs as a query string: `a=2&b=%26`.
    pub fn to_query(&self) -> String {
        form_urlencoded::Serializer::new(String::new())
            .extend_pairs(self.iter())
            .finish()
    }
}

impl<N: Into<String>, V: Into<String>> FromIterator<(N, V)> for Pairs {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(pairs: I) -> Self {
        Pairs(pairs.into_iter().map(|(n, v)| (n.into(), v.into())).collect())
    }
}

impl<N: Into<String>, V: Into<String>> Extend<(N, V)> for Pairs {
    fn extend<I: IntoIterator<Item = (N, V)>>(&mut self, pairs: I) {
        self.0.extend(pairs.into_iter().map(|(n, v)| (n.into(), v.into())));
    }
}

fn decode(bytes: &[u8]) -> Result<String, &'static str> {
    let bytes: Cow<'_, [u8]> = match bytes.contains(&b'+') {
        true => bytes
            .iter()
            .map(|b| if *b == b'+' { b' ' } else { *b })
            .collect::<Vec<u8>>()
            .into(),
        false => bytes.into(),
    };
    let text = percent_decode(&bytes).decode_utf8().map_err(|_| "is not UTF-8")?;
    match text.contains('\0') {
        true => Err("has a NUL character"),
        false => Ok(text.into_owned()),
    }
}
