//! What the API offers, operation by operation, in the document's order. Names and descriptions of the first ten are the
//! contract's: the clients that front ends have generated are made of them (contract section 1).

use serde_json::json;
use shared::jwt::TokenError;

use super::operation::{Link, Operation, Security};
use crate::domain::field_errors::NON_FIELD;
use crate::domain::texts::{Text, UserAttribute};
use crate::http::{
    ApiError, EXAMPLE_TOKEN, EmailRequest, LoginRequest, LoginResponse, PasswordChangeRequest,
    PasswordResetConfirmRequest, RegisterRequest, SessionsResponse, TokenRefreshRequest,
    TokenRefreshResponse, TokenVerifyRequest, UserDetails, UserRequest, VerifyEmailRequest, WholeUserRequest,
};
use crate::settings::{EmailVerification, Settings};

/// What a pair of tokens is good for. Fields that an endpoint does not know are ignored, so the answer as it is will do.
fn links_of_tokens() -> [Link; 3] {
    let link = |name, operation_id, body| Link {
        name,
        operation_id,
        body,
        parameter: None,
    };
    [
        link(
            "RefreshToken",
            "auth_token_refresh_create",
            Some("$response.body"),
        ),
        link("VerifyToken", "auth_token_verify_create", None),
        link("Logout", "auth_logout_create", None),
    ]
}

const PASSWORD: &str = "correct-horse-battery";

/// All operations, as these settings make them.
pub fn operations(settings: &Settings) -> Vec<Operation> {
    let mut all = sign_in(settings);
    all.extend(passwords());
    all.extend(registrations(settings));
    all.extend(tokens(settings));
    all.extend(account());
    all.extend(sessions());
    all
}

fn sign_in(settings: &Settings) -> Vec<Operation> {
    let non_field = |text| ApiError::field(NON_FIELD, text);
    let mut login = Operation::post("/api/auth/login/", "auth_login_create", "login")
        .about(
            "Check the credentials and return the REST Token\nif the credentials are valid and authenticated.\n\
             Calls Django Auth login method to register User ID\nin Django session framework\n\n\
             Accept the following POST parameters: username, password\n\
             Return the REST Framework Token Object's key.",
        )
        .takes::<LoginRequest>("LoginRequest", json!({ "username": "ann", "password": PASSWORD }))
        .gives_example::<LoginResponse>("JWT", &[])
        .refuses([
            ApiError::field("password", Text::Required),
            non_field(Text::LoginMissing),
            non_field(Text::LoginFailed),
        ])
        .budgeted()
        .leads_to(links_of_tokens());
    if settings.email_verification == EmailVerification::Mandatory {
        login = login.refuses([non_field(Text::EmailNotVerified)]);
    }
    let logout = Operation::post("/api/auth/logout/", "auth_logout_create", "logout")
        .about(
            "Calls Django logout method and delete the Token object\nassigned to the current User object.\n\n\
             Accepts/Returns nothing.",
        )
        .gives_detail(Text::LoggedOut)
        .refuses([
            ApiError::logout_refused(Text::RefreshNotIncluded),
            ApiError::logout_refused(Text::TokenBlacklisted),
            ApiError::bearer_refused(TokenError::Expired),
        ])
        .budgeted();
    vec![login, logout]
}

