//! Where an account is logged in, for its owner: name and password first, then a list with a button for each session.
//! Looking at it opens no session, and nothing is kept in the browser: a signed proof goes from form to form.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use minijinja::context;
use minijinja::value::Value;
use shared::secret::Secret;

use super::page::Page;
use super::{ASK, SESSIONS, SESSIONS_END};
use crate::dates::date_and_time;
use crate::db::messages::{
    EndOtherSessions, EndOwnSession, EndedOwn, FindOwnSessions, FindUser, Login, OwnSession, User,
};
use crate::domain::device;
use crate::domain::field_errors::{FieldErrors, NON_FIELD};
use crate::http::{
    ApiError, Body, FieldReader, RequestBody, check_credentials, is_session_id, live_times, settle_attempt,
};
use crate::tokens::PageProof;

/// More would not be read, and a page stays below 30 kB.
const MAX_SHOWN: usize = 30;

/// Name and password. The name is kept, to be corrected.
pub struct LoginForm {
    username: String,
    password: Secret<String>,
    typed: String,
}

impl RequestBody for LoginForm {
    fn read(fields: &mut FieldReader<'_>) -> Self {
        Self {
            typed: fields.typed("username"),
            username: fields.required("username"),
            password: Secret::new(fields.required("password")),
        }
    }
}

/// The button that was pressed: a session's id, or `all`.
pub struct EndForm {
    proof: String,
    end: String,
}

impl RequestBody for EndForm {
    fn read(fields: &mut FieldReader<'_>) -> Self {
        Self {
            proof: fields.optional("proof"),
            end: fields.optional("end"),
        }
    }
}

pub async fn show(page: Page) -> HttpResponse {
    form(&page, StatusCode::OK, "", None, &FieldErrors::new())
}

pub async fn log_in(page: Page, sent: Result<Body<LoginForm>, ApiError>) -> HttpResponse {
    let answered = check_login(&page, sent).await;
    answered.unwrap_or_else(|error| page.refusal(&error))
}

pub async fn end(page: Page, sent: Result<Body<EndForm>, ApiError>) -> HttpResponse {
    let answered = take_end(&page, sent).await;
    answered.unwrap_or_else(|error| page.refusal(&error))
}

async fn check_login(page: &Page, sent: Result<Body<LoginForm>, ApiError>) -> Result<HttpResponse, ApiError> {
    page.check_budget()?;
    let (request, errors) = sent?.into_parts();
    let refuse = |errors: &FieldErrors| form(page, StatusCode::BAD_REQUEST, &request.typed, None, errors);
    if !errors.is_empty() {
        return Ok(refuse(&errors));
    }
    let (state, login) = (&page.state, Login::by_name(&request.username));
    let matched = match check_credentials(state, &page.context, login, &request.password).await {
        Ok(matched) => matched,
        Err(ApiError::Validation(errors)) => return Ok(refuse(&beside_the_password(&errors))),
        Err(error) => return Err(error),
    };
    settle_attempt(state, matched.attempt, &matched.user).await?;
    let proof = PageProof {
        user_id: matched.user.id,
        valid_from_ms: matched.user.proofs_valid_from_ms(),
    };
    let proof = state.tokens.issue_page_proof(proof, state.clock.now_ms())?;
    list(page, &matched.user, &proof, None).await
}

async fn take_end(page: &Page, sent: Result<Body<EndForm>, ApiError>) -> Result<HttpResponse, ApiError> {
    let request = sent?.into_parts().0;
    let Some(user) = find_proven(page, &request.proof).await? else {
        let notice = Some("sessions-expired");
        return Ok(form(page, StatusCode::FORBIDDEN, "", notice, &FieldErrors::new()));
    };
    let (user_id, now_ms) = (user.id, page.state.clock.now_ms());
    let done = if request.end == "all" {
        let message = EndOtherSessions {
            user_id,
            asking_sid: None,
            now_ms,
        };
        page.state.db.call(message).await?;
        Some("sessions-all-ended")
    } else if is_session_id(&request.end) {
        let message = EndOwnSession {
            user_id,
            asking_sid: None,
            sid: request.end,
            now_ms,
        };
        match page.state.db.call(message).await? {
            EndedOwn::Ended => Some("sessions-ended"),
            EndedOwn::NotFound | EndedOwn::AskingEnded => Some("sessions-gone"),
        }
    } else {
        None
    };
    list(page, &user, &request.proof, done).await
}

/// The account of a proof, if its password is still the one that was entered and it was never switched off since.
async fn find_proven(page: &Page, proof: &str) -> Result<Option<User>, ApiError> {
    let state = &page.state;
    let Some(proof) = state.tokens.verify_page_proof(proof, state.clock.now_ms()) else {
        return Ok(None);
    };
    let user = state.db.call(FindUser { id: proof.user_id }).await?;
    Ok(user.filter(|user| user.is_active && user.proofs_valid_from_ms() == proof.valid_from_ms))
}

/// What is wrong with both together is told where it is corrected most often, and where nothing was kept.
fn beside_the_password(errors: &FieldErrors) -> FieldErrors {
    let mut beside = FieldErrors::new();
    for (field, texts) in errors.iter() {
        let field = if field == NON_FIELD { "password" } else { field };
        beside.add_all(field, texts.iter().cloned());
    }
    beside
}

fn form(
    page: &Page,
    status: StatusCode,
    typed: &str,
    notice: Option<&str>,
    errors: &FieldErrors,
) -> HttpResponse {
    let facts = context! {
        title => "sessions-title", notice => notice, action => page.link(SESSIONS),
        values => context! { username => typed }, errors => page.errors(errors),
    };
    page.answer(status, "sessions_login.html", facts)
}

async fn list(page: &Page, user: &User, proof: &str, done: Option<&str>) -> Result<HttpResponse, ApiError> {
    let message = FindOwnSessions {
        user_id: user.id,
        asking_sid: None,
        times: live_times(&page.state),
    };
    let found = page.state.db.call(message).await?;
    let has_more = found.len() > MAX_SHOWN;
    let shown: Vec<Value> = found
        .into_iter()
        .take(MAX_SHOWN)
        .map(|session| shown(page, session))
        .collect();
    let facts = context! {
        title => "sessions-title", action => page.link(SESSIONS_END), ask => page.link(ASK), proof => proof,
        done => done, sessions => shown, has_more => has_more,
    };
    Ok(page.answer(StatusCode::OK, "sessions.html", facts))
}

/// Nothing of the `User-Agent` itself, which anybody may have chosen.
fn shown(page: &Page, session: OwnSession) -> Value {
    let device = device::of(&session.user_agent);
    context! {
        id => session.sid, address => session.address,
        device => page.state.texts.text(&device, page.context.language),
        last_used_at => date_and_time(session.last_used_at_ms), opened_at => date_and_time(session.created_at_ms),
    }
}
