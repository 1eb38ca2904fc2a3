//! The vocabulary of a policy: APIs, applications, keys, subscriptions, plans and deny policies.
//!
//! Values here are already valid: [`rows`] makes them from the rows of [`wire`]. A value of a newer policy service that
//! this code does not know becomes the variant that permits least. Nothing here reads JSON, stores anything or decides.

pub mod block;
pub mod cursor;
mod describe;
pub mod differing;
pub mod error;
pub mod ip_range;
pub mod left_out;
pub mod list;
pub(crate) mod object;
pub mod page;
mod raw;
pub mod rows;
mod small;
pub mod text;
pub mod unknown;
pub mod wire;

use std::{borrow::Cow, fmt};

/// Size limit of a page in bytes. Envoy itself ends a callout's body at 32 MiB.
pub const MAX_PAGE_BYTES: usize = 32 << 20;
/// Size limit of an id, a name or an owner in bytes. They travel in headers (Envoy's default limit for all of them is
/// 60 KiB) and are kept in shared data, where the record of a key holds at most four.
pub const MAX_TEXT_BYTES: usize = 256;
/// Entries in one list of a row (`apis`, `permitted_ips`, `hosts`, …). 1,000 texts of 256 bytes are 256 KB. That is the
/// most memory that one row can make a VM use.
pub const MAX_LIST_ENTRIES: usize = 1_000;
/// APIs in one policy. A VM keeps them decoded: at about 1 KB each, 10 MB per VM.
pub const MAX_APIS: usize = 10_000;
/// Plans in one policy. A VM keeps them decoded, like the APIs.
pub const MAX_PLANS: usize = 10_000;
/// Deny policies in one policy. A request may be compared with every range among them.
pub const MAX_DENY_POLICIES: usize = 10_000;
/// Largest revision. Every JSON implementation represents integers below 2^53 exactly.
pub const MAX_REVISION: u64 = (1 << 53) - 1;
/// Largest time, in Unix seconds: 9999-12-31T23:59:59Z. A row with a later time counts as damaged.
pub const MAX_UNIX_SECONDS: i64 = 253_402_300_799;

/// An id, a name or an owner: 1 to [`MAX_TEXT_BYTES`] bytes of UTF-8 without control characters, so that it fits a
/// header. It neither begins nor ends with white space: HTTP trims header values, so two ids could become one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Text<'a>(Cow<'a, str>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InvalidText {
    Empty,
    /// Longer than [`MAX_TEXT_BYTES`].
    TooLong,
    /// Contains a control character (C0, DEL or C1).
    ControlCharacter,
    /// Begins or ends with white space.
    OuterWhiteSpace,
}

impl fmt::Display for InvalidText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => write!(f, "empty, expected 1 to {MAX_TEXT_BYTES} bytes"),
            Self::TooLong => write!(f, "longer than {MAX_TEXT_BYTES} bytes"),
            Self::ControlCharacter => write!(f, "has a control character"),
            Self::OuterWhiteSpace => write!(f, "begins or ends with white space, which HTTP cuts off in a header"),
        }
    }
}

impl<'a> Text<'a> {
    pub fn new(text: impl Into<Cow<'a, str>>) -> Result<Self, InvalidText> {
        let text = text.into();
        if text.is_empty() {
            Err(InvalidText::Empty)
        } else if text.len() > MAX_TEXT_BYTES {
            Err(InvalidText::TooLong)
        } else if text.chars().any(char::is_control) {
            Err(InvalidText::ControlCharacter)
        } else if text.trim().len() < text.len() {
            Err(InvalidText::OuterWhiteSpace)
        } else {
            Ok(Self(text))
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    pub fn into_owned(self) -> Text<'static> {
        Text(Cow::Owned(self.0.into_owned()))
    }
}

/// The type of a key. A type that is absent or unknown counts as production, which permits less.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KeyType {
    /// `PRODUCTION`.
    #[default]
    Production,
    /// `SANDBOX`.
    Sandbox,
}

impl KeyType {
    /// The name in JSON and in the `x-key-type` header.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Production => "PRODUCTION",
            Self::Sandbox => "SANDBOX",
        }
    }

    pub(crate) fn parse(text: Option<&str>) -> Self {
        match text {
            Some("SANDBOX") => Self::Sandbox,
            _ => Self::Production,
        }
    }
}

/// Whether a key may be used at all. Every state but `ACTIVE` counts as revoked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KeyState {
    /// `ACTIVE`.
    #[default]
    Active,
    /// `REVOKED`, and every unknown state.
    Revoked,
}

