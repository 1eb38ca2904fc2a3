//! Parses addresses and ranges of addresses in rows. Nothing here knows the address of a client.

use std::net::IpAddr;

use ipnet::IpNet;

/// An address or a range. An IPv4-mapped IPv6 address becomes the IPv4 address.
pub fn parse_range(text: &str) -> Option<IpNet> {
    let range = match text.parse::<IpNet>() {
        Ok(range) => range,
        Err(_) => IpNet::from(text.parse::<IpAddr>().ok()?),
    };
    let IpNet::V6(v6) = range else { return Some(range) };
    // ::ffff:0:0/96 holds the mapped IPv4 addresses. A shorter prefix covers more than these, so it stays IPv6.
    match (v6.addr().to_ipv4_mapped(), v6.prefix_len().checked_sub(96)) {
        (Some(v4), Some(prefix)) => ipnet::Ipv4Net::new(v4, prefix).ok().map(IpNet::V4),
        _ => Some(range),
    }
}
