-- Sessions of people who signed in to the console. They stand beside the policy. A secret is kept as its SHA-256.
CREATE TABLE session (
    secret     TEXT   COLLATE "C" PRIMARY KEY, -- SHA-256, 64 hexadecimal digits
    role       TEXT   COLLATE "C" NOT NULL,
    subject    TEXT   COLLATE "C" NOT NULL,
    token      TEXT   COLLATE "C",             -- the id of the token that the rights come from; the session ends with it
    configured TEXT   COLLATE "C",             -- or a keyed digest of what in the configuration they come from
    created_at BIGINT NOT NULL,                -- Unix time
    used_at    BIGINT NOT NULL,                -- Unix time, noted now and then
    expires_at BIGINT NOT NULL                 -- Unix time
);
CREATE INDEX session_by_subject ON session (subject, created_at);
CREATE INDEX session_by_end ON session (expires_at);
CREATE INDEX session_by_use ON session (used_at);

-- Sign-ins that were completed, so that none is completed twice.
CREATE TABLE used_sign_in (
    digest TEXT   COLLATE "C" PRIMARY KEY, -- SHA-256, 64 hexadecimal digits
    until  BIGINT NOT NULL                 -- Unix time; it is over by then anyway
);
CREATE INDEX used_sign_in_by_end ON used_sign_in (until);
