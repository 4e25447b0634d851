-- What people ask afterwards. Names compare byte by byte (COLLATE "C"), as in every other ledger, whatever the
-- database's own language is. What grows with traffic is partitioned by month (UTC): the adapter makes the months, and
-- retention drops whole ones. A DEFAULT partition takes what lies in no month that was made, so that no row is refused.

CREATE TABLE decisions (
    id text COLLATE "C" NOT NULL,
    tenant text COLLATE "C" NOT NULL,
    owner bytea NOT NULL CHECK (length(owner) = 16),
    generation bigint NOT NULL,
    mode text COLLATE "C" NOT NULL,
    action text COLLATE "C" NOT NULL,
    -- Not `user`: unquoted, that is PostgreSQL's word for whoever asks.
    target_user text COLLATE "C",
    target_session text COLLATE "C",
    target_device text COLLATE "C",
    target_workload text COLLATE "C",
    target_app text COLLATE "C",
    issued_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    score smallint,
    level text COLLATE "C",
    hypothesis text COLLATE "C",
    rule text COLLATE "C",
    revision text COLLATE "C",
    cause text COLLATE "C",
    received_at timestamptz,
    decided_at timestamptz,
    -- Text, not jsonb: what was sent comes back byte for byte.
    json text NOT NULL,
    -- The time is a function of the decision, so that the pair is as unique as the id.
    PRIMARY KEY (id, issued_at)
) PARTITION BY RANGE (issued_at);

CREATE TABLE decisions_default PARTITION OF decisions DEFAULT;

CREATE INDEX decisions_by_time ON decisions (issued_at, id);
CREATE INDEX decisions_by_tenant ON decisions (tenant, issued_at, id);
CREATE INDEX decisions_by_user ON decisions (target_user, tenant, issued_at, id) WHERE target_user IS NOT NULL;
CREATE INDEX decisions_by_session ON decisions (target_session, tenant, issued_at, id) WHERE target_session IS NOT NULL;
CREATE INDEX decisions_by_device ON decisions (target_device, tenant, issued_at, id) WHERE target_device IS NOT NULL;

COMMENT ON TABLE decisions IS 'Every decision sent, enforced and shadow. `json` is the truth; the other columns find and count it. Kept by `issued_at`.';
COMMENT ON COLUMN decisions.owner IS 'Hash of the subject whose record decided.';
COMMENT ON COLUMN decisions.generation IS 'Rises over all decisions of one owner and mode; for one target the latest is in force.';
COMMENT ON COLUMN decisions.mode IS 'enforce, or shadow (never sent to enforcement points).';
COMMENT ON COLUMN decisions.action IS 'revoke, step_up, restrict or clear.';
COMMENT ON COLUMN decisions.target_user IS 'The target matches where every member given is the request''s; null matches all.';
COMMENT ON COLUMN decisions.issued_at IS 'Event time of the cause; not when it was decided.';
COMMENT ON COLUMN decisions.expires_at IS 'When it lapses unless renewed; infinity where it lies beyond all calendars.';
COMMENT ON COLUMN decisions.score IS 'Points of risk, 0 to 100; the contributions'' sum, rounded half up and clamped.';
COMMENT ON COLUMN decisions.level IS 'LOW below 40 points, MEDIUM below 80, HIGH.';
COMMENT ON COLUMN decisions.rule IS 'The policy that decided; null for an operator''s decision.';
COMMENT ON COLUMN decisions.revision IS 'The policy set''s revision.';
COMMENT ON COLUMN decisions.cause IS 'The event''s id.';
COMMENT ON COLUMN decisions.received_at IS 'When the cause was taken in; null on replayed decisions.';
COMMENT ON COLUMN decisions.decided_at IS 'When it was decided; the latency is this less `received_at`.';
COMMENT ON COLUMN decisions.json IS 'The decision as sent, byte for byte.';

