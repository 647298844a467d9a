//! What a trusted proxy says about the client.

mod listen;
mod net;
mod protocol;
mod settings;

pub(crate) use protocol::read as read_protocol;
pub(crate) use settings::{add_checks, declare};

use demijohn_core::check::Finding;
use demijohn_core::{Error, Request, Result, Settings};
use http::header::HOST;
use http::{HeaderValue, Uri};
use listen::Rules;
use net::Net;
use std::net::{IpAddr, SocketAddr};

/// How many proxies before the server are trusted, header by header; a count of 0 ignores the header.
///
/// For a site that nobody reaches but through its proxies, whatever their addresses are. Where these are known, the setting
/// `TRUSTED_PROXIES` is the better way: then nobody else is believed. (With both, the counts hold for those addresses.)
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
}

/// Who is believed, and what of it.
pub(crate) struct Proxies {
    /// What code says; where it says anything, it holds.
    hops: TrustedProxies,
    /// `TRUSTED_PROXIES`; others are not listened to. None where code trusts whoever connects.
    nets: Option<Vec<Net>>,
    rules: Rules,
}

/// What is taken over; nothing where a proxy says nothing of it.
#[derive(Debug, Default, PartialEq, Eq)]
struct Said {
    client: Option<IpAddr>,
    secure: Option<bool>,
    host: Option<String>,
    port: Option<u16>,
    prefix: Option<String>,
}

impl Proxies {
    /// Reads the settings; `None` where nobody is believed.
    pub(crate) fn read(hops: TrustedProxies, settings: &Settings, findings: &mut Vec<Finding>) -> Option<Proxies> {
        let nets = settings::nets(settings, findings);
        if nets.is_empty() && hops == TrustedProxies::default() {
            return None;
        }
        Some(Proxies {
            hops,
            nets: (!nets.is_empty()).then_some(nets),
            rules: Rules::read(settings, findings),
        })
    }

    /// Whether connections from there begin with the PROXY protocol.
    pub(crate) fn speaks_protocol(&self, peer: IpAddr) -> bool {
        self.rules.protocol && self.nets.as_ref().is_some_and(|nets| trusts(nets, peer))
    }

    pub(crate) fn trusts_by_code(&self) -> bool {
        self.hops != TrustedProxies::default()
    }

    /// Takes over what the trusted proxies say.
    ///
    /// # Errors
    /// 400 where a trusted proxy says something that is no host or no port: it let through what a client made up.
    pub(crate) fn apply(&self, request: &mut Request) -> Result<()> {
        let peer = request.peer().map(|peer| peer.ip());
        if let Some(nets) = &self.nets
            && !peer.is_some_and(|peer| trusts(nets, peer))
        {
            return Ok(());
        }
        let said = match &self.nets {
            _ if self.trusts_by_code() => self.hops.read(request),
            Some(nets) => self.rules.listen(request, &|address| trusts(nets, address))?,
            None => return Ok(()),
        };
        said.take_over(request)
    }
}

fn trusts(nets: &[Net], address: IpAddr) -> bool {
    nets.iter().any(|net| net.contains(address))
}

impl Said {
    fn take_over(self, request: &mut Request) -> Result<()> {
        if let Some(address) = self.client {
            let port = request.peer().map_or(0, |peer| peer.port());
            request.set_peer(Some(SocketAddr::new(address, port)));
        }
        if let Some(secure) = self.secure {
            request.set_secure(secure);
        }
        if self.host.is_some() || self.port.is_some() {
            let host = self
                .host
                .or_else(|| request.host().map(str::to_owned))
                .unwrap_or_default();
            let host = match self.port {
                Some(port) => with_port(&host, port, request.is_secure()),
                None => host,
            };
            let host =
                HeaderValue::try_from(host).map_err(|_| Error::bad_request("a proxy names a host that is none"))?;
            let head = request.head_mut();
            head.headers.insert(HOST, host);
            // What the target says of it is the proxy's word no more.
            if head.uri.authority().is_some() {
                let path = head.uri.path_and_query().map_or("/", |path| path.as_str());
                head.uri = Uri::try_from(path)?;
            }
        }
        if let Some(prefix) = self.prefix {
            request.set_script_name(prefix.trim_end_matches('/').to_owned());
        }
        Ok(())
    }
}

impl TrustedProxies {
    fn read(self, request: &Request) -> Said {
        Said {
            client: trusted(request, "x-forwarded-for", self.address).and_then(|text| text.parse().ok()),
            secure: trusted(request, "x-forwarded-proto", self.scheme).map(|text| text.eq_ignore_ascii_case("https")),
            host: trusted(request, "x-forwarded-host", self.host),
            port: trusted(request, "x-forwarded-port", self.port).and_then(|text| text.parse().ok()),
            prefix: trusted(request, "x-forwarded-prefix", self.prefix).filter(|text| plain_prefix(text)),
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
