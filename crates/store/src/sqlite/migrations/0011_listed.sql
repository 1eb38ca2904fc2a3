-- What lists filter and sort by, of all current rows. A list of a million rows is found by one walk through this table,
-- since the documents of the rows (some 400 bytes each) are not read. Triggers keep it in step with `version`.
CREATE TABLE listed (
    kind        INTEGER NOT NULL,
    id          TEXT    NOT NULL,
    seq         INTEGER NOT NULL, -- the version; rises with each change
    state       TEXT,
    type        TEXT,             -- of keys and deny policies
    name        TEXT,             -- of APIs and applications; the value of deny policies
    owner       TEXT,             -- of applications
    application TEXT,             -- of keys and subscriptions
    api         TEXT,             -- of subscriptions
    plan        TEXT,             -- of applications and subscriptions
    last_used   INTEGER,          -- of keys: a copy of key_use, since a million look-ups there take more than a second
    PRIMARY KEY (kind, id)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER listed_from AFTER INSERT ON version WHEN new.until_revision IS NULL BEGIN
    INSERT OR REPLACE INTO listed VALUES (new.kind, new.id, new.seq,
        coalesce(new.kept_block, json_extract(new.document, '$.state')),
        json_extract(new.document, '$.type'),
        json_extract(new.document, iif(new.kind = 6, '$.value', '$.name')),
        json_extract(new.document, '$.owner'),
        iif(new.kind = 2, NULL, new.application), new.api, new.plan,
        (SELECT last_used FROM key_use WHERE new.kind = 3 AND key_use.id = new.id));
END;
CREATE TRIGGER listed_until AFTER UPDATE OF until_revision ON version WHEN new.until_revision IS NOT NULL BEGIN
    DELETE FROM listed WHERE kind = new.kind AND id = new.id AND seq = new.seq;
END;
CREATE TRIGGER listed_gone AFTER DELETE ON version WHEN old.until_revision IS NULL BEGIN
    DELETE FROM listed WHERE kind = old.kind AND id = old.id AND seq = old.seq;
END;
CREATE TRIGGER listed_used AFTER INSERT ON key_use BEGIN
    UPDATE listed SET last_used = new.last_used WHERE kind = 3 AND id = new.id;
END;
CREATE TRIGGER listed_used_again AFTER UPDATE OF last_used ON key_use WHEN new.last_used <> old.last_used BEGIN
    UPDATE listed SET last_used = new.last_used WHERE kind = 3 AND id = new.id;
END;
CREATE TRIGGER listed_unused AFTER DELETE ON key_use BEGIN
    UPDATE listed SET last_used = NULL WHERE kind = 3 AND id = old.id;
END;

INSERT INTO listed SELECT kind, id, seq,
    coalesce(kept_block, json_extract(document, '$.state')),
    json_extract(document, '$.type'),
    json_extract(document, iif(kind = 6, '$.value', '$.name')),
    json_extract(document, '$.owner'),
    iif(kind = 2, NULL, application), api, plan,
    (SELECT last_used FROM key_use WHERE version.kind = 3 AND key_use.id = version.id)
    FROM version WHERE until_revision IS NULL ORDER BY kind, id;

-- What most rows do not share: found without the walk. Rows of an application are found by version_by_application.
CREATE INDEX listed_by_owner ON listed (kind, owner) WHERE owner IS NOT NULL;
CREATE INDEX listed_by_state ON listed (kind, state) WHERE state NOT IN ('ACTIVE', 'PUBLISHED', 'UNBLOCKED');
DROP INDEX found_by_owner;
DROP INDEX found_by_state;
