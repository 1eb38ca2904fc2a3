-- Gateways that were heard of. They stand beside the policy. Times are Unix milliseconds of this server's clock, so
-- that the clocks of services need not agree.
CREATE TABLE gateway (
    id        TEXT    COLLATE "C" PRIMARY KEY, -- a digest of client id, instance and process
    client_id TEXT    COLLATE "C" NOT NULL,
    first_at  BIGINT  NOT NULL,                -- first heard of
    heard_at  BIGINT  NOT NULL,                -- last heard of; of a removed one, when it was removed
    document  TEXT    COLLATE "C" NOT NULL,    -- what else is known of it, JSON
    writer    TEXT    COLLATE "C" NOT NULL,    -- the run of the service that noted it last
    removed   BOOLEAN NOT NULL,                -- the row stays for a while, so that other services hear of it
    change    BIGINT  NOT NULL                 -- the number of the change that wrote the row
);
CREATE INDEX gateway_by_change ON gateway (change);

-- The number of the last change of gateways. Whoever changes gateways locks this row first, so a change with a lower
-- number is never seen after one with a higher number.
CREATE TABLE gateway_state (
    one     INTEGER PRIMARY KEY CHECK (one = 1),
    changes BIGINT  NOT NULL
);
INSERT INTO gateway_state VALUES (1, 0);
