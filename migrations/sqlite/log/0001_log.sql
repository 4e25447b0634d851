-- The log and the topics of the embedded bus.

-- Written once, when the log is created. `log_id` holds the bits of an unsigned number.
CREATE TABLE head (
    singleton INTEGER PRIMARY KEY CHECK (singleton = 1),
    log_id INTEGER NOT NULL,
    partitions INTEGER NOT NULL CHECK (partitions > 0)
) STRICT;

-- Topics: 0 signals, 1 decisions, 2 shadow, 3 dead letters, 4 progress, 5 receipts. The numbers never change meaning.
-- Rows are appended at one end of the file, in the order of arrival of all partitions; the key finds a partition's own.
CREATE TABLE records (
    topic INTEGER NOT NULL,
    partition INTEGER NOT NULL,
    position INTEGER NOT NULL,
    key BLOB NOT NULL,
    value BLOB NOT NULL,
    PRIMARY KEY (topic, partition, position)
) STRICT;

-- Compaction: a newer record of a key replaces the older one.
CREATE UNIQUE INDEX newest_of_key ON records (topic, partition, key) WHERE topic IN (1, 2, 4);

-- Tombstones, which leave after a while.
CREATE INDEX tombstones ON records (topic, partition, position) WHERE value = x'';

-- The offset the next record of a partition will have; it rises for ever, whatever was compacted or trimmed.
CREATE TABLE ends (
    topic INTEGER NOT NULL,
    partition INTEGER NOT NULL,
    next INTEGER NOT NULL,
    PRIMARY KEY (topic, partition)
) STRICT, WITHOUT ROWID;

-- The latest claim of each partition of the log, and up to where its outputs are complete.
CREATE TABLE owners (
    partition INTEGER PRIMARY KEY,
    claim_position INTEGER NOT NULL,
    completed INTEGER NOT NULL
) STRICT;
