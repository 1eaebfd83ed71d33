-- Rows are only inserted. A run that has started has a row in `runs`; when its record arrives it gets one in `records`.
CREATE TABLE runs (
    id         TEXT PRIMARY KEY,
    started_us INTEGER NOT NULL,  -- microseconds since 1970-01-01, UTC
    run_dir    ANY,               -- text; a blob if the path is not UTF-8; null for a record that came without a directory
    command    TEXT NOT NULL,     -- JSON array of words
    pid        INTEGER            -- null: the run did not start here, its record was imported
) STRICT;
CREATE INDEX runs_by_start ON runs (started_us);

CREATE TABLE records (
    id          TEXT PRIMARY KEY,
    finished_us INTEGER NOT NULL, -- when the record came into this store
    state       TEXT NOT NULL,    -- complete, interrupted or failed
    shape       TEXT NOT NULL,
    phases      TEXT NOT NULL,    -- those in the record, in order, with commas
    engines     TEXT NOT NULL,
    phases_s    REAL NOT NULL,    -- sum of the wall times of all phases, seconds
    record      TEXT NOT NULL     -- the JSON document; last, so that a listing never reads it
) STRICT;

-- The insert triggers stop INSERT OR REPLACE, which deletes without firing a delete trigger.
CREATE TRIGGER runs_no_replace BEFORE INSERT ON runs WHEN EXISTS (SELECT 1 FROM runs WHERE id = NEW.id)
BEGIN SELECT RAISE(ABORT, 'the store is append-only: this run is already there'); END;
CREATE TRIGGER runs_no_update BEFORE UPDATE ON runs BEGIN SELECT RAISE(ABORT, 'the store is append-only'); END;
CREATE TRIGGER runs_no_delete BEFORE DELETE ON runs BEGIN SELECT RAISE(ABORT, 'the store is append-only'); END;
CREATE TRIGGER records_no_replace BEFORE INSERT ON records WHEN EXISTS (SELECT 1 FROM records WHERE id = NEW.id)
BEGIN SELECT RAISE(ABORT, 'the store is append-only: this run already has a record'); END;
CREATE TRIGGER records_no_update BEFORE UPDATE ON records BEGIN SELECT RAISE(ABORT, 'the store is append-only'); END;
CREATE TRIGGER records_no_delete BEFORE DELETE ON records BEGIN SELECT RAISE(ABORT, 'the store is append-only'); END;

-- What the reference engine made of a sector, so that later runs of any engine are verified against it.
CREATE TABLE reference_outputs (
    sector TEXT NOT NULL,         -- hash of size, layers and ids
    phase  TEXT NOT NULL,
    output TEXT NOT NULL,         -- JSON, as in the record
    PRIMARY KEY (sector, phase)
) STRICT;
CREATE TRIGGER reference_outputs_no_update BEFORE UPDATE ON reference_outputs
BEGIN SELECT RAISE(ABORT, 'the store is append-only'); END;
CREATE TRIGGER reference_outputs_no_delete BEFORE DELETE ON reference_outputs
BEGIN SELECT RAISE(ABORT, 'the store is append-only'); END;
