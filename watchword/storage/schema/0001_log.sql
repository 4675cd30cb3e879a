-- The log: everything that happens, in the order in which it became true.
CREATE TABLE log (
    position INTEGER PRIMARY KEY,
    change BLOB NOT NULL
) STRICT;

-- How far each follower has acted.
CREATE TABLE cursors (
    follower TEXT PRIMARY KEY,
    position INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Names that indexes carry as numbers: users, rooms, event types, state keys, servers.
CREATE TABLE names (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE
) STRICT;
