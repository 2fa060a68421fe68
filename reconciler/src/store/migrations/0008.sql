-- How many deployments had orders for the node: agents keep the number, so that records which are
-- older than a node are noticed. Those that were found to be are `unread = 2` until they have said
-- what they were told.
ALTER TABLE nodes ADD COLUMN orders INTEGER NOT NULL DEFAULT 0;
