//! The claims that say who issued a token, and for whom.

use serde_json::{Map, Value};

use crate::env::Env;

/// Who issues tokens, and for whom (`iss` and `aud`, RFC 7519 section 4.1). What is set is written into every token, and
/// demanded of every one that names its key; tokens of a former Django site name none, and have neither.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TokenNames {
    /// `GATEHOUSE_TOKEN_ISSUER` (default: none).
    pub issuer: Option<String>,
    /// `GATEHOUSE_TOKEN_AUDIENCE` (default: none).
    pub audience: Option<String>,
}

impl TokenNames {
    pub fn from_env(env: &Env) -> Self {
        Self {
            issuer: env.optional("GATEHOUSE_TOKEN_ISSUER"),
            audience: env.optional("GATEHOUSE_TOKEN_AUDIENCE"),
        }
    }

    /// Writes the claims, in place of any that are there.
    pub fn write(&self, claims: &mut Map<String, Value>) {
        for (name, value) in [("iss", &self.issuer), ("aud", &self.audience)] {
            claims.remove(name);
            if let Some(value) = value {
                claims.insert(name.to_owned(), Value::from(value.clone()));
            }
        }
    }

    /// Whether a token with these claims, beside those that every token has, was issued by and for them.
    pub fn are_in(&self, claims: &Map<String, Value>) -> bool {
        let has = |name: &str, wanted: &Option<String>| {
            let Some(wanted) = wanted else { return true };
            match claims.get(name) {
                Some(Value::String(found)) => found == wanted,
                // `aud` may be a list.
                Some(Value::Array(found)) if name == "aud" => found.iter().any(|item| item == wanted),
                _ => false,
            }
        };
        has("iss", &self.issuer) && has("aud", &self.audience)
    }
}