impl KeyState {
    pub(crate) fn parse(text: Option<&str>) -> Self {
        match text {
            None | Some("ACTIVE") => Self::Active,
            Some(_) => Self::Revoked,
        }
    }
}

/// Whether an application may call anything. Every state but `ACTIVE` counts as blocked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ApplicationState {
    /// `ACTIVE`.
    #[default]
    Active,
    /// `BLOCKED`, and every unknown state.
    Blocked,
}

impl ApplicationState {
    pub(crate) fn parse(text: Option<&str>) -> Self {
        match text {
            None | Some("ACTIVE") => Self::Active,
            Some(_) => Self::Blocked,
        }
    }
}

/// The state of one application's subscription to one API.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SubscriptionState {
    /// `UNBLOCKED`: keys of both types pass.
    #[default]
    Unblocked,
    /// `TIER_UPDATE_PENDING`: passes under the old plan.
    TierUpdatePending,
    /// `DELETE_PENDING`: passes until the subscription is removed.
    DeletePending,
    /// `BLOCKED`: keys of neither type pass.
    Blocked,
    /// `PROD_ONLY_BLOCKED`: sandbox keys pass.
    ProdOnlyBlocked,
    /// `ON_HOLD`: not approved yet.
    OnHold,
    /// `REJECTED`: never approved.
    Rejected,
    /// A state that this code does not know; it denies.
    Unknown,
    /// The row was invalid. It counts as missing, but unlike a missing one it also denies if the API requires no
    /// subscription.
    LeftOut,
}

impl SubscriptionState {
    /// The word of each state in a row. A policy service may write these words and no others.
    pub const WORDS: [(&'static str, Self); 7] = [
        ("UNBLOCKED", Self::Unblocked),
        ("BLOCKED", Self::Blocked),
        ("PROD_ONLY_BLOCKED", Self::ProdOnlyBlocked),
        ("ON_HOLD", Self::OnHold),
        ("REJECTED", Self::Rejected),
        ("TIER_UPDATE_PENDING", Self::TierUpdatePending),
        ("DELETE_PENDING", Self::DeletePending),
    ];

    /// Whether requests pass, whatever the type of their key.
    pub fn passes(self) -> bool {
        matches!(self, Self::Unblocked | Self::TierUpdatePending | Self::DeletePending)
    }

    /// The state during a planned block. Every word that names no block counts as unknown, so it denies.
    pub(crate) fn planned(text: &str) -> Self {
        match Self::parse(Some(text)) {
            state @ (Self::Blocked | Self::ProdOnlyBlocked) => state,
            _ => Self::Unknown,
        }
    }

    pub(crate) fn parse(text: Option<&str>) -> Self {
        let Some(text) = text else { return Self::default() };
        Self::WORDS.iter().find(|(word, _)| *word == text).map_or(Self::Unknown, |(_, state)| *state)
    }
}

/// The lifecycle of an API, as far as it decides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ApiState {
    /// `PUBLISHED`, `PROTOTYPED` and `DEPRECATED`.
    #[default]
    Served,
    /// `BLOCKED`.
    Blocked,
    /// `CREATED`, `RETIRED`, and everything that this code does not know.
    NotFound,
}

impl ApiState {
    pub(crate) fn parse(text: Option<&str>) -> Self {
        match text {
            None | Some("PUBLISHED" | "PROTOTYPED" | "DEPRECATED") => Self::Served,
            Some("BLOCKED") => Self::Blocked,
            Some(_) => Self::NotFound,
        }
    }
}

/// What an API asks of a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Security {
    /// `api_key`, and everything that this code does not know.
    #[default]
    ApiKey,
    /// `none`: passes without a credential.
    None,
}

impl Security {
    pub(crate) fn parse(text: Option<&str>) -> Self {
        match text {
            Some("none") => Self::None,
            _ => Self::ApiKey,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_neither_begins_nor_ends_with_white_space() {
        for blank in [" ", "\u{a0}", "\u{1680}", "\u{2003}", "\u{2028}", "\u{202f}", "\u{205f}", "\u{3000}"] {
            for text in
                [format!("{blank}shop"), format!("shop{blank}"), format!("{blank}shop{blank}"), blank.to_owned()]
            {
                assert_eq!(Text::new(&*text), Err(InvalidText::OuterWhiteSpace), "{text:?}");
            }
            let within = format!("a{blank}b");
            assert_eq!(Text::new(&*within).as_ref().map(Text::as_str), Ok(&*within));
        }
        for text in ["\tshop", "shop\n", "shop\u{85}"] {
            assert_eq!(Text::new(text), Err(InvalidText::ControlCharacter), "{text:?}");
        }
    }
}
