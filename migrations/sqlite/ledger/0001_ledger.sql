-- What people ask afterwards. Times are milliseconds since 1970.

CREATE TABLE decisions (
    id TEXT PRIMARY KEY,
    tenant TEXT NOT NULL,
    owner BLOB NOT NULL,
    generation INTEGER NOT NULL,
    mode TEXT NOT NULL,
    action TEXT NOT NULL,
    user TEXT,
    session TEXT,
    device TEXT,
    issued_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    json TEXT NOT NULL
) STRICT;

CREATE INDEX decisions_by_time ON decisions (issued_at, id);
CREATE INDEX decisions_by_tenant ON decisions (tenant, issued_at, id);
CREATE INDEX decisions_by_user ON decisions (user, tenant, issued_at, id) WHERE user IS NOT NULL;
CREATE INDEX decisions_by_session ON decisions (session, tenant, issued_at, id) WHERE session IS NOT NULL;
CREATE INDEX decisions_by_device ON decisions (device, tenant, issued_at, id) WHERE device IS NOT NULL;

CREATE TABLE receipts (
    decision TEXT NOT NULL,
    enforcement_point TEXT NOT NULL,
    client TEXT NOT NULL,
    tenant TEXT NOT NULL,
    in_force_at INTEGER NOT NULL,
    PRIMARY KEY (decision, enforcement_point, client)
) STRICT, WITHOUT ROWID;

-- `session` is empty for the subject itself.
CREATE TABLE standings (
    tenant TEXT NOT NULL,
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    session TEXT NOT NULL,
    score INTEGER NOT NULL,
    assessed_at INTEGER NOT NULL,
    json TEXT NOT NULL,
    PRIMARY KEY (tenant, kind, name, session)
) STRICT;

-- `tenants` are separated by U+001F, which no name holds.
CREATE TABLE enforcement_points (
    name TEXT NOT NULL,
    client TEXT NOT NULL,
    tenants TEXT NOT NULL,
    last_seen INTEGER NOT NULL,
    acknowledged TEXT,
    is_connected INTEGER NOT NULL CHECK (is_connected IN (0, 1)),
    PRIMARY KEY (name, client)
) STRICT, WITHOUT ROWID;

CREATE TABLE audit (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    at INTEGER NOT NULL,
    tenant TEXT,
    principal TEXT NOT NULL,
    action TEXT NOT NULL,
    object TEXT NOT NULL,
    detail TEXT NOT NULL
) STRICT;

-- An entry written twice is one entry.
CREATE UNIQUE INDEX audit_once ON audit (at, principal, action, object, detail, ifnull(tenant, x''));

-- The recorder's positions in the bus, by the topic's number there.
CREATE TABLE positions (
    topic INTEGER NOT NULL,
    partition INTEGER NOT NULL,
    position INTEGER NOT NULL,
    PRIMARY KEY (topic, partition)
) STRICT, WITHOUT ROWID;

-- Only the SHA-256 of a secret is kept. `tenants` and `rights` are separated by U+001F; no tenants means all.
CREATE TABLE tokens (
    id TEXT PRIMARY KEY,
    hash BLOB NOT NULL CHECK (length(hash) = 32),
    name TEXT NOT NULL,
    tenants TEXT NOT NULL,
    rights TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER,
    revoked_at INTEGER
) STRICT;
