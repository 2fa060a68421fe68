-- Sessions of browsers, of which only a hash is kept. They end with their key, and by time.
CREATE TABLE sessions (
    seq        INTEGER PRIMARY KEY AUTOINCREMENT,
    id         TEXT NOT NULL UNIQUE,
    hash       TEXT NOT NULL,
    key        TEXT NOT NULL,
    role       TEXT NOT NULL,
    address    TEXT NOT NULL,
    created_at TEXT NOT NULL,
    seen_at    TEXT NOT NULL
) STRICT;
