-- Messages that wait for a device, encoded as its sync will carry them.
CREATE TABLE to_device (
    id INTEGER PRIMARY KEY,
    device INTEGER NOT NULL,
    position INTEGER NOT NULL,
    message BLOB NOT NULL
) STRICT;

CREATE UNIQUE INDEX to_device_order ON to_device (device, position);

-- Which sendToDevice requests of a device were done.
CREATE TABLE to_device_transactions (
    device INTEGER NOT NULL,
    type TEXT NOT NULL,
    txn_id TEXT NOT NULL,
    sent_ts INTEGER NOT NULL,
    PRIMARY KEY (device, type, txn_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX to_device_transactions_age ON to_device_transactions (sent_ts);

-- Contents of m.direct_to_device EDUs for other servers, until they are acknowledged.
CREATE TABLE to_device_outgoing (
    server_name TEXT NOT NULL,
    message_id TEXT NOT NULL,
    position INTEGER NOT NULL,
    content BLOB NOT NULL,
    PRIMARY KEY (server_name, message_id)
) STRICT;

CREATE INDEX to_device_outgoing_order ON to_device_outgoing (server_name, position);

-- Which m.direct_to_device EDUs were delivered.
CREATE TABLE to_device_received (
    id INTEGER PRIMARY KEY,
    origin TEXT NOT NULL,
    message_id TEXT NOT NULL,
    received_ts INTEGER NOT NULL,
    UNIQUE (origin, message_id)
) STRICT;

CREATE INDEX to_device_received_age ON to_device_received (received_ts);
