"""Every bound in one place: queues, pages, loops and bodies.

Limits of the protocol are constants (they may not be configured). Limits of this server are constants here too,
unless an operator has a reason to change one; those are in `config.py`.
"""

# The protocol. Spec: client-server-api#size-limits, server-server-api#transactions, rooms/v12
event_bytes_max = 65_536
identifier_bytes_max = 255
prev_events_max = 20
auth_events_max = 10
transaction_pdus_max = 50
transaction_edus_max = 100
room_version_characters_max = 32
canonical_integer_max = (1 << 53) - 1
depth_max = canonical_integer_max

# Bodies
client_body_bytes_max = 1_048_576
keys_body_bytes_max = 8_388_608
transaction_body_bytes_max = 12_582_912
json_depth_max = 128
query_bytes_max = 65_536
header_bytes_max = 65_536
peer_response_bytes_max = 104_857_600

# Pages
messages_page_max = 1_000
messages_page_default = 10
sync_timeline_max = 100
sync_timeline_default = 10
to_device_page_max = 100
backfill_page_max = 100
missing_events_page_max = 20

# Waiting
sync_timeout_ms_max = 600_000
stop_grace_ms = 5_000

# Memory
log_ring_changes_max = 16_384
rooms_in_memory_max = 2_000
event_cache_max = 8_192
interned_names_max = 200_000

# Database
write_batch_transactions_max = 512
write_queue_max = 10_000

# Federation out
destinations_active_max = 200
peer_requests_active_max = 800
peer_requests_of_one_max = 32
peer_requests_waiting_max = 256

# The door
rate_buckets_max = 100_000
requests_active_max = 20_000
connections_max = 20_000
header_timeout_ms = 20_000
body_bytes_per_second_min = 1_024
write_stall_ms = 60_000
sweep_interval_ms = 1_000
body_discarded_bytes_max = 16_777_216
tls_handshake_timeout_ms = 10_000
keep_alive_timeout_ms = 75_000
listen_backlog = 2_048

# Federation: discovery, keys, transactions
well_known_bytes_max = 51_200
well_known_redirects_max = 5
servers_resolved_max = 10_000
server_keys_cached_max = 20_000
key_answer_bytes_max = 131_072
keys_per_server_max = 64
key_fetches_active_max = 64
key_fetches_waiting_max = 500
key_patience_ms = 600_000
key_query_servers_max = 100
transactions_remembered_max = 2_000
transactions_waiting_max = 8
destinations_owed_max = 100_000
destination_pending_max = 10_000
peer_small_answer_bytes_max = 2_097_152
peer_events_answer_bytes_max = 20_971_520

# Accounts
password_bytes_max = 1_024
password_queue_max = 64
failed_logins_max = 10
failed_logins_window_ms = 300_000
failed_logins_tracked_max = 50_000
device_display_name_characters_max = 256
devices_deleted_at_once_max = 1_000
token_bytes_max = 512
tokens_in_memory_max = 100_000
revoked_token_pairs_kept_max = 20
last_seen_flush_ms = 60_000
uia_session_ms = 900_000
uia_sessions_max = 20_000
uia_sessions_per_user_max = 20
uia_failures_max = 10
registration_token_characters_max = 64
invitation_uses_max = 1_000_000
invitation_rooms_max = 50
invitation_label_characters_max = 256
invitations_page_max = 1_000
shared_secret_nonce_ms = 60_000
shared_secret_nonces_max = 1_000
profile_bytes_max = 65_536
profile_key_bytes_max = 255
displayname_characters_max = 256
avatar_url_bytes_max = 1_000
account_data_bytes_max = 524_288
account_data_cache_max = 50_000
tag_bytes_max = 255
filter_bytes_max = 65_536
filter_list_max = 1_000
filters_per_user_max = 1_000
presence_users_max = 100_000
presence_status_characters_max = 1_024
presence_idle_ms = 300_000
presence_gone_ms = 600_000
openid_token_ms = 3_600_000

