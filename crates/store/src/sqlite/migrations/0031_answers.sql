-- Answers to requests that are to be done once (`idempotency-key`), for a day. They stand beside the policy.
CREATE TABLE answer (
    actor       TEXT    NOT NULL, -- role and subject
    key         TEXT    NOT NULL, -- the client's word for the request
    at          INTEGER NOT NULL, -- Unix time
    fingerprint BLOB    NOT NULL, -- the digest of what was asked
    status      INTEGER NOT NULL,
    location    TEXT,
    etag        TEXT,
    revision    INTEGER NOT NULL,
    body        TEXT,             -- NULL: it held a secret
    issued      TEXT,             -- the id of what the secret is of
    PRIMARY KEY (actor, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX answer_by_age ON answer (at);
