//! Refusals as clients see them: the only place that knows reasons, codes, statuses, messages and bodies.
//!
//! [`Reason`] is the list of everything that keygate can say no for. What the client sent never gets in here, so no
//! reply can repeat it.

/// Defines [`Reason`] with, for each: its name in JSON, metrics and logs.
macro_rules! reasons {
    ($($(#[$doc:meta])* $variant:ident = $name:literal),* $(,)?) => {
        /// Why a request is refused. The order is that of the decision.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Reason { $($(#[$doc])* $variant),* }

        impl Reason {
            /// All reasons, in order.
            pub const ALL: &[Reason] = &[$(Reason::$variant),*];

            /// The name in JSON, metrics, annotations and logs.
            pub fn as_str(self) -> &'static str {
                match self { $(Reason::$variant => $name),* }
            }

            /// The reason of that name.
            pub fn parse(name: &str) -> Option<Self> {
                match name { $($name => Some(Reason::$variant),)* _ => None }
            }
        }
    };
}

reasons! {
    /// The key's digest is among the emergency denials.
    KeyDenied = "key_denied",
    /// There is no policy, or it has expired.
    PolicyUnavailable = "policy_unavailable",
    /// The path could be read two ways, or there is none.
    PathAmbiguous = "path_ambiguous",
    /// No API matches, or it is not served.
    ApiNotFound = "api_not_found",
    /// The API is blocked.
    ApiBlocked = "api_blocked",
    /// No source holds a credential.
    CredentialMissing = "credential_missing",
    /// What a source holds cannot be a credential.
    CredentialMalformed = "credential_malformed",
    /// Several different credentials.
    CredentialAmbiguous = "credential_ambiguous",
    /// The policy does not know the key.
    KeyUnknown = "key_unknown",
    /// The key is not active.
    KeyRevoked = "key_revoked",
    /// The key's time has not begun.
    KeyNotYetValid = "key_not_yet_valid",
    /// The key's time is over.
    KeyExpired = "key_expired",
    /// A deny policy matches.
    DeniedByPolicy = "denied_by_policy",
    /// The client's address is not permitted.
    AddressNotPermitted = "address_not_permitted",
    /// The referer is not permitted.
    RefererNotPermitted = "referer_not_permitted",
    /// The key is bound to other APIs.
    KeyNotForApi = "key_not_for_api",
    /// The application is not known, or has no subscription.
    SubscriptionMissing = "subscription_missing",
    /// The application is blocked.
    ApplicationBlocked = "application_blocked",
    /// The subscription is blocked for this key type.
    SubscriptionBlocked = "subscription_blocked",
    /// The subscription is in no state that permits anything.
    SubscriptionInactive = "subscription_inactive",
    /// The API has no endpoint for this key type.
    EndpointMissing = "endpoint_missing",
    /// The plan does not open this operation.
    OperationNotPermitted = "operation_not_permitted",
    /// Too many requests at once.
    BurstExceeded = "burst_exceeded",
    /// The subscription's plan is used up.
    QuotaExceeded = "quota_exceeded",
    /// The application's plan is used up.
    ApplicationQuotaExceeded = "application_quota_exceeded",
}
