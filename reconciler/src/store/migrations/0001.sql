-- The records of a control plane. Times are RFC 3339 in UTC (`Z`), so comparing texts compares times
-- to the second. Documents are JSON.

CREATE TABLE cluster (
    id     INTEGER PRIMARY KEY CHECK (id = 1),
    name   TEXT,
    serial INTEGER NOT NULL
) STRICT;
INSERT INTO cluster (id, name, serial) VALUES (1, NULL, 0);

CREATE TABLE nodes (
    id         TEXT PRIMARY KEY,
    name       TEXT NOT NULL,
    facts      TEXT NOT NULL,
    last_seen  TEXT,
    tags       TEXT NOT NULL,
    zone       TEXT,
    cordoned   INTEGER NOT NULL,
    joined_at  TEXT NOT NULL,
    removed_at TEXT
) STRICT;
CREATE UNIQUE INDEX nodes_by_name ON nodes (name) WHERE removed_at IS NULL;

CREATE TABLE join_tokens (
    id         TEXT PRIMARY KEY,
    hash       TEXT NOT NULL,
    node       TEXT,
    replace    INTEGER NOT NULL,
    created_at TEXT NOT NULL,
    expires_at TEXT NOT NULL,
    used_at    TEXT,
    used_by    TEXT
) STRICT;

CREATE TABLE api_keys (
    seq        INTEGER PRIMARY KEY AUTOINCREMENT,
    id         TEXT NOT NULL UNIQUE,
    hash       TEXT NOT NULL,
    name       TEXT NOT NULL,
    role       TEXT NOT NULL,
    created_at TEXT NOT NULL,
    revoked_at TEXT
) STRICT;

CREATE TABLE revisions (
    seq          INTEGER PRIMARY KEY AUTOINCREMENT,
    revision     TEXT NOT NULL UNIQUE,
    source       TEXT NOT NULL,
    summary      TEXT NOT NULL,
    author       TEXT NOT NULL,
    committed_at TEXT NOT NULL,
    root         TEXT NOT NULL,
    files        TEXT NOT NULL,
    seen_at      TEXT NOT NULL,
    state        TEXT NOT NULL CHECK (state IN ('seen', 'good', 'bad')),
    problem      TEXT,
    diagnostics  TEXT NOT NULL,
    applied_at   TEXT
) STRICT;

CREATE TABLE plans (
    seq        INTEGER PRIMARY KEY AUTOINCREMENT,
    id         TEXT NOT NULL UNIQUE,
    revision   TEXT NOT NULL,
    plan       TEXT NOT NULL,
    request    TEXT NOT NULL,
    made_by    TEXT NOT NULL,
    created_at TEXT NOT NULL,
    expires_at TEXT
) STRICT;

CREATE TABLE deployments (
    seq        INTEGER PRIMARY KEY AUTOINCREMENT,
    id         TEXT NOT NULL UNIQUE,
    plan       TEXT NOT NULL,
    revision   TEXT NOT NULL,
    started_by TEXT NOT NULL,
    started_at TEXT NOT NULL,
    ended_at   TEXT,
    state      TEXT NOT NULL CHECK (state IN ('running', 'succeeded', 'failed', 'interrupted')),
    summary    TEXT NOT NULL,
    errors     TEXT NOT NULL
) STRICT;
CREATE INDEX deployments_running ON deployments (state) WHERE state = 'running';

CREATE TABLE deployment_lines (
    deployment TEXT NOT NULL REFERENCES deployments (id) ON DELETE CASCADE,
    seq        INTEGER NOT NULL,
    line       TEXT NOT NULL,
    PRIMARY KEY (deployment, seq)
) STRICT, WITHOUT ROWID;

CREATE TABLE deployment_steps (
    deployment TEXT NOT NULL REFERENCES deployments (id) ON DELETE CASCADE,
    step       TEXT NOT NULL,
    instance   TEXT NOT NULL,
    node       TEXT NOT NULL,
    generation INTEGER NOT NULL,
    state      TEXT NOT NULL,
    at         TEXT NOT NULL,
    PRIMARY KEY (deployment, step)
) STRICT, WITHOUT ROWID;

CREATE TABLE generations (
    instance   TEXT PRIMARY KEY,
    generation INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE assignments (
    instance   TEXT NOT NULL,
    node       TEXT NOT NULL,
    generation INTEGER NOT NULL,
    spec       TEXT NOT NULL,
    PRIMARY KEY (instance, node)
) STRICT, WITHOUT ROWID;

CREATE TABLE events (
    seq     INTEGER PRIMARY KEY AUTOINCREMENT,
    at      TEXT NOT NULL,
    kind    TEXT NOT NULL,
    subject TEXT NOT NULL,
    message TEXT NOT NULL
) STRICT;
