-- Two more ways in which a deployment can end: cancelled, and incomplete.

CREATE TABLE deployments_new (
    seq        INTEGER PRIMARY KEY AUTOINCREMENT,
    id         TEXT NOT NULL UNIQUE,
    plan       TEXT NOT NULL,
    revision   TEXT NOT NULL,
    started_by TEXT NOT NULL,
    started_at TEXT NOT NULL,
    ended_at   TEXT,
    state      TEXT NOT NULL CHECK (state IN
                   ('running', 'succeeded', 'incomplete', 'failed', 'cancelled', 'interrupted')),
    summary    TEXT NOT NULL,
    errors     TEXT NOT NULL
) STRICT;
INSERT INTO deployments_new
    SELECT seq, id, plan, revision, started_by, started_at, ended_at, state, summary, errors
    FROM deployments;
DROP TABLE deployments;
ALTER TABLE deployments_new RENAME TO deployments;
CREATE INDEX deployments_running ON deployments (state) WHERE state = 'running';
