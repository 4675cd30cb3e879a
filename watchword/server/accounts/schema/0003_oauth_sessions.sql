-- The OAuth client that a session was given to; NULL for one that began by a legacy login.
ALTER TABLE sessions ADD COLUMN oauth_client_id TEXT;

-- Tokens that are good for one login (m.login.token). Hashed with SHA-256.
CREATE TABLE login_tokens (
    token_hash BLOB PRIMARY KEY,
    user_id TEXT NOT NULL,
    expires_ts INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX login_tokens_by_expiry ON login_tokens (expires_ts);
CREATE INDEX login_tokens_of_user ON login_tokens (user_id);
