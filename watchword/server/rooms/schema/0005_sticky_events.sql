-- Events that are sticky, until they cease to be. position: from where on clients are told of them; 0: they are soft-failed,
-- and are shown once the room allows them.
CREATE TABLE sticky_events (
    event_nid INTEGER PRIMARY KEY,
    room_nid INTEGER NOT NULL,
    position INTEGER NOT NULL,
    expires_ts INTEGER NOT NULL
) STRICT;

CREATE INDEX sticky_events_by_expiry ON sticky_events (expires_ts);
