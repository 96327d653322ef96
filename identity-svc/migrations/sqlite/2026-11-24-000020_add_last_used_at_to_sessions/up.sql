-- For the owner's list of sessions. Null: opened by a release that did not know the column, and not refreshed since.
ALTER TABLE sessions ADD COLUMN last_used_at_ms BIGINT;
