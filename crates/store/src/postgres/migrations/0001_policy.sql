-- The policy with its recent past. What the tables mean is said in the first migrations of SQLite, which has the same ones.
--
-- Texts are compared byte by byte, as the filter does, whatever the collation of the database is. Expressions on documents
-- cast them to jsonb; the documents themselves stay texts, since the feed sends them as they were written.

-- One row, which every change locks first. So changes come one after the other, whatever service makes them, and numbers that
-- are taken from the row rise in the order in which they can be read. A sequence would hand them out before that.
CREATE TABLE policy_state (
    one           SMALLINT PRIMARY KEY CHECK (one = 1),
    epoch         TEXT     NOT NULL,
    revision      BIGINT   NOT NULL,
    word          BIGINT   NOT NULL, -- of this revision
    horizon       BIGINT   NOT NULL,
    past          BIGINT   NOT NULL,
    seq           BIGINT   NOT NULL, -- the greatest of all versions that ever were
    renewals      BIGINT   NOT NULL,
    renewed_at    BIGINT   NOT NULL,
    is_lost       BOOLEAN  NOT NULL,
    secret        BYTEA    NOT NULL, -- signs cursors
    apis          BIGINT   NOT NULL,
    applications  BIGINT   NOT NULL,
    keys          BIGINT   NOT NULL,
    subscriptions BIGINT   NOT NULL,
    plans         BIGINT   NOT NULL,
    deny_policies BIGINT   NOT NULL
);

CREATE TABLE version (
    seq            BIGINT   PRIMARY KEY, -- rises with from_revision; never used twice
    kind           SMALLINT NOT NULL,    -- 1 API, 2 application, 3 key, 4 subscription, 5 plan, 6 deny policy
    id             TEXT     COLLATE "C" NOT NULL,
    identity       TEXT     COLLATE "C" NOT NULL,
    application    TEXT     COLLATE "C",
    api            TEXT     COLLATE "C",
    plan           TEXT     COLLATE "C",
    kept_block     TEXT     COLLATE "C",
    kept_owner     TEXT     COLLATE "C",
    state_before   TEXT     COLLATE "C",
    from_revision  BIGINT   NOT NULL,
    until_revision BIGINT,
    document       TEXT     COLLATE "C" NOT NULL
);

CREATE UNIQUE INDEX version_by_id       ON version (kind, id)       WHERE until_revision IS NULL;
CREATE UNIQUE INDEX version_by_identity ON version (kind, identity) WHERE until_revision IS NULL;
CREATE INDEX version_by_plan       ON version (plan) WHERE until_revision IS NULL AND plan IS NOT NULL;
CREATE INDEX version_by_kept_owner ON version (kept_owner, api) WHERE until_revision IS NULL AND kept_owner IS NOT NULL;
CREATE INDEX version_by_owner ON version ((document::jsonb ->> 'owner'))
    WHERE until_revision IS NULL AND kind = 2 AND kept_block IS NULL;
CREATE INDEX version_used_up ON version (plan)
    WHERE until_revision IS NULL AND plan IS NOT NULL AND (document::jsonb ->> 'used_up_until') IS NOT NULL;
CREATE INDEX version_by_from  ON version (from_revision);
CREATE INDEX version_by_until ON version (until_revision) WHERE until_revision IS NOT NULL;
CREATE INDEX version_past     ON version (kind, identity) WHERE until_revision IS NOT NULL;
CREATE INDEX version_by_application ON version (application, kind, api) WHERE application IS NOT NULL;
CREATE INDEX version_by_api         ON version (api, application) WHERE api IS NOT NULL;

-- The random word of each revision that can still be read.
CREATE TABLE revision_word (
    revision BIGINT PRIMARY KEY,
    word     BIGINT NOT NULL
);

-- Epochs that this database had. Their cursors are answered with 410, and the epoch stays.
CREATE TABLE earlier_epoch (
    number BIGINT PRIMARY KEY, -- rises
    epoch  TEXT   NOT NULL UNIQUE
);

-- Hosts and paths of the current APIs, as the filter compares them.
CREATE TABLE api_match (
    host TEXT COLLATE "C" NOT NULL, -- a name; a suffix with its dot; empty: any
    path TEXT COLLATE "C" NOT NULL,
    api  TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (host, path, api)
);
CREATE INDEX api_match_by_api ON api_match (api);

-- What the current deny policies are about, as the filter compares it.
CREATE TABLE deny_target (
    target TEXT COLLATE "C" NOT NULL,
    policy TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (target, policy)
);
CREATE INDEX deny_target_by_policy ON deny_target (policy);

-- Digests of revoked keys whose row was deleted. Such a key stays revoked.
CREATE TABLE revoked_key (
    sha256 TEXT COLLATE "C" PRIMARY KEY
);
