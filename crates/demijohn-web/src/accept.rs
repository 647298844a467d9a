//! What the client would like: the `Accept` header (RFC 9110, 12.5.1).

use demijohn_core::{Extract, Rejection, Request};
use http::header::ACCEPT;

/// The media types that the client accepts, with their weights.
///
/// ```
/// use demijohn_web::{get, Accept, Application};
///
/// async fn show(accept: Accept) -> String {
///     format!("{:?}", accept.best(&["text/html", "application/json"]))
/// }
///
/// # demijohn_web::test::block_on(async {
/// let client = Application::new().route("/", get(show)).test_client();
/// let best = async |accept: &str| client.get("/").header("accept", accept).await.text().to_owned();
/// assert_eq!(best("text/html;q=0.5, application/json").await, r#"Some("application/json")"#);
/// assert_eq!(best("*/*").await, r#"Some("text/html")"#);
/// assert_eq!(best("image/png").await, "None");
/// # });
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Accept(Vec<Range>);

#[derive(Clone, Debug, PartialEq)]
struct Range {
    kind: String,
    sub: String,
    /// Thousandths.
    weight: u16,
}

impl Accept {
    /// What a request says. Without the header everything is accepted.
    pub fn of(request: &Request) -> Accept {
        let lines = request
            .headers()
            .get_all(ACCEPT)
            .iter()
            .filter_map(|line| line.to_str().ok());
        let ranges: Vec<Range> = lines
            .flat_map(|line| line.split(','))
            .filter_map(Range::parse)
            .collect();
        match ranges.is_empty() {
            true => Accept(vec![Range::everything()]),
            false => Accept(ranges),
        }
    }

    /// The weight of a media type, from 0 (not accepted) to 1000; the most specific range decides.
    pub fn weight(&self, media_type: &str) -> u16 {
        let (kind, sub) = media_type.split_once('/').unwrap_or((media_type, ""));
        let fits = |range: &&Range| match (range.kind.as_str(), range.sub.as_str()) {
            ("*", "*") => true,
            (range_kind, "*") => range_kind.eq_ignore_ascii_case(kind),
            (range_kind, range_sub) => range_kind.eq_ignore_ascii_case(kind) && range_sub.eq_ignore_ascii_case(sub),
        };
        let specific = |range: &&Range| (range.kind != "*", range.sub != "*", range.weight);
        self.0
            .iter()
            .filter(fits)
            .max_by_key(specific)
            .map_or(0, |range| range.weight)
    }

    /// True when a media type is accepted.
    pub fn accepts(&self, media_type: &str) -> bool {
        self.weight(media_type) > 0
    }

    /// The one of these that the client likes best, the earlier one of equals; `None` when it accepts none.
    pub fn best<'t>(&self, media_types: &[&'t str]) -> Option<&'t str> {
        let weighed = media_types
            .iter()
            .rev()
            .map(|media_type| (self.weight(media_type), *media_type));
        weighed
            .filter(|(weight, _)| *weight > 0)
            .max_by_key(|(weight, _)| *weight)
            .map(|(_, media_type)| media_type)
    }
}

impl Range {
    fn everything() -> Range {
        Range {
            kind: "*".into(),
            sub: "*".into(),
            weight: 1000,
        }
    }

    /// `text/html;q=0.5`; `None` for what is none.
    fn parse(text: &str) -> Option<Range> {
        let mut parts = text.split(';').map(str::trim);
        let (kind, sub) = parts.next()?.split_once('/')?;
        let weight = parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
        let weight: f32 = weight.map_or(Some(1.0), |q| q.trim().parse().ok())?;
        if kind.is_empty() || sub.is_empty() || !(0.0..=1.0).contains(&weight) {
            return None;
        }
        Some(Range {
            kind: kind.to_owned(),
            sub: sub.to_owned(),
            // In range by the line above.
            weight: (weight * 1000.0).round() as u16,
        })
    }
}

impl Extract for Accept {
    async fn extract(request: &mut Request) -> Result<Self, Rejection> {
        Ok(Accept::of(request))
    }
}
