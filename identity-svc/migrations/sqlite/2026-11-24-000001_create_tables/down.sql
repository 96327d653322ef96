DROP TABLE used_legacy_tokens;
DROP TABLE login_failures;
DROP TABLE outbox;
DROP TABLE one_time_secrets;
DROP TABLE sessions;
DROP TABLE users;