CREATE TABLE contributions (
    decision text COLLATE "C" NOT NULL,
    position integer NOT NULL,
    issued_at timestamptz NOT NULL,
    tenant text COLLATE "C" NOT NULL,
    code text COLLATE "C" NOT NULL,
    points numeric NOT NULL,
    event text COLLATE "C",
    explanation text,
    PRIMARY KEY (decision, position, issued_at)
) PARTITION BY RANGE (issued_at);

CREATE TABLE contributions_default PARTITION OF contributions DEFAULT;

CREATE INDEX contributions_by_code ON contributions (tenant, code, issued_at);

COMMENT ON TABLE contributions IS 'Why: each decision''s lines, which add up exactly to its raw score. Kept as long as the decisions of their month.';
COMMENT ON COLUMN contributions.position IS 'From 0, in the order of the decision''s own list.';
COMMENT ON COLUMN contributions.issued_at IS 'That of the decision.';
COMMENT ON COLUMN contributions.code IS 'What kind of evidence; a code never changes meaning.';
COMMENT ON COLUMN contributions.points IS 'Points of risk, two decimals, negative where it speaks for the subject.';
COMMENT ON COLUMN contributions.event IS 'The event that told it; null for what no one event told.';
COMMENT ON COLUMN contributions.explanation IS 'The line''s text, in English.';

-- Not partitioned: a receipt is one row by its three names, of which the earliest time stays; the time may therefore
-- change, it is not the decision's, and a key over partitions would have to hold it. Retention deletes in portions.
CREATE TABLE receipts (
    decision text COLLATE "C" NOT NULL,
    enforcement_point text COLLATE "C" NOT NULL,
    client text COLLATE "C" NOT NULL,
    tenant text COLLATE "C" NOT NULL,
    in_force_at timestamptz NOT NULL,
    PRIMARY KEY (decision, enforcement_point, client)
);

CREATE INDEX receipts_by_time ON receipts (in_force_at);

COMMENT ON TABLE receipts IS 'Since when each instance of an enforcement point has a decision in force.';
COMMENT ON COLUMN receipts.enforcement_point IS 'The credential''s name.';
COMMENT ON COLUMN receipts.client IS 'The instance''s own label.';
COMMENT ON COLUMN receipts.in_force_at IS 'The earliest time that was told.';

-- `session` is empty for the subject itself.
CREATE TABLE standings (
    tenant text COLLATE "C" NOT NULL,
    kind text COLLATE "C" NOT NULL,
    name text COLLATE "C" NOT NULL,
    session text COLLATE "C" NOT NULL,
    score smallint NOT NULL,
    assessed_at timestamptz NOT NULL,
    json text NOT NULL,
    PRIMARY KEY (tenant, kind, name, session)
);

COMMENT ON TABLE standings IS 'Each subject''s latest assessment, and each session''s.';
COMMENT ON COLUMN standings.kind IS 'user, device or workload.';
COMMENT ON COLUMN standings.session IS 'Empty for the subject itself.';
COMMENT ON COLUMN standings.score IS 'Points of risk, 0 to 100.';
COMMENT ON COLUMN standings.assessed_at IS 'Event time of the last assessment.';
COMMENT ON COLUMN standings.json IS 'The assessment as the API shows it.';

CREATE TABLE risk_history (
    tenant text COLLATE "C" NOT NULL,
    kind text COLLATE "C" NOT NULL,
    name text COLLATE "C" NOT NULL,
    session text COLLATE "C" NOT NULL,
    assessed_at timestamptz NOT NULL,
    score smallint NOT NULL,
    PRIMARY KEY (tenant, kind, name, session, assessed_at)
) PARTITION BY RANGE (assessed_at);

CREATE TABLE risk_history_default PARTITION OF risk_history DEFAULT;

CREATE INDEX risk_history_by_time ON risk_history (tenant, assessed_at);

