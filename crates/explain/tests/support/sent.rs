//! A request of the table of cases (`tests/cases/`), as the crate takes it. The tests of the crate, of the whole filter
//! and of the real Envoy include this file beside the table.

use explain::request::{Address, Credential, Request};
use keygate::{
    config::{ApiSource, Config},
    decision::parse_address,
};

use crate::cases::table::Sent;

pub fn request(sent: &Sent, config: &Config) -> Request {
    let address = sent.address.as_deref().and_then(parse_address);
    let route = sent.route.as_ref().filter(|route| is_asked(route, config));
    Request {
        method: sent.method.clone(),
        authority: sent.authority.clone(),
        path: sent.path.clone(),
        headers: sent.headers.iter().map(|(name, value)| (name.to_ascii_lowercase(), value.clone())).collect(),
        address: address.map_or(Address::Unknown, Address::Known),
        route: route.map(|[_, _, value]| value.clone().into_bytes()),
        credential: Credential::AsSent,
    }
}

/// Whether the configuration looks at this place of the route's metadata.
fn is_asked([namespace, key, _]: &[String; 3], config: &Config) -> bool {
    config.api == ApiSource::RouteMetadata { namespace: namespace.clone(), key: key.clone() }
}
