-- Which import has the turn. There is at most one row. It stands beside the policy.
CREATE TABLE import_turn (
    one     INTEGER NOT NULL PRIMARY KEY CHECK (one = 1),
    holder  TEXT COLLATE "C" NOT NULL, -- a random name
    ends_at BIGINT NOT NULL            -- Unix time; from then on another import may take it
);
