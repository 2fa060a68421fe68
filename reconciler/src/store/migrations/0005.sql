-- Where data of instances is, whether they run or not: kept when an assignment is dropped, so that
-- an instance that comes back comes back to its data.

CREATE TABLE data_places (
    instance   TEXT NOT NULL,
    node       TEXT NOT NULL,
    generation INTEGER NOT NULL,
    runtime    TEXT NOT NULL,
    volumes    TEXT NOT NULL,
    -- The generation before, to go back to where the newest could not be started.
    before     INTEGER,
    PRIMARY KEY (instance, node)
) STRICT, WITHOUT ROWID;

-- A spec that cannot be read may have had volumes: its place is on record as one that cannot be read
-- either, so that nothing is planned unseen.
INSERT INTO data_places (instance, node, generation, runtime, volumes)
SELECT
    instance, node, generation,
    CASE
        WHEN NOT json_valid(spec) THEN 'unreadable'
        WHEN json_extract(spec, '$.workload.process') IS NULL THEN 'docker'
        ELSE 'process'
    END,
    CASE WHEN json_valid(spec) THEN json_extract(spec, '$.volumes') ELSE 'unreadable' END
FROM assignments
WHERE CASE WHEN json_valid(spec) THEN json_array_length(spec, '$.volumes') > 0 ELSE 1 END;
