-- What gateways report of usage. It is no part of the policy: no revision counts it.

-- Requests by hour of UTC, for billing. An empty application and API: a gateway could not keep combinations apart.
CREATE TABLE usage (
    application TEXT    NOT NULL,
    api         TEXT    NOT NULL,
    hour        INTEGER NOT NULL, -- its first second, Unix time
    plan        TEXT    NOT NULL, -- the subscription's; empty: none
    outcome     TEXT    NOT NULL, -- `allowed`, or the reason why not
    requests    INTEGER NOT NULL,
    PRIMARY KEY (application, api, hour, plan, outcome)
) STRICT, WITHOUT ROWID;
CREATE INDEX usage_by_hour ON usage (hour); -- what is too old goes

-- Allowed requests of a day or month of UTC, added up: a limit is looked at with every report, and a month has 744 hours.
CREATE TABLE usage_total (
    application TEXT    NOT NULL,
    api         TEXT    NOT NULL, -- empty: all its APIs
    per         INTEGER NOT NULL, -- 1 day, 2 month
    start       INTEGER NOT NULL, -- the first second of the day or month
    requests    INTEGER NOT NULL,
    PRIMARY KEY (application, api, per, start)
) STRICT, WITHOUT ROWID;
CREATE INDEX usage_total_by_start ON usage_total (start);

-- Batches that were taken, so that one that is sent again counts nothing twice. By gateway: nobody can take another's id.
CREATE TABLE usage_batch (
    gateway     TEXT    NOT NULL,
    batch       TEXT    NOT NULL,
    received_at INTEGER NOT NULL,
    PRIMARY KEY (gateway, batch)
) STRICT, WITHOUT ROWID;
CREATE INDEX usage_batch_by_age ON usage_batch (received_at);

-- When a key was used last; of keys that are there.
CREATE TABLE key_use (
    id        TEXT    PRIMARY KEY,
    last_used INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Subscriptions and applications that are marked as used up, so that a plan that changes finds them.
CREATE INDEX version_used_up ON version (plan)
    WHERE until_revision IS NULL AND plan IS NOT NULL AND json_extract(document, '$.used_up_until') IS NOT NULL;
