//! The API: ten endpoints under `/api/auth/`, `user/` and `sessions/`. One file per endpoint, named after its path.

mod bearer;
mod body;
mod context;
mod error;
mod fields;
mod gate;
mod gateway_check;
mod internal;
mod login;
mod login_attempts;
mod logout;
mod password_change;
mod password_reset;
mod password_reset_confirm;
mod registration;
mod registration_resend_email;
mod registration_verify_email;
mod respond;
mod responses;
mod session_check;
mod sessions;
mod sessions_delete;
mod sessions_revoke_others;
mod token_refresh;
mod token_verify;
mod user;
mod well_known;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64};

use actix_web::http::Method;
use actix_web::middleware::from_fn;
use actix_web::{Resource, Route, web};
use shared::clock::Clock;

pub use body::{Body, RequestBody};
pub use context::Context;
pub use error::ApiError;
pub use fields::{FieldForm, FieldReader, forms_of};
pub use login::{LoginRequest, check_credentials};
pub use login_attempts::settle as settle_attempt;
pub use password_change::PasswordChangeRequest;
pub use password_reset::{EmailRequest, request_mail};
pub use password_reset_confirm::{PasswordResetConfirmRequest, reset_password};
pub use registration::RegisterRequest;
pub use registration_verify_email::{VerifyEmailRequest, confirm_email};
pub use respond::respond;
pub use responses::{EXAMPLE_TOKEN, Example, LoginResponse, UserDetails};
pub use session_check::live_times;
pub use sessions::SessionsResponse;
pub use sessions_delete::is_session_id;
pub use token_refresh::{TokenRefreshRequest, TokenRefreshResponse};
pub use token_verify::TokenVerifyRequest;
pub use user::{UserRequest, WholeUserRequest};

use crate::db::Db;
use crate::domain::languages::Catalogue;
use crate::encryption::Encryption;
use crate::passwords::Passwords;
use crate::settings::Settings;
use crate::tokens::Tokens;
use gate::{Rule, gate};

/// What handlers work with: plain handles.
pub struct AppState {
    pub db: Db,
    pub passwords: Passwords,
    pub tokens: Tokens,
    pub encryption: Encryption,
    pub clock: Clock,
    pub settings: Arc<Settings>,
    pub texts: Arc<Catalogue>,
    /// A stop is near: gateways are told to send nothing new here.
    pub is_draining: Arc<AtomicBool>,
    /// When a request without the gateway's secret was last told in the log (Unix milliseconds).
    pub stranger_told_at_ms: AtomicI64,
}

/// All routes of the API.
pub fn configure(config: &mut web::ServiceConfig) {
    const PUBLIC: Rule = Rule::public_post();
    const USER: Rule = Rule {
        methods: &[Method::GET, Method::HEAD, Method::PUT, Method::PATCH],
        allow: "GET, PUT, PATCH, HEAD, OPTIONS",
        ..Rule::public_post().private()
    };
    const SESSIONS: Rule = Rule {
        methods: &[Method::GET, Method::HEAD],
        allow: "GET, HEAD, OPTIONS",
        ..Rule::public_post().private()
    };
    const SESSION: Rule = Rule {
        methods: &[Method::DELETE],
        allow: "DELETE, OPTIONS",
        ..Rule::public_post().private()
    };
    let mut add = |path: &str, rule: Rule, routes: Vec<Route>| {
        // The last slash may be left out. No redirect: it would lose the body.
        let paths = [format!("/api/auth{path}/"), format!("/api/auth{path}")];
        let resource = routes.into_iter().fold(web::resource(paths), Resource::route);
        config.service(resource.wrap(from_fn(move |request, next| gate(rule, request, next))));
    };
    add("/login", PUBLIC.budgeted(), vec![web::route().to(login::login)]);
    add(
        "/logout",
        PUBLIC.budgeted(),
        vec![web::route().to(logout::logout)],
    );
    add(
        "/password/change",
        PUBLIC.budgeted().private(),
        vec![web::route().to(password_change::password_change)],
    );
    add(
        "/password/reset",
        PUBLIC.budgeted(),
        vec![web::route().to(password_reset::password_reset)],
    );
    let confirm = web::route().to(password_reset_confirm::password_reset_confirm);
    add("/password/reset/confirm", PUBLIC.budgeted(), vec![confirm]);
    add(
        "/registration",
        PUBLIC.budgeted(),
        vec![web::route().to(registration::registration)],
    );
    let resend = web::route().to(registration_resend_email::registration_resend_email);
    add("/registration/resend-email", PUBLIC, vec![resend]);
    let verify = web::route().to(registration_verify_email::registration_verify_email);
    add("/registration/verify-email", PUBLIC, vec![verify]);
    add(
        "/token/refresh",
        PUBLIC,
        vec![web::route().to(token_refresh::token_refresh)],
    );
    add(
        "/token/verify",
        PUBLIC,
        vec![web::route().to(token_verify::token_verify)],
    );
    let user = vec![
        web::get().to(user::get),
        web::head().to(user::get),
        web::put().to(user::put),
        web::patch().to(user::patch),
    ];
    add("/user", USER, user);
    add("/sessions", SESSIONS, vec![web::route().to(sessions::sessions)]);
    // Before the next one, which would take its name for an id.
    let revoke_others = web::route().to(sessions_revoke_others::sessions_revoke_others);
    add("/sessions/revoke-others", PUBLIC.private(), vec![revoke_others]);
    add(
        "/sessions/{id}",
        SESSION,
        vec![web::route().to(sessions_delete::sessions_delete)],
    );
    config.route("/internal/ready", web::get().to(internal::ready));
    config.route("/internal/revocations", web::get().to(internal::revocations));
    config.route("/.well-known/jwks.json", web::get().to(well_known::jwks));
}
