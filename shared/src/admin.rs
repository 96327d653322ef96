//! The admin server that every service has on a port of its own: `/health/live`, `/health/ready`, `/metrics`.
//!
//! It is for orchestrators and Prometheus, never for clients, so it stands beside the service's own server and answers
//! while that one is full.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use actix_web::dev::ServerHandle;
use actix_web::{App, HttpResponse, HttpServer, web};
use tokio::task::JoinHandle;

use crate::env::Env;
use crate::health::Readiness;
use crate::metrics::Registry;

const PROBE_TIMEOUT: Duration = Duration::from_secs(3);

/// Why the admin server did not start.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address} for health and metrics: {source}; set {variable}")]
pub struct StartError {
    address: SocketAddr,
    variable: &'static str,
    source: io::Error,
}

/// Where the admin server of a service listens: the variable, and the address unless it is off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listen {
    pub variable: &'static str,
    pub address: Option<SocketAddr>,
}

impl Listen {
    /// Reads `variable`: an address and a port; empty or `off` is off, and so is no value. A separate program gives
    /// its default beforehand, with [`Env::with_default`].
    pub fn from_env(env: &Env, variable: &'static str) -> Self {
        let address = env.optional(variable).filter(|text| text != "off");
        let address = address.and_then(|text| {
            let address = text.parse();
            if address.is_err() {
                let what = "not an address and a port such as 127.0.0.1:9000, nor off";
                env.problem(variable, &format!("is \"{text}\", {what}"));
            }
            address.ok()
        });
        Self { variable, address }
    }
}

/// An admin server that serves; or none, when it is off.
#[derive(Debug)]
pub struct Running {
    /// Where it listens; tells the port when the setting said 0.
    pub address: Option<SocketAddr>,
    server: Option<(ServerHandle, JoinHandle<io::Result<()>>)>,
}

impl Running {
    /// Ends it. Call it last, so that readiness can be seen to go away.
    pub async fn stop(self) {
        if let Some((handle, ended)) = self.server {
            handle.stop(true).await;
            // It has ended; how makes no difference any more.
            let _ = ended.await;
        }
    }
}

/// Starts the admin server, unless it is off.
///
/// # Errors
/// When the address cannot be listened on.
pub fn start(listen: Listen, readiness: Readiness, registry: Registry) -> Result<Running, StartError> {
    let Some(address) = listen.address else {
        return Ok(Running {
            address: None,
            server: None,
        });
    };
    let failed = |source| StartError {
        address,
        variable: listen.variable,
        source,
    };
    let listener = TcpListener::bind(address).map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    let server = HttpServer::new(move || {
        App::new()
            .app_data(web::Data::new(readiness.clone()))
            .app_data(web::Data::new(registry.clone()))
            .route("/health/live", web::get().to(live))
            .route("/health/ready", web::get().to(ready))
            .route("/metrics", web::get().to(metrics))
    })
    .workers(1)
    .disable_signals()
    .shutdown_timeout(1)
    .listen(listener)
    .map_err(failed)?
    .run();
    log::info!(address:% = bound; "health and metrics listen");
    let handle = server.handle();
    Ok(Running {
        address: Some(bound),
        server: Some((handle, tokio::spawn(server))),
    })
}

async fn live() -> HttpResponse {
    HttpResponse::Ok()
        .content_type("application/json")
        .body("{\"live\": true}")
}

async fn ready(readiness: web::Data<Readiness>) -> HttpResponse {
    let report = readiness.report();
    let mut response = if report.ready {
        HttpResponse::Ok()
    } else {
        HttpResponse::ServiceUnavailable()
    };
    response.json(report)
}

async fn metrics(registry: web::Data<Registry>) -> HttpResponse {
    HttpResponse::Ok()
        .content_type("text/plain; version=0.0.4; charset=utf-8")
        .body(registry.text())
}

/// Asks a running service whether it is ready: `<program> health`, for containers without curl.
///
/// # Errors
/// One sentence: what it responded, or why it could not be asked.
pub fn probe(listen: Listen) -> Result<(), String> {
    let Some(address) = listen.address else {
        return Err(format!("{} is off, so nobody can be asked", listen.variable));
    };
    let address = SocketAddr::new(reachable(address.ip()), address.port());
    let response = ask(address).map_err(|error| format!("cannot ask {address}: {error}"))?;
    if response.starts_with("HTTP/1.1 200 ") {
        return Ok(());
    }
    let body = response.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    Err(format!("not ready: {body}"))
}

/// An address that stands for all of this machine's is reached through the loopback one.
fn reachable(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(v4) if v4.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(v6) if v6.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        other => other,
    }
}

fn ask(address: SocketAddr) -> io::Result<String> {
    let mut socket = TcpStream::connect_timeout(&address, PROBE_TIMEOUT)?;
    socket.set_read_timeout(Some(PROBE_TIMEOUT))?;
    socket.write_all(b"GET /health/ready HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let mut response = Vec::new();
    socket.take(64 * 1024).read_to_end(&mut response)?;
    Ok(String::from_utf8_lossy(&response).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const FREE_PORT: Listen = Listen {
        variable: "GATEHOUSE_TEST_ADMIN_LISTEN",
        address: Some(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0)),
    };

    fn get(address: SocketAddr, path: &str) -> String {
        let mut socket = TcpStream::connect(address).unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        socket.write_all(request.as_bytes()).unwrap();
        let mut response = String::new();
        socket.read_to_string(&mut response).unwrap();
        response
    }

    #[tokio::test]
    async fn the_three_pages_tell_what_the_service_says() {
        let (readiness, registry) = (Readiness::default(), Registry::default());
        let database = readiness.part("database");
        registry.counter("seen_total", "Seen.", &[]).increment();
        let running = start(FREE_PORT, readiness, registry).unwrap();
        let address = running.address.unwrap();
        let listen = Listen {
            address: Some(address),
            ..FREE_PORT
        };
        tokio::task::spawn_blocking(move || {
            assert!(get(address, "/health/live").starts_with("HTTP/1.1 200 OK\r\n"));
            database.set_unready("cannot connect");
            let response = get(address, "/health/ready");
            assert!(
                response.starts_with("HTTP/1.1 503 ")
                    && response.ends_with(r#"{"ready":false,"reasons":["database: cannot connect"]}"#),
                "{response}"
            );
            assert!(probe(listen).unwrap_err().contains("database: cannot connect"));
            database.set_ready();
            assert!(get(address, "/health/ready").starts_with("HTTP/1.1 200 OK\r\n"));
            assert_eq!(probe(listen), Ok(()));
            assert!(get(address, "/metrics").ends_with("\nseen_total 1\n"));
        })
        .await
        .unwrap();
        running.stop().await;
        assert!(probe(listen).is_err());
    }

    #[tokio::test]
    async fn off_is_off() {
        let env = Env::from_pairs([("A", "off"), ("B", ""), ("C", "nonsense")]).with_default("B", "[::1]:1");
        for variable in ["A", "B", "C", "D"] {
            let listen = Listen::from_env(&env, variable);
            assert_eq!(listen.address, None);
            let running = start(listen, Readiness::default(), Registry::default()).unwrap();
            assert_eq!(running.address, None);
            running.stop().await;
        }
        assert_eq!(
            env.finish(&[]).unwrap_err().to_string(),
            "C is \"nonsense\", not an address and a port such as 127.0.0.1:9000, nor off"
        );
    }
}
