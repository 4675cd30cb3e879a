-- Whether a pusher is switched on: any session of its user may do that, and it stays with its own.
ALTER TABLE pushers ADD COLUMN enabled INTEGER NOT NULL DEFAULT 1;

-- Digests by e-mail, one row for each pusher of that kind that ever waited for one.
-- token: opens the page that ends them. due_ts: when the next one is to go; 0 if nothing waits. last_ts: when one went last.
-- mails: how many went since the user was last seen reading. told: up to which position of the log all was mailed.
CREATE TABLE push_digests (
    pusher_id INTEGER PRIMARY KEY,
    token TEXT NOT NULL UNIQUE,
    due_ts INTEGER NOT NULL DEFAULT 0,
    last_ts INTEGER NOT NULL DEFAULT 0,
    mails INTEGER NOT NULL DEFAULT 0,
    told INTEGER NOT NULL DEFAULT 0
) STRICT;

-- Pushers that are gone, and why, for whoever asks why nothing comes any more.
CREATE TABLE push_removals (
    removal_id INTEGER PRIMARY KEY,
    user_id TEXT NOT NULL,
    app_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    device_id TEXT NOT NULL,
    ts INTEGER NOT NULL,
    reason TEXT NOT NULL
) STRICT;

CREATE INDEX push_removals_by_user ON push_removals (user_id, removal_id);
