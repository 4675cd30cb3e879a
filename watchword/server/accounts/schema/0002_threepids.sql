-- Addresses outside of Matrix that users have proved to be theirs. One belongs to one account.
CREATE TABLE threepids (
    medium TEXT NOT NULL,
    address TEXT NOT NULL,
    user_id TEXT NOT NULL,
    validated_ts INTEGER NOT NULL,
    added_ts INTEGER NOT NULL,
    PRIMARY KEY (medium, address)
) STRICT, WITHOUT ROWID;
CREATE INDEX threepids_of_user ON threepids (user_id);

-- Proofs under way. The client's secret and the tokens sent are kept as SHA-256, the tokens one after the other.
-- user_id: whose address it is, where that is known. is_decoy: it can never succeed, but looks as if it could.
-- remote_sid, remote_secret: the session at the identity server that sends the messages, if one does.
CREATE TABLE threepid_validations (
    sid TEXT PRIMARY KEY,
    purpose TEXT NOT NULL,
    medium TEXT NOT NULL,
    address TEXT NOT NULL,
    secret_hash BLOB NOT NULL,
    token_hashes BLOB NOT NULL,
    send_attempt INTEGER NOT NULL,
    next_link TEXT,
    user_id TEXT,
    is_decoy INTEGER NOT NULL DEFAULT 0,
    created_ts INTEGER NOT NULL,
    expires_ts INTEGER NOT NULL,
    validated_ts INTEGER,
    failures INTEGER NOT NULL DEFAULT 0,
    remote_sid TEXT,
    remote_secret TEXT
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX threepid_validations_asked ON threepid_validations (purpose, medium, address, secret_hash);
CREATE INDEX threepid_validations_by_expiry ON threepid_validations (expires_ts);

-- What this server has published at identity servers, so that it can be taken back.
CREATE TABLE threepid_bindings (
    user_id TEXT NOT NULL,
    medium TEXT NOT NULL,
    address TEXT NOT NULL,
    id_server TEXT NOT NULL,
    PRIMARY KEY (user_id, medium, address, id_server)
) STRICT, WITHOUT ROWID;

-- Which version of which policy somebody agreed to.
CREATE TABLE accepted_policies (
    user_id TEXT NOT NULL,
    policy TEXT NOT NULL,
    version TEXT NOT NULL,
    accepted_ts INTEGER NOT NULL,
    PRIMARY KEY (user_id, policy, version)
) STRICT, WITHOUT ROWID;
