//! The built-in pages, for those without a front end, and behind the links of mails: confirm an address, ask for a
//! reset, set a new password, see where one is logged in. They work without JavaScript. A button POSTs, so that a mail
//! scanner's GET uses nothing up.

mod ask;
mod confirm;
mod logo;
mod new_password;
mod page;
mod sessions;
mod templates;

use actix_web::http::header;
use actix_web::{HttpResponse, guard, web};

pub use page::{Page, Pages};
pub use templates::PagesError;

use crate::http::ApiError;

/// Where a reset is asked for.
const ASK: &str = "/account/password/reset";
/// Where another confirmation mail is asked for.
const RESEND: &str = "/account/verify-email";

/// Where an account's sessions are looked at.
const SESSIONS: &str = "/account/sessions";
/// Where its buttons lead. Another address, because only a guess at a password is charged to the client's budget.
const SESSIONS_END: &str = "/account/sessions/end";

/// The routes of the pages. The last slash may be left out or added.
pub fn configure(pages: Pages) -> impl FnOnce(&mut web::ServiceConfig) {
    let both = |path: &str| vec![path.to_owned(), format!("{path}/")];
    let read = || web::route().guard(guard::Any(guard::Get()).or(guard::Head()));
    move |config| {
        config.app_data(web::Data::new(pages));
        let resource = |path: &str| web::resource(both(path)).default_service(web::to(wrong_method));
        config.service(web::resource("/account/logo").route(read().to(logo)));
        config.service(
            resource(ASK)
                .route(read().to(ask::show_reset))
                .route(web::post().to(ask::reset)),
        );
        config.service(
            resource(RESEND)
                .route(read().to(ask::show_resend))
                .route(web::post().to(ask::resend)),
        );
        config.service(
            resource(SESSIONS)
                .route(read().to(sessions::show))
                .route(web::post().to(sessions::log_in)),
        );
        config.service(
            resource(SESSIONS_END)
                .route(read().to(sessions::show))
                .route(web::post().to(sessions::end)),
        );
        config.service(
            resource("/account/verify-email/{key}")
                .route(read().to(confirm::show))
                .route(web::post().to(confirm::confirm)),
        );
        config.service(
            resource("/account/password/reset/confirm/{uid}/{token}")
                .route(read().to(new_password::show))
                .route(web::post().to(new_password::set)),
        );
        config.service(web::resource("/account/{rest:.*}").to(not_found));
    }
}

async fn logo(pages: web::Data<Pages>) -> Result<HttpResponse, ApiError> {
    let logo = pages.logo.as_deref().ok_or(ApiError::NotFound)?;
    Ok(HttpResponse::Ok()
        .content_type(logo.content_type)
        .insert_header((header::CACHE_CONTROL, "public, max-age=3600"))
        // An SVG that somebody opens by itself may show its own style, and do nothing.
        .insert_header((
            header::CONTENT_SECURITY_POLICY,
            "sandbox; default-src 'none'; style-src 'unsafe-inline'",
        ))
        .body(logo.bytes.clone()))
}

async fn not_found(page: Page) -> HttpResponse {
    page.refusal(&ApiError::NotFound)
}

async fn wrong_method(page: Page) -> HttpResponse {
    let error = ApiError::MethodNotAllowed(page.method.as_str().to_owned());
    let mut response = page.refusal(&error);
    response
        .headers_mut()
        .insert(header::ALLOW, header::HeaderValue::from_static("GET, HEAD, POST"));
    response
}
