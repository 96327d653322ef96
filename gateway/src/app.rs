//! The gateway's actix-web application: what a request passes, from the outside in. Begin here.
//!
//! 1. `server/` reads a request from a connection and calls [`AppService`].
//! 2. `middleware::request_context`: id, canonical path, route, access log, headers of every response, contained panics.
//! 3. The middleware of [`start`], each an ordinary actix-web one.
//! 4. A handler of [`handlers`], or else the proxy, which forwards to the route's upstream.
//!
//! A middleware or a handler of your own is one line, where it says "yours go here"; docs/gateway/README.md shows both.

use std::rc::Rc;
use std::sync::Arc;

use actix_service::{IntoServiceFactory, ServiceFactory, map_config};
use actix_web::dev::AppConfig;
use actix_web::guard::fn_guard;
use actix_web::http::header;
use actix_web::middleware::{DefaultHeaders, from_fn};
use actix_web::web::{Data, ServiceConfig};
use actix_web::{App, web};

use crate::edge_auth::{self, Checker};
use crate::middleware;
use crate::middleware::request_context::OutermostLayer;
use crate::proxy::{self, Proxy};
use crate::request_budget::RateLimit;
use crate::routes::PAGES_PREFIX;
use crate::server::app_service::AppService;

/// Handlers that whoever starts the gateway adds to it, under `/dev/`; embedded mode shows its mailbox there.
pub type ExtraPages = Arc<dyn Fn(&mut ServiceConfig) + Send + Sync>;

/// What the application of one worker is made from.
pub struct Parts {
    pub outermost: Arc<OutermostLayer>,
    /// The budget of the contract.
    pub rate_limit: Arc<RateLimit>,
    pub checker: Checker,
    pub proxy: Proxy,
    pub extra_pages: Option<ExtraPages>,
}

/// Builds and starts the application of one worker. `None`: a handler of it does not start, which is logged.
pub async fn start(parts: Parts) -> Option<AppService> {
    let app = App::new()
        .app_data(Data::from(parts.rate_limit))
        .app_data(Data::new(parts.checker))
        .app_data(Data::new(parts.proxy))
        // actix-web calls the last one first: read upwards.
        .wrap(from_fn(middleware::edge_auth::authenticate))
        .wrap(from_fn(middleware::rate_limit::limit))
        .wrap(from_fn(middleware::address_rules::check))
        // Yours go here: .wrap(from_fn(...))
        .configure(handlers)
        .configure(|config| extra_pages(config, parts.extra_pages.as_ref()))
        .default_service(web::to(proxy::handler));
    let factory = map_config(app.into_factory(), |()| AppConfig::default());
    let Ok(app) = factory.new_service(()).await else {
        log::error!("the application of the gateway does not start");
        return None;
    };
    let (app, outermost) = (Rc::new(app), parts.outermost);
    let rejecting = outermost.clone();
    Some(AppService::new(
        move |request| {
            let (app, outermost) = (app.clone(), outermost.clone());
            Box::pin(async move { outermost.call(app.as_ref(), request).await })
        },
        move |error, client| rejecting.reject(error, client),
    ))
}

/// A path elsewhere than under `/dev/` is never theirs.
fn extra_pages(config: &mut ServiceConfig, pages: Option<&ExtraPages>) {
    let Some(pages) = pages else { return };
    let headers = DefaultHeaders::new()
        .add((header::X_FRAME_OPTIONS, "DENY"))
        .add((header::REFERRER_POLICY, "no-referrer"));
    let scope = web::scope("")
        .guard(fn_guard(|request| {
            request.head().uri.path().starts_with(PAGES_PREFIX)
        }))
        .wrap(headers)
        .configure(|config| pages(config));
    config.service(scope);
}

/// What the gateway answers by itself. Yours go here: `config.route("/hello", web::get().to(hello))`.
fn handlers(config: &mut ServiceConfig) {
    config.service(web::resource(edge_auth::FORWARD_PATHS).to(middleware::edge_auth::forward));
}
