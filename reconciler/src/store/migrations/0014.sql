-- A node that an admin drains: it is cordoned, and gives up what can move.
ALTER TABLE nodes ADD COLUMN drained INTEGER NOT NULL DEFAULT 0;
