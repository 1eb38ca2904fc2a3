-- What gateways report of usage. It is no part of the policy: no revision counts it.

CREATE TABLE usage (
    application TEXT   COLLATE "C" NOT NULL,
    api         TEXT   COLLATE "C" NOT NULL,
    hour        BIGINT NOT NULL, -- its first second, Unix time
    plan        TEXT   COLLATE "C" NOT NULL,
    outcome     TEXT   COLLATE "C" NOT NULL,
    requests    BIGINT NOT NULL,
    PRIMARY KEY (application, api, hour, plan, outcome)
);
CREATE INDEX usage_by_hour ON usage (hour);

CREATE TABLE usage_total (
    application TEXT     COLLATE "C" NOT NULL,
    api         TEXT     COLLATE "C" NOT NULL, -- empty: all its APIs
    per         SMALLINT NOT NULL,             -- 1 day, 2 month
    start       BIGINT   NOT NULL,
    requests    BIGINT   NOT NULL,
    PRIMARY KEY (application, api, per, start)
);
CREATE INDEX usage_total_by_start ON usage_total (start);

CREATE TABLE usage_batch (
    gateway     TEXT   COLLATE "C" NOT NULL,
    batch       TEXT   COLLATE "C" NOT NULL,
    received_at BIGINT NOT NULL,
    PRIMARY KEY (gateway, batch)
);
CREATE INDEX usage_batch_by_age ON usage_batch (received_at);

CREATE TABLE usage_room (
    gateway     TEXT   COLLATE "C" PRIMARY KEY,
    reported_at BIGINT NOT NULL,
    room        BIGINT NOT NULL
);

-- Applications that were deleted, and when they were made again under their id.
CREATE TABLE usage_cut (
    application TEXT   COLLATE "C" PRIMARY KEY,
    deleted_at  BIGINT NOT NULL,
    made_at     BIGINT
);
CREATE INDEX usage_cut_by_age ON usage_cut (deleted_at);

CREATE TABLE key_use (
    id        TEXT   COLLATE "C" PRIMARY KEY,
    last_used BIGINT NOT NULL
);

CREATE FUNCTION usage_cut_made() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE usage_cut SET made_at = extract(epoch FROM now())::bigint
    FROM added
    WHERE added.kind = 2 AND added.kept_block IS NULL AND added.until_revision IS NULL
        AND usage_cut.application = added.id AND usage_cut.made_at IS NULL;
    RETURN NULL;
END $$;
CREATE TRIGGER usage_cut_made AFTER INSERT ON version
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION usage_cut_made();
