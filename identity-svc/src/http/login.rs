//! `POST login/` (contract section 4).

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use serde_json::Map;
use shared::secret::Secret;

use super::body::{Body, RequestBody};
use super::fields::FieldReader;
use super::responses::{LoginResponse, json};
use super::{ApiError, AppState, Context};
use crate::db::messages::{
    FindLogin, FoundLogin, Login, LoginLimit, OpenSession, OpenedSession, RecordLoginFailure, User,
};
use crate::domain::field_errors::NON_FIELD;
use crate::domain::texts::Text;
use crate::domain::{email_address, username};
use crate::settings::EmailVerification;
use crate::tokens::SessionRef;

pub struct LoginRequest {
    username: String,
    email: String,
    password: Secret<String>,
}

impl RequestBody for LoginRequest {
    fn read(fields: &mut FieldReader<'_>) -> Self {
        Self {
            username: fields.optional("username"),
            email: fields.optional_email("email"),
            password: Secret::new(fields.required("password")),
        }
    }
}

pub async fn login(
    state: web::Data<AppState>,
    context: Context,
    body: Body<LoginRequest>,
) -> Result<HttpResponse, ApiError> {
    let request = body.valid()?;
    let login = whom(&request)?;
    let matched = check_credentials(&state, &context, login, &request.password).await?;
    open_session(&state, &context, matched, request.password).await
}

/// Whose password it is. Guesses are slowed down, and an address that has to be verified first must be.
///
/// # Errors
/// `Validation` when it is nobody's or may not be used yet, `Throttled` after too many guesses.
pub async fn check_credentials(
    state: &AppState,
    context: &Context,
    login: Login,
    password: &Secret<String>,
) -> Result<Matched, ApiError> {
    let now_ms = state.clock.now_ms();
    let limit = LoginLimit {
        free_failures: state.settings.login_failures,
    };
    let address = context.client_address.clone();
    let found = state
        .db
        .call(FindLogin {
            login,
            address,
            limit,
            now_ms,
        })
        .await?;
    if let Some(wait_ms) = found.wait_ms {
        return Err(ApiError::Throttled {
            wait_seconds: seconds(wait_ms),
        });
    }
    let account = found.account.clone();
    let Some(matched) = check_password(state, password, found).await? else {
        return Err(refuse(state, context, account).await?);
    };
    if matched.user.email_must_be_verified(state) {
        return Err(ApiError::field(NON_FIELD, Text::EmailNotVerified));
    }
    Ok(matched)
}

fn whom(request: &LoginRequest) -> Result<Login, ApiError> {
    // With a non-blank e-mail, the e-mail decides.
    if !request.email.is_empty() {
        return Ok(Login::Email(email_address::key(&request.email)));
    }
    if request.username.is_empty() {
        return Err(ApiError::field(NON_FIELD, Text::LoginMissing));
    }
    Ok(by_name(&request.username))
}

/// A username, or an address.
pub fn by_name(name: &str) -> Login {
    Login::Username {
        username_key: username::key(name),
        email_key: email_address::key(name),
    }
}

/// An account whose password was right.
pub struct Matched {
    pub user: User,
    /// Under which failures were counted.
    pub account: String,
    needs_rehash: bool,
}

/// The candidate whose password it is, if it is active. Nobody costs the same hash as somebody.
async fn check_password(
    state: &AppState,
    password: &Secret<String>,
    found: FoundLogin,
) -> Result<Option<Matched>, ApiError> {
    if found.candidates.is_empty() {
        state.passwords.verify(password.clone(), None).await?;
        return Ok(None);
    }
    for user in found.candidates {
        let verified = state
            .passwords
            .verify(password.clone(), Some(user.password.clone()))
            .await?;
        if verified.matches && user.is_active {
            return Ok(Some(Matched {
                user,
                account: found.account,
                needs_rehash: verified.needs_rehash,
            }));
        }
    }
    Ok(None)
}

/// Counts a failure and says how it is refused.
async fn refuse(state: &AppState, context: &Context, account: String) -> Result<ApiError, ApiError> {
    if state.settings.login_failures > 0 {
        let address = context.client_address.clone();
        state
            .db
            .call(RecordLoginFailure {
                account,
                address,
                now_ms: state.clock.now_ms(),
            })
            .await?;
    }
    Ok(ApiError::field(NON_FIELD, Text::LoginFailed))
}

async fn open_session(
    state: &AppState,
    context: &Context,
    matched: Matched,
    password: Secret<String>,
) -> Result<HttpResponse, ApiError> {
    let rehashed_password = match matched.needs_rehash {
        true => Some(Secret::new(state.passwords.hash(password).await?)),
        false => None,
    };
    let user = matched.user;
    let now_ms = state.clock.now_ms();
    let session = context.new_session(state, now_ms);
    let sid = session.sid.clone();
    let checked_password = Secret::new(user.password.clone());
    let message = OpenSession {
        user_id: user.id,
        checked_password,
        rehashed_password,
        session,
        now_ms,
    };
    if state.db.call(message).await? == OpenedSession::Refused {
        return Err(ApiError::field(NON_FIELD, Text::LoginFailed));
    }
    let tokens = state
        .tokens
        .issue_pair(user.id, SessionRef::new(&sid, now_ms), 0, &Map::new(), now_ms)?;
    Ok(json(StatusCode::OK, &LoginResponse::new(tokens, user)))
}

/// Whole seconds, rounded up, at least one.
pub fn seconds(wait_ms: i64) -> u64 {
    u64::try_from(wait_ms).unwrap_or(0).div_ceil(1000).max(1)
}

impl User {
    fn email_must_be_verified(&self, state: &AppState) -> bool {
        state.settings.email_verification == EmailVerification::Mandatory && !self.is_email_verified
    }
}
