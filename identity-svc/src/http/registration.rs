//! `POST registration/` (contract section 5).

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, Responder, web};
use serde_json::Map;
use shared::random;
use shared::secret::Secret;

use super::body::{Body, RequestBody};
use super::fields::FieldReader;
use super::responses::{Detail, LoginResponse, json};
use super::{ApiError, AppState, Context};
use crate::db::messages::{FindTaken, NewUser, RegisterUser, Registered, Taken};
use crate::domain::field_errors::{FieldErrors, NON_FIELD};
use crate::domain::password_rules::{self, UserAttributes};
use crate::domain::texts::Text;
use crate::domain::{email_address, username};
use crate::settings::EmailVerification;
use crate::tokens::SessionRef;
use crate::tokens::one_time::Purpose;

pub struct RegisterRequest {
    username: String,
    email: String,
    password1: Secret<String>,
    password2: Secret<String>,
}

impl RequestBody for RegisterRequest {
    fn read(fields: &mut FieldReader<'_>) -> Self {
        let name = fields.required_up_to("username", username::MAX_CHARS);
        if !fields.is_refused("username") && !username::is_valid(&name) {
            fields.refuse("username", Text::BadUsername);
        }
        let email = fields.required_email("email");
        if email.chars().count() > email_address::MAX_CHARS {
            fields.refuse(
                "email",
                Text::TooLong {
                    max: email_address::MAX_CHARS,
                },
            );
        } else if !fields.is_refused("email") && !email_address::has_deliverable_length(&email) {
            fields.refuse("email", Text::BadEmail);
        }
        let password1 = fields.required_up_to("password1", password_rules::MAX_CHARS);
        if !fields.is_refused("password1") {
            for weakness in password_rules::weaknesses(&password1) {
                fields.refuse("password1", weakness);
            }
        }
        let password2 = fields.required("password2");
        Self {
            username: name,
            email,
            password1: Secret::new(password1),
            password2: Secret::new(password2),
        }
    }
}

pub async fn registration(
    state: web::Data<AppState>,
    context: Context,
    http_request: HttpRequest,
    body: Body<RegisterRequest>,
) -> Result<HttpResponse, ApiError> {
    let (request, errors) = body.into_parts();
    check(&state, &request, errors).await?;
    let password = Secret::new(state.passwords.hash(request.password1.clone()).await?);
    let now_ms = state.clock.now_ms();
    let is_mandatory = state.settings.email_verification == EmailVerification::Mandatory;
    let session = (!is_mandatory).then(|| context.new_session(&state, now_ms));
    let sid = session.as_ref().map(|session| session.sid.clone());
    let user = NewUser {
        uid: random::base64url_128(),
        username_key: username::key(&request.username),
        username: request.username,
        email: request.email.to_lowercase(),
        password,
    };
    let mail = context.new_mail(&state, Purpose::VerifyEmail, now_ms);
    let user = match state
        .db
        .call(RegisterUser {
            user,
            session,
            mail,
            now_ms,
        })
        .await?
    {
        Registered::Created(user) => *user,
        Registered::Taken(taken) => return Err(ApiError::Validation(with_taken(&FieldErrors::new(), taken))),
    };
    state.db.outbox_changed().notify_one();
    let Some(sid) = sid else {
        let detail = Detail::with_status(&state, &context, &Text::VerificationSent, StatusCode::CREATED);
        return Ok(detail.respond_to(&http_request));
    };
    let tokens = state
        .tokens
        .issue_pair(user.id, SessionRef::new(&sid, now_ms), 0, &Map::new(), now_ms)?;
    Ok(json(StatusCode::CREATED, &LoginResponse::new(tokens, user)))
}

/// All field errors together, then the rules that look at several fields.
async fn check(state: &AppState, request: &RegisterRequest, errors: FieldErrors) -> Result<(), ApiError> {
    let mut taken = Taken::default();
    let is_worth_a_look = !errors.has("username") || !errors.has("email");
    if !errors.has(NON_FIELD) && is_worth_a_look {
        let message = FindTaken {
            username: request.username.clone(),
            username_key: username::key(&request.username),
            email_key: email_address::key(&request.email),
        };
        taken = state.db.call(message).await?;
        taken.username &= !errors.has("username");
        taken.email &= !errors.has("email");
    }
    if !errors.is_empty() || taken.any() {
        return Err(ApiError::Validation(with_taken(&errors, taken)));
    }
    if request.password1 != request.password2 {
        return Err(ApiError::field(NON_FIELD, Text::MismatchRegistration));
    }
    let attributes = UserAttributes {
        username: &request.username,
        first_name: "",
        last_name: "",
        email: &request.email,
    };
    match password_rules::similarity(request.password1.expose(), &attributes) {
        Some(text) => Err(ApiError::field(NON_FIELD, text)),
        None => Ok(()),
    }
}

/// Adds what is taken, in the order of the fields.
fn with_taken(errors: &FieldErrors, taken: Taken) -> FieldErrors {
    let mut all = FieldErrors::new();
    if taken.username {
        all.add("username", Text::UsernameTaken);
    }
    for (field, texts) in errors.iter() {
        if field != "username" && taken.email && !all.has("email") {
            all.add("email", Text::EmailTaken);
        }
        all.add_all(field, texts.iter().cloned());
    }
    if taken.email && !all.has("email") {
        all.add("email", Text::EmailTaken);
    }
    all
}