COMMENT ON TABLE risk_history IS 'Subjects'' past risk: a row for each assessment recorded; between two that follow quickly only the later may be there. Kept by `assessed_at`.';
COMMENT ON COLUMN risk_history.kind IS 'user, device or workload.';
COMMENT ON COLUMN risk_history.session IS 'Empty for the subject itself.';
COMMENT ON COLUMN risk_history.assessed_at IS 'Event time of the assessment.';
COMMENT ON COLUMN risk_history.score IS 'Points of risk, 0 to 100.';

CREATE TABLE enforcement_points (
    name text COLLATE "C" NOT NULL,
    client text COLLATE "C" NOT NULL,
    tenants text[] NOT NULL,
    last_seen timestamptz NOT NULL,
    acknowledged text,
    is_connected boolean NOT NULL,
    PRIMARY KEY (name, client)
);

COMMENT ON TABLE enforcement_points IS 'What each instance of an enforcement point last said.';
COMMENT ON COLUMN enforcement_points.name IS 'The credential''s name.';
COMMENT ON COLUMN enforcement_points.client IS 'The instance''s own label.';
COMMENT ON COLUMN enforcement_points.acknowledged IS 'The cursor up to which everything is in force there.';

CREATE SEQUENCE audit_sequence;

CREATE TABLE audit (
    sequence bigint NOT NULL DEFAULT nextval('audit_sequence'),
    at timestamptz NOT NULL,
    tenant text COLLATE "C",
    principal text COLLATE "C" NOT NULL,
    action text COLLATE "C" NOT NULL,
    object text COLLATE "C" NOT NULL,
    detail text COLLATE "C" NOT NULL,
    -- SHA-256 of the entry: its texts may be longer than an index takes.
    fingerprint bytea NOT NULL CHECK (length(fingerprint) = 32),
    -- An entry written twice is one entry.
    PRIMARY KEY (fingerprint, at)
) PARTITION BY RANGE (at);

CREATE TABLE audit_default PARTITION OF audit DEFAULT;

ALTER SEQUENCE audit_sequence OWNED BY audit.sequence;

CREATE INDEX audit_by_sequence ON audit (sequence);

COMMENT ON TABLE audit IS 'Who did what in Caerus; never facts about people''s behaviour. Kept by `at`.';
COMMENT ON COLUMN audit.sequence IS 'Rises with each entry, not always by one.';
COMMENT ON COLUMN audit.tenant IS 'Null for what concerns no single tenant.';
COMMENT ON COLUMN audit.principal IS 'The credential''s name.';

-- The recorder's positions in the bus, by the topic's name there.
CREATE TABLE positions (
    topic text COLLATE "C" NOT NULL,
    partition bigint NOT NULL,
    position bigint NOT NULL,
    PRIMARY KEY (topic, partition)
);

COMMENT ON TABLE positions IS 'Where the recorder reads on in each topic of the bus.';

-- No tenants means all.
CREATE TABLE tokens (
    id text COLLATE "C" PRIMARY KEY,
    hash bytea NOT NULL CHECK (length(hash) = 32),
    name text COLLATE "C" NOT NULL,
    tenants text[] NOT NULL,
    rights text[] NOT NULL,
    created_at timestamptz NOT NULL,
    expires_at timestamptz,
    revoked_at timestamptz
);

COMMENT ON TABLE tokens IS 'Credentials; only the SHA-256 of a secret is kept.';
COMMENT ON COLUMN tokens.tenants IS 'Empty means every tenant.';

CREATE VIEW sessions AS
SELECT tenant, name AS user_name, session, score, assessed_at, json
FROM standings
WHERE kind = 'user' AND session <> '';

COMMENT ON VIEW sessions IS 'Users'' sessions with their latest score (points of risk, 0 to 100).';

CREATE VIEW policy_revisions AS
SELECT tenant, revision, min(issued_at) AS first_issued_at, max(issued_at) AS last_issued_at, count(*) AS decisions
FROM decisions
WHERE revision IS NOT NULL
GROUP BY tenant, revision;

COMMENT ON VIEW policy_revisions IS 'Which revisions of the policies decided anything, and when, as far back as decisions are kept.';
