-- Connections that nobody uses at the moment: what their clients were told, compressed. A connection in use is in memory;
-- a row that it has outrun is harmless, for its positions are answered no more.
CREATE TABLE sliding_connections (
    user_id TEXT NOT NULL,
    device_id TEXT NOT NULL,
    conn_id TEXT NOT NULL,
    used_ts INTEGER NOT NULL,
    saved BLOB NOT NULL,
    PRIMARY KEY (user_id, device_id, conn_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX sliding_connections_by_use ON sliding_connections (used_ts);
