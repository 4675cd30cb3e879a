CREATE TABLE e2ee_dehydrated (
    user_id TEXT NOT NULL PRIMARY KEY,
    device_id TEXT NOT NULL,
    device_data BLOB NOT NULL
) STRICT, WITHOUT ROWID;
