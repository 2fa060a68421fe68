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

INSERT INTO data_places (instance, node, generation, runtime, volumes)
SELECT
    instance, node, generation,
    CASE WHEN json_extract(spec, '$.workload.process') IS NULL THEN 'docker' ELSE 'process' END,
    json_extract(spec, '$.volumes')
FROM assignments
WHERE json_array_length(spec, '$.volumes') > 0;
