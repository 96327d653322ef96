-- Tokens of a former Django site, which have no session that could end, are refused when they were issued earlier. Null:
-- earlier than password_set_at_ms. A nullable column without a default rewrites no row.
ALTER TABLE users ADD COLUMN tokens_valid_from_ms BIGINT;
