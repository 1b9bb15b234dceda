//! Networks, and the addresses that are not public.
//!
//! A guest's request goes to a public address or to a network that the configuration names. This
//! file resolves no names.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A network, such as `10.0.0.0/8`, or a single address.
///
/// An IPv6 address that stands for an IPv4 one is treated as that: `::ffff:10.0.0.1` lies in
/// `10.0.0.0/8`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    first: IpAddr,
    prefix: u8,
}

impl Network {
    /// Reads an address, with or without the length of its prefix.
    ///
    /// # Errors
    ///
    /// A remedy: the text to write instead.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let example = "write a network as in \"10.0.0.0/8\", or an address as in \"127.0.0.1\"";
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let first: IpAddr = address.parse().map_err(|_| example)?;
        let most = width(first);
        let prefix = match prefix {
            None => most,
            Some(digits) => digits
                .parse()
                .ok()
                .filter(|prefix| *prefix <= most && !digits.starts_with('+'))
                .ok_or(example)?,
        };
        if bits(first) & !mask(prefix, most) != 0 {
            return Err("set the bits behind the prefix to zero, as in \"10.0.0.0/8\"");
        }
        if let IpAddr::V6(v6) = first
            && v6.to_ipv4_mapped().is_some()
        {
            return Err("write the IPv4 network that it stands for");
        }
        Ok(Self { first, prefix })
    }

    /// Returns true if `address` lies in it.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        let most = width(self.first);
        width(address) == most && bits(address) & mask(self.prefix, most) == bits(self.first)
    }

    /// Returns true if all of `other` lies in it.
    pub fn covers(&self, other: &Self) -> bool {
        self.prefix <= other.prefix && self.contains(other.first)
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.prefix == width(self.first) {
            write!(f, "{}", self.first)
        } else {
            write!(f, "{}/{}", self.first, self.prefix)
        }
    }
}

const fn width(address: IpAddr) -> u8 {
    match address {
        IpAddr::V4(_) => 32,
        IpAddr::V6(_) => 128,
    }
}

fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => v4.to_bits().into(),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

/// Mask with the first `prefix` of `most` bits set.
const fn mask(prefix: u8, most: u8) -> u128 {
    let all = u128::MAX >> (128 - most);
    if prefix == 0 {
        0
    } else {
        all & (all << (most - prefix))
    }
}

/// Returns the kind of an address that is not public; `None` for a public one.
pub fn not_public(address: IpAddr) -> Option<&'static str> {
    match address.to_canonical() {
        IpAddr::V4(v4) => v4_not_public(v4),
        IpAddr::V6(v6) => v6_not_public(v6),
    }
}

/// IPv4 networks that are not public, by IANA's registry of special purposes, the narrow ones first.
const V4: &[(Ipv4Addr, u8, &str)] = &[
    (
        Ipv4Addr::new(169, 254, 169, 254),
        32,
        "a cloud's metadata service",
    ),
    (
        Ipv4Addr::new(100, 100, 100, 200),
        32,
        "a cloud's metadata service",
    ),
    (Ipv4Addr::new(192, 0, 0, 0), 24, "reserved for protocols"),
    (Ipv4Addr::new(192, 0, 2, 0), 24, "for documentation"),
    (Ipv4Addr::new(198, 51, 100, 0), 24, "for documentation"),
    (Ipv4Addr::new(203, 0, 113, 0), 24, "for documentation"),
    (Ipv4Addr::new(192, 88, 99, 0), 24, "a relay to IPv6"),
    (Ipv4Addr::new(192, 168, 0, 0), 16, "private"),
    (Ipv4Addr::new(169, 254, 0, 0), 16, "link-local"),
    (Ipv4Addr::new(198, 18, 0, 0), 15, "for benchmarks"),
    (Ipv4Addr::new(172, 16, 0, 0), 12, "private"),
    (
        Ipv4Addr::new(100, 64, 0, 0),
        10,
        "shared by a carrier's customers",
    ),
    (Ipv4Addr::UNSPECIFIED, 8, "this host or network"),
    (Ipv4Addr::new(10, 0, 0, 0), 8, "private"),
    (Ipv4Addr::new(127, 0, 0, 0), 8, "loopback"),
    (Ipv4Addr::new(224, 0, 0, 0), 4, "multicast"),
    (Ipv4Addr::new(240, 0, 0, 0), 4, "reserved or broadcast"),
];

fn v4_not_public(address: Ipv4Addr) -> Option<&'static str> {
    let lies_in = |(first, prefix, _): &&(Ipv4Addr, u8, &str)| {
        bits(address.into()) & mask(*prefix, 32) == bits((*first).into())
    };
    V4.iter().find(lies_in).map(|(_, _, why)| *why)
}

