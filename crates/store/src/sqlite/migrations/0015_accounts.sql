-- Who may ask: tokens of principals and credentials of gateways. They are no part of the policy. A secret is kept as its SHA-256.

CREATE TABLE token (
    id         TEXT    PRIMARY KEY,
    secret     TEXT    NOT NULL UNIQUE, -- SHA-256, 64 hexadecimal digits
    role       TEXT    NOT NULL,
    subject    TEXT    NOT NULL,        -- owns what is made with the token
    created_at INTEGER NOT NULL,        -- Unix time
    expires_at INTEGER                  -- Unix time; NULL: never
) STRICT, WITHOUT ROWID;

CREATE TABLE gateway_credential (
    id         TEXT    PRIMARY KEY,
    secret     TEXT    NOT NULL UNIQUE,
    client_id  TEXT    NOT NULL,
    apis       TEXT,                    -- JSON list of the ids that the gateway sees; NULL: all
    created_at INTEGER NOT NULL,
    expires_at INTEGER
) STRICT, WITHOUT ROWID;

-- How often one of the two tables was changed: a service that holds polls looks here for what another service changed.
CREATE TABLE account_state (
    one     INTEGER PRIMARY KEY CHECK (one = 1),
    changes INTEGER NOT NULL
) STRICT;
INSERT INTO account_state VALUES (1, 0);
