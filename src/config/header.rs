//! Which header names a configuration may use for what.

use super::{
    error::{Expected, Fault},
    read::{Item, Place, Rule},
};

/// Bytes of a header's, a cookie's or a query argument's name, and of a scheme. Real ones stay below 64; Envoy's limit
/// for all headers of a request is 60 KiB.
pub(super) const MAX_NAME_BYTES: usize = 256;

/// A token of RFC 9110, 5.6.2: what header names, cookie names and schemes are.
pub(super) const TOKEN: Rule = Rule {
    min: 1,
    max: MAX_NAME_BYTES,
    of: "that are letters, digits or any of !#$%&'*+-.^_`|~",
    holds: |text| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)),
};

/// What frames or routes a message: keygate must neither remove it from a request nor write it.
macro_rules! framing {
    ($($more:literal),*) => {
        &["connection", "content-length", "content-type", "expect", "host", "keep-alive", "proxy-connection", "te",
          "trailer", "transfer-encoding", "upgrade" $(, $more)*]
    };
}

/// No key and no fact stands in these. A cookie is its own kind of source: the whole header holds other things too.
const NOT_IN_REQUESTS: &[&str] = framing!("cookie");
/// A callout has its own of these: the filter sets the last three, and reads no compressed answer.
const NOT_IN_CALLOUTS: &[&str] = framing!("accept-encoding", "if-none-match", "keygate-version", "prefer");

/// The name of a header of the client's request; lower-cased.
pub(super) fn request_header(item: &Item<'_>) -> Result<String, Fault> {
    other_than(item.text(&TOKEN)?, &item.place, NOT_IN_REQUESTS)
}

/// The name of a header of the callouts, which stands at `place`; lower-cased.
pub(super) fn callout_header(name: &str, place: &Place) -> Result<String, Fault> {
    if !TOKEN.fits(name) {
        return Err(place.unexpected_text(name, TOKEN.expected()));
    }
    other_than(name, place, NOT_IN_CALLOUTS)
}

fn other_than(name: &str, place: &Place, reserved: &'static [&'static str]) -> Result<String, Fault> {
    let lower = name.to_ascii_lowercase();
    if reserved.contains(&lower.as_str()) {
        return Err(place.unexpected_text(name, Expected::HeaderOtherThan(reserved)));
    }
    Ok(lower)
}
