-- Whom the application of a kept block belonged to. A new subscription of this owner to the same API does not escape the block,
-- also after the application is gone.
ALTER TABLE version ADD COLUMN kept_owner TEXT;
CREATE INDEX version_by_kept_owner ON version (kept_owner, api)
    WHERE until_revision IS NULL AND kept_owner IS NOT NULL;
