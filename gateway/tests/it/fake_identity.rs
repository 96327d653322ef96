//! identity-svc as far as the gateway's own questions go: keys, ended sessions, a word about a token.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};

use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use gateway::{Running, Settings};
use serde_json::{Value, json};
use shared::clock::Clock;

use crate::support::{Echo, start_gateway};

/// The state that a test sets and looks at. Clones share it.
#[derive(Clone)]
pub struct FakeIdentity {
    pub address: SocketAddr,
    state: Arc<Mutex<State>>,
}

pub struct State {
    keys: Vec<(String, Arc<Ed25519KeyPair>)>,
    revoked: Vec<(String, i64)>,
    pub has_feed: bool,
    /// What the feed says of secret keys; an earlier release says nothing.
    pub secret_keys: Option<Vec<Option<String>>>,
    /// Whether the public keys can be had.
    pub has_keys: bool,
    /// What `token/verify/` answers.
    pub verify: (u16, Value),
    pub verify_count: usize,
    pub key_fetch_count: usize,
    /// What requests have to show; none: nothing.
    pub internal_secret: Option<&'static str>,
}

impl FakeIdentity {
    pub fn start() -> Self {
        Self::start_at(([127, 0, 0, 1], 0).into())
    }

    pub fn start_at(address: SocketAddr) -> Self {
        let listener = std::net::TcpListener::bind(address).unwrap();
        let state = State {
            keys: Vec::new(),
            revoked: Vec::new(),
            has_feed: true,
            secret_keys: Some(Vec::new()),
            has_keys: true,
            verify: (200, json!({})),
            verify_count: 0,
            key_fetch_count: 0,
            internal_secret: None,
        };
        let identity = Self {
            address: listener.local_addr().unwrap(),
            state: Arc::new(Mutex::new(state)),
        };
        identity.add_key("k1");
        let served = identity.clone();
        let http = HttpServer::new(move || {
            App::new()
                .app_data(web::Data::new(served.clone()))
                .default_service(web::to(Self::answer))
        });
        tokio::spawn(http.workers(1).disable_signals().listen(listener).unwrap().run());
        identity
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    pub fn add_key(&self, kid: &str) {
        let key = Arc::new(Ed25519KeyPair::generate().unwrap());
        self.state().keys.push((kid.to_owned(), key));
    }

    /// Ends a session now.
    pub fn revoke(&self, sid: &str) {
        let now_ms = Clock::System.now_ms();
        self.state().revoked.push((sid.to_owned(), now_ms));
    }

    /// A token signed with the newest key.
    pub fn token(&self, change: impl FnOnce(&mut Value)) -> String {
        let now = Clock::System.now_seconds();
        let mut claims = json!({"token_type": "access", "exp": now + 300, "iat": now, "jti": "j", "user_id": "7", "sid": "s1"});
        change(&mut claims);
        let (kid, key) = self.state().keys.last().unwrap().clone();
        let header = json!({"alg": "EdDSA", "typ": "JWT", "kid": kid});
        let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let input = format!("{}.{}", encode(&header), encode(&claims));
        let signature = URL_SAFE_NO_PAD.encode(key.sign(input.as_bytes()).as_ref());
        format!("{input}.{signature}")
    }

    #[expect(clippy::unused_async, reason = "actix-web takes nothing else")]
    async fn answer(request: HttpRequest, identity: web::Data<Self>) -> HttpResponse {
        let mut state = identity.state();
        let shown = request.headers().get("x-gatehouse-internal-secret");
        let is_gateway = |secret: &str| shown.is_some_and(|shown| shown == secret);
        if !state.internal_secret.is_none_or(is_gateway) {
            return HttpResponse::Forbidden().finish();
        }
        match request.path() {
            "/.well-known/jwks.json" => {
                state.key_fetch_count += 1;
                if !state.has_keys {
                    return HttpResponse::InternalServerError().finish();
                }
                let keys: Vec<Value> = state.keys.iter().map(|(kid, key)| public(kid, key)).collect();
                HttpResponse::Ok().json(json!({ "keys": keys }))
            }
            "/internal/ready" => HttpResponse::NoContent().finish(),
            "/internal/revocations" if state.has_feed => {
                let mut page = json!({
                    "revocations": state.revoked,
                    "cursor": "1.",
                    "more": false,
                    "keep_seconds": 300,
                });
                if let Some(names) = &state.secret_keys {
                    page["secret_keys"] = json!(names);
                }
                HttpResponse::Ok().json(page)
            }
            "/api/auth/token/verify/" => {
                state.verify_count += 1;
                let status = actix_web::http::StatusCode::from_u16(state.verify.0).unwrap();
                HttpResponse::build(status)
                    .insert_header(("x-from", "identity"))
                    .json(&state.verify.1)
            }
            _ => HttpResponse::InternalServerError().finish(),
        }
    }
}

fn public(kid: &str, key: &Ed25519KeyPair) -> Value {
    let x = URL_SAFE_NO_PAD.encode(key.public_key().as_ref());
    json!({"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "kid": kid, "x": x})
}

/// A gateway in front of this identity-svc and a service of a user, at `/none/`, `/optional/` and `/required/`.
pub async fn start(identity: &FakeIdentity, echo: &Echo, change: impl FnOnce(&mut Settings)) -> Running {
    start_gateway(identity.address, |settings| {
        settings.revocations_interval = std::time::Duration::from_millis(50);
        settings.routes.routes = [
            ("/none/", gateway::routes::Auth::None),
            ("/optional/", gateway::routes::Auth::Optional),
            ("/required/", gateway::routes::Auth::Required),
        ]
        .map(|(prefix, auth)| {
            let mut route =
                gateway::routes::RouteSettings::new(prefix, vec![echo.address.try_into().unwrap()]);
            route.auth = auth;
            route
        })
        .to_vec();
        change(settings);
    })
    .await
}
