-- Events of people and of the loop are kept apart from those that agents and strangers cause, of
-- which there may be any number.

ALTER TABLE events ADD COLUMN cause TEXT NOT NULL DEFAULT 'act' CHECK (cause IN ('act', 'report'));
UPDATE events SET cause = 'report' WHERE kind IN ('instance', 'plan');
CREATE INDEX events_by_cause ON events (cause, seq);
