-- What was protected on a node that was taken out of the cluster: that the node is gone takes no
-- protection away. Until the instance is ordered again, as protected or not.

CREATE TABLE kept_protection (
    instance TEXT NOT NULL PRIMARY KEY
) STRICT, WITHOUT ROWID;
