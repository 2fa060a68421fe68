-- What the loop leaves alone until somebody resumes it, or until a time. An empty service is everything.
CREATE TABLE suspensions (
    service      TEXT PRIMARY KEY,
    until        TEXT,
    reason       TEXT NOT NULL,
    suspended_by TEXT NOT NULL,
    suspended_at TEXT NOT NULL
) STRICT, WITHOUT ROWID;
