//! One line for each request, under the target `gateway::access`. No query strings, no bodies, no one-time secrets.

use std::borrow::Cow;
use std::net::IpAddr;
use std::time::Instant;

use actix_http::StatusCode;
use shared::request_id::RequestId;

const TARGET: &str = "gateway::access";
/// Below these, paths carry one-time secrets.
const SECRET_PREFIXES: [&str; 2] = ["/account/verify-email/", "/account/password/reset/confirm/"];

/// What the line says; gathered before the request is given away.
#[derive(Debug)]
pub struct Entry {
    started: Instant,
    request: Option<(String, String)>,
    address: IpAddr,
}

impl Entry {
    /// `request` is its method and path; none for one that could not be read.
    pub fn new(request: Option<(&str, &str)>, address: IpAddr) -> Self {
        let request = request
            .filter(|_| log::log_enabled!(target: TARGET, log::Level::Info))
            .map(|(method, path)| (method.to_owned(), without_secrets(path).into_owned()));
        Self {
            started: Instant::now(),
            request,
            address,
        }
    }

    pub fn write(&self, status: StatusCode, id: &RequestId) {
        let (method, path) = match &self.request {
            Some((method, path)) => (method.as_str(), path.as_str()),
            None => ("-", "-"),
        };
        log::info!(
            target: TARGET,
            method,
            path,
            status = status.as_u16(),
            duration_ms:% = format_args!("{:.1}", self.started.elapsed().as_secs_f64() * 1000.0),
            client_address:% = self.address,
            request_id:% = id;
            "request"
        );
    }
}

fn without_secrets(path: &str) -> Cow<'_, str> {
    match SECRET_PREFIXES
        .iter()
        .find(|prefix| path.len() > prefix.len() && path.starts_with(*prefix))
    {
        Some(prefix) => Cow::Owned(format!("{prefix}***")),
        None => Cow::Borrowed(path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_time_secrets_in_paths_are_hidden() {
        assert_eq!(
            without_secrets("/account/verify-email/abc"),
            "/account/verify-email/***"
        );
        assert_eq!(
            without_secrets("/account/password/reset/confirm/uid/token"),
            "/account/password/reset/confirm/***"
        );
        assert_eq!(
            without_secrets("/account/verify-email/"),
            "/account/verify-email/"
        );
        assert_eq!(without_secrets("/api/auth/login/"), "/api/auth/login/");
    }
}
