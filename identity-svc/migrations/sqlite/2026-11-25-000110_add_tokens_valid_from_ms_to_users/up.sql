-- Tokens of a former Django site, which have no session that could end, are refused when they were issued earlier. Null:
-- earlier than password_set_at_ms.
ALTER TABLE users ADD COLUMN tokens_valid_from_ms BIGINT;
