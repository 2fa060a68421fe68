-- Whether the node that claims an instance, or its data, has the receipt that came with the order. What
-- was claimed before there were receipts stays believed.
ALTER TABLE claims ADD COLUMN shown INTEGER NOT NULL DEFAULT 1;
ALTER TABLE data_places ADD COLUMN shown INTEGER NOT NULL DEFAULT 1;
