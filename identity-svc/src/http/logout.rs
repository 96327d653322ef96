//! `POST logout/` (contract section 8). Goes by the refresh token that it is given; without one, by the access token.

use actix_web::{HttpRequest, web};
use shared::jwt::{Claims, TokenError, TokenType};

use super::body::{Body, RequestBody};
use super::fields::{FieldReader, FieldValue};
use super::responses::Detail;
use super::session_check::{self, Refusal};
use super::{ApiError, AppState, Context, bearer};
use crate::db::messages::{RevokeSession, UseLegacyToken, UsedLegacyToken};
use crate::domain::texts::Text;

pub struct LogoutRequest {
    /// `null` counts as missing; what is no text is no token.
    refresh: Option<String>,
}

impl RequestBody for LogoutRequest {
    fn read(fields: &mut FieldReader<'_>) -> Self {
        let refresh = match fields.raw("refresh") {
            None | Some(FieldValue::Null) => None,
            Some(FieldValue::Text(text)) => Some(text.trim().to_owned()),
            Some(_) => Some(String::new()),
        };
        Self { refresh }
    }
}

pub async fn logout(
    state: web::Data<AppState>,
    context: Context,
    request: HttpRequest,
    body: Body<LogoutRequest>,
) -> Result<Detail, ApiError> {
    match body.valid()?.refresh {
        Some(refresh) => end_session_of(&state, &refresh).await?,
        None => end_current_session(&state, &request).await?,
    }
    Ok(Detail::ok(&state, &context, &Text::LoggedOut))
}

async fn end_session_of(state: &AppState, refresh: &str) -> Result<(), ApiError> {
    let refused = |error: TokenError| ApiError::logout_refused(error.into());
    let now_ms = state.clock.now_ms();
    let claims = state
        .tokens
        .verify(refresh, Some(TokenType::Refresh), now_ms)
        .map_err(refused)?;
    let Some(sid) = claims.sid.clone() else {
        return use_up(state, claims).await;
    };
    match session_check::check_refresh(state, &claims, &sid).await? {
        Ok(_) | Err(Refusal::NoAccount) => {}
        Err(Refusal::Token(error)) => return Err(refused(error)),
        Err(Refusal::Reused) => return Err(refused(TokenError::Blacklisted)),
    }
    state
        .db
        .call(RevokeSession {
            sid,
            reason: "logout",
            now_ms,
        })
        .await?;
    Ok(())
}

/// A refresh token of a former Django site has no session to end.
async fn use_up(state: &AppState, claims: Claims) -> Result<(), ApiError> {
    let now_ms = state.clock.now_ms();
    let expires_at_ms = session_check::expiry_ms(&claims);
    let jti = claims.jti.unwrap_or_default();
    let message = UseLegacyToken {
        jti,
        expires_at_ms,
        successor: None,
        now_ms,
    };
    match state.db.call(message).await? {
        UsedLegacyToken::Used | UsedLegacyToken::NoAccount | UsedLegacyToken::Ended => Ok(()),
        UsedLegacyToken::UsedBefore => Err(ApiError::logout_refused(TokenError::Blacklisted.into())),
    }
}

async fn end_current_session(state: &AppState, request: &HttpRequest) -> Result<(), ApiError> {
    let user = bearer::authenticate(request.headers(), state).await?;
    let user = user.ok_or_else(|| ApiError::logout_refused(Text::RefreshNotIncluded))?;
    if let Some(sid) = user.sid {
        state
            .db
            .call(RevokeSession {
                sid,
                reason: "logout",
                now_ms: state.clock.now_ms(),
            })
            .await?;
    }
    Ok(())
}
