CREATE TABLE federation_destinations (
    server_name TEXT NOT NULL PRIMARY KEY,
    failures INTEGER NOT NULL DEFAULT 0,
    failing_since_ts INTEGER NOT NULL DEFAULT 0,
    retry_after_ts INTEGER NOT NULL DEFAULT 0,
    last_success_ts INTEGER NOT NULL DEFAULT 0,
    behind_after INTEGER
) STRICT, WITHOUT ROWID;

CREATE TABLE federation_progress (
    name TEXT NOT NULL PRIMARY KEY,
    position INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE federation_server_keys (
    server_name TEXT NOT NULL,
    key_id TEXT NOT NULL,
    public_key BLOB NOT NULL,
    valid_until_ts INTEGER NOT NULL,
    expired_ts INTEGER,
    PRIMARY KEY (server_name, key_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE federation_key_answers (
    server_name TEXT NOT NULL PRIMARY KEY,
    answer BLOB NOT NULL,
    fetched_ts INTEGER NOT NULL,
    valid_until_ts INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
