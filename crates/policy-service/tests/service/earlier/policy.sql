PRAGMA foreign_keys=OFF;
BEGIN TRANSACTION;
CREATE TABLE _sqlx_migrations (
    version BIGINT PRIMARY KEY,
    description TEXT NOT NULL,
    installed_on TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
    success BOOLEAN NOT NULL,
    checksum BLOB NOT NULL,
    execution_time BIGINT NOT NULL
);
INSERT INTO _sqlx_migrations VALUES(1,'policy','2026-11-29 21:15:40',1,X'63af69272214273c91f64888c6f4069cb90bc946e4ece2c01371b01fba05521404f849c262e9312a0e52798e23260f36',12921182);
INSERT INTO _sqlx_migrations VALUES(2,'usage','2026-11-29 21:15:40',1,X'9a8a39ca1f4bf1c5740147a0170e20efc8fb061f0c760a5e467449f825e56da0ae530b7b9e8dd7b7652c670fa57dfdb9',1387848);
INSERT INTO _sqlx_migrations VALUES(3,'history','2026-11-29 21:15:40',1,X'5fde40faa6eb46ac9d9c110afe268324f0941964786e648b5eeab349190f12789d8ad083b61e586a6943eec501eac39d',12168180);
INSERT INTO _sqlx_migrations VALUES(4,'api match','2026-11-29 21:15:40',1,X'ebbd83afd099ef29d92615cf227b53c02ad2e78cef4d5e8c66595e408675d3287fe3226cf8753163a7a53bbeb907efe1',6500115);
INSERT INTO _sqlx_migrations VALUES(5,'loss','2026-11-29 21:15:40',1,X'c4868afd78e946f8c75dea97c89d16250c941caffe6dab385a7791427d72f93273fe1d33b64054b356e6f8ef6e67587b',4232085);
INSERT INTO _sqlx_migrations VALUES(6,'state before','2026-11-29 21:15:40',1,X'c60d94f72da6edf5e34a256e1a667ed96101820c4c1f595be5cef8ab25b8940d62139b801ec4662fba5f15092b4e9934',6437822);
INSERT INTO _sqlx_migrations VALUES(7,'deny target','2026-11-29 21:15:40',1,X'81e156a36393bcbb0c71ce734e4020ba1397615a8ae58d27a6e859426aab1c9f28d15e3ac1d2bcde9af288e0ba087ea3',6203253);
INSERT INTO _sqlx_migrations VALUES(8,'usage room','2026-11-29 21:15:40',1,X'984738e5e91c7a1dc413c99fb86dba54496723c279a281864c3e701a051fdad68998af802b174fd86bc52c469f630dea',25572091);
INSERT INTO _sqlx_migrations VALUES(9,'revoked key','2026-11-29 21:15:40',1,X'3c6be0f145f55c4d4976f342f52c9a1c54a4478a29b6235dbb1b637ef32154aeea6012a14a93be5fca7a7696571c8c38',8927582);
INSERT INTO _sqlx_migrations VALUES(10,'found by','2026-11-29 21:15:40',1,X'33e065ba574f80c526b27a3a24c301786093a96a82ecaee08023c10be4f49b4da494c05601048f4d1e5a4dd2f45f8d41',3976264);
INSERT INTO _sqlx_migrations VALUES(11,'listed','2026-11-29 21:15:40',1,X'f342437108bb6f7d5ddddbe84bb3ecc1e9bc22412a023024e8ea62e3d0d8dde9b1fcb754e86949eeefd76a745ffc4f61',7614675);
INSERT INTO _sqlx_migrations VALUES(12,'kept owner','2026-11-29 21:15:40',1,X'a80a439285dd88cf76f3322dfcdc6aa456ad7eac62d99d99c3586503e1d01f64b768b125ba8be4a868450ddce36f0829',13313196);
INSERT INTO _sqlx_migrations VALUES(13,'usage cut','2026-11-29 21:15:40',1,X'9d13b89ddedf88cd35a06577cf8c5f07641ad35212a1e76862636bda9c2e632a222e3e4aee88648a19c51142dd0ff842',7855814);
CREATE TABLE policy_state (
    one           INTEGER PRIMARY KEY CHECK (one = 1),
    epoch         TEXT    NOT NULL, -- made once per database; a renewed one tells gateways to begin anew
    revision      INTEGER NOT NULL, -- the latest; each accepted change adds one
    horizon       INTEGER NOT NULL, -- the oldest revision that can still be read
    past          INTEGER NOT NULL, -- versions that hold no more
    -- Versions that hold, by kind: counting a million rows for every gateway that starts would be slow.
    apis          INTEGER NOT NULL,
    applications  INTEGER NOT NULL,
    keys          INTEGER NOT NULL,
    subscriptions INTEGER NOT NULL,
    plans         INTEGER NOT NULL,
    deny_policies INTEGER NOT NULL
) STRICT;
INSERT INTO policy_state VALUES(1,'f90dca3800a15228213f6465b6dadfa9',21,0,7,2,3,3,3,1,1);
CREATE TABLE version (
    -- Rises with from_revision, so a reader that goes through the table in this order reads every revision whole, and
    -- what is written meanwhile comes after all that it has read. Never used twice.
    seq            INTEGER PRIMARY KEY AUTOINCREMENT,
    kind           INTEGER NOT NULL, -- 1 API, 2 application, 3 key, 4 subscription, 5 plan, 6 deny policy
    id             TEXT    NOT NULL, -- what management calls it
    identity       TEXT    NOT NULL, -- what the feed calls it: the id; a key's digest; application U+001F API
    application    TEXT,             -- of applications, keys and subscriptions
    api            TEXT,             -- of subscriptions
    plan           TEXT,             -- of applications and subscriptions
    kept_block     TEXT,             -- of a subscription that was deleted while blocked: the block that stays
    from_revision  INTEGER NOT NULL,
    until_revision INTEGER,
    document       TEXT    NOT NULL  -- the row as the feed shows it, JSON
, state_before TEXT, kept_owner TEXT) STRICT;
INSERT INTO version VALUES(1,5,'gold','gold',NULL,NULL,NULL,NULL,1,NULL,'{"id":"gold","limits":[{"requests":100,"per":"minute"}],"stop_on_quota_reach":true}',NULL,NULL);
INSERT INTO version VALUES(2,1,'api-1','api-1',NULL,NULL,NULL,NULL,2,NULL,'{"id":"api-1","name":"Payments","version":"1.0","state":"PUBLISHED","match":[{"hosts":["api.example.com"],"path":"/payments"}],"security":"api_key","subscription_required":true}',NULL,NULL);
INSERT INTO version VALUES(3,1,'api-2','api-2',NULL,NULL,NULL,NULL,3,NULL,'{"id":"api-2","state":"PUBLISHED","match":[{"path":"/orders"}],"security":"api_key","subscription_required":true}',NULL,NULL);
INSERT INTO version VALUES(4,2,'app-1','app-1','app-1',NULL,NULL,NULL,4,21,'{"id":"app-1","name":"Shop","owner":"alice","state":"ACTIVE"}',NULL,NULL);
INSERT INTO version VALUES(5,2,'app-2','app-2','app-2',NULL,NULL,NULL,5,NULL,'{"id":"app-2","owner":"bob","state":"ACTIVE"}',NULL,NULL);
INSERT INTO version VALUES(6,2,'app-3','app-3','app-3',NULL,NULL,NULL,6,NULL,'{"id":"app-3","state":"ACTIVE"}',NULL,NULL);
INSERT INTO version VALUES(7,3,'k-1','0000000000000000000000000000000000000000000000000000000000000001','app-1',NULL,NULL,NULL,7,NULL,'{"sha256":"0000000000000000000000000000000000000000000000000000000000000001","id":"k-1","application":"app-1","type":"PRODUCTION","state":"ACTIVE"}',NULL,NULL);
INSERT INTO version VALUES(8,3,'k-2','0000000000000000000000000000000000000000000000000000000000000002','app-2',NULL,NULL,NULL,8,15,'{"sha256":"0000000000000000000000000000000000000000000000000000000000000002","id":"k-2","application":"app-2","type":"PRODUCTION","state":"ACTIVE"}',NULL,NULL);
INSERT INTO version VALUES(9,3,'k-3','0000000000000000000000000000000000000000000000000000000000000003','app-3',NULL,NULL,NULL,9,NULL,'{"sha256":"0000000000000000000000000000000000000000000000000000000000000003","id":"k-3","application":"app-3","type":"PRODUCTION","state":"ACTIVE"}',NULL,NULL);
INSERT INTO version VALUES(10,3,'k-4','0000000000000000000000000000000000000000000000000000000000000004','app-1',NULL,NULL,NULL,10,16,'{"sha256":"0000000000000000000000000000000000000000000000000000000000000004","id":"k-4","application":"app-1","type":"PRODUCTION","state":"ACTIVE"}',NULL,NULL);
INSERT INTO version VALUES(11,4,'s-1','app-1api-1','app-1','api-1','gold',NULL,11,18,'{"application":"app-1","api":"api-1","state":"UNBLOCKED","plan":"gold"}',NULL,NULL);
INSERT INTO version VALUES(12,4,'s-2','app-2api-1','app-2','api-1',NULL,NULL,12,NULL,'{"application":"app-2","api":"api-1","state":"UNBLOCKED"}',NULL,NULL);
INSERT INTO version VALUES(13,4,'s-3','app-2api-2','app-2','api-2',NULL,NULL,13,19,'{"application":"app-2","api":"api-2","state":"UNBLOCKED"}',NULL,NULL);
INSERT INTO version VALUES(14,6,'d-1','d-1',NULL,NULL,NULL,NULL,14,NULL,'{"id":"d-1","type":"USER","value":"mallory","invert":false}',NULL,NULL);
INSERT INTO version VALUES(15,3,'k-2','0000000000000000000000000000000000000000000000000000000000000002','app-2',NULL,NULL,NULL,15,NULL,'{"sha256":"0000000000000000000000000000000000000000000000000000000000000002","id":"k-2","application":"app-2","type":"PRODUCTION","state":"REVOKED"}',NULL,NULL);
INSERT INTO version VALUES(16,3,'k-4','0000000000000000000000000000000000000000000000000000000000000004','app-1',NULL,NULL,NULL,16,17,'{"sha256":"0000000000000000000000000000000000000000000000000000000000000004","id":"k-4","application":"app-1","type":"PRODUCTION","state":"REVOKED"}',NULL,NULL);
INSERT INTO version VALUES(17,4,'s-1','app-1api-1','app-1','api-1','gold',NULL,18,NULL,'{"application":"app-1","api":"api-1","state":"PROD_ONLY_BLOCKED","plan":"gold"}',NULL,NULL);
INSERT INTO version VALUES(18,4,'s-3','app-2api-2','app-2','api-2',NULL,NULL,19,20,'{"application":"app-2","api":"api-2","state":"BLOCKED"}',NULL,NULL);
INSERT INTO version VALUES(19,4,'s-3','app-2api-2','app-2','api-2',NULL,'BLOCKED',20,NULL,'{"application":"app-2","api":"api-2","state":"BLOCKED"}',NULL,'bob');
INSERT INTO version VALUES(20,2,'app-1','app-1','app-1',NULL,NULL,NULL,21,NULL,'{"id":"app-1","name":"Shop 2","owner":"alice","state":"ACTIVE"}',NULL,NULL);
CREATE TABLE usage (
    application TEXT    NOT NULL,
    api         TEXT    NOT NULL,
    hour        INTEGER NOT NULL, -- its first second, Unix time
    plan        TEXT    NOT NULL, -- the subscription's; empty: none
    outcome     TEXT    NOT NULL, -- `allowed`, or the reason why not
    requests    INTEGER NOT NULL,
    PRIMARY KEY (application, api, hour, plan, outcome)
) STRICT, WITHOUT ROWID;
CREATE TABLE usage_total (
    application TEXT    NOT NULL,
    api         TEXT    NOT NULL, -- empty: all its APIs
    per         INTEGER NOT NULL, -- 1 day, 2 month
    start       INTEGER NOT NULL, -- the first second of the day or month
    requests    INTEGER NOT NULL,
    PRIMARY KEY (application, api, per, start)
) STRICT, WITHOUT ROWID;
CREATE TABLE usage_batch (
    gateway     TEXT    NOT NULL,
    batch       TEXT    NOT NULL,
    received_at INTEGER NOT NULL,
    PRIMARY KEY (gateway, batch)
) STRICT, WITHOUT ROWID;
CREATE TABLE key_use (
    id        TEXT    PRIMARY KEY,
    last_used INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE history (
    one        INTEGER PRIMARY KEY CHECK (one = 1),
    secret     BLOB    NOT NULL, -- signs cursors; 32 random bytes
    renewals   INTEGER NOT NULL, -- how often the epoch was renewed; tells which of two epochs is the later one
    renewed_at INTEGER NOT NULL  -- when the service last renewed the epoch by itself, Unix time
, is_lost INTEGER NOT NULL DEFAULT 0) STRICT;
INSERT INTO history VALUES(1,X'2d063ea919c314c5aab2f5ea325d071abb6db7339e532d0a22b7ee4cfc1ca178',0,0,0);
CREATE TABLE earlier_epoch (
    number INTEGER PRIMARY KEY, -- rises
    epoch  TEXT    NOT NULL UNIQUE
) STRICT;
CREATE TABLE revision_word (
    revision INTEGER PRIMARY KEY,
    word     INTEGER NOT NULL
) STRICT;
INSERT INTO revision_word VALUES(0,3614747082219038299);
INSERT INTO revision_word VALUES(1,8493326345112399394);
INSERT INTO revision_word VALUES(2,-6138113712463460814);
INSERT INTO revision_word VALUES(3,4030449940347440786);
INSERT INTO revision_word VALUES(4,-2017590620088802338);
INSERT INTO revision_word VALUES(5,-5214440908048595496);
INSERT INTO revision_word VALUES(6,5519972540052019262);
INSERT INTO revision_word VALUES(7,-8971891858699111293);
INSERT INTO revision_word VALUES(8,-1299082046932099798);
INSERT INTO revision_word VALUES(9,7033036292532461584);
INSERT INTO revision_word VALUES(10,-6616778409157144645);
INSERT INTO revision_word VALUES(11,5983370698030655245);
INSERT INTO revision_word VALUES(12,-3772028267914436171);
INSERT INTO revision_word VALUES(13,-368674072552165017);
INSERT INTO revision_word VALUES(14,1020467191161634927);
INSERT INTO revision_word VALUES(15,-1064688791845724325);
INSERT INTO revision_word VALUES(16,-88148171025559969);
INSERT INTO revision_word VALUES(17,-200705806378373741);
INSERT INTO revision_word VALUES(18,-4883270732830642606);
INSERT INTO revision_word VALUES(19,-8783192086767073011);
INSERT INTO revision_word VALUES(20,1614779100584448222);
INSERT INTO revision_word VALUES(21,2303138932453249485);
CREATE TABLE api_match (
    host TEXT NOT NULL, -- a name; a suffix with its dot; empty: any
    path TEXT NOT NULL,
    api  TEXT NOT NULL,
    PRIMARY KEY (host, path, api)
) STRICT, WITHOUT ROWID;
INSERT INTO api_match VALUES('api.example.com','/payments','api-1');
INSERT INTO api_match VALUES('','/orders','api-2');
CREATE TABLE deny_target (
    target TEXT NOT NULL, -- the kind and the value
    policy TEXT NOT NULL, -- the id of the deny policy
    PRIMARY KEY (target, policy)
) STRICT, WITHOUT ROWID;
INSERT INTO deny_target VALUES('user mallory','d-1');
CREATE TABLE usage_room (
    gateway     TEXT    PRIMARY KEY, -- its client id
    reported_at INTEGER NOT NULL,    -- its last report, Unix time
    room        INTEGER NOT NULL     -- requests that it could have reported then and did not
) STRICT, WITHOUT ROWID;
CREATE TABLE revoked_key (
    sha256 TEXT PRIMARY KEY
) STRICT, WITHOUT ROWID;
INSERT INTO revoked_key VALUES('0000000000000000000000000000000000000000000000000000000000000004');
CREATE TABLE listed (
    kind        INTEGER NOT NULL,
    id          TEXT    NOT NULL,
    seq         INTEGER NOT NULL, -- the version; rises with each change
    state       TEXT,
    type        TEXT,             -- of keys and deny policies
    name        TEXT,             -- of APIs and applications; the value of deny policies
    owner       TEXT,             -- of applications
    application TEXT,             -- of keys and subscriptions
    api         TEXT,             -- of subscriptions
    plan        TEXT,             -- of applications and subscriptions
    last_used   INTEGER,          -- of keys: a copy of key_use, since a million look-ups there take more than a second
    PRIMARY KEY (kind, id)
) STRICT, WITHOUT ROWID;
INSERT INTO listed VALUES(1,'api-1',2,'PUBLISHED',NULL,'Payments',NULL,NULL,NULL,NULL,NULL);
INSERT INTO listed VALUES(1,'api-2',3,'PUBLISHED',NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO listed VALUES(2,'app-1',20,'ACTIVE',NULL,'Shop 2','alice',NULL,NULL,NULL,NULL);
INSERT INTO listed VALUES(2,'app-2',5,'ACTIVE',NULL,NULL,'bob',NULL,NULL,NULL,NULL);
INSERT INTO listed VALUES(2,'app-3',6,'ACTIVE',NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO listed VALUES(3,'k-1',7,'ACTIVE','PRODUCTION',NULL,NULL,'app-1',NULL,NULL,NULL);
INSERT INTO listed VALUES(3,'k-2',15,'REVOKED','PRODUCTION',NULL,NULL,'app-2',NULL,NULL,NULL);
INSERT INTO listed VALUES(3,'k-3',9,'ACTIVE','PRODUCTION',NULL,NULL,'app-3',NULL,NULL,NULL);
INSERT INTO listed VALUES(4,'s-1',17,'PROD_ONLY_BLOCKED',NULL,NULL,NULL,'app-1','api-1','gold',NULL);
INSERT INTO listed VALUES(4,'s-2',12,'UNBLOCKED',NULL,NULL,NULL,'app-2','api-1',NULL,NULL);
INSERT INTO listed VALUES(4,'s-3',19,'BLOCKED',NULL,NULL,NULL,'app-2','api-2',NULL,NULL);
INSERT INTO listed VALUES(5,'gold',1,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO listed VALUES(6,'d-1',14,NULL,'USER','mallory',NULL,NULL,NULL,NULL,NULL);
CREATE TABLE usage_cut (
    application TEXT    PRIMARY KEY,
    deleted_at  INTEGER NOT NULL, -- Unix time
    made_at     INTEGER           -- of the new one; NULL: there is none
) STRICT, WITHOUT ROWID;
DELETE FROM sqlite_sequence;
INSERT INTO sqlite_sequence VALUES('version',20);
CREATE UNIQUE INDEX version_by_id       ON version (kind, id)       WHERE until_revision IS NULL;
CREATE UNIQUE INDEX version_by_identity ON version (kind, identity) WHERE until_revision IS NULL;
CREATE INDEX version_by_plan ON version (plan) WHERE until_revision IS NULL AND plan IS NOT NULL;
CREATE INDEX version_by_from  ON version (from_revision);
CREATE INDEX version_by_until ON version (until_revision) WHERE until_revision IS NOT NULL;
CREATE INDEX version_past     ON version (kind, identity) WHERE until_revision IS NOT NULL;
CREATE INDEX version_by_application ON version (application, kind, api) WHERE application IS NOT NULL;
CREATE INDEX version_by_api         ON version (api, application) WHERE api IS NOT NULL;
CREATE INDEX usage_by_hour ON usage (hour);
CREATE INDEX usage_total_by_start ON usage_total (start);
CREATE INDEX usage_batch_by_age ON usage_batch (received_at);
CREATE INDEX version_used_up ON version (plan)
    WHERE until_revision IS NULL AND plan IS NOT NULL AND json_extract(document, '$.used_up_until') IS NOT NULL;
CREATE INDEX api_match_by_api ON api_match (api);
CREATE INDEX deny_target_by_policy ON deny_target (policy);
CREATE INDEX version_by_owner ON version (json_extract(document, '$.owner'))
    WHERE until_revision IS NULL AND kind = 2 AND kept_block IS NULL;
CREATE TRIGGER listed_from AFTER INSERT ON version WHEN new.until_revision IS NULL BEGIN
    INSERT OR REPLACE INTO listed VALUES (new.kind, new.id, new.seq,
        coalesce(new.kept_block, json_extract(new.document, '$.state')),
        json_extract(new.document, '$.type'),
        json_extract(new.document, iif(new.kind = 6, '$.value', '$.name')),
        json_extract(new.document, '$.owner'),
        iif(new.kind = 2, NULL, new.application), new.api, new.plan,
        (SELECT last_used FROM key_use WHERE new.kind = 3 AND key_use.id = new.id));
END;
CREATE TRIGGER listed_until AFTER UPDATE OF until_revision ON version WHEN new.until_revision IS NOT NULL BEGIN
    DELETE FROM listed WHERE kind = new.kind AND id = new.id AND seq = new.seq;
END;
CREATE TRIGGER listed_gone AFTER DELETE ON version WHEN old.until_revision IS NULL BEGIN
    DELETE FROM listed WHERE kind = old.kind AND id = old.id AND seq = old.seq;
END;
CREATE TRIGGER listed_used AFTER INSERT ON key_use BEGIN
    UPDATE listed SET last_used = new.last_used WHERE kind = 3 AND id = new.id;
END;
CREATE TRIGGER listed_used_again AFTER UPDATE OF last_used ON key_use WHEN new.last_used <> old.last_used BEGIN
    UPDATE listed SET last_used = new.last_used WHERE kind = 3 AND id = new.id;
END;
CREATE TRIGGER listed_unused AFTER DELETE ON key_use BEGIN
    UPDATE listed SET last_used = NULL WHERE kind = 3 AND id = old.id;
END;
CREATE INDEX listed_by_owner ON listed (kind, owner) WHERE owner IS NOT NULL;
CREATE INDEX listed_by_state ON listed (kind, state) WHERE state NOT IN ('ACTIVE', 'PUBLISHED', 'UNBLOCKED');
CREATE INDEX version_by_kept_owner ON version (kept_owner, api)
    WHERE until_revision IS NULL AND kept_owner IS NOT NULL;
CREATE INDEX usage_cut_by_age ON usage_cut (deleted_at);
CREATE TRIGGER usage_cut_made AFTER INSERT ON version
    WHEN new.kind = 2 AND new.kept_block IS NULL AND new.until_revision IS NULL BEGIN
    UPDATE usage_cut SET made_at = unixepoch() WHERE application = new.id AND made_at IS NULL;
END;
COMMIT;
