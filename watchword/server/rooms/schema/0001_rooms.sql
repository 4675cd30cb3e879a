-- Rooms this server is or was in, or knows an invite to.
CREATE TABLE rooms (
    room_nid INTEGER PRIMARY KEY,
    room_id TEXT NOT NULL UNIQUE,
    version TEXT NOT NULL,
    is_public INTEGER NOT NULL DEFAULT 0,
    -- JSON: [[event_id, depth], …]; what the next event will cite. 'newest': just the newest event of the timeline,
    -- which spares a write for each event that simply follows. Empty: not in the room.
    extremities TEXT NOT NULL DEFAULT '[]'
) STRICT;

-- Every event, once, as canonical JSON exactly as signed (or as pruned by a redaction).
-- ordering: position * 2^24 for a live event; history fetched before the live event at P gets P * 2^24 - 1, - 2, …
--   NULL: known but in no timeline (auth chain, state at a join, rejected).
-- flags: 1 rejected, 2 soft-failed, 4 outlier (its own state is not known).
-- replaces_nid: the state event at the same address before this one.
-- redacted_by_nid: the redaction that pruned it.
CREATE TABLE events (
    event_nid INTEGER PRIMARY KEY,
    event_id TEXT NOT NULL UNIQUE,
    room_nid INTEGER NOT NULL,
    ordering INTEGER,
    depth INTEGER NOT NULL,
    flags INTEGER NOT NULL DEFAULT 0,
    replaces_nid INTEGER,
    redacted_by_nid INTEGER,
    json BLOB NOT NULL
) STRICT;

CREATE UNIQUE INDEX events_by_ordering ON events (room_nid, ordering) WHERE ordering IS NOT NULL;

-- auth_events of state events only: nothing else is ever in an auth chain.
CREATE TABLE auth_edges (
    event_nid INTEGER NOT NULL,
    auth_nid INTEGER NOT NULL,
    PRIMARY KEY (event_nid, auth_nid)
) STRICT, WITHOUT ROWID;

-- The resolved current state of a room as changes on a line: event_nid holds at the address from position (inclusive)
-- until the position `until` (exclusive). Constant bytes per change, however large the room.
CREATE TABLE state_line (
    room_nid INTEGER NOT NULL,
    type_nid INTEGER NOT NULL,
    key_nid INTEGER NOT NULL,
    position INTEGER NOT NULL,
    until INTEGER NOT NULL DEFAULT 9223372036854775807,
    event_nid INTEGER NOT NULL,
    PRIMARY KEY (room_nid, type_nid, key_nid, position)
) STRICT, WITHOUT ROWID;

CREATE INDEX state_line_until ON state_line (room_nid, until, position);

CREATE INDEX state_line_position ON state_line (room_nid, position);

-- State before an event where it was not the line's just before the event's position (a fork, or history):
-- the line at base_position, with the overlay laid over it. overlay: JSON [[type, state_key, event_id | null], …].
CREATE TABLE state_overlays (
    event_nid INTEGER PRIMARY KEY,
    base_position INTEGER NOT NULL,
    overlay BLOB NOT NULL
) STRICT;

-- The current membership of every user in every room, invites from rooms that we are not in among them.
CREATE TABLE memberships (
    room_nid INTEGER NOT NULL,
    user_nid INTEGER NOT NULL,
    membership TEXT NOT NULL,
    event_id TEXT NOT NULL,
    position INTEGER NOT NULL,
    sender TEXT NOT NULL,
    is_local INTEGER NOT NULL,
    forgotten INTEGER NOT NULL DEFAULT 0,
    -- JSON list of stripped state, for invites and knocks whose room state we do not have.
    stripped BLOB,
    PRIMARY KEY (room_nid, user_nid)
) STRICT, WITHOUT ROWID;

CREATE INDEX memberships_by_user ON memberships (user_nid, membership);

-- Which request of which device made which event: a repeated request gets the same answer.
CREATE TABLE sent_transactions (
    user_nid INTEGER NOT NULL,
    device_id TEXT NOT NULL,
    endpoint TEXT NOT NULL,
    txn_id TEXT NOT NULL,
    event_id TEXT NOT NULL,
    ts INTEGER NOT NULL,
    PRIMARY KEY (user_nid, device_id, endpoint, txn_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE receipts (
    room_nid INTEGER NOT NULL,
    user_nid INTEGER NOT NULL,
    receipt_type TEXT NOT NULL,
    -- '' is the unthreaded receipt.
    thread_id TEXT NOT NULL,
    event_id TEXT NOT NULL,
    -- The place of event_id in the timeline; NULL while we do not have it.
    ordering INTEGER,
    ts INTEGER NOT NULL,
    position INTEGER NOT NULL,
    PRIMARY KEY (room_nid, user_nid, receipt_type, thread_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX receipts_by_position ON receipts (room_nid, position);

CREATE TABLE aliases (
    alias TEXT PRIMARY KEY,
    room_id TEXT NOT NULL,
    creator TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX aliases_by_room ON aliases (room_id);

-- Events that other events in our timelines cite and that we do not have: where backfill continues.
-- before_ordering: the place in the timeline that the missing event comes before.
CREATE TABLE missing_events (
    room_nid INTEGER NOT NULL,
    event_id TEXT NOT NULL,
    before_ordering INTEGER NOT NULL,
    PRIMARY KEY (room_nid, event_id)
) STRICT, WITHOUT ROWID;

-- Redactions whose target we do not have yet.
CREATE TABLE pending_redactions (
    target_event_id TEXT NOT NULL,
    redaction_nid INTEGER NOT NULL,
    PRIMARY KEY (target_event_id, redaction_nid)
) STRICT, WITHOUT ROWID;

-- m.relates_to, by parent.
CREATE TABLE relations (
    room_nid INTEGER NOT NULL,
    parent_event_id TEXT NOT NULL,
    rel_type TEXT NOT NULL,
    child_nid INTEGER NOT NULL,
    PRIMARY KEY (room_nid, parent_event_id, rel_type, child_nid)
) STRICT, WITHOUT ROWID;
