//! The arguments of the console and of sign-in by OpenID Connect. [`crate::signin::Settings`] checks them together.

use std::fmt;

use clap::{Args, builder::BoolishValueParser};

/// The console, and the identity provider whose people may sign in.
#[derive(Args, Clone, Default)]
pub struct SignIn {
    /// Serve the console, and accept the sessions of people who signed in to it.
    #[arg(long, env = "POLICY_CONSOLE", default_value = "on", value_name = "on|off",
          value_parser = BoolishValueParser::new(), action = clap::ArgAction::Set)]
    pub console: bool,
    /// The address at which browsers reach the service, such as https://keygate.example.com. The identity provider leads
    /// back to /console/callback below it. If it is https, cookies are sent over TLS alone.
    #[arg(long, env = "POLICY_PUBLIC_URL", value_name = "URL")]
    pub public_url: Option<String>,
    /// The issuer of the identity provider, as its discovery document names it. People then sign in by OpenID Connect.
    #[arg(long, env = "POLICY_OIDC_ISSUER", value_name = "URL")]
    pub oidc_issuer: Option<String>,
    /// The client that the identity provider knows this service by.
    #[arg(long, env = "POLICY_OIDC_CLIENT_ID", value_name = "ID")]
    pub oidc_client_id: Option<String>,
    /// The client's secret. Prefer the variable, because every user of the machine can read arguments.
    #[arg(long, env = "POLICY_OIDC_CLIENT_SECRET", hide_env_values = true, value_name = "SECRET")]
    pub oidc_client_secret: Option<String>,
    /// The claim that names the person; `sub` unless given. The subject is `oidc:` and its value.
    #[arg(long, env = "POLICY_OIDC_SUBJECT_CLAIM", value_name = "CLAIM")]
    pub oidc_subject_claim: Option<String>,
    /// The claim that names the role; `role` unless given.
    #[arg(long, env = "POLICY_OIDC_ROLE_CLAIM", value_name = "CLAIM")]
    pub oidc_role_claim: Option<String>,
    /// The scopes to ask for, with blanks between them. By default `openid`, and those of `profile`, `email` and the two
    /// claims that the identity provider has.
    #[arg(long, env = "POLICY_OIDC_SCOPES", value_name = "SCOPES")]
    pub oidc_scopes: Option<String>,
}

impl fmt::Debug for SignIn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignIn").field("console", &self.console).finish_non_exhaustive()
    }
}
