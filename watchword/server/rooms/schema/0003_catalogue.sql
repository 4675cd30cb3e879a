-- When events were sent, by their own word: for finding an event by its time. Filled behind the writer, in steps.
CREATE TABLE event_times (
    room_nid INTEGER NOT NULL,
    ts INTEGER NOT NULL,
    event_nid INTEGER NOT NULL,
    PRIMARY KEY (room_nid, ts, event_nid)
) STRICT, WITHOUT ROWID;

-- How far something that walks over all events, oldest number first, has come.
CREATE TABLE event_sweeps (
    name TEXT PRIMARY KEY,
    event_nid INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Rooms that application services list for their networks, apart from the directory of this server.
CREATE TABLE network_rooms (
    network_id TEXT NOT NULL,
    room_id TEXT NOT NULL,
    appservice_id TEXT NOT NULL,
    PRIMARY KEY (network_id, room_id)
) STRICT, WITHOUT ROWID;
