-- What people look for in lists: the applications of an owner, and what is not in its usual state. Most of a million rows
-- are in their usual state, and a list of those finds a page of them wherever it begins.
CREATE INDEX found_by_owner ON version (kind, json_extract(document, '$.owner'), id)
    WHERE until_revision IS NULL AND json_extract(document, '$.owner') IS NOT NULL;
CREATE INDEX found_by_state ON version (kind, coalesce(kept_block, json_extract(document, '$.state')), id)
    WHERE until_revision IS NULL
    AND coalesce(kept_block, json_extract(document, '$.state')) NOT IN ('ACTIVE', 'PUBLISHED', 'UNBLOCKED');
