-- The audit log: one entry for each revision, and for each change of tokens and credentials, written in the same
-- transaction. Entries are never changed, and they stay when the rows and the history that they speak of go.
CREATE TABLE audit (
    seq        INTEGER PRIMARY KEY AUTOINCREMENT,
    -- Random. The entry of a revision has the word of the revision, which tells two revisions of one number apart.
    word       INTEGER NOT NULL UNIQUE,
    at         INTEGER NOT NULL, -- Unix time
    actor      TEXT    NOT NULL,
    role       TEXT,
    address    TEXT,
    request_id TEXT,
    action     TEXT    NOT NULL,
    kind       TEXT    NOT NULL,
    id         TEXT,
    revision   INTEGER,          -- NULL: the change made none
    before     TEXT,             -- the thing as clients are shown it, JSON; NULL: it was not there
    after      TEXT,             -- the same; NULL: it is gone
    reason     TEXT,
    counts     TEXT,             -- of an import or a restore: how many rows it made, changed and removed, JSON
    also_total INTEGER NOT NULL
) STRICT;
CREATE INDEX audit_by_id    ON audit (id, kind) WHERE id IS NOT NULL;
CREATE INDEX audit_by_kind  ON audit (kind, action);
CREATE INDEX audit_by_actor ON audit (actor);
CREATE INDEX audit_by_time  ON audit (at);

-- What else a change concerned.
CREATE TABLE audit_also (
    word   INTEGER NOT NULL, -- of the entry
    number INTEGER NOT NULL,
    kind   TEXT    NOT NULL,
    id     TEXT    NOT NULL,
    before TEXT,
    after  TEXT,
    PRIMARY KEY (word, number)
) STRICT, WITHOUT ROWID;
CREATE INDEX audit_also_by_id ON audit_also (id, kind);

-- When a revision was made, so that history can go by its age. 0: before this migration.
ALTER TABLE revision_word ADD COLUMN at INTEGER NOT NULL DEFAULT 0;
