-- What management knows of a row and gateways do not: owner, offered plans and approval of an API, owner of a plan. JSON; NULL:
-- nothing. Rows from before this migration have no owner, so they are the administrators' alone.
ALTER TABLE version ADD COLUMN beside TEXT COLLATE "C";

-- Lists find APIs and plans by their owner, as they find applications.
CREATE OR REPLACE FUNCTION listed_from() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO listed
    SELECT kind, id, seq,
        coalesce(kept_block, row ->> 'state'),
        row ->> 'type',
        CASE WHEN kind = 6 THEN row ->> 'value' ELSE row ->> 'name' END,
        coalesce(row ->> 'owner', beside::jsonb ->> 'owner'),
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