/// Only global unicast addresses of IPv6 are public, and not all of those.
fn v6_not_public(address: Ipv6Addr) -> Option<&'static str> {
    let s = address.segments();
    match s {
        _ if address.is_loopback() => Some("loopback"),
        _ if address.is_unspecified() => Some("this host"),
        [0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0x0254] => Some("a cloud's metadata service"),
        [0, 0, 0, 0, 0, 0, ..] => Some("an IPv4 address in an old IPv6 form"),
        [0x64, 0xff9b, ..] => Some("an IPv4 address behind a translator"),
        [a, ..] if a & 0xfe00 == 0xfc00 => Some("private (unique local)"),
        [a, ..] if a & 0xffc0 == 0xfe80 => Some("link-local"),
        [a, ..] if a & 0xffc0 == 0xfec0 => Some("private (site-local)"),
        [a, ..] if a & 0xff00 == 0xff00 => Some("multicast"),
        [a, ..] if a & 0xe000 != 0x2000 => Some("not global"),
        [0x2001, 0x0db8, ..] | [0x3fff, 0..=0x0fff, ..] => Some("for documentation"),
        [0x2001, 0..=0x01ff, ..] => Some("reserved for protocols or a tunnel over IPv4"),
        [0x2002, ..] => Some("a tunnel over IPv4"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn networks_are_read_in_one_form_only() {
        for good in [
            "10.0.0.0/8",
            "127.0.0.1",
            "fd00::/8",
            "::1",
            "0.0.0.0/0",
            "::/0",
        ] {
            assert_eq!(Network::parse(good).unwrap().to_string(), good);
        }
        for bad in [
            "",
            "10.0.0.1/8",
            "10/8",
            "10.0.0.0/33",
            "10.0.0.0/+8",
            "10.0.0.0/",
            "::ffff:10.0.0.0/104",
            "::1/129",
            "localhost",
            "010.0.0.0/8",
            "10.0.0.0/8/8",
        ] {
            assert!(Network::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_network_contains_its_addresses_in_every_form() {
        let net = Network::parse("10.0.0.0/8").unwrap();
        assert!(net.contains(ip("10.255.0.1")) && net.contains(ip("::ffff:10.0.0.1")));
        assert!(!net.contains(ip("11.0.0.0")) && !net.contains(ip("a00::")));
        assert!(net.covers(&Network::parse("10.1.0.0/16").unwrap()));
        assert!(!net.covers(&Network::parse("0.0.0.0/0").unwrap()));
        assert!(Network::parse("::/0").unwrap().contains(ip("::1")));
        assert!(!Network::parse("::/0").unwrap().contains(ip("127.0.0.1")));
        assert!(
            Network::parse("0.0.0.0/0")
                .unwrap()
                .contains(ip("127.0.0.1"))
        );
    }

    #[test]
    fn what_is_not_public_is_known_in_every_form() {
        for address in [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "100.64.0.1",
            "100.127.255.255",
            "127.0.0.1",
            "127.8.8.8",
            "169.254.169.254",
            "169.254.0.1",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.1",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "239.1.1.1",
            "240.0.0.1",
            "255.255.255.255",
            "100.100.100.200",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::ffff:a9fe:a9fe",
            "::127.0.0.1",
            "::a00:1",
            "64:ff9b::a9fe:a9fe",
            "64:ff9b::8.8.8.8",
            "64:ff9b:1::1",
            "100::1",
            "2001::1",
            "2001:db8::1",
            "2001:20::1",
            "2002:7f00:1::",
            "2002:a9fe:a9fe::",
            "3fff::1",
            "fc00::1",
            "fd00:ec2::254",
            "fd12::1",
            "fe80::1",
            "fec0::1",
            "ff02::1",
            "5f00::1",
        ] {
            assert!(not_public(ip(address)).is_some(), "{address}");
        }
        for address in [
            "1.1.1.1",
            "8.8.8.8",
            "100.63.0.1",
            "100.128.0.1",
            "172.15.0.1",
            "172.32.0.1",
            "169.253.1.1",
            "192.167.1.1",
            "198.17.0.1",
            "198.20.0.1",
            "223.255.255.255",
            "::ffff:8.8.8.8",
            "2606:4700::1111",
            "2a00:1450::1",
            "2001:4860:4860::8888",
        ] {
            assert_eq!(not_public(ip(address)), None, "{address}");
        }
        assert_eq!(
            not_public(ip("169.254.169.254")),
            Some("a cloud's metadata service")
        );
        assert_eq!(
            not_public(ip("fd00:ec2::254")),
            Some("a cloud's metadata service")
        );
    }
}
