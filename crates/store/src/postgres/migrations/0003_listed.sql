-- What lists filter and sort by, of all current rows, without their documents. Triggers keep the table in step with `version`
-- and `key_use`, a statement at a time.
CREATE TABLE listed (
    kind        SMALLINT NOT NULL,
    id          TEXT     COLLATE "C" NOT NULL,
    seq         BIGINT   NOT NULL,
    state       TEXT     COLLATE "C",
    type        TEXT     COLLATE "C",
    name        TEXT     COLLATE "C", -- of APIs and applications; the value of deny policies
    owner       TEXT     COLLATE "C",
    application TEXT     COLLATE "C",
    api         TEXT     COLLATE "C",
    plan        TEXT     COLLATE "C",
    last_used   BIGINT,
    PRIMARY KEY (kind, id)
);
CREATE INDEX listed_by_owner ON listed (kind, owner) WHERE owner IS NOT NULL;
CREATE INDEX listed_by_state ON listed (kind, state) WHERE state NOT IN ('ACTIVE', 'PUBLISHED', 'UNBLOCKED');

CREATE FUNCTION listed_from() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO listed
    SELECT kind, id, seq,
        coalesce(kept_block, row ->> 'state'),
        row ->> 'type',
        CASE WHEN kind = 6 THEN row ->> 'value' ELSE row ->> 'name' END,
        row ->> 'owner',
        CASE WHEN kind = 2 THEN NULL ELSE application END,
        api, plan,
        (SELECT last_used FROM key_use WHERE added.kind = 3 AND key_use.id = added.id)
    FROM added, LATERAL (SELECT document::jsonb AS row) AS parsed
    WHERE until_revision IS NULL
    ON CONFLICT (kind, id) DO UPDATE SET seq = excluded.seq, state = excluded.state, type = excluded.type,
        name = excluded.name, owner = excluded.owner, application = excluded.application, api = excluded.api,
        plan = excluded.plan, last_used = excluded.last_used;
    RETURN NULL;
END $$;
CREATE TRIGGER listed_from AFTER INSERT ON version
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION listed_from();

CREATE FUNCTION listed_until() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM listed USING ended
    WHERE ended.until_revision IS NOT NULL
        AND listed.kind = ended.kind AND listed.id = ended.id AND listed.seq = ended.seq;
    RETURN NULL;
END $$;
CREATE TRIGGER listed_until AFTER UPDATE ON version
    REFERENCING NEW TABLE AS ended FOR EACH STATEMENT EXECUTE FUNCTION listed_until();

CREATE FUNCTION listed_gone() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM listed USING gone
    WHERE gone.until_revision IS NULL
        AND listed.kind = gone.kind AND listed.id = gone.id AND listed.seq = gone.seq;
    RETURN NULL;
END $$;
CREATE TRIGGER listed_gone AFTER DELETE ON version
    REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION listed_gone();

CREATE FUNCTION listed_used() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE listed SET last_used = used.last_used FROM used
    WHERE listed.kind = 3 AND listed.id = used.id AND listed.last_used IS DISTINCT FROM used.last_used;
    RETURN NULL;
END $$;
CREATE TRIGGER listed_used AFTER INSERT ON key_use
    REFERENCING NEW TABLE AS used FOR EACH STATEMENT EXECUTE FUNCTION listed_used();
CREATE TRIGGER listed_used_again AFTER UPDATE ON key_use
    REFERENCING NEW TABLE AS used FOR EACH STATEMENT EXECUTE FUNCTION listed_used();

CREATE FUNCTION listed_unused() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE listed SET last_used = NULL FROM unused WHERE listed.kind = 3 AND listed.id = unused.id;
    RETURN NULL;
END $$;
CREATE TRIGGER listed_unused AFTER DELETE ON key_use
    REFERENCING OLD TABLE AS unused FOR EACH STATEMENT EXECUTE FUNCTION listed_unused();
