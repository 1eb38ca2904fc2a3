-- Subscriptions to an API, in the order of their ids, with their states: lists of an API with 100,000 subscriptions would
-- otherwise walk through the subscriptions to all APIs, and count them so.
CREATE INDEX listed_by_api ON listed (kind, api, id, state) WHERE api IS NOT NULL;
