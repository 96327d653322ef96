DROP INDEX outbox_suppressed;
DROP TABLE mail_requests;
