//! A range of addresses from one to another, as the CIDR blocks that it is.

use std::net::IpAddr;

use ipnet::{IpNet, IpSubnets, Ipv4Subnets, Ipv6Subnets};

/// Blocks of a range. A range of IPv6 has at most 254, one for each bit at each end.
pub const MAX_BLOCKS: usize = 254;

/// The blocks of `first` to `last`, both included. `None` if they are of two families or in the wrong order.
pub fn blocks(first: IpAddr, last: IpAddr) -> Option<Vec<IpNet>> {
    let subnets = match (first, last) {
        (IpAddr::V4(first), IpAddr::V4(last)) if first <= last => IpSubnets::V4(Ipv4Subnets::new(first, last, 0)),
        (IpAddr::V6(first), IpAddr::V6(last)) if first <= last => IpSubnets::V6(Ipv6Subnets::new(first, last, 0)),
        _ => return None,
    };
    Some(subnets.take(MAX_BLOCKS).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(first: &str, last: &str) -> Option<String> {
        let blocks = blocks(first.parse().unwrap(), last.parse().unwrap())?;
        Some(blocks.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn a_range_is_the_blocks_that_hold_its_addresses_and_no_other() {
        for (first, last, expected) in [
            ("192.0.2.1", "192.0.2.1", Some("192.0.2.1/32")),
            ("192.0.2.0", "192.0.2.255", Some("192.0.2.0/24")),
            ("192.0.2.1", "192.0.2.4", Some("192.0.2.1/32 192.0.2.2/31 192.0.2.4/32")),
            ("0.0.0.0", "255.255.255.255", Some("0.0.0.0/0")),
            ("10.255.255.255", "11.0.0.0", Some("10.255.255.255/32 11.0.0.0/32")),
            ("2001:db8::", "2001:db8::3", Some("2001:db8::/126")),
            ("::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", Some("::/0")),
            ("192.0.2.2", "192.0.2.1", None),
            ("192.0.2.2", "2001:db8::", None),
        ] {
            assert_eq!(shown(first, last).as_deref(), expected, "{first} {last}");
        }
        let most = blocks("::1".parse().unwrap(), "ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe".parse().unwrap()).unwrap();
        assert_eq!(most.len(), MAX_BLOCKS);
    }
}
