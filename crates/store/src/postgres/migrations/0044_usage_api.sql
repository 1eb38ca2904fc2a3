-- Requests to an API by hour of UTC, over all its applications: pages with charts would otherwise add up each application's
-- rows, which are millions for an API with 100,000 subscriptions. It is written with `usage`, and goes with it.
CREATE TABLE usage_api (
    api      TEXT   COLLATE "C" NOT NULL, -- empty: a gateway could not keep combinations apart
    hour     BIGINT NOT NULL,             -- its first second, Unix time
    outcome  TEXT   COLLATE "C" NOT NULL, -- `allowed`, or the reason why not
    requests BIGINT NOT NULL,
    PRIMARY KEY (api, hour, outcome)
);
INSERT INTO usage_api SELECT api, hour, outcome, least(sum(requests), 9223372036854775807)::bigint
    FROM usage GROUP BY api, hour, outcome;
CREATE INDEX usage_api_by_hour ON usage_api (hour); -- what is too old goes
