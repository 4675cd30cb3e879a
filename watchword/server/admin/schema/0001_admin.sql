-- What administrators did and saw. Rows are added and, when they are old, dropped; none is ever changed.
-- by: '' for the operator at the machine, or with the shared secret. outcome: 'done', or the errcode of a refusal.
-- details: a small JSON object; never a secret, never what somebody said.
CREATE TABLE audit_log (
    entry_id INTEGER PRIMARY KEY AUTOINCREMENT,
    ts INTEGER NOT NULL,
    by TEXT NOT NULL DEFAULT '',
    action TEXT NOT NULL,
    whom TEXT NOT NULL DEFAULT '',
    outcome TEXT NOT NULL,
    address TEXT NOT NULL DEFAULT '',
    details TEXT NOT NULL DEFAULT '{}'
) STRICT;

CREATE INDEX audit_log_by_time ON audit_log (ts);

CREATE INDEX audit_log_by_whom ON audit_log (whom, entry_id);

CREATE INDEX audit_log_by_actor ON audit_log (by, entry_id);

-- Rooms that nobody of this server may join or invite to.
CREATE TABLE blocked_rooms (
    room_id TEXT PRIMARY KEY,
    blocked_by TEXT NOT NULL,
    blocked_ts INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Rooms that everybody here is made to leave, and that are then taken from the disk. stage: 'leaving', 'purging', 'done'.
-- purge: 0 where it ends with the leaving. left_users, failed_users: how many. ended_ts: 0 while it goes on.
CREATE TABLE room_removals (
    removal_id TEXT PRIMARY KEY,
    room_id TEXT NOT NULL,
    begun_by TEXT NOT NULL,
    begun_ts INTEGER NOT NULL,
    purge INTEGER NOT NULL,
    reason TEXT NOT NULL DEFAULT '',
    stage TEXT NOT NULL,
    left_users TEXT NOT NULL DEFAULT '[]',
    failed_users TEXT NOT NULL DEFAULT '[]',
    aliases TEXT NOT NULL DEFAULT '[]',
    ended_ts INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;

CREATE INDEX room_removals_open ON room_removals (begun_ts) WHERE ended_ts = 0;

CREATE INDEX room_removals_by_room ON room_removals (room_id, begun_ts);
