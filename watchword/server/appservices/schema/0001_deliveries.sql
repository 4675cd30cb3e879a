CREATE TABLE appservice_transactions (
    appservice_id TEXT NOT NULL PRIMARY KEY,
    txn_id INTEGER NOT NULL,
    body BLOB,
    letters BLOB NOT NULL DEFAULT x'',
    made_ts INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
