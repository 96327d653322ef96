//! Settings of identity-svc, all from the environment (`.env.example` lists them).

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use shared::admin::Listen;
use shared::brand::Brand;
use shared::env::Env;
use shared::internal_secret::InternalSecret;
use shared::jwt::SigningAlgorithm;
use shared::secret::{Secret, without_password};
use shared::token_names::TokenNames;

use crate::db::DatabaseUrl;
use crate::encryption::EncryptionSettings;
use crate::mail_draft::LinkTemplate;
use crate::passwords::ImportedHashes;
use crate::tokens::key_ring::LegacyKey;
use crate::tokens::{SessionLimits, TokenSettings, shared_secret};

/// Whether an address has to be verified before the first login.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EmailVerification {
    Optional,
    Mandatory,
}

/// How mail jobs reach mailer-svc.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum QueueUrl {
    /// `memory:`, in embedded mode.
    Memory,
    /// `amqp:` or `amqps:`, with its password.
    Amqp(Secret<String>),
}

impl FromStr for QueueUrl {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "memory:" {
            return Ok(Self::Memory);
        }
        if text.starts_with("amqp://") || text.starts_with("amqps://") {
            return Ok(Self::Amqp(Secret::new(text.to_owned())));
        }
        Err("the URL must be memory: or begin with amqp:// or amqps://")
    }
}

impl std::fmt::Display for QueueUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Memory => f.write_str("memory:"),
            Self::Amqp(url) => f.write_str(&without_password(url.expose())),
        }
    }
}

#[derive(Clone, Debug)]
pub struct Settings {
    /// `GATEHOUSE_IDENTITY_LISTEN` (default `127.0.0.1:8001`).
    pub listen: String,
    /// `GATEHOUSE_IDENTITY_ADMIN_LISTEN`: health and metrics. Default `127.0.0.1:9001`, in embedded mode off.
    pub admin: Listen,
    /// `GATEHOUSE_IDENTITY_DATABASE_URL` or `.._FILE`; required.
    pub database_url: DatabaseUrl,
    /// `GATEHOUSE_IDENTITY_DATABASE_CONNECTIONS` (default 8).
    pub database_connections: u32,
    /// `GATEHOUSE_IDENTITY_QUEUE_URL` or `.._FILE`; required.
    pub queue_url: QueueUrl,
    /// `GATEHOUSE_IDENTITY_EMAIL_VERIFICATION`: `optional` (default) or `mandatory`.
    pub email_verification: EmailVerification,
    /// Lifetimes of tokens, algorithm, keys.
    pub tokens: TokenSettings,
    /// Of what is stored and must be read back.
    pub encryption: EncryptionSettings,
    /// `GATEHOUSE_IDENTITY_KEY_ACTIVATION_SECONDS` (default 60).
    pub key_activation: Duration,
    /// `GATEHOUSE_IDENTITY_VERIFY_LINK_SECONDS` (default 259200, three days).
    pub verify_link_lifetime: Duration,
    /// `GATEHOUSE_IDENTITY_RESET_LINK_SECONDS` (default 3600, an hour).
    pub reset_link_lifetime: Duration,
    /// `GATEHOUSE_IDENTITY_VERIFY_URL`, with `{key}`.
    pub verify_url: LinkTemplate,
    /// `GATEHOUSE_IDENTITY_RESET_URL`, with `{uid}` and `{token}`.
    pub reset_url: LinkTemplate,
    /// `GATEHOUSE_IDENTITY_ASK_RESET_URL`: where a reset is asked for; the link of the mail on a changed password.
    pub ask_reset_url: LinkTemplate,
    /// `GATEHOUSE_IDENTITY_PASSWORD_CHANGED_MAIL` (default off: the contract sends none).
    pub password_changed_mail: bool,
    /// What the gateway shows that it is the gateway, `GATEHOUSE_INTERNAL_SECRET` or `.._FILE`. `None`: everybody is
    /// believed.
    pub internal_secret: Option<InternalSecret>,
    /// What the pages show of the site: `GATEHOUSE_BRAND_*`.
    pub brand: Brand,
    /// `GATEHOUSE_IDENTITY_TEMPLATES_DIR`: replaces compiled-in pages one by one.
    pub templates_dir: Option<PathBuf>,
    /// `GATEHOUSE_IDENTITY_API_DOCS` (default on): `/api/schema/` and `/api/docs/`.
    pub api_docs: bool,
    /// `GATEHOUSE_IDENTITY_ROTATE_REFRESH_TOKENS` (default off).
    pub rotate_refresh_tokens: bool,
    /// `GATEHOUSE_IDENTITY_ROTATION_GRACE_SECONDS` (default 10).
    pub rotation_grace: Duration,
    /// `GATEHOUSE_IDENTITY_BCRYPT_COST` (default 12).
    pub bcrypt_cost: u32,
    /// `GATEHOUSE_IDENTITY_HASH_THREADS` (default 0: one a core).
    pub hash_threads: usize,
    /// What imported hashes cost. Measured on this processor; tests count on a typical one.
    pub imported_hashes: ImportedHashes,
    /// `GATEHOUSE_IDENTITY_HASH_QUEUE_SECONDS` (default 2).
    pub hash_queue: Duration,
    /// `GATEHOUSE_IDENTITY_LOGIN_FAILURES` (default 10; 0: no limit).
    pub login_failures: u32,
    /// `GATEHOUSE_IDENTITY_MAILS_PER_HOUR` (default 6; 0: no limit).
    pub mails_per_hour: u32,
}

