//! The tables as diesel sees them. Only types that both databases have; `migrations/` is the source.

diesel::table! {
    users (id) {
        id -> BigInt,
        uid -> Text,
        username -> Text,
        username_key -> Text,
        email -> Text,
        email_key -> Nullable<Text>,
        is_email_verified -> Bool,
        password -> Text,
        first_name -> Text,
        last_name -> Text,
        is_active -> Bool,
        created_at_ms -> BigInt,
        password_set_at_ms -> BigInt,
        tokens_valid_from_ms -> Nullable<BigInt>,
    }
}

diesel::table! {
    sessions (sid) {
        sid -> Text,
        user_id -> BigInt,
        created_at_ms -> BigInt,
        expires_at_ms -> BigInt,
        generation -> BigInt,
        rotated_at_ms -> Nullable<BigInt>,
        revoked_at_ms -> Nullable<BigInt>,
        revoked_reason -> Nullable<Text>,
        user_agent -> Text,
        address -> Text,
        last_used_at_ms -> Nullable<BigInt>,
    }
}

diesel::table! {
    one_time_secrets (digest) {
        digest -> Text,
        purpose -> Text,
        user_id -> BigInt,
        created_at_ms -> BigInt,
        expires_at_ms -> BigInt,
    }
}

diesel::table! {
    outbox (id) {
        id -> BigInt,
        job_id -> Text,
        kind -> Text,
        recipient -> Text,
        payload -> Text,
        state -> Text,
        created_at_ms -> BigInt,
        due_at_ms -> BigInt,
        failed_attempts -> Integer,
        published_at_ms -> Nullable<BigInt>,
        finished_at_ms -> Nullable<BigInt>,
        last_error -> Nullable<Text>,
    }
}

diesel::table! {
    login_failures (account, address) {
        account -> Text,
        address -> Text,
        failure_count -> Integer,
        last_failed_at_ms -> BigInt,
    }
}

diesel::table! {
    used_legacy_tokens (jti) {
        jti -> Text,
        expires_at_ms -> BigInt,
    }
}

diesel::table! {
    mail_requests (client) {
        client -> Text,
        request_count -> Integer,
        began_at_ms -> BigInt,
    }
}

diesel::allow_tables_to_appear_in_same_query!(
    users,
    sessions,
    one_time_secrets,
    outbox,
    login_failures,
    mail_requests,
    used_legacy_tokens
);
