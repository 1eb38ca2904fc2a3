-- Things as they were, by their ids: what differs between two revisions, and what a restore puts back.
CREATE INDEX version_past_by_id ON version (kind, id) WHERE until_revision IS NOT NULL;