# End-to-end encryption
device_id_characters_max = 255
device_name_characters_max = 255
devices_per_user_max = 10_000
one_time_keys_upload_max = 5_000
one_time_keys_per_device_max = 10_000
claimed_keys_remembered_max = 500
keys_query_users_max = 20_000
keys_timeout_ms_max = 20_000
keys_timeout_ms_default = 10_000
message_id_characters_max = 32
to_device_pending_max = 50_000
to_device_transaction_kept_ms = 86_400_000
to_device_received_kept_ms = 604_800_000
to_device_received_per_origin_max = 20_000
device_list_changes_per_user_max = 32
remote_lists_active_max = 8
key_counts_cached_max = 50_000
backup_sessions_per_user_max = 1_000_000

# Third-party invites: keys and signatures tried
third_party_invite_keys_max = 16

# The way out
dns_timeout_ms = 10_000
egress_connections_max = 1_000
egress_connect_timeout_ms = 10_000
egress_keep_alive_ms = 60_000

# Push rules. Wildcards: characters of all patterns' pieces with `?`, which are slow to search
push_rules_max = 1_000
push_rule_bytes_max = 16_384
push_conditions_max = 50
push_pattern_characters_max = 512
push_wildcard_characters_max = 1_024
typing_from_peers_ms = 60_000

# Media
upload_bytes_max = 104_857_600
media_body_bytes_max = 4_294_967_296
file_piece_bytes = 131_072
pending_uploads_max = 20
pending_upload_ms = 86_400_000
media_wait_ms_default = 20_000
media_wait_ms_max = 60_000
media_waiters_max = 1_000
remote_media_active_max = 16
file_name_characters_max = 255
content_type_characters_max = 255
thumbnail_source_bytes_max = 33_554_432
thumbnails_failed_remembered_max = 10_000
thumbnail_failed_ms = 3_600_000
file_head_bytes = 512
sandbox_job_ms = 20_000
sandbox_idle_ms = 30_000
sandbox_waiting_max = 64
sandbox_result_bytes_max = 16_777_216
media_used_noted_max = 20_000
media_used_every_ms = 86_400_000
media_sweep_ms = 600_000
media_sweep_rows_max = 500
quarantine_page_max = 500
event_media_max = 20

# Previews of web pages
preview_url_bytes_max = 4_096
preview_page_bytes_max = 1_048_576
preview_image_bytes_max = 10_485_760
preview_redirects_max = 5
preview_timeout_ms = 15_000
preview_connections_max = 32
previews_active_max = 8
previews_waiting_max = 64
preview_fresh_ms = 3_600_000
preview_failed_ms = 300_000
previews_failed_remembered_max = 2_000
previews_per_second = 1
previews_burst = 30
previews_stored_max = 20_000

# Rooms of other servers
extremities_max = 20
state_events_max = 200_000
auth_chain_events_max = 200_000
events_fetched_singly_max = 20
intake_calls_max = 12
intake_ms_max = 120_000
events_verified_at_once = 200
events_stored_at_once = 500
join_servers_max = 5
invite_state_events_max = 100
backfill_servers_max = 3
backfill_rounds_max = 3
backfill_pause_ms = 30_000
missing_events_noted_max = 20
server_acls_compiled_max = 2_000

# Push: events looked at of one room, and remembered one by one; memory
unread_events_max = 1_000
unread_marks_max = 64
unread_users_max = 20_000
push_events_cached_max = 20_000
push_rules_cached_max = 20_000
push_subscriptions_page = 1_000

# Pushers
pusher_app_id_characters_max = 64
pushkey_bytes_max = 512
pusher_text_characters_max = 1_024
pusher_data_bytes_max = 16_384
pushers_per_user_max = 100
push_journal_max = 20
push_pending_max = 100
push_active_max = 64
push_active_of_one_max = 4
push_wait_ms_min = 1_000
push_wait_ms_max = 3_600_000
push_age_ms_max = 86_400_000
push_timeout_ms = 10_000
push_answer_bytes_max = 65_536
push_badge_rooms_max = 1_000
notifications_page_max = 100
notifications_page_default = 20
push_removals_max = 20

