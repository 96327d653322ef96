//! What every request brings along: language, id, client. Made once, by `respond.rs`.

use std::future::{Ready, ready};
use std::net::IpAddr;

use actix_web::dev::Payload;
use actix_web::http::header::{self, HeaderMap};
use actix_web::{FromRequest, HttpMessage, HttpRequest};
use shared::headers;
use shared::request_id::RequestId;

use super::AppState;
use super::error::ApiError;
use crate::db::messages::NewSession;
use crate::domain::languages::Language;
use crate::mail_draft::{MailDraft, NoticeDraft};
use crate::tokens::one_time::Purpose;

/// Longer names of user agents are cut; they are for an owner to recognise a session by.
const MAX_USER_AGENT_CHARS: usize = 200;

#[derive(Clone, Debug)]
pub struct Context {
    pub language: Language,
    pub request_id: RequestId,
    /// The client's address as the gateway knows it; an IPv6 client is its /64.
    pub client_address: String,
    pub user_agent: String,
    /// Set when the client's budget is used up: seconds to wait.
    pub throttle_wait_seconds: Option<u64>,
}

impl Context {
    pub(super) fn read(request_headers: &HeaderMap, peer: Option<IpAddr>, state: &AppState) -> Self {
        let text = |name: &str| request_headers.get(name).and_then(|value| value.to_str().ok());
        let sent_address = text(headers::CLIENT_ADDRESS).and_then(|text| text.parse().ok());
        let agent = request_headers
            .get(header::USER_AGENT)
            .map(|value| String::from_utf8_lossy(value.as_bytes()));
        let agent = agent.unwrap_or_default();
        let user_agent = agent.chars().filter(|char| !char.is_control());
        Self {
            language: state.texts.negotiate(text(header::ACCEPT_LANGUAGE.as_str())),
            request_id: RequestId::accept(text(headers::REQUEST_ID)),
            client_address: sent_address.or(peer).map(client_name).unwrap_or_default(),
            user_agent: user_agent.take(MAX_USER_AGENT_CHARS).collect(),
            throttle_wait_seconds: text(headers::THROTTLE_WAIT).and_then(|text| text.parse().ok()),
        }
    }

    /// A session of this client that begins now.
    pub fn new_session(&self, state: &AppState, now_ms: i64) -> NewSession {
        NewSession {
            sid: shared::random::hex_128(),
            expires_at_ms: state.tokens.session_end_ms(now_ms, now_ms),
            user_agent: self.user_agent.clone(),
            address: self.client_address.clone(),
        }
    }

    /// The mail that tells of a changed password, in the language of this request; `None` when none is wanted.
    pub fn new_notice(&self, state: &AppState, now_ms: i64) -> Option<NoticeDraft> {
        let settings = &state.settings;
        settings.password_changed_mail.then(|| NoticeDraft {
            link: settings.ask_reset_url.clone(),
            language: self.language.tag(),
            request_id: self.request_id.clone(),
            created_at_ms: now_ms,
            job_id: shared::random::hex_128(),
            mails_per_hour: settings.mails_per_hour,
            encryption: state.encryption.clone(),
        })
    }

    /// A mail in the language of this request.
    pub fn new_mail(&self, state: &AppState, purpose: Purpose, now_ms: i64) -> MailDraft {
        let settings = &state.settings;
        let (link, valid) = match purpose {
            Purpose::VerifyEmail => (&settings.verify_url, settings.verify_link_lifetime),
            Purpose::ResetPassword => (&settings.reset_url, settings.reset_link_lifetime),
        };
        let request_id = self.request_id.clone();
        MailDraft::new(
            purpose,
            link.clone(),
            valid.as_secs(),
            self.language.tag(),
            request_id,
            now_ms,
            state.encryption.clone(),
        )
    }
}

/// One IPv6 client usually has a whole /64 (RFC 6177), so that is who it is.
fn client_name(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(v4) => v4.to_string(),
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            format!("{a:x}:{b:x}:{c:x}:{d:x}::/64")
        }
    }
}

impl FromRequest for Context {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let context = request.extensions().get::<Self>().cloned();
        ready(context.ok_or_else(|| ApiError::Internal("a request without context".to_owned())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ipv6_client_is_its_64_bit_network() {
        assert_eq!(
            client_name("2001:db8:1:2:3:4:5:6".parse().unwrap()),
            "2001:db8:1:2::/64"
        );
        assert_eq!(client_name("::ffff:10.0.0.1".parse().unwrap()), "10.0.0.1");
    }
}
