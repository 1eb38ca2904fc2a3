//! Addresses and ranges of addresses, as rows name them. Which client has which address is not known here.

use std::net::IpAddr;

use ipnet::IpNet;

/// An address or a range, with an IPv4 address that is mapped into IPv6 taken for the IPv4 address that it is.
pub fn parse_range(text: &str) -> Option<IpNet> {
    let range = match text.parse::<IpNet>() {
        Ok(range) => range,
        Err(_) => IpNet::from(text.parse::<IpAddr>().ok()?),
    };
    let IpNet::V6(v6) = range else { return Some(range) };
    // ::ffff:0:0/96 is where IPv4 is mapped to; a shorter prefix reaches beyond it and stays IPv6.
    match (v6.addr().to_ipv4_mapped(), v6.prefix_len().checked_sub(96)) {
        (Some(v4), Some(prefix)) => ipnet::Ipv4Net::new(v4, prefix).ok().map(IpNet::V4),
        _ => Some(range),
    }
}