# Digests by mail: how the gaps grow while nothing is read; rooms and texts in one; bytes of a form that ends them
digest_gap_growth = 6
digest_gap_steps_max = 6
digest_gap_ms_max = 86_400_000
digest_retry_ms = 60_000
digest_rooms_max = 20
digest_texts_max = 3
digest_text_characters_max = 300
digest_form_bytes_max = 4_096

# Mail
mails_waiting_max = 1_000
mails_active_max = 4
mail_timeout_ms = 30_000

# Addresses outside of Matrix: proofs, policies, captchas
email_address_bytes_max = 254
client_secret_characters_max = 255
threepids_per_user_max = 20
threepid_proof_ms = 86_400_000
threepid_reset_proof_ms = 3_600_000
threepid_code_proof_ms = 3_600_000
threepid_code_digits = 6
threepid_failures_max = 5
threepid_tokens_remembered_max = 5
threepid_messages_per_hour_max = 5
threepid_next_link_characters_max = 2_048
threepid_form_bytes_max = 8_192
uia_long_session_ms = 3_600_000
identity_timeout_ms = 15_000
identity_answer_bytes_max = 65_536
captcha_answer_characters_max = 16_384

# Upgrades of rooms: what goes into the one transaction, and whose links are looked for
upgrade_bans_max = 2_000
upgrade_rooms_scanned_max = 1_000
aliases_moved_max = 10_000

# OAuth and its pages
oauth_clients_max = 20_000
oauth_client_unused_ms = 7_776_000_000
oauth_metadata_bytes_max = 32_768
oauth_redirect_uris_max = 20
oauth_localized_max = 100
oauth_name_characters_max = 128
oauth_uri_characters_max = 2_048
oauth_next_characters_max = 16_384
oauth_form_bytes_max = 65_536
oauth_form_fields_max = 40
oauth_code_ms = 300_000
oauth_code_kept_ms = 3_600_000
oauth_device_grant_ms = 1_200_000
oauth_device_grants_max = 10_000
oauth_device_interval_ms = 5_000
browser_session_ms = 1_209_600_000
browser_sessions_per_user_max = 20
fresh_sign_in_ms = 600_000
reset_approval_ms = 600_000
login_token_ms = 120_000
sso_login_token_ms = 10_000
login_token_interval_ms = 60_000
login_tokens_per_user_max = 20
upstream_attempt_ms = 900_000
upstream_attempts_max = 10_000
upstream_answer_bytes_max = 1_048_576
upstream_timeout_ms = 15_000
upstream_metadata_kept_ms = 3_600_000
upstream_claim_characters_max = 255

# Sliding sync. A saved connection is a few KiB; one in memory some hundred bytes for each room that its client knows.
sliding_body_bytes_max = 262_144
sliding_rules_max = 100
sliding_patterns_max = 200
sliding_filter_entries_max = 200
sliding_name_characters_max = 255
sliding_rooms_per_response_max = 300
sliding_rooms_told_max = 20_000
sliding_members_told_max = 100
sliding_lists_max = 500
sliding_filters_max = 32
sliding_connections_max = 1_000
sliding_connections_per_device_max = 16
sliding_rest_after_ms = 600_000
sliding_saved_ms_max = 30 * 86_400_000

# Reports
report_reason_characters_max = 4_000
reports_per_day_max = 100
reports_kept_max = 100_000
sliding_bump_stamps_max = 20_000

# Old streams: events of an answer of /events, and presences of an answer of /initialSync
old_stream_page_max = 200
old_stream_presence_max = 1_000

# Search: taken into the index at once, pages, and what one question looks at
search_batch_max = 50
search_cleared_at_once = 200
search_page_default = 10
search_page_max = 100
search_term_characters_max = 1_024
search_terms_max = 20
search_rooms_max = 5_000
search_scanned_max = 2_000
search_ranked_max = 300
search_weighed_characters_max = 2_000
search_highlights_max = 100
search_context_max = 50
search_context_default = 5
predecessors_max = 20
people_filled_at_once = 100
people_words_max = 64
people_page_default = 10
people_page_max = 100
people_looked_at_max = 500
mutual_rooms_page_max = 100