fn passwords() -> Vec<Operation> {
    let new_password = |text| ApiError::field("new_password2", text);
    let change = Operation::post(
        "/api/auth/password/change/",
        "auth_password_change_create",
        "password-change",
    )
    .about(
        "Calls Django Auth SetPasswordForm save method.\n\n\
         Accepts the following POST parameters: new_password1, new_password2\n\
         Returns the success/fail message.",
    )
    .takes::<PasswordChangeRequest>(
        "PasswordChangeRequest",
        json!({ "old_password": PASSWORD, "new_password1": "other-horse-battery", "new_password2": "other-horse-battery" }),
    )
    .gives_detail(Text::PasswordChanged)
    .refuses([
        ApiError::field("old_password", Text::WrongOldPassword),
        new_password(Text::Mismatch),
        new_password(Text::TooShort { min: 8 }),
    ])
    .private()
    .budgeted();
    let reset = Operation::post(
        "/api/auth/password/reset/",
        "auth_password_reset_create",
        "password-reset",
    )
    .about(
        "Calls Django Auth PasswordResetForm save method.\n\n\
         Accepts the following POST parameters: email\nReturns the success/fail message.",
    )
    .takes::<EmailRequest>("PasswordResetRequest", json!({ "email": "ann@example.org" }))
    .gives_detail(Text::ResetSent)
    .refuses([ApiError::field("email", Text::BadEmail)])
    .budgeted()
    .leads_to([Link {
        name: "SetNewPassword",
        operation_id: "auth_password_reset_confirm_create",
        body: None,
        parameter: None,
    }]);
    let confirm = Operation::post(
        "/api/auth/password/reset/confirm/",
        "auth_password_reset_confirm_create",
        "password-reset-confirm",
    )
    .about(
        "Password reset e-mail link is confirmed, therefore\nthis resets the user's password.\n\n\
         Accepts the following POST parameters: token, uid,\n    new_password1, new_password2\n\
         Returns the success/fail message.",
    )
    .takes::<PasswordResetConfirmRequest>(
        "PasswordResetConfirmRequest",
        json!({
            "new_password1": "other-horse-battery",
            "new_password2": "other-horse-battery",
            "uid": "mYp2cXJzdHV2d3h5ejAxMg",
            "token": "q83vEjRWeJCrze8SNFZ4kA",
        }),
    )
    .gives_detail(Text::ResetDone)
    .refuses([
        ApiError::field("uid", Text::InvalidValue),
        ApiError::field("token", Text::InvalidValue),
        new_password(Text::Mismatch),
        new_password(Text::TooCommon),
    ])
    .budgeted();
    // The contract's order: by path.
    vec![change, reset, confirm]
}

fn registrations(settings: &Settings) -> Vec<Operation> {
    let mut register = Operation::post(
        "/api/auth/registration/",
        "auth_registration_create",
        "registration",
    )
    .takes::<RegisterRequest>(
        "RegisterRequest",
        json!({ "username": "ann", "email": "ann@example.org", "password1": PASSWORD, "password2": PASSWORD }),
    )
    .created()
    .refuses([
        ApiError::field("username", Text::UsernameTaken),
        ApiError::field("email", Text::EmailTaken),
        ApiError::field("password1", Text::TooShort { min: 8 }),
        ApiError::field(NON_FIELD, Text::MismatchRegistration),
        ApiError::field(NON_FIELD, Text::SimilarTo(UserAttribute::Username)),
    ])
    .budgeted()
    // The key comes by mail.
    .leads_to([Link {
        name: "VerifyEmail",
        operation_id: "auth_registration_verify_email_create",
        body: None,
        parameter: None,
    }]);
    register = match settings.email_verification {
        EmailVerification::Optional => register
            .gives_example::<LoginResponse>("JWT", &[])
            .leads_to(links_of_tokens()),
        EmailVerification::Mandatory => register.gives_detail(Text::VerificationSent),
    };
    let resend = Operation::post(
        "/api/auth/registration/resend-email/",
        "auth_registration_resend_email_create",
        "resend-email",
    )
    .takes::<EmailRequest>(
        "ResendEmailVerificationRequest",
        json!({ "email": "ann@example.org" }),
    )
    .gives_detail(Text::Ok)
    .refuses([ApiError::field("email", Text::BadEmail)]);
    let verify = Operation::post(
        "/api/auth/registration/verify-email/",
        "auth_registration_verify_email_create",
        "verify-email",
    )
    .takes::<VerifyEmailRequest>("VerifyEmailRequest", json!({ "key": "q83vEjRWeJCrze8SNFZ4kA" }))
    .gives_detail(Text::Ok)
    .refuses([ApiError::field("key", Text::Required), ApiError::NotFound]);
    vec![register, resend, verify]
}

