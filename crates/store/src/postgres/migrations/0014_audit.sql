-- The audit log: one entry for each revision, and for each change of tokens and credentials, written in the same
-- transaction. Entries are never changed, and they stay when the rows and the history that they speak of go.
CREATE TABLE audit (
    -- Given while the change has the lock of `policy_state`, so it rises in the order in which entries can be read.
    seq        BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    word       BIGINT NOT NULL UNIQUE, -- random; the entry of a revision has the word of the revision
    at         BIGINT NOT NULL, -- Unix time
    actor      TEXT COLLATE "C" NOT NULL,
    role       TEXT COLLATE "C",
    address    TEXT COLLATE "C",
    request_id TEXT COLLATE "C",
    action     TEXT COLLATE "C" NOT NULL,
    kind       TEXT COLLATE "C" NOT NULL,
    id         TEXT COLLATE "C",
    revision   BIGINT,
    before     TEXT COLLATE "C",
    after      TEXT COLLATE "C",
    reason     TEXT COLLATE "C",
    counts     TEXT COLLATE "C",
    also_total BIGINT NOT NULL
);
CREATE INDEX audit_by_id    ON audit (id, kind) WHERE id IS NOT NULL;
CREATE INDEX audit_by_kind  ON audit (kind, action);
CREATE INDEX audit_by_actor ON audit (actor);
CREATE INDEX audit_by_time  ON audit (at);

-- What else a change concerned.
CREATE TABLE audit_also (
    word   BIGINT NOT NULL, -- of the entry
    number BIGINT NOT NULL,
    kind   TEXT COLLATE "C" NOT NULL,
    id     TEXT COLLATE "C" NOT NULL,
    before TEXT COLLATE "C",
    after  TEXT COLLATE "C",
    PRIMARY KEY (word, number)
);
CREATE INDEX audit_also_by_id ON audit_also (id, kind);

-- When a revision was made, so that history can go by its age.
ALTER TABLE revision_word ADD COLUMN at BIGINT NOT NULL DEFAULT 0;
