//! What a proxy says before the first byte of a connection: the PROXY protocol of HAProxy, versions 1 and 2.
//!
//! For proxies that pass bytes on and read none of them, and so cannot add a header.

use std::io::{Error, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use tokio::io::{AsyncRead, AsyncReadExt};

const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// The longest line of version 1, with its end.
const MAX_LINE_BYTES: usize = 107;

/// Reads it, and not a byte more: the client's address; nothing where the proxy speaks for itself (it looks whether the site is alive) or
/// does not know.
pub(crate) async fn read(stream: &mut (impl AsyncRead + Unpin)) -> Result<Option<SocketAddr>, Error> {
    let mut begin = [0; SIGNATURE.len()];
    stream.read_exact(&mut begin).await?;
    match begin == *SIGNATURE {
        true => version_2(stream).await,
        false => version_1(stream, &begin).await,
    }
}

fn wrong() -> Error {
    Error::new(ErrorKind::InvalidData, "no header of the PROXY protocol")
}

/// `PROXY TCP4 192.0.2.1 192.0.2.2 4711 443\r\n`
async fn version_1(stream: &mut (impl AsyncRead + Unpin), begin: &[u8]) -> Result<Option<SocketAddr>, Error> {
    let mut line = begin.to_vec();
    // Byte by byte, as what follows is not ours to read.
    while !line.ends_with(b"\r\n") {
        if line.len() >= MAX_LINE_BYTES || !b"PROXY ".starts_with(&line[..line.len().min(6)]) {
            return Err(wrong());
        }
        line.push(stream.read_u8().await?);
    }
    let line = std::str::from_utf8(&line)
        .map_err(|_| wrong())?
        .trim_end_matches("\r\n");
    let words: Vec<&str> = line.split(' ').collect();
    match words[..] {
        ["PROXY", "UNKNOWN", ..] => Ok(None),
        ["PROXY", kind @ ("TCP4" | "TCP6"), client, site, client_port, site_port] => {
            let address = |text: &str| {
                let address: IpAddr = text.parse().ok()?;
                (address.is_ipv4() == (kind == "TCP4")).then_some(address)
            };
            let port = |text: &str| match text.bytes().all(|b| b.is_ascii_digit()) {
                true => text.parse::<u16>().ok(),
                false => None,
            };
            let parts = (address(client), address(site), port(client_port), port(site_port));
            let (Some(client), Some(_), Some(port), Some(_)) = parts else {
                return Err(wrong());
            };
            Ok(Some(SocketAddr::new(client.to_canonical(), port)))
        }
        _ => Err(wrong()),
    }
}

/// Version and command, family, length, addresses, and what else there may be.
async fn version_2(stream: &mut (impl AsyncRead + Unpin)) -> Result<Option<SocketAddr>, Error> {
    let command = stream.read_u8().await?;
    let family = stream.read_u8().await?;
    let length = stream.read_u16().await?;
    let mut rest = vec![0; usize::from(length)];
    stream.read_exact(&mut rest).await?;
    match (command, family) {
        // LOCAL.
        (0x20, _) => Ok(None),
        // TCP over IPv4: two addresses, two ports.
        (0x21, 0x11) => {
            let (Some(client), Some(port)) = (rest.first_chunk::<4>(), rest.get(8..10)) else {
                return Err(wrong());
            };
            Ok(Some(SocketAddr::new(Ipv4Addr::from(*client).into(), be(port))))
        }
        // TCP over IPv6.
        (0x21, 0x21) => {
            let (Some(client), Some(port)) = (rest.first_chunk::<16>(), rest.get(32..34)) else {
                return Err(wrong());
            };
            let client = IpAddr::from(Ipv6Addr::from(*client)).to_canonical();
            Ok(Some(SocketAddr::new(client, be(port))))
        }
        // Other families have no address that would mean anything here.
        (0x21, _) => Ok(None),
        _ => Err(wrong()),
    }
}

fn be(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |number, byte| number << 8 | u16::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::read;

    /// The address, and what is left for whoever reads next.
    fn said(bytes: &[u8]) -> Result<(Option<String>, Vec<u8>), ()> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .expect("a runtime");
        let mut left = bytes;
        let address = runtime.block_on(read(&mut left)).map_err(drop)?;
        Ok((address.map(|address| address.to_string()), left.to_vec()))
    }

    fn second(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let length = u16::try_from(rest.len()).expect("short").to_be_bytes();
        [&super::SIGNATURE[..], &[command, family], &length, rest, b"GET"].concat()
    }

    #[test]
    fn headers() {
        let got = |address: &str| Ok((Some(address.to_owned()), b"GET".to_vec()));
        let nothing = Ok((None, b"GET".to_vec()));
        assert_eq!(said(b"PROXY TCP4 1.2.3.4 5.6.7.8 4711 80\r\nGET"), got("1.2.3.4:4711"));
        assert_eq!(said(b"PROXY TCP6 2001:db8::1 ::1 1 2\r\nGET"), got("[2001:db8::1]:1"));
        assert_eq!(said(b"PROXY TCP6 ::ffff:1.2.3.4 ::1 1 2\r\nGET"), got("1.2.3.4:1"));
        assert_eq!(said(b"PROXY UNKNOWN\r\nGET"), nothing);
        assert_eq!(said(b"PROXY UNKNOWN ff ff 1 1\r\nGET"), nothing);
        let four = [1, 2, 3, 4, 5, 6, 7, 8, 0x12, 0x67, 0, 80];
        assert_eq!(said(&second(0x21, 0x11, &four)), got("1.2.3.4:4711"));
        let more = [&four[..], &[4, 0, 1, 0]].concat();
        assert_eq!(said(&second(0x21, 0x11, &more)), got("1.2.3.4:4711"));
        let mut six = [0; 36];
        (six[0], six[15], six[33]) = (0x20, 1, 9);
        assert_eq!(said(&second(0x21, 0x21, &six)), got("[2000::1]:9"));
        assert_eq!(said(&second(0x20, 0, &[])), nothing);
        assert_eq!(said(&second(0x21, 0x31, &[0; 216])), nothing);
        for bad in [
            &b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"[..],
            b"PROXY TCP4 1.2.3.4 5.6.7.8 4711\r\n",
            b"PROXY TCP4 1.2.3.4 5.6.7.8 4711 80 1\r\n",
            b"PROXY TCP4 ::1 ::1 1 2\r\n",
            b"PROXY TCP4 1.2.3.4 5.6.7.8 +1 80\r\n",
            b"PROXY TCP4 1.2.3.4 5.6.7.8 99999 80\r\n",
            b"PROXY  TCP4 1.2.3.4 5.6.7.8 1 80\r\n",
            b"PROXY TCP4 1.2.3.4 5.6.7.8 1 80",
            b"PROXY TCP4 \xff\xff\xff\xff\r\n",
            b"",
            &second(0x31, 0x11, &four),
            &second(0x22, 0x11, &four),
            &second(0x21, 0x11, &four[..9]),
            &second(0x21, 0x21, &four),
            &[b"PROXY ", &[b'x'; 200][..]].concat(),
        ] {
            assert_eq!(said(bad), Err(()), "{}", bad.escape_ascii());
        }
    }
}