const DAY: u64 = 86_400;
const YEAR: u64 = 366 * DAY;
const VERIFY_URL: &str = "http://127.0.0.1:8000/account/verify-email/{key}";
const ASK_RESET_URL: &str = "http://127.0.0.1:8000/account/password/reset";
const RESET_URL: &str = "http://127.0.0.1:8000/account/password/reset/confirm/{uid}/{token}";

impl Settings {
    /// Reads the settings; what is wrong is noted in `env`, and the value does not matter then.
    pub fn from_env(env: &Env) -> Self {
        let name = |thing: &str| format!("GATEHOUSE_IDENTITY_{thing}");
        let small = |thing: &str, default, allowed| {
            u32::try_from(env.number(&name(thing), default, allowed)).unwrap_or(u32::MAX)
        };
        let link = |thing: &str, default: &str, placeholders: &[&str]| {
            let text = env.text(&name(thing), default);
            LinkTemplate::parse(&text, placeholders).unwrap_or_else(|problem| {
                env.problem(&name(thing), &format!("is \"{text}\": it {problem}"));
                LinkTemplate::default()
            })
        };
        Self {
            listen: env.text("GATEHOUSE_IDENTITY_LISTEN", "127.0.0.1:8001"),
            admin: Listen::from_env(env, "GATEHOUSE_IDENTITY_ADMIN_LISTEN"),
            database_url: required_url(
                env,
                "GATEHOUSE_IDENTITY_DATABASE_URL",
                DatabaseUrl::Sqlite(PathBuf::new()),
            ),
            database_connections: small("DATABASE_CONNECTIONS", 8, 1..=200),
            queue_url: required_url(env, "GATEHOUSE_IDENTITY_QUEUE_URL", QueueUrl::Memory),
            email_verification: env.choice(
                "GATEHOUSE_IDENTITY_EMAIL_VERIFICATION",
                EmailVerification::Optional,
                &[
                    ("optional", EmailVerification::Optional),
                    ("mandatory", EmailVerification::Mandatory),
                ],
            ),
            tokens: token_settings(env),
            encryption: encryption_settings(env),
            key_activation: env.seconds("GATEHOUSE_IDENTITY_KEY_ACTIVATION_SECONDS", 60, 0..=DAY),
            verify_link_lifetime: env.seconds("GATEHOUSE_IDENTITY_VERIFY_LINK_SECONDS", 3 * DAY, 1..=YEAR),
            reset_link_lifetime: env.seconds("GATEHOUSE_IDENTITY_RESET_LINK_SECONDS", 3600, 1..=30 * DAY),
            verify_url: link("VERIFY_URL", VERIFY_URL, &["key"]),
            reset_url: link("RESET_URL", RESET_URL, &["uid", "token"]),
            ask_reset_url: link("ASK_RESET_URL", ASK_RESET_URL, &[]),
            password_changed_mail: env.switch("GATEHOUSE_IDENTITY_PASSWORD_CHANGED_MAIL", false),
            internal_secret: InternalSecret::from_env(env),
            brand: Brand::from_env(env),
            templates_dir: templates_dir(env),
            api_docs: env.switch("GATEHOUSE_IDENTITY_API_DOCS", true),
            rotate_refresh_tokens: env.switch("GATEHOUSE_IDENTITY_ROTATE_REFRESH_TOKENS", false),
            rotation_grace: env.seconds("GATEHOUSE_IDENTITY_ROTATION_GRACE_SECONDS", 10, 0..=300),
            bcrypt_cost: small("BCRYPT_COST", 12, 4..=16),
            hash_threads: usize::try_from(small("HASH_THREADS", 0, 0..=256)).unwrap_or(0),
            imported_hashes: ImportedHashes::Measured,
            hash_queue: env.seconds("GATEHOUSE_IDENTITY_HASH_QUEUE_SECONDS", 2, 1..=60),
            login_failures: small("LOGIN_FAILURES", 10, 0..=1000),
            mails_per_hour: small("MAILS_PER_HOUR", 6, 0..=1000),
        }
    }
}

