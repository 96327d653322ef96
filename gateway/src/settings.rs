//! The gateway's settings, `GATEHOUSE_GATEWAY_*`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use shared::admin;
use shared::clock::Clock;
use shared::env::Env;
use shared::internal_secret::InternalSecret;
use shared::token_names::TokenNames;

use crate::client_address::TrustedProxies;
use crate::edge_auth::WhenStale;
use crate::middleware::cors::Cors;
use crate::routes::{self, RoutesFile};
use crate::server::tls::TlsFiles;
use crate::upstream::UpstreamUrl;

const LISTEN: &str = "GATEHOUSE_GATEWAY_LISTEN";
const IDENTITY_URL: &str = "GATEHOUSE_GATEWAY_IDENTITY_URL";
const ROUTES_FILE: &str = "GATEHOUSE_GATEWAY_ROUTES_FILE";
const ADMIN: &str = "GATEHOUSE_GATEWAY_ADMIN_LISTEN";
const CORS_ORIGINS: &str = "GATEHOUSE_GATEWAY_CORS_ORIGINS";
const CORS_CREDENTIALS: &str = "GATEHOUSE_GATEWAY_CORS_CREDENTIALS";
const TLS_CERTIFICATE: &str = "GATEHOUSE_GATEWAY_TLS_CERTIFICATE_FILE";
const TLS_KEY: &str = "GATEHOUSE_GATEWAY_TLS_KEY_FILE";
const PROXY_PROTOCOL: &str = "GATEHOUSE_GATEWAY_PROXY_PROTOCOL";
const TRUSTED_PROXIES: &str = "GATEHOUSE_GATEWAY_TRUSTED_PROXIES";
const BUDGET: &str = "GATEHOUSE_GATEWAY_AUTH_REQUESTS_PER_MINUTE";
const MAX_BODY: &str = "GATEHOUSE_GATEWAY_MAX_BODY_BYTES";

/// Everything the gateway can be told.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `GATEHOUSE_GATEWAY_LISTEN`: address and port; port 0 is any free one. Default `127.0.0.1:8000`.
    pub listen: SocketAddr,
    /// `GATEHOUSE_GATEWAY_IDENTITY_URL`: where identity-svc is; several addresses are separated by commas. Default
    /// `http://127.0.0.1:8001`.
    pub identity_urls: Vec<UpstreamUrl>,
    /// `GATEHOUSE_INTERNAL_SECRET` or `.._FILE`: what shows identity-svc that the gateway asks; read again on SIGHUP.
    pub internal_secret: Option<InternalSecret>,
    /// `GATEHOUSE_TOKEN_ISSUER` and `GATEHOUSE_TOKEN_AUDIENCE`: demanded of access tokens, as identity-svc does.
    pub token_names: TokenNames,
    /// `GATEHOUSE_GATEWAY_ROUTES_FILE`: routes beside the ones to identity-svc, read again on SIGHUP. Default: none.
    pub routes_file: Option<PathBuf>,
    /// What the file said at the start.
    pub routes: RoutesFile,
    /// `GATEHOUSE_GATEWAY_ADMIN_LISTEN`: health and metrics. Default `127.0.0.1:9000`, in embedded mode off.
    pub admin: admin::Listen,
    /// `GATEHOUSE_GATEWAY_TRUSTED_PROXIES`: addresses or networks, separated by commas. Default: none.
    pub trusted_proxies: TrustedProxies,
    /// `GATEHOUSE_GATEWAY_PROXY_PROTOCOL`: whether they begin each connection with a PROXY header. Default off.
    pub proxy_protocol: bool,
    /// `GATEHOUSE_GATEWAY_TLS_CERTIFICATE_FILE` and `GATEHOUSE_GATEWAY_TLS_KEY_FILE`: PEM, both or none. Default none.
    pub tls: Option<TlsFiles>,
    /// `GATEHOUSE_GATEWAY_HSTS_SECONDS`: over its own TLS, how long browsers shall come back by TLS alone; 0 says nothing.
    /// Default 31536000, a year.
    pub hsts: Duration,
    /// `GATEHOUSE_GATEWAY_CORS_ORIGINS` (separated by commas, or `*`) and `GATEHOUSE_GATEWAY_CORS_CREDENTIALS`.
    /// Default: none, off.
    pub cors: Cors,
    /// `GATEHOUSE_GATEWAY_REVOCATIONS_MILLISECONDS`: between two looks at the list of ended sessions. Default 1000.
    pub revocations_interval: Duration,
    /// `GATEHOUSE_GATEWAY_KEY_FETCH_PAUSE_SECONDS`: after a fetch of identity's keys, before a token that names an
    /// unknown one leads to another. Default 5.
    pub key_fetch_pause: Duration,
    /// `GATEHOUSE_GATEWAY_WHEN_REVOCATIONS_STALE`: `ask` identity-svc about each token, or `refuse`. Default ask.
    pub when_stale: WhenStale,
    /// `GATEHOUSE_GATEWAY_PROBE_SECONDS`: between two looks at each upstream. Default 1.
    pub probe_interval: Duration,
    /// `GATEHOUSE_GATEWAY_MAX_IN_FLIGHT`: requests under way to one upstream; more are answered 503. Default 1024.
    pub max_in_flight: usize,
    /// `GATEHOUSE_GATEWAY_CONNECTIONS_PER_ADDRESS`: of one client, or one /64 of IPv6, at once; more are closed. 0 is no
    /// limit, and trusted proxies have none. Default 20000, since many clients may share an address.
    pub connections_per_address: usize,
    /// `GATEHOUSE_GATEWAY_AUTH_REQUESTS_PER_MINUTE`: 0 is no limit. Default 60.
    pub auth_requests_per_minute: usize,
    /// `GATEHOUSE_GATEWAY_MAX_BODY_BYTES`: of a request. Default 2621440, 2.5 MiB.
    pub max_body_bytes: usize,
    /// `GATEHOUSE_GATEWAY_HEADER_SECONDS`: for a request's header. Default 10.
    pub header_timeout: Duration,
    /// `GATEHOUSE_GATEWAY_BODY_SECONDS`: for a request's whole body. Default 20.
    pub body_timeout: Duration,
    /// `GATEHOUSE_GATEWAY_UPSTREAM_SECONDS`: for an upstream's answer. Default 8.
    pub upstream_timeout: Duration,
    /// `GATEHOUSE_GATEWAY_KEEP_ALIVE_SECONDS`: for the next request on a connection. Default 75.
    pub keep_alive: Duration,
    /// `GATEHOUSE_GATEWAY_DRAIN_SECONDS`: for requests under way at the end. Default 20.
    pub drain: Duration,
    /// Threads that serve; one a core.
    pub workers: usize,
    /// What the budgets count by.
    pub clock: Clock,
}

