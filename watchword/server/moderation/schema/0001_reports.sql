-- What users reported, until somebody has dealt with it.
-- kind: 'room', 'event' or 'user'; room_id, event_id, user_id: what is reported, '' where the kind has none.
-- event: the event as it was when it was reported, as JSON, as the reporter saw it; NULL for other kinds.
-- handled_ts, handled_by: 0 and '' while nobody has.
CREATE TABLE reports (
    report_id INTEGER PRIMARY KEY,
    kind TEXT NOT NULL,
    reporter TEXT NOT NULL,
    room_id TEXT NOT NULL DEFAULT '',
    event_id TEXT NOT NULL DEFAULT '',
    user_id TEXT NOT NULL DEFAULT '',
    reason TEXT NOT NULL DEFAULT '',
    event BLOB,
    received_ts INTEGER NOT NULL,
    handled_ts INTEGER NOT NULL DEFAULT 0,
    handled_by TEXT NOT NULL DEFAULT '',
    UNIQUE (reporter, kind, room_id, event_id, user_id)
) STRICT;

CREATE INDEX reports_by_state ON reports (handled_ts, report_id);

CREATE INDEX reports_by_reporter ON reports (reporter, received_ts);
