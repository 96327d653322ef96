ALTER TABLE outbox RESET (fillfactor);
DROP INDEX outbox_waiting;
CREATE INDEX outbox_waiting ON outbox (due_at_ms, id) WHERE state = 'waiting';