fn templates_dir(env: &Env) -> Option<PathBuf> {
    const NAME: &str = "GATEHOUSE_IDENTITY_TEMPLATES_DIR";
    let folder = env.optional_path(NAME)?;
    if !folder.is_dir() {
        env.problem(
            NAME,
            &format!("names {}, which is not a folder", folder.display()),
        );
    }
    Some(folder)
}

/// A URL that may hold a password: also from a file, and never repeated.
fn required_url<T: FromStr<Err = &'static str>>(env: &Env, name: &str, otherwise: T) -> T {
    let Some(url) = env.secret(name) else {
        if env.optional(&format!("{name}_FILE")).is_none() {
            env.problem(name, "is required: there is no default outside embedded mode");
        }
        return otherwise;
    };
    url.expose().parse().unwrap_or_else(|error| {
        env.problem(name, &format!("cannot be used: {error}"));
        otherwise
    })
}

fn token_settings(env: &Env) -> TokenSettings {
    use SigningAlgorithm::{ES256, EdDSA, HS256, RS256};
    let choices = [
        ("EdDSA", EdDSA),
        ("ES256", ES256),
        ("RS256", RS256),
        ("HS256", HS256),
    ];
    let algorithm = env.choice("GATEHOUSE_IDENTITY_SIGNING_ALGORITHM", EdDSA, &choices);
    let hs256_secret = shared_secret(env, "GATEHOUSE_IDENTITY_HS256_SECRET");
    if hs256_secret.is_some() && algorithm != HS256 {
        let what = "is set, but GATEHOUSE_IDENTITY_SIGNING_ALGORITHM is not HS256; set both or neither";
        env.problem("GATEHOUSE_IDENTITY_HS256_SECRET", what);
    }
    let needs_file = hs256_secret.is_none();
    let keys_file = match needs_file {
        true => env.required(
            "GATEHOUSE_IDENTITY_KEYS_FILE",
            "it names the file of signing keys",
        ),
        false => env.text("GATEHOUSE_IDENTITY_KEYS_FILE", "keys.json"),
    };
    TokenSettings {
        access_lifetime: env.seconds("GATEHOUSE_IDENTITY_ACCESS_TOKEN_SECONDS", 300, 1..=DAY),
        refresh_lifetime: env.seconds("GATEHOUSE_IDENTITY_REFRESH_TOKEN_SECONDS", DAY, 1..=YEAR),
        algorithm,
        keys_file: PathBuf::from(keys_file),
        create_keys: env.switch("GATEHOUSE_IDENTITY_CREATE_KEYS", false),
        hs256_secret,
        legacy: legacy_key(env),
        names: TokenNames::from_env(env),
        limits: session_limits(env),
    }
}

