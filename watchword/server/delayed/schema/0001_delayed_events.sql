-- Events to be sent later, and what became of them.
-- send_ts: when it is due. began: the position of the log when it was scheduled. is_begun: sending it was tried.
-- sticky_ms, sticky_key: if it is to be sticky, for how long and under which name. ts: chosen by an application service.
-- outcome: NULL while it waits; 'send', 'cancel' or 'error'. reason: 'action' or 'delay', NULL if it was overtaken.
-- error: JSON, the standard error body. endpoint, txn_id: the request that made it, NULL without a transaction ID.
CREATE TABLE delayed_events (
    number INTEGER PRIMARY KEY,
    delay_id TEXT NOT NULL UNIQUE,
    user_id TEXT NOT NULL,
    device_id TEXT NOT NULL DEFAULT '',
    room_id TEXT NOT NULL,
    type TEXT NOT NULL,
    state_key TEXT,
    content BLOB NOT NULL,
    delay_ms INTEGER NOT NULL,
    running_since INTEGER NOT NULL,
    send_ts INTEGER NOT NULL,
    began INTEGER NOT NULL,
    is_limited INTEGER NOT NULL DEFAULT 1,
    is_begun INTEGER NOT NULL DEFAULT 0,
    sticky_ms INTEGER,
    sticky_key TEXT,
    ts INTEGER,
    outcome TEXT,
    reason TEXT,
    error BLOB,
    event_id TEXT,
    finalised_ts INTEGER,
    endpoint TEXT,
    txn_id TEXT
) STRICT;

CREATE INDEX delayed_events_due ON delayed_events (send_ts, number) WHERE outcome IS NULL;

CREATE INDEX delayed_events_of_user ON delayed_events (user_id, send_ts);

CREATE INDEX delayed_events_of_state ON delayed_events (room_id, type, state_key) WHERE outcome IS NULL AND state_key IS NOT NULL;

CREATE INDEX delayed_events_finalised ON delayed_events (finalised_ts) WHERE outcome IS NOT NULL;

CREATE UNIQUE INDEX delayed_events_by_request ON delayed_events (user_id, device_id, endpoint, txn_id) WHERE txn_id IS NOT NULL;
