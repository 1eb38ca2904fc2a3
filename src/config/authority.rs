//! `policy.authority`: either given or derived from the cluster's name. Nothing here checks whether a server answers at
//! it.

use std::borrow::Cow;

/// Whether a text is a host with an optional port. A host is a name, an IPv4 address, or an IPv6 address in brackets.
pub(super) fn is_authority(text: &str) -> bool {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => match rest.split_once(']') {
            Some((address, port)) if address.parse::<std::net::Ipv6Addr>().is_ok() => ("ipv6", port),
            _ => return false,
        },
        None => text.split_at(text.find(':').unwrap_or(text.len())),
    };
    let is_name = !host.is_empty()
        && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=%".contains(&byte));
    is_name && (port.is_empty() || port.strip_prefix(':').is_some_and(is_port))
}

fn is_port(digits: &str) -> bool {
    digits.len() <= 5
        && digits.bytes().all(|byte| byte.is_ascii_digit())
        && digits.parse::<u16>().is_ok_and(|port| port > 0)
}

/// The authority that a cluster's name stands for: `HOST:PORT` for Istio's `outbound|PORT|SUBSET|HOST`, otherwise the
/// name.
pub(super) fn of_cluster(name: &str) -> Option<Cow<'_, str>> {
    let mut parts = name.split('|');
    if let (Some("outbound"), Some(port), Some(_), Some(host), None) =
        (parts.next(), parts.next(), parts.next(), parts.next(), parts.next())
    {
        let is_ipv6 = host.parse::<std::net::Ipv6Addr>().is_ok();
        let authority = if is_ipv6 { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
        return Some(Cow::Owned(authority)).filter(|authority| is_port(port) && is_authority(authority));
    }
    is_authority(name).then_some(Cow::Borrowed(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clusters_name_stands_for_its_authority_or_for_none() {
        for (cluster, expected) in [
            ("policy-service", Some("policy-service")),
            ("policy_service", Some("policy_service")),
            ("policy.example.com:8085", Some("policy.example.com:8085")),
            ("127.0.0.1:8085", Some("127.0.0.1:8085")),
            ("[::1]:8085", Some("[::1]:8085")),
            ("outbound|8085||policy.ns.svc.cluster.local", Some("policy.ns.svc.cluster.local:8085")),
            ("outbound|443|v1|policy.example.com", Some("policy.example.com:443")),
            ("outbound|80||2001:db8::1", Some("[2001:db8::1]:80")),
            ("outbound|http||policy.ns", None),
            ("outbound|0||policy.ns", None),
            ("outbound|65536||policy.ns", None),
            ("outbound|80||", None),
            ("outbound|80||a|b", None),
            ("outbound|80|policy.ns", None),
            ("inbound|8085||", None),
            ("httproute/ns/name/rule/0", None),
            ("a b", None),
            ("a@b", None),
            ("a:b", None),
            ("a:1:2", None),
            ("a:", None),
            ("::1", None),
            ("[::1", None),
            ("[x]:80", None),
            ("a#b", None),
            ("a?b", None),
            ("ä", None),
        ] {
            assert_eq!(of_cluster(cluster).as_deref(), expected, "{cluster}");
        }
    }
}
