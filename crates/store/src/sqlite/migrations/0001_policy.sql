-- The policy with its recent past.
--
-- Every row of the policy is kept as versions. A version holds from the revision that brought it up to, and without, the
-- revision that replaced or removed it; one that still holds has no end. So the policy of any revision R back to
-- `horizon` can be read at any time: it is the versions with from_revision <= R < until_revision. The feed's pages and
-- deltas are nothing else, and no reader ever holds a lock or the whole policy.

CREATE TABLE policy_state (
    one           INTEGER PRIMARY KEY CHECK (one = 1),
    epoch         TEXT    NOT NULL, -- made once per database; a renewed one tells gateways to begin anew
    revision      INTEGER NOT NULL, -- the latest; each accepted change adds one
    horizon       INTEGER NOT NULL, -- the oldest revision that can still be read
    past          INTEGER NOT NULL, -- versions that hold no more
    -- Versions that hold, by kind: counting a million rows for every gateway that starts would be slow.
    apis          INTEGER NOT NULL,
    applications  INTEGER NOT NULL,
    keys          INTEGER NOT NULL,
    subscriptions INTEGER NOT NULL,
    plans         INTEGER NOT NULL,
    deny_policies INTEGER NOT NULL
) STRICT;

CREATE TABLE version (
    -- Rises with from_revision, so a reader that goes through the table in this order reads every revision whole, and
    -- what is written meanwhile comes after all that it has read. Never used twice.
    seq            INTEGER PRIMARY KEY AUTOINCREMENT,
    kind           INTEGER NOT NULL, -- 1 API, 2 application, 3 key, 4 subscription, 5 plan, 6 deny policy
    id             TEXT    NOT NULL, -- what management calls it
    identity       TEXT    NOT NULL, -- what the feed calls it: the id; a key's digest; application U+001F API
    application    TEXT,             -- of applications, keys and subscriptions
    api            TEXT,             -- of subscriptions
    plan           TEXT,             -- of applications and subscriptions
    kept_block     TEXT,             -- of a subscription that was deleted while blocked: the block that stays
    from_revision  INTEGER NOT NULL,
    until_revision INTEGER,
    document       TEXT    NOT NULL  -- the row as the feed shows it, JSON
) STRICT;

-- What holds now: one version of each thing.
CREATE UNIQUE INDEX version_by_id       ON version (kind, id)       WHERE until_revision IS NULL;
CREATE UNIQUE INDEX version_by_identity ON version (kind, identity) WHERE until_revision IS NULL;
CREATE INDEX version_by_plan ON version (plan) WHERE until_revision IS NULL AND plan IS NOT NULL;
-- What a revision brought, and what it ended.
CREATE INDEX version_by_from  ON version (from_revision);
CREATE INDEX version_by_until ON version (until_revision) WHERE until_revision IS NOT NULL;
CREATE INDEX version_past     ON version (kind, identity) WHERE until_revision IS NOT NULL;
-- Who belongs to whom, now and then.
CREATE INDEX version_by_application ON version (application, kind, api) WHERE application IS NOT NULL;
CREATE INDEX version_by_api         ON version (api, application) WHERE api IS NOT NULL;