fn session_limits(env: &Env) -> SessionLimits {
    const IDLE: &str = "GATEHOUSE_IDENTITY_SESSION_IDLE_SECONDS";
    let limit = |name: &str| Some(env.seconds(name, 0, 0..=10 * YEAR)).filter(|limit| !limit.is_zero());
    let access_lifetime = env.seconds("GATEHOUSE_IDENTITY_ACCESS_TOKEN_SECONDS", 300, 1..=DAY);
    let limits = SessionLimits {
        longest: limit("GATEHOUSE_IDENTITY_SESSION_MAX_SECONDS"),
        idle: limit(IDLE),
    };
    // A session is used when it is refreshed, and nobody refreshes before the access token has ended.
    if limits.idle.is_some_and(|idle| idle < access_lifetime * 2) {
        env.problem(
            IDLE,
            "is shorter than two lives of an access token: sessions in use would end; 0 is no limit",
        );
    }
    limits
}

fn encryption_settings(env: &Env) -> EncryptionSettings {
    let keys_file = env.required(
        "GATEHOUSE_IDENTITY_ENCRYPTION_KEYS_FILE",
        "it names the file of keys that waiting mail jobs are encrypted with; `identity-svc encryption-keys rotate \
         --if-none` makes it",
    );
    EncryptionSettings {
        keys_file: PathBuf::from(keys_file),
        create_keys: env.switch("GATEHOUSE_IDENTITY_CREATE_KEYS", false),
        encrypts: env.switch("GATEHOUSE_IDENTITY_ENCRYPT_ROWS", true),
    }
}

fn shared_secret(env: &Env, name: &str) -> Option<Secret<String>> {
    let secret = env.secret(name)?;
    if let Some(weakness) = shared_secret::weakness(secret.expose()) {
        env.problem(name, weakness);
    }
    Some(secret)
}

fn legacy_key(env: &Env) -> Option<LegacyKey> {
    const SECRET: &str = "GATEHOUSE_IDENTITY_LEGACY_JWT_SECRET";
    const UNTIL: &str = "GATEHOUSE_IDENTITY_LEGACY_JWT_UNTIL";
    let until = env.optional(UNTIL);
    let secret = shared_secret(env, SECRET);
    let claims = legacy_claims(env);
    match (secret, until) {
        (None, None) => None,
        (Some(_), None) => {
            env.problem(
                UNTIL,
                "is required with GATEHOUSE_IDENTITY_LEGACY_JWT_SECRET: a date such as 2027-01-31",
            );
            None
        }
        (None, Some(_)) => {
            env.problem(UNTIL, "is set, but GATEHOUSE_IDENTITY_LEGACY_JWT_SECRET is not");
            None
        }
        (Some(secret), Some(until)) => {
            let until_ms = crate::dates::end_of_day_ms(&until);
            if until_ms.is_none() {
                env.problem(UNTIL, &format!("is \"{until}\", not a date such as 2027-01-31"));
            }
            Some(LegacyKey {
                secret,
                until_ms: until_ms.unwrap_or_default(),
                claims,
            })
        }
    }
}

fn legacy_claims(env: &Env) -> Vec<String> {
    const NAME: &str = "GATEHOUSE_IDENTITY_LEGACY_JWT_CLAIMS";
    const OURS: [&str; 12] = [
        "token_type",
        "exp",
        "iat",
        "nbf",
        "jti",
        "iss",
        "sub",
        "aud",
        "user_id",
        "sid",
        "gen",
        "kid",
    ];
    let text = env.text(NAME, "");
    let names: Vec<String> = text
        .split(',')
        .map(|name| name.trim().to_owned())
        .filter(|name| !name.is_empty())
        .collect();
    for name in names.iter().filter(|name| OURS.contains(&name.as_str())) {
        env.problem(
            NAME,
            &format!("names \"{name}\", which every token has of its own"),
        );
    }
    names
}