fn tokens(settings: &Settings) -> Vec<Operation> {
    // Only a rotation gives a new one.
    let optional: &[&str] = match settings.rotate_refresh_tokens {
        true => &[],
        false => &["refresh", "refresh_expiration"],
    };
    let refresh = Operation::post(
        "/api/auth/token/refresh/",
        "auth_token_refresh_create",
        "token-refresh",
    )
    .about(
        "Takes a refresh type JSON web token and returns an access type JSON web\n\
         token if the refresh token is valid.",
    )
    .secured(Security::Ignored)
    .takes::<TokenRefreshRequest>("TokenRefreshRequest", json!({ "refresh": EXAMPLE_TOKEN }))
    .requiring("refresh")
    .gives_example::<TokenRefreshResponse>("TokenRefresh", optional)
    .refuses([
        ApiError::field("refresh", Text::Blank),
        ApiError::unauthenticated(Text::NoValidRefresh, Some("token_not_valid")),
        ApiError::token_refused(TokenError::Blacklisted),
        ApiError::token_refused(TokenError::Expired),
        ApiError::unauthenticated(Text::NoActiveAccount, None),
    ])
    .leads_to(links_of_tokens());
    let verify = Operation::post(
        "/api/auth/token/verify/",
        "auth_token_verify_create",
        "token-verify",
    )
    .about(
        "Takes a token and indicates if it is valid.  This view provides no\n\
         information about a token's fitness for a particular use.",
    )
    .secured(Security::Ignored)
    .takes::<TokenVerifyRequest>("TokenVerifyRequest", json!({ "token": EXAMPLE_TOKEN }))
    .refuses([
        ApiError::field("token", Text::Required),
        ApiError::field(NON_FIELD, Text::TokenBlacklisted),
        ApiError::token_refused(TokenError::Invalid),
        ApiError::token_refused(TokenError::Expired),
    ]);
    vec![refresh, verify.describing_no_body()]
}

fn account() -> Vec<Operation> {
    const PATH: &str = "/api/auth/user/";
    let user = |operation: Operation| {
        operation
            .tagged("user")
            .private()
            .gives_example::<UserDetails>("UserDetails", &["first_name", "last_name"])
    };
    let bad_name = || ApiError::field("username", Text::BadUsername);
    let taken = || ApiError::field("username", Text::UsernameTaken);
    vec![
        user(Operation::new("get", PATH, "auth_user_retrieve", "user")),
        user(Operation::new("put", PATH, "auth_user_update", "user-update"))
            .reads_a_body()
            .takes::<WholeUserRequest>(
                "UserDetailsRequest",
                json!({ "username": "ann", "first_name": "Ann", "last_name": "Lee" }),
            )
            .refuses([ApiError::field("username", Text::Required), bad_name(), taken()]),
        user(Operation::new(
            "patch",
            PATH,
            "auth_user_partial_update",
            "user-partial-update",
        ))
        .reads_a_body()
        .takes::<UserRequest>("PatchedUserDetailsRequest", json!({ "first_name": "Ann" }))
        .refuses([bad_name(), taken()]),
    ]
}

fn sessions() -> Vec<Operation> {
    let list = Operation::new("get", "/api/auth/sessions/", "auth_sessions_list", "sessions")
        .gives_example::<SessionsResponse>("SessionList", &[])
        // The first one is the session that asks.
        .leads_to([Link {
            name: "EndSession",
            operation_id: "auth_sessions_destroy",
            body: None,
            parameter: Some(("id", "$response.body#/sessions/1/id")),
        }]);
    let end = Operation::new(
        "delete",
        "/api/auth/sessions/{id}/",
        "auth_sessions_destroy",
        "sessions-delete",
    )
    .without_content()
    .refuses([ApiError::NotFound]);
    let end_others = Operation::post(
        "/api/auth/sessions/revoke-others/",
        "auth_sessions_revoke_others_create",
        "sessions-revoke-others",
    )
    .gives_detail(Text::OtherSessionsEnded);
    [list, end, end_others]
        .map(|operation| operation.tagged("sessions").private())
        .into()
}
