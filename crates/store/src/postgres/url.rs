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

/// Bytes of an unknown parameter's name that a message repeats. The longest known one has 16.
const MAX_SHOWN_NAME: usize = 32;

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

/// The name of an unknown parameter for a message, unless it may be a part of a password. A password with a `?` of its
/// own leaves an `@` behind the first `?`. A value without a name and a `=` could be anything.
fn shown_name(url: &str, name: &str) -> Option<String> {
    let (_, parameters) = url.split_once('?')?;
    let is_word = |byte: u8| byte.is_ascii_lowercase() || byte == b'_' || byte == b'-';
    let is_name = name.len() <= MAX_SHOWN_NAME && name.bytes().all(is_word) && parameters.contains(&format!("{name}="));
    (is_name && !parameters.contains('@')).then(|| name.to_owned())
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
            return Err(Error::Parameter { name: shown_name(url, name), allowed: PARAMETERS.join(", ") });
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
        assert!(!error.contains("hunter2") && error.contains("passwort"), "{error}");
    }

    #[test]
    fn an_unknown_parameter_is_named_unless_it_may_be_a_password() {
        for (url, named) in [
            ("postgres://ann:hunter@db/keygate?foo=1", "parameter foo, expected one of sslmode, "),
            ("postgres://db/keygate?sslmode=require&pool-size=hunter", "parameter pool-size, expected"),
            ("postgres://db/keygate?hunter", "parameter …, expected one of sslmode, "),
            ("postgres://db/keygate?hunter2=1", "parameter …, expected"),
            ("postgres://ann:x?hunter=y@db/keygate", "parameter …, expected"),
            ("postgres://ann:x?a&hunter=y@db/keygate", "parameter …, expected"),
        ] {
            let error = parse(url).unwrap_err().to_string();
            assert!(error.contains(named) && !error.contains("hunter"), "{url}: {error}");
            assert!(error.ends_with("application_name"), "{error}");
        }
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
