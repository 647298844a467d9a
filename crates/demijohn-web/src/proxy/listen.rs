//! The headers of proxies whose addresses are known.

use super::Said;
use demijohn_core::{Error, Request, Result};
use http::header::{FORWARDED, HeaderName};
use std::net::{IpAddr, SocketAddr};

/// Which headers are read.
#[derive(Debug)]
pub(super) struct Rules {
    /// A header that says whether the client came by https, and the value that says so.
    pub(super) scheme: Option<(HeaderName, String)>,
    pub(super) host: bool,
    pub(super) port: bool,
    /// `Forwarded` (RFC 7239) in place of `X-Forwarded-*`.
    pub(super) standard: bool,
    /// The PROXY protocol before each connection.
    pub(super) protocol: bool,
}

impl Rules {
    /// What the proxies say; the one that has sent the request is trusted, `trusts` tells whether others are.
    pub(super) fn listen(&self, request: &Request, trusts: &dyn Fn(IpAddr) -> bool) -> Result<Said> {
        if self.standard {
            return self.forwarded(request, trusts);
        }
        let mut said = Said {
            client: client(texts(request, "x-forwarded-for").rev(), trusts),
            ..Said::default()
        };
        if let Some((header, secure)) = &self.scheme {
            // As in Django, the first of a list. With several lines, one of them may be the client's.
            let mut lines = request.headers().get_all(header).iter();
            if let (Some(line), None) = (lines.next(), lines.next()) {
                let scheme = line.to_str().unwrap_or_default().split(',').next().unwrap_or_default();
                said.secure = Some(scheme.trim().eq_ignore_ascii_case(secure));
            }
        }
        if self.host {
            said.host = single(request, "x-forwarded-host")?.map(str::to_owned);
        }
        if self.port {
            let port = single(request, "x-forwarded-port")?;
            said.port = port.map(|port| port.parse().map_err(|_| made_up())).transpose()?;
        }
        Ok(said)
    }

    /// Each proxy adds an element at the end: who has sent the request to it, and how. So an element counts when the proxy that
    /// wrote it is trusted, and the first that counts is nearest to the client.
    fn forwarded(&self, request: &Request, trusts: &dyn Fn(IpAddr) -> bool) -> Result<Said> {
        let mut said = Said::default();
        let lines = request.headers().get_all(FORWARDED).iter();
        let mut elements = Vec::new();
        for line in lines {
            let line = line.to_str().map_err(|_| made_up())?;
            // A quote that the client opened would take in what the proxy wrote after it.
            if !closes_quotes(line) {
                return Err(made_up());
            }
            elements.extend(split(line, ','));
        }
        for element in elements.into_iter().rev() {
            let mut client = None;
            for pair in split(element, ';') {
                let Some((name, value)) = pair.split_once('=') else {
                    continue;
                };
                let value = unquoted(value);
                match name.trim().to_ascii_lowercase().as_str() {
                    "for" => client = address(&value),
                    "proto" => said.secure = Some(value.eq_ignore_ascii_case("https")),
                    "host" if self.host => said.host = Some(value),
                    _ => {}
                }
            }
            let Some(client) = client else { break };
            said.client = Some(client);
            if !trusts(client) {
                break;
            }
        }
        Ok(said)
    }
}

/// The nearest address that is no trusted proxy, from the last on. What is no address ends the search: whoever wrote it is
/// not to be believed what is before it.
fn client<'a>(from_the_end: impl Iterator<Item = &'a str>, trusts: &dyn Fn(IpAddr) -> bool) -> Option<IpAddr> {
    let mut client = None;
    for text in from_the_end {
        let Some(address) = address(text) else { break };
        client = Some(address);
        if !trusts(address) {
            break;
        }
    }
    client
}

/// All values of a header that is a list, over all its lines.
fn texts<'a>(request: &'a Request, name: &'static str) -> impl DoubleEndedIterator<Item = &'a str> {
    let lines = request.headers().get_all(name).iter();
    // What is no text is no address either.
    lines
        .flat_map(|line| line.to_str().unwrap_or("?").split(','))
        .map(str::trim)
}

/// The value of a header that has one.
fn single<'a>(request: &'a Request, name: &'static str) -> Result<Option<&'a str>> {
    let mut lines = request.headers().get_all(name).iter();
    match (lines.next(), lines.next()) {
        (None, _) => Ok(None),
        (Some(line), None) => {
            let text = line.to_str().map_err(|_| made_up())?.trim();
            match text.is_empty() || text.contains(',') {
                true => Err(made_up()),
                false => Ok(Some(text)),
            }
        }
        (Some(_), Some(_)) => Err(made_up()),
    }
}

fn made_up() -> Error {
    Error::bad_request("what the proxy says of the request makes no sense")
}

/// `1.2.3.4`, `1.2.3.4:80`, `::1`, `[::1]`, `[::1]:80`.
fn address(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
    let address = bare.unwrap_or(text).parse::<IpAddr>().ok();
    let with_port = || text.parse::<SocketAddr>().ok().map(|address| address.ip());
    address.or_else(with_port).map(|address| address.to_canonical())
}

/// Whether the character is inside of quotes, for each in turn.
#[derive(Default)]
struct Quotes {
    inside: bool,
    escaped: bool,
}

impl Quotes {
    fn take(&mut self, c: char) -> bool {
        let was_inside = self.inside;
        match c {
            _ if self.escaped => self.escaped = false,
            '\\' if self.inside => self.escaped = true,
            '"' => self.inside = !self.inside,
            _ => {}
        }
        was_inside
    }
}

fn closes_quotes(text: &str) -> bool {
    let mut quotes = Quotes::default();
    for c in text.chars() {
        quotes.take(c);
    }
    !quotes.inside
}

/// The pieces between separators that stand outside of quotes.
fn split(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let mut quotes = Quotes::default();
    text.split(move |c| !quotes.take(c) && c == separator).map(str::trim)
}

fn unquoted(value: &str) -> String {
    let value = value.trim();
    match value.strip_prefix('"').and_then(|value| value.strip_suffix('"')) {
        None => value.to_owned(),
        Some(inside) => {
            let mut text = String::with_capacity(inside.len());
            let mut chars = inside.chars();
            while let Some(c) = chars.next() {
                text.extend(if c == '\\' { chars.next() } else { Some(c) });
            }
            text
        }
    }
}
