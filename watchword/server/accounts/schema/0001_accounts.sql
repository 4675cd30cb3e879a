-- Who has an account here. A row stays for ever, because a name is never handed out twice.
CREATE TABLE accounts (
    user_id TEXT PRIMARY KEY,
    password_hash TEXT,
    created_ts INTEGER NOT NULL,
    is_guest INTEGER NOT NULL DEFAULT 0,
    is_admin INTEGER NOT NULL DEFAULT 0,
    is_locked INTEGER NOT NULL DEFAULT 0,
    is_suspended INTEGER NOT NULL DEFAULT 0,
    is_deactivated INTEGER NOT NULL DEFAULT 0,
    is_erased INTEGER NOT NULL DEFAULT 0,
    invited_by TEXT,
    appservice_id TEXT
) STRICT, WITHOUT ROWID;

-- A device is what a user sees and other users encrypt for. It outlives the tokens of a session.
CREATE TABLE devices (
    user_id TEXT NOT NULL,
    device_id TEXT NOT NULL,
    display_name TEXT,
    created_ts INTEGER NOT NULL,
    last_seen_ts INTEGER,
    last_seen_ip TEXT,
    last_seen_agent TEXT,
    PRIMARY KEY (user_id, device_id)
) STRICT, WITHOUT ROWID;

-- One login of a device. The number is never used again, so it may stand for the token in other tables.
CREATE TABLE sessions (
    session_id INTEGER PRIMARY KEY AUTOINCREMENT,
    user_id TEXT NOT NULL,
    device_id TEXT NOT NULL,
    created_ts INTEGER NOT NULL,
    UNIQUE (user_id, device_id)
) STRICT;

-- The tokens of a session, hashed with SHA-256. stage: 0 fresh (given out, not used yet), 1 current, 2 revoked.
CREATE TABLE token_pairs (
    pair_id INTEGER PRIMARY KEY AUTOINCREMENT,
    session_id INTEGER NOT NULL,
    access_hash BLOB NOT NULL UNIQUE,
    refresh_hash BLOB UNIQUE,
    stage INTEGER NOT NULL DEFAULT 1,
    expires_ts INTEGER
) STRICT;
CREATE INDEX token_pairs_of_session ON token_pairs (session_id, stage, pair_id);

-- Registration tokens. The token itself is shown once and kept only as its SHA-256.
CREATE TABLE invitations (
    invitation_id INTEGER PRIMARY KEY AUTOINCREMENT,
    token_hash BLOB NOT NULL UNIQUE,
    uses_allowed INTEGER,
    uses_completed INTEGER NOT NULL DEFAULT 0,
    created_ts INTEGER NOT NULL,
    expires_ts INTEGER,
    revoked_ts INTEGER,
    created_by TEXT,
    label TEXT NOT NULL DEFAULT '',
    invite_to BLOB NOT NULL,
    grants_admin INTEGER NOT NULL DEFAULT 0
) STRICT;

-- Profile fields of local users, each value as JSON.
CREATE TABLE profile_fields (
    user_id TEXT NOT NULL,
    field TEXT NOT NULL,
    value BLOB NOT NULL,
    PRIMARY KEY (user_id, field)
) STRICT, WITHOUT ROWID;

-- Account data; room_id '' is global. position is that of the change that wrote the row.
CREATE TABLE account_data (
    user_id TEXT NOT NULL,
    room_id TEXT NOT NULL DEFAULT '',
    type TEXT NOT NULL,
    content BLOB NOT NULL,
    position INTEGER NOT NULL,
    PRIMARY KEY (user_id, room_id, type)
) STRICT, WITHOUT ROWID;
CREATE INDEX account_data_by_position ON account_data (user_id, position);

-- Filters for /sync, numbered per user.
CREATE TABLE filters (
    user_id TEXT NOT NULL,
    filter_id INTEGER NOT NULL,
    digest BLOB NOT NULL,
    content BLOB NOT NULL,
    PRIMARY KEY (user_id, filter_id)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX filters_by_digest ON filters (user_id, digest);

-- Tokens that prove an identity to third parties and are good for nothing else.
CREATE TABLE openid_tokens (
    token_hash BLOB PRIMARY KEY,
    user_id TEXT NOT NULL,
    expires_ts INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX openid_tokens_by_expiry ON openid_tokens (expires_ts);
