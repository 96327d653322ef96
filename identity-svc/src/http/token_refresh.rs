//! `POST token/refresh/` (contract section 9).

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use serde::Serialize;
use shared::jwt::{Claims, TokenError, TokenType};

use super::body::{Body, RequestBody};
use super::fields::FieldReader;
use super::responses::{EXAMPLE_TOKEN, Example, json};
use super::session_check::{self, LiveSession, Refusal};
use super::{ApiError, AppState, Context};
use crate::dates::iso_8601;
use crate::db::messages::{
    NoteUse, RevokeSession, RotateSession, RotatedSession, Successor, UseLegacyToken, UsedLegacyToken,
};
use crate::domain::texts::Text;
use crate::tokens::{IssuedToken, SessionRef, TokenPair};

pub struct TokenRefreshRequest {
    /// `None`: missing, which is a 401 here.
    refresh: Option<String>,
}

impl RequestBody for TokenRefreshRequest {
    fn read(fields: &mut FieldReader<'_>) -> Self {
        Self {
            refresh: fields.present_up_to("refresh", usize::MAX),
        }
    }
}

/// `refresh` is only there with rotation. Times are ISO 8601, UTC.
#[derive(Serialize)]
pub struct TokenRefreshResponse {
    access: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh: Option<String>,
    access_expiration: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh_expiration: Option<String>,
}

impl Example for TokenRefreshResponse {
    fn example() -> Self {
        let token = || EXAMPLE_TOKEN.to_owned();
        let time = || iso_8601(1_767_225_900);
        Self {
            access: token(),
            refresh: Some(token()),
            access_expiration: time(),
            refresh_expiration: Some(time()),
        }
    }
}

pub async fn token_refresh(
    state: web::Data<AppState>,
    context: Context,
    body: Body<TokenRefreshRequest>,
) -> Result<HttpResponse, ApiError> {
    let Some(refresh) = body.valid()?.refresh else {
        return Err(ApiError::unauthenticated(
            Text::NoValidRefresh,
            Some("token_not_valid"),
        ));
    };
    let now_ms = state.clock.now_ms();
    let claims = state
        .tokens
        .verify(&refresh, Some(TokenType::Refresh), now_ms)
        .map_err(ApiError::token_refused)?;
    let Some(sid) = claims.sid.clone() else {
        return open_in_place_of(&state, &context, claims).await;
    };
    let session = match session_check::check_refresh(&state, &claims, &sid).await? {
        Ok(session) => session,
        Err(refusal) => return Err(refuse(&state, &context, refusal, sid).await),
    };
    if !state.settings.rotate_refresh_tokens {
        note_use(&state, &context, session, &sid, now_ms).await;
        let issued_for = SessionRef::new(&sid, session.created_at_ms);
        let access = state
            .tokens
            .issue_access(session.user_id, issued_for, &claims.additional, now_ms)?;
        return Ok(answer(access, None));
    }
    let pair = rotate(&state, &context, session, sid, &claims).await?;
    Ok(answer(pair.access, Some(pair.refresh)))
}

/// A rotation notes it by itself. The note is for the owner's list alone: without it, the refresh is as good.
async fn note_use(state: &AppState, context: &Context, session: LiveSession, sid: &str, now_ms: i64) {
    let note = NoteUse::new(sid, state.tokens.limits().idle, now_ms);
    if !note.is_due(session.last_used_at_ms) {
        return;
    }
    if let Err(error) = state.db.call(note).await {
        log::warn!(request_id:% = context.request_id; "the use of a session was not noted: {error}");
    }
}

async fn rotate(
    state: &AppState,
    context: &Context,
    session: LiveSession,
    sid: String,
    claims: &Claims,
) -> Result<TokenPair, ApiError> {
    let now_ms = state.clock.now_ms();
    let message = RotateSession {
        sid: sid.clone(),
        generation: session.generation,
        expires_at_ms: state.tokens.session_end_ms(session.created_at_ms, now_ms),
        grace: state.settings.rotation_grace,
        now_ms,
    };
    match state.db.call(message).await? {
        RotatedSession::To { generation } => {
            let issued_for = SessionRef::new(&sid, session.created_at_ms);
            Ok(state.tokens.issue_pair(
                session.user_id,
                issued_for,
                generation,
                &claims.additional,
                now_ms,
            )?)
        }
        RotatedSession::Revoked => Err(ApiError::token_refused(TokenError::Blacklisted)),
        RotatedSession::Reused => Err(report_reuse(context, &sid)),
    }
}

async fn refuse(state: &AppState, context: &Context, refusal: Refusal, sid: String) -> ApiError {
    match refusal {
        Refusal::Token(error) => ApiError::token_refused(error),
        Refusal::NoAccount => ApiError::unauthenticated(Text::NoActiveAccount, None),
        Refusal::Reused => {
            let message = RevokeSession {
                sid: sid.clone(),
                reason: "refresh token reused",
                now_ms: state.clock.now_ms(),
            };
            match state.db.call(message).await {
                Ok(_) => report_reuse(context, &sid),
                Err(error) => error.into(),
            }
        }
    }
}

fn report_reuse(context: &Context, sid: &str) -> ApiError {
    log::warn!(request_id:% = context.request_id, sid; "a refresh token was used again: its session is revoked");
    ApiError::token_refused(TokenError::Blacklisted)
}

/// A refresh token of a former Django site opens a session and is used up. The answer always has the new refresh
/// token, since the old one is gone.
async fn open_in_place_of(
    state: &AppState,
    context: &Context,
    claims: Claims,
) -> Result<HttpResponse, ApiError> {
    let no_account = || ApiError::unauthenticated(Text::NoActiveAccount, None);
    let now_ms = state.clock.now_ms();
    let user_id = session_check::user_id(&claims).ok_or_else(no_account)?;
    let session = context.new_session(state, now_ms);
    let sid = session.sid.clone();
    let expires_at_ms = session_check::expiry_ms(&claims);
    let jti = claims.jti.unwrap_or_default();
    let message = UseLegacyToken {
        jti,
        expires_at_ms,
        successor: Some(Successor {
            user_id,
            issued_at: claims.iat,
            session,
        }),
        now_ms,
    };
    match state.db.call(message).await? {
        UsedLegacyToken::Used => {}
        UsedLegacyToken::UsedBefore | UsedLegacyToken::Ended => {
            return Err(ApiError::token_refused(TokenError::Blacklisted));
        }
        UsedLegacyToken::NoAccount => return Err(no_account()),
    }
    let carried = state.tokens.carried_over(claims.additional);
    let pair = state
        .tokens
        .issue_pair(user_id, SessionRef::new(&sid, now_ms), 0, &carried, now_ms)?;
    Ok(answer(pair.access, Some(pair.refresh)))
}

fn answer(access: IssuedToken, refresh: Option<IssuedToken>) -> HttpResponse {
    let body = TokenRefreshResponse {
        access_expiration: iso_8601(access.exp),
        refresh_expiration: refresh.as_ref().map(|token| iso_8601(token.exp)),
        access: access.text,
        refresh: refresh.map(|token| token.text),
    };
    json(StatusCode::OK, &body)
}
