-- The evaluators' records, outboxes and positions.

-- `log_id` holds the bits of an unsigned number; log and claim together are the owner's epoch.
CREATE TABLE partitions (
    partition INTEGER PRIMARY KEY,
    log_id INTEGER NOT NULL,
    claim_position INTEGER NOT NULL,
    position INTEGER NOT NULL,
    next_sequence INTEGER NOT NULL,
    shared BLOB
) STRICT;

-- Wake times are milliseconds since 1970, by the partition's watermark or by the owner's clock.
CREATE TABLE records (
    partition INTEGER NOT NULL,
    key BLOB NOT NULL,
    bytes BLOB NOT NULL,
    wake_watermark INTEGER,
    wake_clock INTEGER,
    is_concerned INTEGER NOT NULL CHECK (is_concerned IN (0, 1)),
    PRIMARY KEY (partition, key)
) STRICT;

-- What a new owner must know of without reading every record.
CREATE INDEX agenda ON records (partition, key)
    WHERE wake_watermark IS NOT NULL OR wake_clock IS NOT NULL OR is_concerned = 1;

CREATE TABLE outbox (
    partition INTEGER NOT NULL,
    sequence INTEGER NOT NULL,
    topic INTEGER NOT NULL,
    target_partition INTEGER NOT NULL,
    key BLOB NOT NULL,
    value BLOB NOT NULL,
    PRIMARY KEY (partition, sequence)
) STRICT;
