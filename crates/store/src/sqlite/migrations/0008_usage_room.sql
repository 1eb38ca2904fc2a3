-- How many requests a gateway may still report. The room grows with time, so a gateway cannot report more than it can
-- have served since its last report.
CREATE TABLE usage_room (
    gateway     TEXT    PRIMARY KEY, -- its client id
    reported_at INTEGER NOT NULL,    -- its last report, Unix time
    room        INTEGER NOT NULL     -- requests that it could have reported then and did not
) STRICT, WITHOUT ROWID;
