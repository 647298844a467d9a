//! Addresses and networks.

use std::net::{IpAddr, Ipv6Addr};

/// All addresses that begin with the same bits. An IPv4 address is the IPv6 address that it is mapped to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Net {
    bits: u128,
    mask: u128,
}

impl Net {
    /// Everything.
    pub(super) const ALL: Net = Net { bits: 0, mask: 0 };

    /// `10.0.0.0/8`, `fd00::/8`, `10.0.0.1`.
    pub(super) fn parse(text: &str) -> Option<Net> {
        let (address, length) = match text.split_once('/') {
            Some((address, length)) => (address, Some(length)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().ok()?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let length: u32 = match length {
            None => most,
            Some(digits) if digits.bytes().all(|b| b.is_ascii_digit()) => digits.parse().ok()?,
            Some(_) => return None,
        };
        // The bits before a mapped address are fixed.
        let host_bits = most.checked_sub(length)?;
        let mask = u128::MAX.checked_shl(host_bits).unwrap_or(0);
        let bits = number(address);
        // `10.0.0.1/8` is one address or a network: nobody knows which was meant.
        (bits & mask == bits).then_some(Net { bits, mask })
    }

    pub(super) fn contains(&self, address: IpAddr) -> bool {
        number(address) & self.mask == self.bits
    }
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().to_bits(),
        IpAddr::V6(address) => Ipv6Addr::to_bits(address),
    }
}

#[cfg(test)]
mod tests {
    use super::Net;

    #[test]
    fn nets() {
        let has = |net: &str, address: &str| {
            let net = Net::parse(net).unwrap_or_else(|| panic!("{net}"));
            net.contains(address.parse().expect(address))
        };
        assert!(has("10.0.0.0/8", "10.255.0.1") && !has("10.0.0.0/8", "11.0.0.1"));
        assert!(has("10.0.0.1", "10.0.0.1") && !has("10.0.0.1", "10.0.0.2"));
        assert!(has("10.0.0.1", "::ffff:10.0.0.1") && has("::ffff:10.0.0.1", "10.0.0.1"));
        assert!(has("0.0.0.0/0", "1.2.3.4") && !has("0.0.0.0/0", "::1"));
        assert!(
            has("::/0", "1.2.3.4") && has("::/0", "::1") && has("fd00::/8", "fd12::1") && !has("fd00::/8", "fe80::1")
        );
        assert!(Net::ALL.contains("1.2.3.4".parse().expect("an address")));
        for bad in [
            "",
            "10.0.0.1/8",
            "10.0.0.0/33",
            "::/129",
            "10.0.0.0/",
            "10.0.0.0/+8",
            "10.0.0",
            "localhost",
            "10.0.0.0/8/8",
            "::1/0",
        ] {
            assert_eq!(Net::parse(bad), None, "{bad}");
        }
    }
}
