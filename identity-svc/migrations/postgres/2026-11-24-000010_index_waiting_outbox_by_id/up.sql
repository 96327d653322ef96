-- A claim changes due_at_ms only. With that column in no index, and room left in each page, PostgreSQL writes the new row
-- beside the old one and touches no index (a heap-only tuple); before, every claim wrote five index entries.
DROP INDEX outbox_waiting;
CREATE INDEX outbox_waiting ON outbox (id) WHERE state = 'waiting';
ALTER TABLE outbox SET (fillfactor = 50);