# Relations: children looked at or told of with one event
relations_page_default = 50
relations_page_max = 500
relations_depth_max = 3
relations_walked_max = 20_000
edits_looked_at_max = 100
references_bundled_max = 1_000
thread_events_looked_at_max = 10_000
threads_page_default = 20
threads_page_max = 100
threads_looked_at_max = 500
thread_subscriptions_page_default = 100
thread_subscriptions_page_max = 500
redacted_with_relations_max = 1_000
redacted_rel_types_max = 50
redactions_at_once = 50
member_redaction_events_at_once = 1_000

# Rendezvous: where two devices of a person meet to sign one of them in
rendezvous_sessions_max = 1_000
rendezvous_sessions_of_one_max = 20
rendezvous_data_bytes_max = 4_096
rendezvous_writes_max = 100
rendezvous_lifetime_ms = 300_000

# Whose invites a user takes: globs of one kind that are looked at
invite_permission_globs_max = 1_000

# Application services
appservice_transaction_parts_max = 100
appservice_transaction_bytes_max = 4_194_304
appservice_answer_bytes_max = 1_048_576
appservice_timeout_ms = 60_000
appservice_query_timeout_ms = 10_000
appservice_wait_ms_min = 1_000
appservice_wait_ms_max = 600_000
appservice_give_up_ms = 14 * 86_400_000
appservice_cursor_lag_max = 1_000
appservice_protocols_kept_ms = 300_000
thirdparty_query_fields_max = 20
thirdparty_entries_max = 1_000

# Spaces: of one space, of one walk, and what other servers said
space_children_max = 200
space_vias_max = 20
space_servers_asked_max = 3
space_page_default = 50
space_page_max = 100
space_depth_max = 100
space_rooms_max = 5_000
space_walks_max = 1_000
space_walk_ms = 600_000
space_answers_max = 2_000
space_answers_bytes_max = 33_554_432
space_visits_kept_max = 50_000
space_answer_ms = 300_000
space_failure_ms = 60_000
space_asked_at_once = 8
space_page_ms_max = 25_000

# Policy servers: events of one room that are with its server at once; its words
policy_asked_at_once = 8
policy_timeout_ms = 10_000
policy_retry_after_ms = 5_000
policy_text_characters_max = 500

# Published rooms: looked at, and of one page
public_rooms_max = 5_000
public_rooms_page_max = 500

# History fetched to reach an event by its time, in pages
timestamp_backfill_rounds_max = 20

# Invites by address: in one request, of a client or of an identity server
third_party_invites_at_once = 20

# Calls: what a LiveKit server is asked, and what clients tell of it
livekit_timeout_ms = 5_000
livekit_answer_bytes_max = 65_536
livekit_name_characters_max = 1_024
livekit_secret_characters_min = 32

# Sticky events
sticky_events_per_room_max = 5_000
sticky_events_page_max = 100
sticky_events_swept_at_once = 10_000

# Delayed events: of a page, kept once they are over, and sent at once
delayed_events_page = 50
delayed_events_kept_max = 1_000
delayed_events_kept_ms = 7 * 86_400_000
delayed_events_forgotten_at_once = 1_000
delayed_at_once = 200
delayed_rooms_at_once = 32
delayed_begun_max = 10_000
delayed_notes_max = 10_000

# Policy lists and what they set off
policy_rules_max = 200_000
policy_rules_at_once = 500
policy_lists_pause_ms = 1_000
pending_invites_page = 500
rejections_at_once = 8

# Retention: rounds, and steps of a round
retention_sweep_ms = 3_600_000
retention_rooms_page = 500
retention_events_at_once = 100

# Administration: the audit log, pages, removals of rooms
admin_page_default = 100
admin_page_max = 1_000
audit_reads_again_ms = 3_600_000
audit_reads_remembered_max = 10_000
audit_sweep_ms = 21_600_000
audit_text_characters_max = 500
blocked_rooms_max = 100_000
rooms_listed_max = 200_000
rooms_listed_ms = 15_000
removals_shown_max = 100
removal_events_at_once = 500
removal_scan_at_once = 20_000
removal_pause_ms = 60_000
removals_kept_ms = 90 * 86_400_000
room_events_measured_max = 2_000
