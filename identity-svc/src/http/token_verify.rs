//! `POST token/verify/` (contract section 10). The token's type does not matter; its session does, and where it has none
//! its account.

use actix_web::{HttpResponse, web};
use shared::jwt::{Claims, TokenError, TokenType};

use super::body::{Body, RequestBody};
use super::fields::FieldReader;
use super::session_check::{self, Refusal};
use super::{ApiError, AppState};
use crate::db::messages::{FindSession, FindUser, IsLegacyTokenUsed, SessionState};
use crate::domain::field_errors::NON_FIELD;
use crate::domain::texts::Text;

pub struct TokenVerifyRequest {
    token: String,
}

impl RequestBody for TokenVerifyRequest {
    fn read(fields: &mut FieldReader<'_>) -> Self {
        Self {
            token: fields.required("token"),
        }
    }
}

pub async fn token_verify(
    state: web::Data<AppState>,
    body: Body<TokenVerifyRequest>,
) -> Result<HttpResponse, ApiError> {
    let token = body.valid()?.token;
    let claims = state
        .tokens
        .verify(&token, None, state.clock.now_ms())
        .map_err(ApiError::token_refused)?;
    if claims.token_type.as_deref() == Some(TokenType::Refresh.as_str()) {
        check_refresh(&state, &claims).await?;
    } else {
        check_access(&state, &claims).await?;
    }
    Ok(HttpResponse::Ok().content_type("application/json").body("{}"))
}

async fn check_access(state: &AppState, claims: &Claims) -> Result<(), ApiError> {
    let Some(sid) = &claims.sid else {
        return if has_account(state, claims).await? {
            Ok(())
        } else {
            Err(ApiError::token_refused(TokenError::Invalid))
        };
    };
    let found = state.db.call(FindSession { sid: sid.clone() }).await?;
    let is_live = found.is_some_and(|found| {
        found.state != SessionState::Revoked && Some(found.user_id) == session_check::user_id(claims)
    });
    if is_live {
        Ok(())
    } else {
        Err(ApiError::token_refused(TokenError::Invalid))
    }
}

/// Whether a token without a session, of a former Django site, still speaks for an account.
async fn has_account(state: &AppState, claims: &Claims) -> Result<bool, ApiError> {
    let Some(id) = session_check::user_id(claims) else {
        return Ok(false);
    };
    let user = state.db.call(FindUser { id }).await?;
    Ok(user.is_some_and(|user| user.is_active && user.takes_token_issued_at(claims.iat)))
}

async fn check_refresh(state: &AppState, claims: &Claims) -> Result<(), ApiError> {
    let blacklisted = || ApiError::field(NON_FIELD, Text::TokenBlacklisted);
    let Some(sid) = &claims.sid else {
        let jti = claims.jti.clone().unwrap_or_default();
        let is_used = state.db.call(IsLegacyTokenUsed { jti }).await?;
        let is_dead = is_used || !has_account(state, claims).await?;
        return if is_dead { Err(blacklisted()) } else { Ok(()) };
    };
    match session_check::check_refresh(state, claims, sid).await? {
        Ok(_) | Err(Refusal::NoAccount) => Ok(()),
        Err(Refusal::Token(TokenError::Blacklisted) | Refusal::Reused) => Err(blacklisted()),
        Err(Refusal::Token(error)) => Err(ApiError::token_refused(error)),
    }
}
