-- Applications that were deleted, and when they were made again under their id. Gateways report late, and by the id alone: what
-- was counted in an hour that began before the new application was made is the old one's. It stays in `usage`, for bills, and
-- uses up nothing of the new one's plans.
CREATE TABLE usage_cut (
    application TEXT    PRIMARY KEY,
    deleted_at  INTEGER NOT NULL, -- Unix time
    made_at     INTEGER           -- of the new one; NULL: there is none
) STRICT, WITHOUT ROWID;
CREATE INDEX usage_cut_by_age ON usage_cut (deleted_at);

CREATE TRIGGER usage_cut_made AFTER INSERT ON version
    WHEN new.kind = 2 AND new.kept_block IS NULL AND new.until_revision IS NULL BEGIN
    UPDATE usage_cut SET made_at = unixepoch() WHERE application = new.id AND made_at IS NULL;
END;
