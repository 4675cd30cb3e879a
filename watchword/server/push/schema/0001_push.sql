-- Where a user wants to be notified.
-- device_id: the session that made it and that it goes with; '' for an application service without one.
-- data: JSON as the client gave it, url included. pushkey_ts: milliseconds.
-- delivered: the log's position of the last event that was settled; none at or before it is sent (again).
CREATE TABLE pushers (
    pusher_id INTEGER PRIMARY KEY,
    user_id TEXT NOT NULL,
    app_id TEXT NOT NULL,
    pushkey TEXT NOT NULL,
    device_id TEXT NOT NULL DEFAULT '',
    kind TEXT NOT NULL,
    app_display_name TEXT NOT NULL,
    device_display_name TEXT NOT NULL,
    profile_tag TEXT NOT NULL DEFAULT '',
    lang TEXT NOT NULL,
    data BLOB NOT NULL,
    pushkey_ts INTEGER NOT NULL,
    delivered INTEGER NOT NULL DEFAULT 0,
    failures INTEGER NOT NULL DEFAULT 0,
    retry_after_ts INTEGER NOT NULL DEFAULT 0,
    UNIQUE (user_id, app_id, pushkey)
) STRICT;

CREATE INDEX pushers_by_key ON pushers (app_id, pushkey);

CREATE INDEX pushers_by_session ON pushers (user_id, device_id);

-- What became of the last notifications of each pusher, for whoever asks why nothing came.
-- event_id: '' where only the number of unread rooms was sent.
CREATE TABLE push_journal (
    entry_id INTEGER PRIMARY KEY,
    pusher_id INTEGER NOT NULL,
    ts INTEGER NOT NULL,
    event_id TEXT NOT NULL,
    outcome TEXT NOT NULL
) STRICT;

CREATE INDEX push_journal_by_pusher ON push_journal (pusher_id, entry_id);
