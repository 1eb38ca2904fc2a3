-- Digests of revoked keys whose row was deleted. Such a key stays revoked.
CREATE TABLE revoked_key (
    sha256 TEXT PRIMARY KEY
) STRICT, WITHOUT ROWID;
-- Rows that were deleted before this migration, as far as their history is kept.
INSERT OR IGNORE INTO revoked_key SELECT identity FROM version
    WHERE kind = 3 AND json_extract(document, '$.state') = 'REVOKED';
