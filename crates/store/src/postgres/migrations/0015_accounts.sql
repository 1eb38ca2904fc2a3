-- Who may ask: tokens of principals and credentials of gateways. They are no part of the policy. A secret is kept as its SHA-256.
CREATE TABLE token (
    id         TEXT COLLATE "C" PRIMARY KEY,
    secret     TEXT COLLATE "C" NOT NULL UNIQUE, -- SHA-256, 64 hexadecimal digits
    role       TEXT COLLATE "C" NOT NULL,
    subject    TEXT COLLATE "C" NOT NULL,        -- owns what is made with the token
    created_at BIGINT NOT NULL,                  -- Unix time
    expires_at BIGINT                            -- Unix time; NULL: never
);

CREATE TABLE gateway_credential (
    id         TEXT COLLATE "C" PRIMARY KEY,
    secret     TEXT COLLATE "C" NOT NULL UNIQUE,
    client_id  TEXT COLLATE "C" NOT NULL,
    apis       TEXT COLLATE "C",                 -- JSON list of the ids that the gateway sees; NULL: all
    created_at BIGINT NOT NULL,
    expires_at BIGINT
);

-- How often one of the two tables was changed: a service that holds polls looks here for what another service changed.
CREATE TABLE account_state (
    one     INTEGER PRIMARY KEY CHECK (one = 1),
    changes BIGINT NOT NULL
);
INSERT INTO account_state VALUES (1, 0);
