-- The names of the volumes that the node has said it has: only those can be missed. A volume that was
-- ordered may never have been made.
ALTER TABLE data_places ADD COLUMN made TEXT NOT NULL DEFAULT '[]';
