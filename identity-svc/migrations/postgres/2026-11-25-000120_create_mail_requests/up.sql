-- How many mails a client has asked for in the hour that began then.
CREATE TABLE mail_requests (
    client TEXT PRIMARY KEY NOT NULL,
    request_count INTEGER NOT NULL,
    began_at_ms BIGINT NOT NULL
);
CREATE INDEX mail_requests_began_at_ms ON mail_requests (began_at_ms);
-- Rows of requests that send nothing go after the hour for which they count, all others after days.
CREATE INDEX outbox_suppressed ON outbox (finished_at_ms) WHERE state = 'suppressed';
