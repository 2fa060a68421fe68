-- Who asked for what that changes something, and what became of it. Refusals are in it, too.
CREATE TABLE audit (
    seq     INTEGER PRIMARY KEY AUTOINCREMENT,
    at      TEXT NOT NULL,
    actor   TEXT NOT NULL,
    role    TEXT,
    address TEXT NOT NULL,
    action  TEXT NOT NULL,
    subject TEXT NOT NULL,
    outcome INTEGER NOT NULL
) STRICT;

-- When a key was used last, to the minute.
ALTER TABLE api_keys ADD COLUMN used_at TEXT;
