-- Things as they were, by their ids.
CREATE INDEX version_past_by_id ON version (kind, id) WHERE until_revision IS NOT NULL;
