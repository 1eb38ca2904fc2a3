-- What the current deny policies are about, as the filter compares it. The service fills the table when it opens the
-- database. Two deny policies are about one thing only if they were so before this migration.
CREATE TABLE deny_target (
    target TEXT NOT NULL, -- the kind and the value
    policy TEXT NOT NULL, -- the id of the deny policy
    PRIMARY KEY (target, policy)
) STRICT, WITHOUT ROWID;
CREATE INDEX deny_target_by_policy ON deny_target (policy);
-- Whom an application belongs to: a deny policy of type USER names an owner.
CREATE INDEX version_by_owner ON version (json_extract(document, '$.owner'))
    WHERE until_revision IS NULL AND kind = 2 AND kept_block IS NULL;
