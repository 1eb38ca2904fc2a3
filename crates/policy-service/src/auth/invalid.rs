//! Why the credentials in the configuration are rejected. A message names clients, never secrets.

use super::secret::MAX_CREDENTIAL_BYTES;

/// Maximum number of gateways in the configuration. Each request to the feed is compared with all of them.
pub const MAX_GATEWAYS: usize = 1_000;

/// Why the credentials in the configuration are rejected. The message names clients, never secrets.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidCredentials {
    /// The administrator's token is empty, too long, or not visible ASCII.
    #[error(
        "--admin-token (POLICY_ADMIN_TOKEN): expected a token of 1 to {MAX_CREDENTIAL_BYTES} visible ASCII characters"
    )]
    Token,
    /// An entry of the list of gateways is malformed.
    #[error(
        "--gateways (POLICY_GATEWAYS): gateway {0} (counted from 1) is not client_id:client_secret, each of 1 to \
         {MAX_CREDENTIAL_BYTES} bytes, without blanks around them"
    )]
    Gateway(usize),
    /// The list of gateways is too long.
    #[error("--gateways (POLICY_GATEWAYS): there are more than {MAX_GATEWAYS} gateways")]
    TooManyGateways,
    /// Two gateways have the same secret.
    #[error(
        "--gateways (POLICY_GATEWAYS): gateways {0:?} and {1:?} have the same secret; sent as Bearer it would not tell \
         them apart"
    )]
    SharedSecret(String, String),
    /// A gateway's secret is the administrator's token.
    #[error(
        "--gateways (POLICY_GATEWAYS): the secret of gateway {0:?} is the administrator's token \
         (POLICY_ADMIN_TOKEN); expected another"
    )]
    AdministratorsToken(String),
    /// The list of limited gateways is not the expected JSON.
    #[error(
        "--gateway-apis (POLICY_GATEWAY_APIS): expected a JSON object of lists of API ids, as {{\"edge-1\": [\"payments-1.0\"]}}: {0}"
    )]
    Limits(String),
    /// A limited gateway lists an API id that no API can have.
    #[error(
        "--gateway-apis (POLICY_GATEWAY_APIS): an API of gateway {0:?} is {1:?}, expected an id of 1 to 256 bytes \
         without control characters"
    )]
    Api(String, String),
    /// A limit names a gateway that does not exist.
    #[error(
        "--gateway-apis (POLICY_GATEWAY_APIS): gateway {0:?} is limited to some APIs, but no gateway has that client_id"
    )]
    UnknownGateway(String),
}
