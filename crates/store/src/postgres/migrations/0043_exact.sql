-- While a table has no statistics, PostgreSQL takes either of two indexes that begin with `kind`, and then reads all
-- rows of a kind to find one. Now an index is used only by a statement that names its second column.
CREATE UNIQUE INDEX version_exact_id       ON version (kind, id)       WHERE until_revision IS NULL AND id IS NOT NULL;
CREATE UNIQUE INDEX version_exact_identity ON version (kind, identity) WHERE until_revision IS NULL AND identity IS NOT NULL;
DROP INDEX version_by_id, version_by_identity;
ALTER INDEX version_exact_id       RENAME TO version_by_id;
ALTER INDEX version_exact_identity RENAME TO version_by_identity;

CREATE INDEX version_exact_past_id       ON version (kind, id)       WHERE until_revision IS NOT NULL AND id IS NOT NULL;
CREATE INDEX version_exact_past_identity ON version (kind, identity) WHERE until_revision IS NOT NULL AND identity IS NOT NULL;
DROP INDEX version_past, version_past_by_id;
ALTER INDEX version_exact_past_id       RENAME TO version_past_by_id;
ALTER INDEX version_exact_past_identity RENAME TO version_past;
