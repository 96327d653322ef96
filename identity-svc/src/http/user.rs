//! `GET`, `PUT`, `PATCH user/` (contract section 13).

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};

use super::bearer::CurrentUser;
use super::body::{Body, RequestBody};
use super::fields::FieldReader;
use super::responses::{UserDetails, json};
use super::{ApiError, AppState};
use crate::db::messages::{UpdateProfile, UpdatedProfile};
use crate::domain::texts::Text;
use crate::domain::username;

const MAX_NAME_CHARS: usize = 150;

pub struct UserRequest {
    username: Option<String>,
    first_name: Option<String>,
    last_name: Option<String>,
}

/// `PATCH`: every field may be missing.
impl RequestBody for UserRequest {
    fn read(fields: &mut FieldReader<'_>) -> Self {
        let name = fields.present_up_to("username", username::MAX_CHARS);
        if !fields.is_refused("username") && name.as_deref().is_some_and(|name| !username::is_valid(name)) {
            fields.refuse("username", Text::BadUsername);
        }
        Self {
            username: name,
            first_name: fields.optional_up_to("first_name", MAX_NAME_CHARS),
            last_name: fields.optional_up_to("last_name", MAX_NAME_CHARS),
        }
    }
}

/// `PUT`: the username must be there.
pub struct WholeUserRequest(UserRequest);

impl RequestBody for WholeUserRequest {
    fn read(fields: &mut FieldReader<'_>) -> Self {
        fields.require("username");
        Self(UserRequest::read(fields))
    }
}

pub async fn get(current: CurrentUser) -> HttpResponse {
    json(StatusCode::OK, &UserDetails::from(current.user))
}

pub async fn put(
    state: web::Data<AppState>,
    current: CurrentUser,
    body: Body<WholeUserRequest>,
) -> Result<HttpResponse, ApiError> {
    update(&state, current, body.valid()?.0).await
}

pub async fn patch(
    state: web::Data<AppState>,
    current: CurrentUser,
    body: Body<UserRequest>,
) -> Result<HttpResponse, ApiError> {
    update(&state, current, body.valid()?).await
}

async fn update(
    state: &AppState,
    current: CurrentUser,
    request: UserRequest,
) -> Result<HttpResponse, ApiError> {
    let message = UpdateProfile {
        user_id: current.user.id,
        username: request.username.map(|name| (name.clone(), username::key(&name))),
        first_name: request.first_name,
        last_name: request.last_name,
    };
    match state.db.call(message).await? {
        UpdatedProfile::Updated(user) => Ok(json(StatusCode::OK, &UserDetails::from(*user))),
        UpdatedProfile::UsernameTaken => Err(ApiError::field("username", Text::UsernameTaken)),
        UpdatedProfile::UserGone => Err(ApiError::unauthenticated(
            Text::UserNotFound,
            Some("user_not_found"),
        )),
    }
}
