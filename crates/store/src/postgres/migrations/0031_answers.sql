-- Answers to requests that are to be done once (`idempotency-key`), for a day. They stand beside the policy.
CREATE TABLE answer (
    actor       TEXT    COLLATE "C" NOT NULL, -- role and subject
    key         TEXT    COLLATE "C" NOT NULL, -- the client's word for the request
    at          BIGINT  NOT NULL,             -- Unix time
    fingerprint BYTEA   NOT NULL,             -- the digest of what was asked
    status      INTEGER NOT NULL,
    location    TEXT    COLLATE "C",
    etag        TEXT    COLLATE "C",
    revision    BIGINT  NOT NULL,
    body        TEXT    COLLATE "C",          -- NULL: it held a secret
    issued      TEXT    COLLATE "C",          -- the id of what the secret is of
    PRIMARY KEY (actor, key)
);
CREATE INDEX answer_by_age ON answer (at);
