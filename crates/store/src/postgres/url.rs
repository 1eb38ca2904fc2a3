//! The URL of a PostgreSQL database: recognises it, shows it without secrets, and rejects invalid ones before anything
//! is logged. A URL may contain a password, so no error and no log line repeats it.

use std::str::FromStr as _;

use sqlx::postgres::PgConnectOptions;

use management::port::Error;

const SCHEMES: [&str; 2] = ["postgres://", "postgresql://"];
/// The parameters that sqlx knows. sqlx logs the values of unknown parameters, which may be a mistyped `password`.
const PARAMETERS: [&str; 16] = [
    "sslmode",
    "ssl-mode",
    "sslrootcert",
    "ssl-root-cert",
    "ssl-ca",
    "sslcert",
    "ssl-cert",
    "sslkey",
    "ssl-key",
    "host",
    "hostaddr",
    "port",
    "dbname",
    "user",
    "password",
    "application_name",
];

/// Whether a text is the URL of a PostgreSQL database.
pub fn is_url(url: &str) -> bool {
    SCHEMES.iter().any(|scheme| url.starts_with(scheme))
}

/// The URL without user, password and parameters.
pub fn shown(url: &str) -> String {
    let (scheme, _) = url.split_once("://").unwrap_or_default();
    match parse(url) {
        Ok(options) => {
            let (host, port) = (options.get_host(), options.get_port());
            format!("{scheme}://{host}:{port}/{}", options.get_database().unwrap_or_default())
        }
        Err(_) => format!("{scheme}://…"),
    }
}

/// The options with which connections are opened.
pub fn parse(url: &str) -> Result<PgConnectOptions, Error> {
    let refused = || {
        let scheme = SCHEMES.iter().find(|scheme| url.starts_with(**scheme)).unwrap_or(&"");
        Error::Url(format!("{scheme}…"))
    };
    let parameters = url.split_once('?').map_or("", |(_, parameters)| parameters);
    let names = parameters.split('&').filter(|one| !one.is_empty()).map(|one| one.split('=').next().unwrap_or(one));
    for name in names {
        if !PARAMETERS.contains(&name) {
            return Err(refused());
        }
    }
    let options = PgConnectOptions::from_str(url).map_err(|_| refused())?;
    Ok(options)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_may_be_a_password_is_shown() {
        for (url, expected) in [
            ("postgres://ann:hunter2@db.example:5433/keygate", "postgres://db.example:5433/keygate"),
            ("postgresql://db/keygate?user=ann&password=hunter2", "postgresql://db:5432/keygate"),
            ("postgres://ann:hun/ter2@db/keygate", "postgres://…"),
            ("postgres://ann:hun?ter2@db/keygate", "postgres://…"),
            ("postgres://db/keygate?passwort=hunter2", "postgres://…"),
            ("postgres://db:hunter2/keygate", "postgres://…"),
        ] {
            assert_eq!(shown(url), expected);
        }
        let error = parse("postgres://db/keygate?passwort=hunter2").unwrap_err().to_string();
        assert!(!error.contains("hunter2") && error.contains("postgres://"), "{error}");
    }

    #[test]
    fn both_schemes_are_one_kind_of_database() {
        for (url, expected) in [
            ("postgres://h/d", true),
            ("postgresql://h/d", true),
            ("sqlite:postgres://h/d", false),
            ("postgres:h", false),
        ] {
            assert_eq!(is_url(url), expected, "{url}");
        }
    }
}