impl Settings {
    /// Reads the environment and notes in it what is wrong.
    pub fn from_env(env: &Env) -> Self {
        let seconds = |name: &str, default, max| {
            env.seconds(&format!("GATEHOUSE_GATEWAY_{name}_SECONDS"), default, 1..=max)
        };
        let count = |name, default, allowed| {
            usize::try_from(env.number(name, default, allowed)).unwrap_or(usize::MAX)
        };
        let listen = env.text(LISTEN, "127.0.0.1:8000");
        let listen = listen.parse().unwrap_or_else(|_| {
            env.problem(
                LISTEN,
                &format!("is \"{listen}\", not an address and a port such as 127.0.0.1:8000"),
            );
            SocketAddr::from(([127, 0, 0, 1], 0))
        });
        let routes_file = env.optional_path(ROUTES_FILE);
        let trusted_proxies = env.parsed(TRUSTED_PROXIES, TrustedProxies::default());
        let proxy_protocol = env.switch(PROXY_PROTOCOL, false);
        if proxy_protocol && trusted_proxies.is_empty() {
            env.problem(
                PROXY_PROTOCOL,
                &format!("is on, but {TRUSTED_PROXIES} names nobody"),
            );
        }
        Self {
            listen,
            identity_urls: identity_urls(env),
            internal_secret: InternalSecret::from_env(env),
            token_names: TokenNames::from_env(env),
            routes: routes_file.as_deref().map_or_else(RoutesFile::default, |path| {
                routes::read_file(path).unwrap_or_else(|error| {
                    env.problem(ROUTES_FILE, &format!("is wrong:\n{error}"));
                    RoutesFile::default()
                })
            }),
            routes_file,
            admin: admin::Listen::from_env(env, ADMIN),
            trusted_proxies,
            proxy_protocol,
            tls: tls_files(env),
            hsts: env.seconds("GATEHOUSE_GATEWAY_HSTS_SECONDS", 31_536_000, 0..=63_072_000),
            cors: cors(env),
            revocations_interval: Duration::from_millis(env.number(
                "GATEHOUSE_GATEWAY_REVOCATIONS_MILLISECONDS",
                1000,
                50..=4000,
            )),
            key_fetch_pause: seconds("KEY_FETCH_PAUSE", 5, 300),
            when_stale: env.choice(
                "GATEHOUSE_GATEWAY_WHEN_REVOCATIONS_STALE",
                WhenStale::Ask,
                &[("ask", WhenStale::Ask), ("refuse", WhenStale::Refuse)],
            ),
            probe_interval: seconds("PROBE", 1, 3600),
            max_in_flight: count("GATEHOUSE_GATEWAY_MAX_IN_FLIGHT", 1024, 1..=1_000_000),
            connections_per_address: count(
                "GATEHOUSE_GATEWAY_CONNECTIONS_PER_ADDRESS",
                20_000,
                0..=1_000_000,
            ),
            auth_requests_per_minute: count(BUDGET, 60, 0..=100_000),
            max_body_bytes: count(MAX_BODY, 2_621_440, 1024..=1 << 30),
            header_timeout: seconds("HEADER", 10, 300),
            body_timeout: seconds("BODY", 20, 3600),
            upstream_timeout: seconds("UPSTREAM", 8, 3600),
            keep_alive: seconds("KEEP_ALIVE", 75, 3600),
            drain: seconds("DRAIN", 20, 3600),
            workers: std::thread::available_parallelism()
                .map_or(1, usize::from)
                .min(512),
            clock: Clock::System,
        }
    }
}

