-- Users of other servers whose device list is kept here. is_fresh 0: to be fetched when retry_ts has come.
CREATE TABLE remote_device_lists (
    user_id TEXT PRIMARY KEY,
    server_name TEXT NOT NULL,
    stream_id INTEGER NOT NULL DEFAULT 0,
    is_fresh INTEGER NOT NULL DEFAULT 0,
    version INTEGER NOT NULL DEFAULT 0,
    failures INTEGER NOT NULL DEFAULT 0,
    retry_ts INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;

CREATE INDEX remote_device_lists_due ON remote_device_lists (is_fresh, retry_ts);

CREATE INDEX remote_device_lists_server ON remote_device_lists (server_name);

CREATE TABLE remote_devices (
    user_id TEXT NOT NULL,
    device_id TEXT NOT NULL,
    keys BLOB,
    display_name TEXT,
    PRIMARY KEY (user_id, device_id)
) STRICT, WITHOUT ROWID;
