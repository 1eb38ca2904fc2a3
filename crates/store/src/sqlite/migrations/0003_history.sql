-- Which history a cursor of the feed belongs to.
--
-- A revision number alone does not name a policy: a database that is put back from a backup makes the same numbers again
-- with other content. So each revision has a random word, and the feed writes it into its cursors, signed.

CREATE TABLE history (
    one        INTEGER PRIMARY KEY CHECK (one = 1),
    secret     BLOB    NOT NULL, -- signs cursors; 32 random bytes
    renewals   INTEGER NOT NULL, -- how often the epoch was renewed; tells which of two epochs is the later one
    renewed_at INTEGER NOT NULL  -- when the service last renewed the epoch by itself, Unix time
) STRICT;
INSERT INTO history VALUES (1, randomblob(32), 0, 0);

-- Epochs that this database had. Their cursors are answered with 410, and the epoch stays.
CREATE TABLE earlier_epoch (
    number INTEGER PRIMARY KEY, -- rises
    epoch  TEXT    NOT NULL UNIQUE
) STRICT;

-- The random word of each revision that can still be read.
CREATE TABLE revision_word (
    revision INTEGER PRIMARY KEY,
    word     INTEGER NOT NULL
) STRICT;

-- A database from before this migration gets a new epoch. A backup of that time has no secret and no words: if it were
-- put back later, nobody could tell its revisions from these.
INSERT INTO earlier_epoch (epoch) SELECT epoch FROM policy_state;
UPDATE policy_state SET epoch = lower(hex(randomblob(16)));
INSERT INTO revision_word SELECT revision, random() FROM policy_state;