fn identity_urls(env: &Env) -> Vec<UpstreamUrl> {
    let text = env.text(IDENTITY_URL, "http://127.0.0.1:8001");
    let mut urls = Vec::new();
    for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        match part.parse() {
            Ok(url) => urls.push(url),
            Err(error) => env.problem(IDENTITY_URL, &format!("is \"{part}\", {error}")),
        }
    }
    urls
}

fn tls_files(env: &Env) -> Option<TlsFiles> {
    match (env.optional_path(TLS_CERTIFICATE), env.optional_path(TLS_KEY)) {
        (Some(certificate), Some(key)) => Some(TlsFiles { certificate, key }),
        (None, None) => None,
        (Some(_), None) => {
            env.problem(TLS_KEY, &format!("is required, because {TLS_CERTIFICATE} is set"));
            None
        }
        (None, Some(_)) => {
            env.problem(TLS_CERTIFICATE, &format!("is required, because {TLS_KEY} is set"));
            None
        }
    }
}

fn cors(env: &Env) -> Cors {
    let text = env.text(CORS_ORIGINS, "");
    let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
    let origins: Vec<String> = parts.map(ToOwned::to_owned).collect();
    for origin in &origins {
        let rest = origin
            .strip_prefix("https://")
            .or_else(|| origin.strip_prefix("http://"));
        if origin != "*" && rest.is_none_or(|rest| rest.is_empty() || rest.contains(['/', ' ', '*'])) {
            env.problem(
                CORS_ORIGINS,
                &format!("names \"{origin}\", not an origin such as https://app.example"),
            );
        }
    }
    let allows_credentials = env.switch(CORS_CREDENTIALS, false);
    if allows_credentials && origins.iter().any(|origin| origin == "*") {
        env.problem(CORS_CREDENTIALS, "cannot be on for every origin");
    }
    Cors {
        origins,
        allows_credentials,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_wrong_value_is_named_in_one_sentence() {
        let env = Env::from_pairs([
            (LISTEN, "localhost"),
            (IDENTITY_URL, "identity:8001"),
            ("GATEHOUSE_GATEWAY_TRUSTED_PROXIES", "10.0.0.0/40"),
            (BUDGET, "many"),
            ("GATEHOUSE_GATEWAY_HEADER_SECONDS", "0"),
        ]);
        Settings::from_env(&env);
        let error = env.finish(&["GATEHOUSE_GATEWAY_"]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "GATEHOUSE_GATEWAY_LISTEN is \"localhost\", not an address and a port such as 127.0.0.1:8000\n\
             GATEHOUSE_GATEWAY_TRUSTED_PROXIES is \"10.0.0.0/40\": \"10.0.0.0/40\" is neither an address nor a network such as 10.0.0.0/8\n\
             GATEHOUSE_GATEWAY_IDENTITY_URL is \"identity:8001\", not of the form http://host:port or https://host:port\n\
             GATEHOUSE_GATEWAY_AUTH_REQUESTS_PER_MINUTE is \"many\", not a whole number from 0 to 100000\n\
             GATEHOUSE_GATEWAY_HEADER_SECONDS is \"0\", not a whole number from 1 to 300"
        );
    }

    #[test]
    fn the_defaults_need_no_environment() {
        let env = Env::default();
        let settings = Settings::from_env(&env);
        assert_eq!(
            settings.identity_urls.first().unwrap().to_string(),
            "http://127.0.0.1:8001"
        );
        assert_eq!(settings.auth_requests_per_minute, 60);
        assert_eq!(settings.connections_per_address, 20_000);
        assert_eq!(settings.hsts, Duration::from_secs(31_536_000));
        env.finish(&["GATEHOUSE_"]).unwrap();
    }
}
