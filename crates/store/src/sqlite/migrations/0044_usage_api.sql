-- Requests to an API by hour of UTC, over all its applications: pages with charts would otherwise add up each application's
-- rows, which are millions for an API with 100,000 subscriptions. It is written with `usage`, and goes with it.
CREATE TABLE usage_api (
    api      TEXT    NOT NULL, -- empty: a gateway could not keep combinations apart
    hour     INTEGER NOT NULL, -- its first second, Unix time
    outcome  TEXT    NOT NULL, -- `allowed`, or the reason why not
    requests INTEGER NOT NULL,
    PRIMARY KEY (api, hour, outcome)
) STRICT, WITHOUT ROWID;
INSERT INTO usage_api SELECT api, hour, outcome, CAST(min(total(requests), 9223372036854774784.0) AS INTEGER)
    FROM usage GROUP BY api, hour, outcome;
CREATE INDEX usage_api_by_hour ON usage_api (hour); -- what is too old goes
