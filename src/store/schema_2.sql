-- Version 2 adds to version 1: what a query asks of records, named baselines, and criterion's results.

-- Facts of a record, out of its document. One row per record, in the order of the records.
CREATE TABLE record_facts (
    id         TEXT PRIMARY KEY,
    started_us INTEGER NOT NULL,
    shape      TEXT NOT NULL,
    host       TEXT,              -- the machine's name
    cpu        TEXT,              -- the CPU's model
    sweep      TEXT,              -- the sweep's id, null for a run outside of one
    point      TEXT               -- its point
) STRICT;
CREATE INDEX facts_by_start ON record_facts (started_us);
CREATE INDEX facts_by_shape ON record_facts (shape, started_us);
CREATE INDEX facts_by_host ON record_facts (host, started_us);
CREATE INDEX facts_by_cpu ON record_facts (cpu, started_us);
CREATE INDEX facts_by_sweep ON record_facts (sweep, point, started_us);

-- Which phases of which engines a record has.
CREATE TABLE record_phases (
    id     TEXT NOT NULL,
    phase  TEXT NOT NULL,
    engine TEXT NOT NULL,
    PRIMARY KEY (id, phase, engine)
) STRICT, WITHOUT ROWID;

-- Both are taken from here: when a record arrives, and for those of a version 1 store.
CREATE VIEW facts_of_records AS
    SELECT id, started_us, shape,
        json_extract(document, '$.host.hostname') AS host, json_extract(document, '$.host.cpu.model') AS cpu,
        json_extract(document, '$.sweep.sweep') AS sweep, json_extract(document, '$.sweep.point') AS point
    FROM (
        SELECT records.id, started_us, shape, CASE WHEN json_valid(record) THEN record ELSE '{}' END AS document
        FROM records JOIN runs ON runs.id = records.id
    );
CREATE VIEW phases_of_records AS
    SELECT DISTINCT records.id, json_extract(phases.value, '$.phase') AS phase, json_extract(phases.value, '$.engine') AS engine
    FROM records, json_each(CASE WHEN json_valid(record) THEN record ELSE '{}' END, '$.phases') AS phases
    WHERE phases.type = 'object';
CREATE TRIGGER records_facts AFTER INSERT ON records
BEGIN
    INSERT INTO record_facts SELECT * FROM facts_of_records WHERE id = NEW.id;
    INSERT OR IGNORE INTO record_phases SELECT * FROM phases_of_records WHERE id = NEW.id;
END;

-- A name saved again names another run; the rows before stay.
CREATE TABLE baselines (
    name     TEXT NOT NULL,
    run      TEXT NOT NULL,       -- id of a run that has a record
    saved_us INTEGER NOT NULL
) STRICT;
CREATE INDEX baselines_by_name ON baselines (name);

-- What criterion measured of a kernel, imported.
CREATE TABLE kernel_benches (
    digest      TEXT PRIMARY KEY, -- BLAKE3 of criterion's files: the same result comes in once
    bench       TEXT NOT NULL,    -- criterion's id: group/function/parameter
    baseline    TEXT NOT NULL,    -- criterion's name of the result, "new" for the latest
    measured_us INTEGER NOT NULL, -- when criterion wrote it
    imported_us INTEGER NOT NULL,
    host        TEXT,             -- the machine and CPU on which it was imported
    cpu         TEXT,
    build       TEXT NOT NULL,    -- JSON: the sealbench that imported it
    throughput  TEXT,             -- JSON: criterion's unit and count per iteration
    samples     TEXT NOT NULL     -- JSON array: seconds per iteration, one for each of criterion's samples
) STRICT;
CREATE INDEX kernel_benches_by_bench ON kernel_benches (bench, measured_us);

CREATE TRIGGER facts_no_replace BEFORE INSERT ON record_facts WHEN EXISTS (SELECT 1 FROM record_facts WHERE id = NEW.id)
BEGIN SELECT RAISE(ABORT, 'the store is append-only: these facts are already there'); END;
CREATE TRIGGER facts_no_update BEFORE UPDATE ON record_facts BEGIN SELECT RAISE(ABORT, 'the store is append-only'); END;
CREATE TRIGGER facts_no_delete BEFORE DELETE ON record_facts BEGIN SELECT RAISE(ABORT, 'the store is append-only'); END;
CREATE TRIGGER phases_no_update BEFORE UPDATE ON record_phases BEGIN SELECT RAISE(ABORT, 'the store is append-only'); END;
CREATE TRIGGER phases_no_delete BEFORE DELETE ON record_phases BEGIN SELECT RAISE(ABORT, 'the store is append-only'); END;
CREATE TRIGGER baselines_no_update BEFORE UPDATE ON baselines BEGIN SELECT RAISE(ABORT, 'the store is append-only'); END;
CREATE TRIGGER baselines_no_delete BEFORE DELETE ON baselines BEGIN SELECT RAISE(ABORT, 'the store is append-only'); END;
CREATE TRIGGER kernel_benches_no_replace BEFORE INSERT ON kernel_benches
WHEN EXISTS (SELECT 1 FROM kernel_benches WHERE digest = NEW.digest)
BEGIN SELECT RAISE(ABORT, 'the store is append-only: this result is already there'); END;
CREATE TRIGGER kernel_benches_no_update BEFORE UPDATE ON kernel_benches
BEGIN SELECT RAISE(ABORT, 'the store is append-only'); END;
CREATE TRIGGER kernel_benches_no_delete BEFORE DELETE ON kernel_benches
BEGIN SELECT RAISE(ABORT, 'the store is append-only'); END;
