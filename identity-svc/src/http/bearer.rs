//! The `Authorization` header (contract section 3) and the account behind it.

use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::http::header::{self, HeaderMap};
use actix_web::{FromRequest, HttpMessage, HttpRequest};
use shared::jwt::{TokenError, TokenType};

use super::AppState;
use super::error::ApiError;
use crate::db::messages::{FindSession, FindUser, SessionState, User};
use crate::domain::texts::Text;

/// The account of a checked access token.
#[derive(Clone)]
pub struct CurrentUser {
    pub user: User,
    /// `None`: a token of a former Django site.
    pub sid: Option<String>,
}

/// Checks the header. `None`: there is none, or one of another scheme, which counts as none.
pub async fn authenticate(headers: &HeaderMap, state: &AppState) -> Result<Option<CurrentUser>, ApiError> {
    let Some(token) = bearer_token(headers)? else {
        return Ok(None);
    };
    let claims = state
        .tokens
        .verify(&token, Some(TokenType::Access), state.clock.now_ms())
        .map_err(ApiError::bearer_refused)?;
    let Some(user_id) = claims.user_id else {
        return Err(ApiError::unauthenticated(
            Text::TokenWithoutUser,
            Some("token_not_valid"),
        ));
    };
    let gone = || ApiError::unauthenticated(Text::UserNotFound, Some("user_not_found"));
    let user_id: i64 = user_id.parse().map_err(|_| gone())?;
    let mut is_live = true;
    let user = match &claims.sid {
        None => state.db.call(FindUser { id: user_id }).await?,
        Some(sid) => {
            let found = state.db.call(FindSession { sid: sid.clone() }).await?;
            let found = found.filter(|found| found.user_id == user_id);
            let found = found.ok_or_else(|| ApiError::bearer_refused(TokenError::Invalid))?;
            is_live = found.state != SessionState::Revoked;
            found.user
        }
    };
    let user = user.ok_or_else(gone)?;
    if !user.is_active {
        return Err(ApiError::unauthenticated(
            Text::UserInactive,
            Some("user_inactive"),
        ));
    }
    if claims.sid.is_none() {
        is_live = user.takes_token_issued_at(claims.iat);
    }
    if !is_live {
        return Err(ApiError::bearer_refused(TokenError::Invalid));
    }
    Ok(Some(CurrentUser {
        user,
        sid: claims.sid,
    }))
}

/// The word `Bearer`, exactly so, and one more word.
fn bearer_token(headers: &HeaderMap) -> Result<Option<String>, ApiError> {
    let Some(value) = headers.get(header::AUTHORIZATION) else {
        return Ok(None);
    };
    let text = String::from_utf8_lossy(value.as_bytes());
    let mut words = text.split_ascii_whitespace();
    if words.next() != Some("Bearer") {
        return Ok(None);
    }
    match (words.next(), words.next()) {
        (Some(token), None) => Ok(Some(token.to_owned())),
        _ => Err(ApiError::unauthenticated(
            Text::BearerMalformed,
            Some("bad_authorization_header"),
        )),
    }
}

/// For handlers behind a private gate, which has put it there.
impl FromRequest for CurrentUser {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let user = request.extensions().get::<Self>().cloned();
        ready(user.ok_or_else(|| ApiError::unauthenticated(Text::NotAuthenticated, None)))
    }
}
