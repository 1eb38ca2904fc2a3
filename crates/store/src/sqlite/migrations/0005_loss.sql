-- A loss that was noticed within the pause after a renewal of the epoch.
-- 1: a revision is lost, and the epoch is to be renewed when the pause is over.
ALTER TABLE history ADD COLUMN is_lost INTEGER NOT NULL DEFAULT 0;
