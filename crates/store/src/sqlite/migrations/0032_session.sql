-- Sessions of people who signed in to the console. They stand beside the policy. A secret is kept as its SHA-256.
CREATE TABLE session (
    secret     TEXT    PRIMARY KEY, -- SHA-256, 64 hexadecimal digits
    role       TEXT    NOT NULL,
    subject    TEXT    NOT NULL,
    token      TEXT,                -- the id of the token that the rights come from; the session ends with it
    configured TEXT,                -- or a keyed digest of what in the configuration they come from
    created_at INTEGER NOT NULL,    -- Unix time
    used_at    INTEGER NOT NULL,    -- Unix time, noted now and then
    expires_at INTEGER NOT NULL     -- Unix time
) STRICT, WITHOUT ROWID;
CREATE INDEX session_by_subject ON session (subject, created_at);
CREATE INDEX session_by_end ON session (expires_at);
CREATE INDEX session_by_use ON session (used_at);

-- Sign-ins that were completed, so that none is completed twice.
CREATE TABLE used_sign_in (
    digest TEXT    PRIMARY KEY, -- SHA-256, 64 hexadecimal digits
    until  INTEGER NOT NULL     -- Unix time; it is over by then anyway
) STRICT, WITHOUT ROWID;
CREATE INDEX used_sign_in_by_end ON used_sign_in (until);
