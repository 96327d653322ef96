//! `POST login/` (contract section 4).

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use serde_json::Map;
use shared::secret::Secret;

use super::body::{Body, RequestBody};
use super::fields::FieldReader;
use super::responses::{LoginResponse, json};
use super::{ApiError, AppState, Context, login_attempts};
use crate::db::messages::{Attempt, FindLogin, Login, OpenSession, OpenedSession, User};
use crate::domain::email_address;
use crate::domain::field_errors::NON_FIELD;
use crate::domain::texts::Text;
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
    let attempt = Attempt::at_login(&login, &context.client_address);
    let attempt = login_attempts::reserve(state, attempt).await?;
    let found = match find_owner(state, login, password).await {
        Ok(found) => found,
        Err(error) => {
            login_attempts::give_back(state, context, attempt).await;
            return Err(error);
        }
    };
    // It stays counted.
    let Some((user, needs_rehash)) = found else {
        return Err(ApiError::field(NON_FIELD, Text::LoginFailed));
    };
    if user.email_must_be_verified(state) {
        login_attempts::settle(state, attempt, &user).await?;
        return Err(ApiError::field(NON_FIELD, Text::EmailNotVerified));
    }
    Ok(Matched {
        user,
        attempt,
        needs_rehash,
    })
}

fn whom(request: &LoginRequest) -> Result<Login, ApiError> {
    // With a non-blank e-mail, the e-mail decides.
    if !request.email.is_empty() {
        return Ok(Login::Email(email_address::key(&request.email)));
    }
    if request.username.is_empty() {
        return Err(ApiError::field(NON_FIELD, Text::LoginMissing));
    }
    Ok(Login::by_name(&request.username))
}

/// An account whose password was right.
pub struct Matched {
    pub user: User,
    /// What the try was charged to: to be settled.
    pub attempt: Option<Attempt>,
    needs_rehash: bool,
}

/// The account whose password it is, if it is active, and whether its hash is to be renewed. Nobody costs the same hash
/// as somebody.
async fn find_owner(
    state: &AppState,
    login: Login,
    password: &Secret<String>,
) -> Result<Option<(User, bool)>, ApiError> {
    let candidates = state.db.call(FindLogin { login }).await?;
    if candidates.is_empty() {
        state.passwords.verify(password.clone(), None).await?;
    }
    for user in candidates {
        // Nobody logs in to one that is switched off: not even the time tells whether the password was right.
        let encoded = user.is_active.then(|| user.password.clone());
        let verified = state.passwords.verify(password.clone(), encoded).await?;
        if verified.matches {
            return Ok(Some((user, verified.needs_rehash)));
        }
    }
    Ok(None)
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
        attempt: matched.attempt,
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

impl User {
    fn email_must_be_verified(&self, state: &AppState) -> bool {
        state.settings.email_verification == EmailVerification::Mandatory && !self.is_email_verified
    }
}
