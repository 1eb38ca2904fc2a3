-- What management knows of a row and gateways do not: owner, offered plans and approval of an API, owner of a plan. JSON; NULL:
-- nothing. Rows from before this migration have no owner, so they are the administrators' alone.
ALTER TABLE version ADD COLUMN beside TEXT;

-- Lists find APIs and plans by their owner, as they find applications.
DROP TRIGGER listed_from;
CREATE TRIGGER listed_from AFTER INSERT ON version WHEN new.until_revision IS NULL BEGIN
    INSERT OR REPLACE INTO listed VALUES (new.kind, new.id, new.seq,
        coalesce(new.kept_block, json_extract(new.document, '$.state')),
        json_extract(new.document, '$.type'),
        json_extract(new.document, iif(new.kind = 6, '$.value', '$.name')),
        coalesce(json_extract(new.document, '$.owner'), json_extract(new.beside, '$.owner')),
        iif(new.kind = 2, NULL, new.application), new.api, new.plan,
        (SELECT last_used FROM key_use WHERE new.kind = 3 AND key_use.id = new.id));
END;
