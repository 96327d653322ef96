//! Speaks the API, so that no test builds URLs.

use awc::http::Method;
use serde_json::{Value, json};

use super::TestApp;

pub const PASSWORD: &str = "Quartz-Lamp-9";

/// What is sent.
#[derive(Clone)]
pub enum Body {
    Nothing,
    Json(Value),
    /// Content type and bytes.
    Raw(&'static str, Vec<u8>),
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    /// `Null` when it is no JSON.
    pub body: Value,
    pub raw: String,
    headers: awc::http::header::HeaderMap,
}

impl Answer {
    /// A header's value; empty when it is missing.
    pub fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    }

    pub fn text(&self, field: &str) -> String {
        self.body[field]
            .as_str()
            .unwrap_or_else(|| panic!("no {field} in {self:?}"))
            .to_owned()
    }

    /// Asserts status and whole body.
    #[track_caller]
    #[expect(
        clippy::needless_pass_by_value,
        reason = "what is expected is written down where it is asserted"
    )]
    pub fn is(&self, status: u16, body: Value) {
        assert_eq!((self.status, &self.body), (status, &body));
    }

    /// Asserts a 400 of one field with these texts.
    #[track_caller]
    pub fn refuses(&self, field: &str, texts: &[&str]) {
        self.is(400, json!({ field: texts }));
    }

    /// Asserts a 401 of `token/*` with a reason.
    #[track_caller]
    pub fn refuses_token(&self, detail: &str) {
        self.is(401, json!({ "detail": detail, "code": "token_not_valid" }));
    }
}

impl TestApp {
    /// Sends any request to a path under `/api/auth/`; one that begins with `/` is taken as it is.
    pub async fn send(&self, method: Method, path: &str, headers: &[(&str, &str)], body: Body) -> Answer {
        let root = if path.starts_with('/') { "" } else { "/api/auth/" };
        let url = format!("http://{}{root}{path}", self.running.address);
        let client = awc::Client::builder()
            .disable_redirects()
            .timeout(std::time::Duration::from_secs(30))
            .finish();
        let mut request = client.request(method, url);
        for (name, value) in headers {
            request = request.append_header((*name, *value));
        }
        let response = match body {
            Body::Nothing => request.send().await,
            Body::Json(value) => {
                request
                    .insert_header_if_none(("content-type", "application/json"))
                    .send_body(value.to_string())
                    .await
            }
            Body::Raw(content_type, bytes) => {
                request
                    .insert_header(("content-type", content_type))
                    .send_body(bytes)
                    .await
            }
        };
        let mut response = response.unwrap();
        let bytes = response.body().await.unwrap();
        Answer {
            status: response.status().as_u16(),
            body: serde_json::from_slice(&bytes).unwrap_or(Value::Null),
            raw: String::from_utf8_lossy(&bytes).into_owned(),
            headers: response.headers().clone(),
        }
    }

    /// Posts JSON.
    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.send(Method::POST, path, &[], Body::Json(body)).await
    }

    /// Posts JSON in Russian.
    pub async fn post_ru(&self, path: &str, body: Value) -> Answer {
        let russian = [("accept-language", "ru-RU,ru;q=0.9,en;q=0.5")];
        self.send(Method::POST, path, &russian, Body::Json(body)).await
    }

    /// Posts JSON with an access token.
    pub async fn post_as(&self, access: &str, path: &str, body: Value) -> Answer {
        let bearer = format!("Bearer {access}");
        let headers = [("authorization", bearer.as_str())];
        self.send(Method::POST, path, &headers, Body::Json(body)).await
    }

    pub async fn try_register(&self, name: &str, email: &str) -> Answer {
        let body = json!({"username": name, "email": email, "password1": PASSWORD, "password2": PASSWORD});
        self.post("registration/", body).await
    }

    pub async fn login(&self, name: &str, password: &str) -> Answer {
        self.post("login/", json!({"username": name, "password": password}))
            .await
    }

    pub async fn refresh(&self, refresh: &str) -> Answer {
        self.post("token/refresh/", json!({ "refresh": refresh })).await
    }

    pub async fn verify(&self, token: &str) -> Answer {
        self.post("token/verify/", json!({ "token": token })).await
    }
}

/// A token as simplejwt makes them: HS256, no `kid`, no session.
pub fn legacy_token(secret: &str, token_type: &str, jti: &str, user_id: &Value) -> String {
    let iat = super::START_MS / 1000;
    let claims = json!({
        "token_type": token_type, "exp": iat + 86_400 * 30, "iat": iat, "jti": jti, "user_id": user_id,
    });
    signed(secret, &claims)
}

/// A token of these claims, as simplejwt signs it.
pub fn signed(secret: &str, claims: &Value) -> String {
    use jsonwebtoken::{EncodingKey, Header, encode};
    let key = EncodingKey::from_secret(secret.as_bytes());
    encode(&Header::default(), claims, &key).unwrap()
}
