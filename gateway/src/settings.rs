//! The gateway's settings, `GATEHOUSE_GATEWAY_*`.

use std::net::SocketAddr;
use std::time::Duration;

use shared::clock::Clock;
use shared::env::Env;

use crate::client_address::TrustedProxies;
use crate::routes::Route;
use crate::upstream::UpstreamUrl;

const LISTEN: &str = "GATEHOUSE_GATEWAY_LISTEN";
const IDENTITY_URL: &str = "GATEHOUSE_GATEWAY_IDENTITY_URL";
const BUDGET: &str = "GATEHOUSE_GATEWAY_AUTH_REQUESTS_PER_MINUTE";
const MAX_BODY: &str = "GATEHOUSE_GATEWAY_MAX_BODY_BYTES";

/// Everything the gateway can be told.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `GATEHOUSE_GATEWAY_LISTEN`: address and port; port 0 is any free one. Default `127.0.0.1:8000`.
    pub listen: SocketAddr,
    /// `GATEHOUSE_GATEWAY_IDENTITY_URL`: where identity-svc is. Default `http://127.0.0.1:8001`.
    pub identity_url: UpstreamUrl,
    /// Routes beside the ones to identity-svc.
    pub other_routes: Vec<Route>,
    /// `GATEHOUSE_GATEWAY_TRUSTED_PROXIES`: addresses or networks, separated by commas. Default: none.
    pub trusted_proxies: TrustedProxies,
    /// `GATEHOUSE_GATEWAY_AUTH_REQUESTS_PER_MINUTE`: 0 is no limit. Default 60.
    pub auth_requests_per_minute: usize,
    /// `GATEHOUSE_GATEWAY_MAX_BODY_BYTES`: of a request. Default 2621440, 2.5 MiB.
    pub max_body_bytes: usize,
    /// `GATEHOUSE_GATEWAY_HEADER_SECONDS`: for a request's header. Default 10.
    pub header_timeout: Duration,
    /// `GATEHOUSE_GATEWAY_BODY_SECONDS`: for a request's whole body. Default 20.
    pub body_timeout: Duration,
    /// `GATEHOUSE_GATEWAY_UPSTREAM_SECONDS`: for an upstream's answer. Default 30.
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
        let identity_url = env.text(IDENTITY_URL, "http://127.0.0.1:8001");
        let identity_url = identity_url.parse().unwrap_or_else(|error| {
            env.problem(IDENTITY_URL, &format!("is \"{identity_url}\", {error}"));
            UpstreamUrl::nowhere()
        });
        let listen = env.text(LISTEN, "127.0.0.1:8000");
        let listen = listen.parse().unwrap_or_else(|_| {
            env.problem(
                LISTEN,
                &format!("is \"{listen}\", not an address and a port such as 127.0.0.1:8000"),
            );
            SocketAddr::from(([127, 0, 0, 1], 0))
        });
        Self {
            listen,
            identity_url,
            other_routes: Vec::new(),
            trusted_proxies: env.parsed("GATEHOUSE_GATEWAY_TRUSTED_PROXIES", TrustedProxies::default()),
            auth_requests_per_minute: count(BUDGET, 60, 0..=100_000),
            max_body_bytes: count(MAX_BODY, 2_621_440, 1024..=1 << 30),
            header_timeout: seconds("HEADER", 10, 300),
            body_timeout: seconds("BODY", 20, 3600),
            upstream_timeout: seconds("UPSTREAM", 30, 3600),
            keep_alive: seconds("KEEP_ALIVE", 75, 3600),
            drain: seconds("DRAIN", 20, 3600),
            workers: std::thread::available_parallelism()
                .map_or(1, usize::from)
                .min(512),
            clock: Clock::System,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_wrong_value_is_named_in_one_sentence() {
        let env = Env::from_pairs([
            (LISTEN, "localhost"),
            (IDENTITY_URL, "https://identity"),
            ("GATEHOUSE_GATEWAY_TRUSTED_PROXIES", "10.0.0.0/40"),
            (BUDGET, "many"),
            ("GATEHOUSE_GATEWAY_HEADER_SECONDS", "0"),
        ]);
        Settings::from_env(&env);
        let error = env.finish(&["GATEHOUSE_GATEWAY_"]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "GATEHOUSE_GATEWAY_IDENTITY_URL is \"https://identity\", not of the form http://host:port\n\
             GATEHOUSE_GATEWAY_LISTEN is \"localhost\", not an address and a port such as 127.0.0.1:8000\n\
             GATEHOUSE_GATEWAY_TRUSTED_PROXIES is \"10.0.0.0/40\": \"10.0.0.0/40\" is neither an address nor a network such as 10.0.0.0/8\n\
             GATEHOUSE_GATEWAY_AUTH_REQUESTS_PER_MINUTE is \"many\", not a whole number from 0 to 100000\n\
             GATEHOUSE_GATEWAY_HEADER_SECONDS is \"0\", not a whole number from 1 to 300"
        );
    }

    #[test]
    fn the_defaults_need_no_environment() {
        let env = Env::default();
        let settings = Settings::from_env(&env);
        assert_eq!(settings.identity_url.to_string(), "http://127.0.0.1:8001");
        assert_eq!(settings.auth_requests_per_minute, 60);
        env.finish(&["GATEHOUSE_"]).unwrap();
    }
}
