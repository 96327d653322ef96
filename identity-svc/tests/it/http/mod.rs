//! The API as a client sees it (contract), endpoint by endpoint.

mod every_request;
mod formats;
mod internal;
mod legacy_tokens;
mod login;
mod logout;
mod openapi;
mod password_change;
mod password_reset;
mod password_reset_confirm;
mod registration;
mod registration_resend_email;
mod registration_verify_email;
mod sessions;
mod token_refresh;
mod token_verify;
mod user;
