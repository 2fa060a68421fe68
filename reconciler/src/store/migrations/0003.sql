-- What nodes say that they were told to run, since the records that could tell were lost. Taken once
-- a node, from its first whole report.
CREATE TABLE claims (
    instance   TEXT NOT NULL,
    node       TEXT NOT NULL,
    generation INTEGER NOT NULL,
    spec       TEXT,
    PRIMARY KEY (instance, node)
) STRICT, WITHOUT ROWID;

-- Whether the node's claims are still to be taken, and how often it opened a session.
ALTER TABLE nodes ADD COLUMN unread INTEGER NOT NULL DEFAULT 0;
ALTER TABLE nodes ADD COLUMN sessions INTEGER NOT NULL DEFAULT 0;

-- Numbers that agents made up were once recorded; no generation above 2^53 was ever given out.
UPDATE generations SET generation = coalesce(
    (SELECT max(a.generation) FROM assignments a
     WHERE a.instance = generations.instance AND a.generation <= 9007199254740992), 0)
WHERE generation > 9007199254740992;
DELETE FROM assignments WHERE generation > 9007199254740992;
