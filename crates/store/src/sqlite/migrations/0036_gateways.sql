-- Gateways that were heard of. They stand beside the policy. Times are Unix milliseconds.
CREATE TABLE gateway (
    id        TEXT    PRIMARY KEY, -- a digest of client id, instance and process
    client_id TEXT    NOT NULL,
    first_at  INTEGER NOT NULL,    -- first heard of
    heard_at  INTEGER NOT NULL,    -- last heard of; of a removed one, when it was removed
    document  TEXT    NOT NULL,    -- what else is known of it, JSON
    writer    TEXT    NOT NULL,    -- the run of the service that noted it last
    removed   INTEGER NOT NULL,    -- 1: removed; the row stays for a while, so that other services hear of it
    change    INTEGER NOT NULL     -- the number of the change that wrote the row
) STRICT, WITHOUT ROWID;
CREATE INDEX gateway_by_change ON gateway (change);

-- The number of the last change of gateways.
CREATE TABLE gateway_state (
    one     INTEGER PRIMARY KEY CHECK (one = 1),
    changes INTEGER NOT NULL
) STRICT;
INSERT INTO gateway_state VALUES (1, 0);
