-- Everything of a client is in rows that only its store key can read. name: a keyed hash of what the row is; value: sealed.
CREATE TABLE client_records (
    name BLOB NOT NULL PRIMARY KEY,
    value BLOB NOT NULL
) STRICT, WITHOUT ROWID;
-- What must be known before the key can be tried: the salt of a passphrase, and a sealed constant.
CREATE TABLE client_lock (
    only_row INTEGER NOT NULL PRIMARY KEY CHECK (only_row = 1),
    salt BLOB NOT NULL,
    probe BLOB NOT NULL
) STRICT;
