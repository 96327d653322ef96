-- Times are Unix time in milliseconds (docs/adr/0001). `*_key` columns hold the form that is compared.
CREATE TABLE users (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    uid TEXT NOT NULL UNIQUE,                  -- opaque name of the account in reset links
    username TEXT NOT NULL,
    username_key TEXT NOT NULL UNIQUE,
    email TEXT NOT NULL,
    email_key TEXT UNIQUE,                     -- null for an imported account without an address
    is_email_verified BOOLEAN NOT NULL,
    password TEXT NOT NULL,                    -- in Django's encoding
    first_name TEXT NOT NULL,
    last_name TEXT NOT NULL,
    is_active BOOLEAN NOT NULL,
    created_at_ms BIGINT NOT NULL,
    password_set_at_ms BIGINT NOT NULL
);

-- One login = one row. No foreign key: a deleted account's sessions stay, revoked, until their tokens have expired.
CREATE TABLE sessions (
    sid TEXT PRIMARY KEY NOT NULL,
    user_id BIGINT NOT NULL,
    created_at_ms BIGINT NOT NULL,
    expires_at_ms BIGINT NOT NULL,
    generation BIGINT NOT NULL,
    rotated_at_ms BIGINT,
    revoked_at_ms BIGINT,
    revoked_reason TEXT,
    user_agent TEXT NOT NULL,
    address TEXT NOT NULL
);
CREATE INDEX sessions_user_id ON sessions (user_id);
CREATE INDEX sessions_revoked_at_ms ON sessions (revoked_at_ms);
CREATE INDEX sessions_expires_at_ms ON sessions (expires_at_ms);

-- Verification keys and reset tokens; only their SHA-256 is here.
CREATE TABLE one_time_secrets (
    digest TEXT PRIMARY KEY NOT NULL,
    purpose TEXT NOT NULL,                     -- verify_email | reset_password
    user_id BIGINT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    created_at_ms BIGINT NOT NULL,
    expires_at_ms BIGINT NOT NULL
);
CREATE INDEX one_time_secrets_user_id ON one_time_secrets (user_id);
CREATE INDEX one_time_secrets_expires_at_ms ON one_time_secrets (expires_at_ms);

-- Mail jobs, written in the transaction of their cause. `payload` is emptied once the job is out of our hands.
CREATE TABLE outbox (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    job_id TEXT NOT NULL UNIQUE,
    kind TEXT NOT NULL,                        -- verify_email | reset_password
    recipient TEXT NOT NULL,
    payload TEXT NOT NULL,
    state TEXT NOT NULL,                       -- waiting | published | delivered | dead | suppressed
    created_at_ms BIGINT NOT NULL,
    due_at_ms BIGINT NOT NULL,                 -- also the end of a relay's claim
    failed_attempts INTEGER NOT NULL,
    published_at_ms BIGINT,                    -- when the queue took it
    finished_at_ms BIGINT,                     -- when it came to a state that is not `waiting`
    last_error TEXT
);
-- What relays look for. Finished rows are not in it, however many there are.
CREATE INDEX outbox_waiting ON outbox (due_at_ms, id) WHERE state = 'waiting';
CREATE INDEX outbox_finished_at_ms ON outbox (finished_at_ms) WHERE state <> 'waiting';
CREATE INDEX outbox_recipient ON outbox (recipient, kind, created_at_ms);

-- Failed logins of one account from one address, for the growing delay.
CREATE TABLE login_failures (
    account TEXT NOT NULL,
    address TEXT NOT NULL,
    failure_count INTEGER NOT NULL,
    last_failed_at_ms BIGINT NOT NULL,
    PRIMARY KEY (account, address)
);
CREATE INDEX login_failures_last_failed ON login_failures (last_failed_at_ms);

-- Refresh tokens of a former Django site that were used up.
CREATE TABLE used_legacy_tokens (
    jti TEXT PRIMARY KEY NOT NULL,
    expires_at_ms BIGINT NOT NULL
);
CREATE INDEX used_legacy_tokens_expires_at_ms ON used_legacy_tokens (expires_at_ms);
