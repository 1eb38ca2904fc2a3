-- When the service must write a row again by itself: the block of a subscription begins or ends. NULL: never.
ALTER TABLE version ADD COLUMN due INTEGER;
CREATE INDEX version_by_due ON version (due, seq) WHERE until_revision IS NULL AND due IS NOT NULL;
