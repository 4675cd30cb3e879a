-- What relates to what (m.relates_to), by parent: written with the event, taken away by its redaction. One child stands at
-- each place of a room's timeline. Parents may be unknown here: they are named, not numbered.
-- key: of an annotation. is_edit: as an edit the child is well formed by itself (new content, or encrypted; no state).
CREATE TABLE event_relations (
    room_nid INTEGER NOT NULL,
    parent_id TEXT NOT NULL,
    ordering INTEGER NOT NULL,
    child_nid INTEGER NOT NULL,
    rel_type TEXT NOT NULL,
    type TEXT NOT NULL,
    sender_nid INTEGER NOT NULL,
    ts INTEGER NOT NULL,
    is_edit INTEGER NOT NULL DEFAULT 0,
    key TEXT,
    PRIMARY KEY (room_nid, parent_id, rel_type, ordering)
) STRICT, WITHOUT ROWID;

CREATE INDEX event_relations_by_place ON event_relations (room_nid, parent_id, ordering);

CREATE INDEX event_relations_by_sender
    ON event_relations (room_nid, parent_id, sender_nid, rel_type, type, key, is_edit, ts, child_nid);

-- Threads by their root: how many events are in them, and the place of the newest.
CREATE TABLE threads (
    room_nid INTEGER NOT NULL,
    root_id TEXT NOT NULL,
    events INTEGER NOT NULL,
    latest_ordering INTEGER NOT NULL,
    PRIMARY KEY (room_nid, root_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX threads_by_latest ON threads (room_nid, latest_ordering);

-- What was noted so far had the parent, the type and the child: the rest is in the children. Few events relate, and the old
-- table lists them all, so that this reads nothing else of the events.
INSERT INTO names (name)
    SELECT DISTINCT json_extract(CAST(e.json AS TEXT), '$.sender') FROM relations AS r
    JOIN events AS e ON e.event_nid = r.child_nid WHERE e.ordering IS NOT NULL
    ON CONFLICT (name) DO NOTHING;

INSERT INTO event_relations (room_nid, parent_id, ordering, child_nid, rel_type, type, sender_nid, ts, is_edit, key)
    SELECT r.room_nid, r.parent_event_id, e.ordering, e.event_nid, r.rel_type, json_extract(CAST(e.json AS TEXT), '$.type'),
        n.id, json_extract(CAST(e.json AS TEXT), '$.origin_server_ts'),
        CASE WHEN json_type(CAST(e.json AS TEXT), '$.state_key') IS NULL
            AND (json_extract(CAST(e.json AS TEXT), '$.type') = 'm.room.encrypted'
            OR json_type(CAST(e.json AS TEXT), '$.content."m.new_content"') = 'object') THEN 1 ELSE 0 END,
        CASE WHEN r.rel_type = 'm.annotation'
            AND json_type(CAST(e.json AS TEXT), '$.content."m.relates_to".key') = 'text'
            AND LENGTH(json_extract(CAST(e.json AS TEXT), '$.content."m.relates_to".key')) <= 63
            THEN json_extract(CAST(e.json AS TEXT), '$.content."m.relates_to".key') END
    FROM relations AS r JOIN events AS e ON e.event_nid = r.child_nid
    JOIN names AS n ON n.name = json_extract(CAST(e.json AS TEXT), '$.sender')
    WHERE e.ordering IS NOT NULL AND LENGTH(r.rel_type) <= 255 AND LENGTH(r.parent_event_id) <= 255
    ON CONFLICT (room_nid, parent_id, rel_type, ordering) DO NOTHING;

INSERT INTO threads (room_nid, root_id, events, latest_ordering)
    SELECT room_nid, parent_id, COUNT(*), MAX(ordering) FROM event_relations WHERE rel_type = 'm.thread'
    GROUP BY room_nid, parent_id;

DROP TABLE relations;

-- Threads that a user wants to hear of, or (is_subscribed 0) does so no more. position: of the change in the log.
-- is_automatic: a client did it by itself. unsubscribed_at: the position at which he last said no.
CREATE TABLE thread_subscriptions (
    user_nid INTEGER NOT NULL,
    room_nid INTEGER NOT NULL,
    root_id TEXT NOT NULL,
    is_subscribed INTEGER NOT NULL,
    is_automatic INTEGER NOT NULL,
    unsubscribed_at INTEGER NOT NULL DEFAULT 0,
    position INTEGER NOT NULL,
    PRIMARY KEY (user_nid, room_nid, root_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX thread_subscriptions_by_position ON thread_subscriptions (user_nid, position);

-- A kick or ban that takes all of somebody's events of his last stay with it: those between two places of the timeline.
-- done_ordering: up to where that is carried out.
CREATE TABLE member_redactions (
    room_nid INTEGER NOT NULL,
    user_nid INTEGER NOT NULL,
    member_nid INTEGER NOT NULL,
    after_ordering INTEGER NOT NULL,
    until_ordering INTEGER NOT NULL,
    done_ordering INTEGER NOT NULL,
    PRIMARY KEY (room_nid, user_nid, member_nid)
) STRICT, WITHOUT ROWID;

CREATE INDEX member_redactions_undone ON member_redactions (member_nid) WHERE done_ordering < until_ordering;

-- Who redacted an event together with what relates to it: also what is yet to come. rel_types: JSON list; "*" is every type.
CREATE TABLE redactions_with_relations (
    room_nid INTEGER NOT NULL,
    parent_id TEXT NOT NULL,
    user_nid INTEGER NOT NULL,
    rel_types TEXT NOT NULL,
    reason TEXT,
    PRIMARY KEY (room_nid, parent_id, user_nid)
) STRICT, WITHOUT ROWID;

-- Events that are to be redacted for somebody, one by one.
CREATE TABLE redactions_due (
    number INTEGER PRIMARY KEY,
    room_nid INTEGER NOT NULL,
    event_nid INTEGER NOT NULL,
    user_nid INTEGER NOT NULL,
    reason TEXT,
    UNIQUE (event_nid, user_nid)
) STRICT;
