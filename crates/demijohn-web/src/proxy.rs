//! What a trusted proxy says about the client.

use demijohn_core::Request;
use http::HeaderValue;
use http::header::HOST;
use std::net::{IpAddr, SocketAddr};

/// How many proxies before the server are trusted, header by header; a count of 0 ignores the header.
///
/// Each proxy adds its word at the end of `X-Forwarded-For` and its like, so with one proxy the last value is its own, and all before
/// it are whatever the client made up.
///
/// ```
/// use demijohn_web::{get, Application, Request, TrustedProxies};
///
/// # demijohn_web::test::block_on(async {
/// let client = Application::new()
///     .trust_proxies(TrustedProxies::hops(1))
///     .allowed_hosts(["shop.example"])
///     .before(async |request: &mut Request| Some(format!("{} {:?}", request.scheme(), request.peer().map(|p| p.ip()))))
///     .test_client();
/// let response = client
///     .get("/")
///     .header("x-forwarded-for", "6.6.6.6, 1.2.3.4")
///     .header("x-forwarded-proto", "https")
///     .header("x-forwarded-host", "shop.example")
///     .await;
/// assert_eq!(response.text(), "https Some(1.2.3.4)");
/// # });
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TrustedProxies {
    /// Of `X-Forwarded-For`: the client's address.
    pub address: usize,
    /// Of `X-Forwarded-Proto`: `https` or `http`.
    pub scheme: usize,
    /// Of `X-Forwarded-Host`.
    pub host: usize,
    /// Of `X-Forwarded-Port`.
    pub port: usize,
    /// Of `X-Forwarded-Prefix`: the path that the proxy took away.
    pub prefix: usize,
}

impl TrustedProxies {
    /// So many proxies that set address, scheme, host and port. Trust only what yours set: a header that they pass on is the
    /// client's word.
    pub fn hops(count: usize) -> Self {
        TrustedProxies {
            address: count,
            scheme: count,
            host: count,
            port: count,
            prefix: 0,
        }
    }

    /// Trusts the path prefix too.
    #[must_use]
    pub fn with_prefix(mut self) -> Self {
        self.prefix = self.address;
        self
    }

    /// Takes over what the trusted proxies say.
    pub(crate) fn apply(self, request: &mut Request) {
        let address = trusted(request, "x-forwarded-for", self.address).and_then(|text| text.parse::<IpAddr>().ok());
        let scheme = trusted(request, "x-forwarded-proto", self.scheme).map(|text| text.eq_ignore_ascii_case("https"));
        let host = trusted(request, "x-forwarded-host", self.host);
        let port = trusted(request, "x-forwarded-port", self.port).and_then(|text| text.parse::<u16>().ok());
        let prefix = trusted(request, "x-forwarded-prefix", self.prefix).filter(|text| plain_prefix(text));
        if let Some(address) = address {
            let port = request.peer().map_or(0, |peer| peer.port());
            request.set_peer(Some(SocketAddr::new(address, port)));
        }
        if let Some(secure) = scheme {
            request.set_secure(secure);
        }
        let host = match (host, port) {
            (None, None) => None,
            (host, port) => {
                let host = host.or_else(|| request.host().map(str::to_owned)).unwrap_or_default();
                Some(match port {
                    Some(port) => with_port(&host, port, request.is_secure()),
                    None => host,
                })
            }
        };
        if let Some(host) = host.and_then(|host| HeaderValue::try_from(host).ok()) {
            request.head_mut().headers.insert(HOST, host);
        }
        if let Some(prefix) = prefix {
            request.set_script_name(prefix.trim_end_matches('/').to_owned());
        }
    }
}

/// The value that the outermost trusted proxy set: with `hops` proxies the `hops`-th from the end.
fn trusted(request: &Request, name: &str, hops: usize) -> Option<String> {
    if hops == 0 {
        return None;
    }
    let lines = request
        .headers()
        .get_all(name)
        .iter()
        .filter_map(|line| line.to_str().ok());
    let values: Vec<&str> = lines.flat_map(|line| line.split(',')).map(str::trim).collect();
    let value = values[values.len().checked_sub(hops)?];
    (!value.is_empty()).then(|| value.to_owned())
}

fn with_port(host: &str, port: u16, secure: bool) -> String {
    let name = match host.rsplit_once(':') {
        Some((name, old)) if old.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    };
    match (secure, port) {
        (true, 443) | (false, 80) => name.to_owned(),
        _ => format!("{name}:{port}"),
    }
}

/// `/app`: a path of plain segments, nothing that leads elsewhere.
fn plain_prefix(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'/' | b'-' | b'_' | b'.' | b'~' | b'%');
    text.starts_with('/') && !text.starts_with("//") && text.bytes().all(plain)
}
