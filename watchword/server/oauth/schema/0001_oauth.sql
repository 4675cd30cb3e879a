-- Applications that registered themselves. The same metadata registered again is the same client: digest is its SHA-256.
CREATE TABLE oauth_clients (
    client_id TEXT PRIMARY KEY,
    digest BLOB NOT NULL UNIQUE,
    metadata BLOB NOT NULL,
    created_ts INTEGER NOT NULL,
    used_ts INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX oauth_clients_by_use ON oauth_clients (used_ts, created_ts);

-- Authorisation codes, hashed with SHA-256. session_id: what was given for it; a code that comes back ends that session.
CREATE TABLE oauth_codes (
    code_hash BLOB PRIMARY KEY,
    client_id TEXT NOT NULL,
    user_id TEXT NOT NULL,
    device_id TEXT NOT NULL,
    scope TEXT NOT NULL,
    redirect_uri TEXT NOT NULL,
    code_challenge TEXT NOT NULL,
    expires_ts INTEGER NOT NULL,
    session_id INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX oauth_codes_by_expiry ON oauth_codes (expires_ts);

-- Devices without a browser that wait to be let in. state: 0 waiting, 1 allowed, 2 denied, 3 spent.
CREATE TABLE oauth_device_grants (
    device_code_hash BLOB PRIMARY KEY,
    user_code_hash BLOB NOT NULL UNIQUE,
    client_id TEXT NOT NULL,
    device_id TEXT NOT NULL,
    scope TEXT NOT NULL,
    state INTEGER NOT NULL DEFAULT 0,
    user_id TEXT,
    interval_ms INTEGER NOT NULL,
    polled_ts INTEGER NOT NULL DEFAULT 0,
    expires_ts INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX oauth_device_grants_by_expiry ON oauth_device_grants (expires_ts);

-- Browsers that are signed in to our pages. password_digest: a new password ends them.
CREATE TABLE browser_sessions (
    token_hash BLOB PRIMARY KEY,
    user_id TEXT NOT NULL,
    password_digest BLOB NOT NULL,
    authenticated_ts INTEGER NOT NULL,
    expires_ts INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX browser_sessions_of_user ON browser_sessions (user_id, authenticated_ts);
CREATE INDEX browser_sessions_by_expiry ON browser_sessions (expires_ts);

-- Users who allowed that their cross-signing keys be replaced. device_id '': by whichever of their devices.
CREATE TABLE reset_approvals (
    user_id TEXT PRIMARY KEY,
    device_id TEXT NOT NULL DEFAULT '',
    expires_ts INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Who a user is at a provider of OpenID Connect.
CREATE TABLE upstream_links (
    provider_id TEXT NOT NULL,
    subject TEXT NOT NULL,
    user_id TEXT NOT NULL,
    created_ts INTEGER NOT NULL,
    PRIMARY KEY (provider_id, subject)
) STRICT, WITHOUT ROWID;
CREATE INDEX upstream_links_of_user ON upstream_links (user_id);
