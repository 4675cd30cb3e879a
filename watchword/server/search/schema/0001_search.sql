-- Which event an entry of the index is. entry: when the event was sent, in milliseconds, * 2^20, plus something that keeps
-- events of the same moment apart: the order of entries is the order of time.
CREATE TABLE search_entries (
    entry INTEGER PRIMARY KEY,
    event_nid INTEGER NOT NULL UNIQUE,
    room_nid INTEGER NOT NULL
) STRICT;

-- The words themselves (segmentation.py), not to be read back. scope: the room and the sender, as words.
CREATE VIRTUAL TABLE search_index USING fts5(
    scope, body, name, topic,
    content = '', contentless_delete = 1, tokenize = 'ascii'
);

-- Which event an edit stands in for: once the edit is redacted it does not say so itself.
CREATE TABLE search_edits (
    edit_nid INTEGER PRIMARY KEY,
    original_nid INTEGER NOT NULL
) STRICT;

-- How far the walks through what was there before have come. place: a number of theirs.
CREATE TABLE search_progress (
    walk TEXT PRIMARY KEY,
    place INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- People that can be found.
CREATE TABLE people (
    user_nid INTEGER PRIMARY KEY,
    user_id TEXT NOT NULL,
    displayname TEXT,
    avatar_url TEXT
) STRICT;

-- What each begins with that they are found by.
CREATE TABLE people_words (
    word TEXT NOT NULL,
    user_nid INTEGER NOT NULL,
    PRIMARY KEY (word, user_nid)
) STRICT, WITHOUT ROWID;

CREATE INDEX people_words_by_user ON people_words (user_nid);

-- Rooms whose members are among them. is_open: everybody may join or read it. to_fill: those who were in it when we came
-- are yet to be taken over.
CREATE TABLE people_rooms (
    room_id TEXT PRIMARY KEY,
    is_open INTEGER NOT NULL DEFAULT 0,
    to_fill INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;
