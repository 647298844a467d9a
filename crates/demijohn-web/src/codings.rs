//! Codings of answers, and which of them a client takes (RFC 9110, 12.5.3).

use http::header::{ACCEPT_ENCODING, HeaderMap};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Coding {
    Zstd,
    Brotli,
    Gzip,
}

impl Coding {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Coding::Zstd => "zstd",
            Coding::Brotli => "br",
            Coding::Gzip => "gzip",
        }
    }
}

/// What the client takes, with weights in thousandths.
pub(crate) struct Wanted {
    codings: Vec<(String, u16)>,
    /// How much it likes none at all.
    pub(crate) identity: u16,
}

impl Wanted {
    pub(crate) fn of(headers: &HeaderMap) -> Wanted {
        let lines = headers
            .get_all(ACCEPT_ENCODING)
            .iter()
            .filter_map(|line| line.to_str().ok());
        let mut codings: Vec<(String, u16)> = lines
            .flat_map(|line| line.split(','))
            // A list of thousands of codings is no client's.
            .take(32)
            .filter_map(|item| {
                let mut parts = item.split(';').map(str::trim);
                let name = parts.next().filter(|name| !name.is_empty())?.to_ascii_lowercase();
                let weight = match parts.find_map(|part| part.strip_prefix("q=").or(part.strip_prefix("Q="))) {
                    Some(text) => weight(text)?,
                    None => 1000,
                };
                Some((if name == "x-gzip" { "gzip".to_owned() } else { name }, weight))
            })
            .collect();
        // Of one that is named twice, the first counts.
        let mut seen: Vec<String> = Vec::new();
        codings.retain(|(name, _)| {
            let new = !seen.contains(name);
            seen.push(name.clone());
            new
        });
        let mut wanted = Wanted { codings, identity: 1 };
        // Unless it is named, it is what there is otherwise: the last choice, and refused only where all others are.
        let rest = wanted.named("*").filter(|weight| *weight == 0);
        wanted.identity = wanted.named("identity").or(rest).unwrap_or(1);
        wanted
    }

    fn named(&self, name: &str) -> Option<u16> {
        self.codings
            .iter()
            .find(|(named, _)| named == name)
            .map(|(_, weight)| *weight)
    }

    /// The best of these, the earlier of equals, when the client likes it at least as much as none at all.
    pub(crate) fn best(&self, codings: &[Coding]) -> Option<Coding> {
        let weighed = codings.iter().rev().map(|coding| {
            let weight = self.named(coding.name()).or_else(|| self.named("*")).unwrap_or(0);
            (weight, *coding)
        });
        let (weight, coding) = weighed.max_by_key(|(weight, _)| *weight)?;
        (weight > 0 && weight >= self.identity).then_some(coding)
    }
}

/// `0`, `0.5`, `1.000` as thousandths; `None` for what is no weight.
fn weight(text: &str) -> Option<u16> {
    let (whole, rest) = text.split_once('.').unwrap_or((text, ""));
    if rest.len() > 3 || !rest.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let thousandths: u16 = format!("{rest:0<3}").parse().ok()?;
    match whole {
        "0" => Some(thousandths),
        "1" if thousandths == 0 => Some(1000),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{Coding, Wanted, weight};
    use http::header::{ACCEPT_ENCODING, HeaderMap, HeaderValue};

    #[test]
    fn what_clients_take() {
        let best = |text: &'static str| {
            let headers = HeaderMap::from_iter([(ACCEPT_ENCODING, HeaderValue::from_static(text))]);
            Wanted::of(&headers).best(&[Coding::Zstd, Coding::Brotli, Coding::Gzip])
        };
        for (text, coding) in [
            ("gzip", Some(Coding::Gzip)),
            ("GZIP", Some(Coding::Gzip)),
            ("x-gzip", Some(Coding::Gzip)),
            ("gzip, deflate, br, zstd", Some(Coding::Zstd)),
            ("gzip;q=1.0, br;q=0.5", Some(Coding::Gzip)),
            ("gzip ; q=0.5 , br;q=0.8", Some(Coding::Brotli)),
            ("*", Some(Coding::Zstd)),
            ("*;q=0.5, zstd;q=0", Some(Coding::Brotli)),
            ("identity;q=0, gzip;q=0.1", Some(Coding::Gzip)),
            ("gzip;q=0", None),
            ("gzip;q=0.000", None),
            ("gzip;q=2", None),
            ("gzip;q=-1", None),
            ("gzip;q=0.1234", None),
            ("identity, gzip;q=0.5", None),
            ("identity", None),
            ("deflate", None),
            ("", None),
            (",,;;", None),
        ] {
            assert_eq!(best(text), coding, "{text}");
        }
        assert_eq!(
            (weight("0.05"), weight("1.000"), weight("")),
            (Some(50), Some(1000), None)
        );
    }
}
