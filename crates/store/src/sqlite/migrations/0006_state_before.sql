-- The state that a subscription had before it was blocked (ON_HOLD, REJECTED or pending). `unblock` gives it back.
-- NULL: UNBLOCKED.
ALTER TABLE version ADD COLUMN state_before TEXT;
