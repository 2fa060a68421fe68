-- Whether a revision could ever be planned: that it cannot be by now, since a secret of it is gone, makes
-- no older one the last good one.
ALTER TABLE revisions ADD COLUMN was_good INTEGER NOT NULL DEFAULT 0;
UPDATE revisions SET was_good = 1 WHERE state = 'good' OR applied_at IS NOT NULL;

-- Services whose change somebody cut short, why, and what was wanted of them: not begun again until
-- something else is wanted, however many deployments follow.
CREATE TABLE put_off (
    service TEXT NOT NULL PRIMARY KEY,
    why     TEXT NOT NULL,
    wanted  TEXT NOT NULL
) STRICT, WITHOUT ROWID;
