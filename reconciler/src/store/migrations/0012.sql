-- Whether the node that claims an instance has the receipt that came with the order. What was claimed
-- before there were receipts stays believed.
ALTER TABLE claims ADD COLUMN shown INTEGER NOT NULL DEFAULT 1;
