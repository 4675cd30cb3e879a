-- Files by their name; server_name '' is this server. user_id '' for files of other servers.
CREATE TABLE media (
    server_name TEXT NOT NULL,
    media_id TEXT NOT NULL,
    user_id TEXT NOT NULL DEFAULT '',
    content_type TEXT NOT NULL,
    file_name TEXT,
    size_bytes INTEGER NOT NULL,
    sha256 BLOB NOT NULL,
    created_ts INTEGER NOT NULL,
    PRIMARY KEY (server_name, media_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX media_file ON media (sha256);

CREATE INDEX media_owner ON media (user_id, created_ts);

-- Names that were given out before their upload.
CREATE TABLE media_pending (
    media_id TEXT PRIMARY KEY,
    user_id TEXT NOT NULL,
    expires_ts INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX media_pending_owner ON media_pending (user_id, expires_ts);

CREATE INDEX media_pending_age ON media_pending (expires_ts);
