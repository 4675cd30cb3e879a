-- A device that published keys, has messages waiting, or sent some; indexes carry its number.
CREATE TABLE e2ee_devices (
    id INTEGER PRIMARY KEY,
    user_id TEXT NOT NULL,
    device_id TEXT NOT NULL,
    keys BLOB,
    UNIQUE (user_id, device_id)
) STRICT;

-- One-time keys that nobody has claimed yet; the row number is the order of upload.
CREATE TABLE e2ee_one_time_keys (
    id INTEGER PRIMARY KEY,
    device INTEGER NOT NULL,
    algorithm TEXT NOT NULL,
    key_id TEXT NOT NULL,
    content BLOB NOT NULL,
    UNIQUE (device, algorithm, key_id)
) STRICT;

CREATE INDEX e2ee_one_time_keys_order ON e2ee_one_time_keys (device, algorithm);

-- What was claimed: an upload repeated after a lost answer must not bring a key back to life.
CREATE TABLE e2ee_claimed_keys (
    id INTEGER PRIMARY KEY,
    device INTEGER NOT NULL,
    algorithm TEXT NOT NULL,
    key_id TEXT NOT NULL,
    content BLOB NOT NULL,
    UNIQUE (device, algorithm, key_id)
) STRICT;

CREATE TABLE e2ee_fallback_keys (
    device INTEGER NOT NULL,
    algorithm TEXT NOT NULL,
    key_id TEXT NOT NULL,
    content BLOB NOT NULL,
    is_used INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (device, algorithm)
) STRICT, WITHOUT ROWID;

-- Cross-signing keys of local users, and of remote users whose device list is cached.
CREATE TABLE e2ee_cross_signing_keys (
    user_id TEXT NOT NULL,
    usage TEXT NOT NULL,
    content BLOB NOT NULL,
    PRIMARY KEY (user_id, usage)
) STRICT, WITHOUT ROWID;

-- Signatures uploaded by local users apart from the key that they sign. target: a device ID or a master public key.
CREATE TABLE e2ee_signatures (
    target_user_id TEXT NOT NULL,
    target TEXT NOT NULL,
    signer_user_id TEXT NOT NULL,
    signing_key_id TEXT NOT NULL,
    signature TEXT NOT NULL,
    PRIMARY KEY (target_user_id, target, signer_user_id, signing_key_id)
) STRICT, WITHOUT ROWID;

-- When a user last signed another's master key: only his own devices are told.
CREATE TABLE e2ee_user_signings (
    signer_user_id TEXT NOT NULL,
    target_user_id TEXT NOT NULL,
    position INTEGER NOT NULL,
    PRIMARY KEY (signer_user_id, target_user_id)
) STRICT, WITHOUT ROWID;

-- Changes of device lists, copied from the log. previous: the user's change before this one, 0 if none; NULL for a change
-- of cross-signing keys, which is no part of that chain. device_id '' means the whole list.
CREATE TABLE device_list_changes (
    position INTEGER PRIMARY KEY,
    user_id TEXT NOT NULL,
    device_id TEXT NOT NULL,
    previous INTEGER
) STRICT;

CREATE INDEX device_list_changes_user ON device_list_changes (user_id, position);
