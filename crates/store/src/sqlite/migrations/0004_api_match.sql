-- Hosts and paths of the current APIs, as the filter compares them. The service fills the table when it opens the
-- database. Two APIs stand at one place only if they did so before this migration.
CREATE TABLE api_match (
    host TEXT NOT NULL, -- a name; a suffix with its dot; empty: any
    path TEXT NOT NULL,
    api  TEXT NOT NULL,
    PRIMARY KEY (host, path, api)
) STRICT, WITHOUT ROWID;
CREATE INDEX api_match_by_api ON api_match (api);
