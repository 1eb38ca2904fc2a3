//! Rules for header names in a configuration.

use super::{
    error::{Expected, Fault},
    read::{Item, Location, Rule},
};

/// Size limit of the name of a header, cookie or query argument, and of a scheme, in bytes. Real names have fewer than
/// 64; Envoy allows 60 KiB for all headers of a request.
pub(super) const MAX_NAME_BYTES: usize = 256;

/// A token of RFC 9110, 5.6.2. Header names, cookie names and schemes are tokens.
pub(super) const TOKEN: Rule = Rule {
    min: 1,
    max: MAX_NAME_BYTES,
    of: "that are letters, digits or any of !#$%&'*+-.^_`|~",
    holds: |text| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)),
};

/// Headers that frame or route a message. keygate must neither remove them from a request nor write them.
macro_rules! framing {
    ($($more:literal),*) => {
        &["connection", "content-length", "content-type", "expect", "host", "keep-alive", "proxy-connection", "te",
          "trailer", "transfer-encoding", "upgrade" $(, $more)*]
    };
}

/// These headers carry neither a key nor a fact. Cookies have a source kind of their own, because the whole `cookie`
/// header also holds other cookies.
const NOT_IN_REQUESTS: &[&str] = framing!("cookie");
/// Headers that a callout already has. The filter sets the last three, and it cannot read a compressed answer.
const NOT_IN_CALLOUTS: &[&str] = framing!("accept-encoding", "if-none-match", "keygate-version", "prefer");

/// The name of a header of the client's request, in lower case.
pub(super) fn request_header(item: &Item<'_>) -> Result<String, Fault> {
    other_than(item.text(&TOKEN)?, &item.place, NOT_IN_REQUESTS)
}

/// The name of a header of the callouts, in lower case; `place` is where it stands.
pub(super) fn callout_header(name: &str, place: &Location) -> Result<String, Fault> {
    if !TOKEN.fits(name) {
        return Err(place.unexpected_text(name, TOKEN.expected()));
    }
    other_than(name, place, NOT_IN_CALLOUTS)
}

fn other_than(name: &str, place: &Location, reserved: &'static [&'static str]) -> Result<String, Fault> {
    let lower = name.to_ascii_lowercase();
    if reserved.contains(&lower.as_str()) {
        return Err(place.unexpected_text(name, Expected::HeaderOtherThan(reserved)));
    }
    Ok(lower)
}
