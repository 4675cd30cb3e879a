-- kind: what the first bytes show ('' for rows of before: not looked at). used_ts: when it was last asked for, roughly.
ALTER TABLE media ADD COLUMN kind TEXT NOT NULL DEFAULT '';

ALTER TABLE media ADD COLUMN used_ts INTEGER NOT NULL DEFAULT 0;

UPDATE media SET used_ts = created_ts;

DROP INDEX media_owner;

-- What a user has stored, without looking at the rows.
CREATE INDEX media_owner ON media (user_id, created_ts, size_bytes);

-- Copies: files of other servers, and pictures of previews. They belong to nobody and may go.
CREATE INDEX media_copies ON media (used_ts, size_bytes) WHERE user_id = '';

-- Small pictures, by the bytes they were made of. Where the original serves, sha256 is its own.
CREATE TABLE media_thumbnails (
    source_sha256 BLOB NOT NULL,
    variant TEXT NOT NULL,
    content_type TEXT NOT NULL,
    size_bytes INTEGER NOT NULL,
    sha256 BLOB NOT NULL,
    created_ts INTEGER NOT NULL,
    PRIMARY KEY (source_sha256, variant)
) STRICT, WITHOUT ROWID;

CREATE INDEX media_thumbnails_file ON media_thumbnails (sha256);

-- Bytes that are not served, whatever their name, now and later.
CREATE TABLE media_quarantine (
    sha256 BLOB PRIMARY KEY,
    quarantined_by TEXT NOT NULL,
    reason TEXT NOT NULL DEFAULT '',
    created_ts INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX media_quarantine_age ON media_quarantine (created_ts);

-- Which events of local users show which uploads of their own.
CREATE TABLE media_references (
    event_id TEXT NOT NULL,
    media_id TEXT NOT NULL,
    PRIMARY KEY (event_id, media_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX media_references_media ON media_references (media_id);

-- What web pages said of themselves, and when.
CREATE TABLE url_previews (
    url TEXT NOT NULL,
    language TEXT NOT NULL,
    created_ts INTEGER NOT NULL,
    body BLOB NOT NULL,
    image_media_id TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (url, language, created_ts)
) STRICT, WITHOUT ROWID;

CREATE INDEX url_previews_age ON url_previews (created_ts);

CREATE INDEX url_previews_image ON url_previews (image_media_id);
