//! Reasons: every reason for which keygate refuses a request, in the order of the decision. [`crate::answer::reply`] defines
//! what a client sees.

/// Defines [`Reason`]. Each entry has a sentence for `docs/decision.md` and the name in JSON, metrics and logs.
macro_rules! reasons {
    ($(#[doc = $when:literal] $variant:ident = $name:literal),* $(,)?) => {
        /// Why a request is refused, in the order of the decision.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Reason { $(#[doc = $when] $variant),* }

        impl Reason {
            /// All reasons, in order.
            pub const ALL: &[Reason] = &[$(Reason::$variant),*];

            /// The name in JSON, metrics, annotations and logs.
            pub fn as_str(self) -> &'static str {
                match self { $(Reason::$variant => $name),* }
            }

            /// When the reason applies: a sentence for `docs/decision.md`.
            pub fn when(self) -> &'static str {
                match self { $(Reason::$variant => $when),* }.trim_ascii()
            }

            pub fn parse(name: &str) -> Option<Self> {
                match name { $($name => Some(Reason::$variant),)* _ => None }
            }
        }
    };
}

reasons! {
    /// The digest of a key given is in `emergency.deny_keys`.
    KeyDenied = "key_denied",
    /// There is no policy yet, it cannot be read, or it has expired and would have allowed.
    PolicyUnavailable = "policy_unavailable",
    /// The path could be read two ways, or there is none.
    PathAmbiguous = "path_ambiguous",
    /// No API matches, or it is CREATED, RETIRED or in a state not known.
    ApiNotFound = "api_not_found",
    /// The API's state is BLOCKED.
    ApiBlocked = "api_blocked",
    /// No source holds a credential.
    CredentialMissing = "credential_missing",
    /// A source holds more than 4096 bytes, or bad Basic or percent encoding.
    CredentialMalformed = "credential_malformed",
    /// Several different keys are given.
    CredentialAmbiguous = "credential_ambiguous",
    /// The policy does not know the key.
    KeyUnknown = "key_unknown",
    /// The key is not active.
    KeyRevoked = "key_revoked",
    /// The key's time has not begun.
    KeyNotYetValid = "key_not_yet_valid",
    /// The key's time is over.
    KeyExpired = "key_expired",
    /// A deny policy matches the address, the application, the API or the owner.
    DeniedByPolicy = "denied_by_policy",
    /// The client's address is not in `permitted_ips`, or not known.
    AddressNotPermitted = "address_not_permitted",
    /// The referer is absent or matches none of `permitted_referers`.
    RefererNotPermitted = "referer_not_permitted",
    /// The key is bound to other APIs.
    KeyNotForApi = "key_not_for_api",
    /// The application is not known, or is not subscribed to the API.
    SubscriptionMissing = "subscription_missing",
    /// The application is BLOCKED, or in a state not known.
    ApplicationBlocked = "application_blocked",
    /// The subscription is BLOCKED, or PROD_ONLY_BLOCKED and the key is no sandbox key.
    SubscriptionBlocked = "subscription_blocked",
    /// The subscription is ON_HOLD, REJECTED or in a state not known, or a plan is not known.
    SubscriptionInactive = "subscription_inactive",
    /// The API has no endpoint for this key type.
    EndpointMissing = "endpoint_missing",
    /// The plan lists operations, and none matches.
    OperationNotPermitted = "operation_not_permitted",
    /// Too many requests at once.
    BurstExceeded = "burst_exceeded",
    /// The subscription's plan is used up.
    QuotaExceeded = "quota_exceeded",
    /// The application's plan is used up.
    ApplicationQuotaExceeded = "application_quota_exceeded",
}
