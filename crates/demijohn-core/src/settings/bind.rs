//! Where the server listens.

use serde_core::{Deserialize, Deserializer, de};
use std::fmt;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::str::FromStr;

/// A host and a port to listen on, as Django's `runserver` takes them: `127.0.0.1:8000`, `8000`, `:8000`,
/// `0.0.0.0:80`, `[::1]:8000`, `localhost:8000`.
///
/// ```
/// use demijohn_core::settings::Bind;
///
/// let bind: Bind = "8000".parse().unwrap();
/// assert_eq!(bind.to_string(), "127.0.0.1:8000");
/// assert!(bind.is_loopback());
/// assert!(!"0.0.0.0:8000".parse::<Bind>().unwrap().is_loopback());
/// assert!("8000x".parse::<Bind>().is_err());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bind {
    host: String,
    port: u16,
}

impl Bind {
    /// The host: an address or a name, IPv6 without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port; 0 lets the system choose a free one.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// True when only this machine can reach it.
    pub fn is_loopback(&self) -> bool {
        match self.host.parse::<IpAddr>() {
            Ok(address) => address.to_canonical().is_loopback(),
            Err(_) => self.host.eq_ignore_ascii_case("localhost"),
        }
    }

    /// The address to listen on; a name is looked up, and its IPv4 address is preferred.
    ///
    /// # Errors
    /// When the name has no address.
    pub fn address(&self) -> std::io::Result<SocketAddr> {
        let found: Vec<SocketAddr> = (self.host.as_str(), self.port).to_socket_addrs()?.collect();
        let best = found.iter().find(|a| a.is_ipv4()).or(found.first());
        best.copied().ok_or_else(|| {
            std::io::Error::new(
                std::io::ErrorKind::NotFound,
                format!("the name `{}` has no address", self.host),
            )
        })
    }
}

impl Default for Bind {
    fn default() -> Self {
        Bind {
            host: "127.0.0.1".to_owned(),
            port: 8000,
        }
    }
}

impl fmt::Display for Bind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

/// Why a text is no address to listen on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadBind;

impl fmt::Display for BadBind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an address and a port such as 127.0.0.1:8000, 0.0.0.0:80 or [::1]:8000")
    }
}

impl std::error::Error for BadBind {}

impl FromStr for Bind {
    type Err = BadBind;

    fn from_str(text: &str) -> Result<Self, BadBind> {
        let text = text.trim();
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) => (host, port),
            None => ("", text),
        };
        let host = match host.strip_prefix('[').and_then(|h| h.strip_suffix(']')) {
            Some(v6) => v6.parse::<std::net::Ipv6Addr>().map_err(|_| BadBind)?.to_string(),
            None if host.is_empty() => Bind::default().host,
            None => host.to_owned(),
        };
        let name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
        if host.parse::<IpAddr>().is_err() && !host.chars().all(name) {
            return Err(BadBind);
        }
        // `+8000` would parse as a number.
        if !port.bytes().all(|b| b.is_ascii_digit()) {
            return Err(BadBind);
        }
        Ok(Bind {
            host,
            port: port.parse().map_err(|_| BadBind)?,
        })
    }
}

impl<'de> Deserialize<'de> for Bind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::Bind;

    #[test]
    fn forms() {
        let check = |text: &str, shown: &str, loopback: bool| {
            let bind: Bind = text.parse().expect(text);
            assert_eq!((bind.to_string().as_str(), bind.is_loopback()), (shown, loopback));
        };
        check(":80", "127.0.0.1:80", true);
        check("[::1]:8000", "[::1]:8000", true);
        check("[::]:8000", "[::]:8000", false);
        check("[::ffff:127.0.0.1]:1", "[::ffff:127.0.0.1]:1", true);
        check("localhost:0", "localhost:0", true);
        check("127.0.0.2:1", "127.0.0.2:1", true);
        check("example.org:1", "example.org:1", false);
        for bad in [
            "",
            "a",
            "a:b:1",
            "::1:99999",
            "1.2.3.4",
            "127.0.0.1:65536",
            "a b:1",
            "http://x:1",
            "x:+1",
            "x:",
        ] {
            assert!(bad.parse::<Bind>().is_err(), "{bad}");
        }
    }
}
