//! Puts the parts together and runs them: listener, connections, requests, and what watches over upstreams and keys.

use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix_http::header::HeaderValue;
use actix_server::{Server, ServerHandle};
use actix_service::{fn_factory, fn_service};
use shared::admin;
use shared::health::Readiness;
use shared::metrics::Registry;
use shared::shutdown::{self, Shutdown, ShutdownTrigger};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

use crate::app::{self, ExtraPages};
use crate::edge_auth::key_set::KeyFetcher;
use crate::edge_auth::revocations::{RevocationFeed, Revocations};
use crate::edge_auth::secret_keys::SecretKeys;
use crate::edge_auth::{Checker, EdgeAuth, IdentityClient};
use crate::middleware::request_context::OutermostLayer;
use crate::proxy::Proxy;
use crate::proxy::held::Held;
use crate::reload::Reload;
use crate::request_budget::RateLimit;
use crate::routes::{Common, Limits, RouteCounts, Routes};
use crate::server::address_limit::AddressLimit;
use crate::server::app_service::AppService;
use crate::server::connection::{self, Deadlines, Entrance, Wire};
use crate::server::tls::{Certificate, TlsError};
use crate::settings::Settings;
use crate::upstream::Pool;
use crate::upstream::monitor::{UpstreamMonitor, Watched};

const BACKLOG: u32 = 4096;
/// All request bodies that are held at once, in multiples of the largest one.
const BODIES_HELD: usize = 100;
/// Connections of one worker at once.
const MAX_CONNECTIONS: usize = 100_000;
/// The gateway's own questions to identity-svc are small.
const OWN_REQUEST: Duration = Duration::from_secs(2);

/// Why the gateway did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("cannot listen on {address}: {}; set GATEHOUSE_GATEWAY_LISTEN", reason(.source))]
    Listen { address: SocketAddr, source: io::Error },
    #[error("cannot serve on {address}: {source}")]
    Serve { address: SocketAddr, source: io::Error },
    #[error("cannot serve TLS: {0}")]
    Tls(#[from] TlsError),
    #[error(transparent)]
    Admin(#[from] admin::StartError),
}

/// What the operator can do something about, without the number that the system gives it.
fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => "address already in use".to_owned(),
        io::ErrorKind::AddrNotAvailable => "this machine has no such address".to_owned(),
        io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        _ => error.to_string(),
    }
}

/// A gateway that serves.
#[derive(Debug)]
pub struct Running {
    /// Where it listens; tells the port when the setting said 0.
    pub address: SocketAddr,
    /// Where health and metrics are, unless they are off.
    pub admin_address: Option<SocketAddr>,
    readiness: Readiness,
    admin: admin::Running,
    handle: ServerHandle,
    server: Option<JoinHandle<io::Result<()>>>,
    shutdown: ShutdownTrigger,
    reload: Reload,
}

impl Running {
    /// Stops accepting, lets requests under way finish within the drain time, and returns when that is done.
    pub async fn stop(mut self) {
        self.readiness.drain();
        self.shutdown.trigger();
        self.handle.stop(true).await;
        self.ended().await;
        self.admin.stop().await;
        log::info!("gateway stopped");
    }

    /// Resolves when identity-svc is reachable, its keys are there and the list of ended sessions is complete.
    pub async fn until_ready(&self) {
        self.readiness.until_ready().await;
    }

    /// Reads routes and certificate again, as SIGHUP does. What is wrong is logged, and the old ones stay.
    pub fn reload(&self) {
        self.reload.run();
    }

    /// Serves until SIGINT or SIGTERM, and then stops. Returns whether it ended like that, and not by itself.
    pub async fn until_signal(mut self) -> bool {
        let signal = tokio::select! {
            signal = shared::shutdown::signal() => signal,
            () = self.ended() => return false,
        };
        log::info!("{signal}: the gateway stops");
        self.stop().await;
        true
    }

    /// Resolves when the server has ended by itself, which it does only when something is wrong.
    pub async fn ended(&mut self) {
        let Some(server) = &mut self.server else { return };
        match server.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => log::error!("the gateway's server ended: {error}"),
            Err(error) => log::error!("the gateway's server ended: {error}"),
        }
        self.server = None;
    }
}

/// Starts serving. Must run on an actix system.
///
/// # Errors
/// When an address cannot be listened on, or the certificate is none.
#[expect(
    clippy::unused_async,
    reason = "it starts actors and tasks, and says so by where it can be called"
)]
pub async fn start(settings: Settings, extra_pages: Option<ExtraPages>) -> Result<Running, StartError> {
    let address = settings.listen;
    let listener = listen(address).map_err(|source| StartError::Listen { address, source })?;
    let bound = listener
        .local_addr()
        .map_err(|source| StartError::Listen { address, source })?;
    let certificate = settings.tls.clone().map(Certificate::read).transpose()?;
    let (readiness, metrics) = (Readiness::default(), Registry::default());
    let (shutdown, signal) = shutdown::channel();
    let routes = Arc::new(routes(&settings, &metrics));
    let edge_auth = Arc::new(edge_auth(&settings, &routes, &readiness, &metrics, &signal));
    let identity = readiness.part("identity");
    let table = routes.clone();
    let watched = move || {
        let table = table.get();
        Watched {
            upstreams: table.upstreams(),
            identity: table.identity().clone(),
        }
    };
    UpstreamMonitor::start(watched, settings.probe_interval, identity, signal.clone());
    let reload = Reload::new(
        settings.routes_file.clone(),
        routes.clone(),
        certificate.clone(),
        settings.internal_secret.clone(),
    );
    reload.on_signal(signal.clone());
    let admin = admin::start(settings.admin, readiness.clone(), metrics.clone())?;
    let tls = certificate.map(|certificate| certificate.acceptor());
    let entrance = entrance(&settings, tls.transpose()?, &metrics);
    let outermost = outermost_layer(&settings, &routes, extra_pages.is_some(), &metrics);
    let parts = Parts {
        outermost: Arc::new(outermost),
        rate_limit: Arc::new(RateLimit::new(
            settings.auth_requests_per_minute,
            settings.clock.clone(),
        )),
        routes,
        edge_auth,
        entrance,
        extra_pages,
        held: Held::new(settings.max_body_bytes.saturating_mul(BODIES_HELD)),
        settings,
        signal,
    };
    let (workers, identity_urls) = (parts.settings.workers, parts.settings.identity_urls.len());
    let server = serve(parts, listener).map_err(|source| StartError::Serve { address, source })?;
    let handle = server.handle();
    log::info!(address:% = bound, identity_urls, workers; "gateway listens");
    Ok(Running {
        address: bound,
        admin_address: admin.address,
        readiness,
        admin,
        handle,
        server: Some(tokio::spawn(server)),
        shutdown,
        reload,
    })
}

fn listen(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        TcpSocket::new_v6()?
    };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)?.into_std()
}

fn routes(settings: &Settings, metrics: &Registry) -> Routes {
    let common = Common {
        identity_urls: settings.identity_urls.clone(),
        internal_secret: settings.internal_secret.clone(),
        timeout: settings.upstream_timeout,
        body: body_limits(settings),
        max_in_flight: settings.max_in_flight,
        clock: settings.clock.clone(),
        metrics: metrics.clone(),
    };
    Routes::new(common, &settings.routes)
}

fn body_limits(settings: &Settings) -> Limits {
    Limits {
        max_bytes: u64::try_from(settings.max_body_bytes).unwrap_or(u64::MAX),
        timeout: settings.body_timeout,
    }
}

fn entrance(settings: &Settings, tls: Option<TlsAcceptor>, metrics: &Registry) -> Entrance {
    Entrance {
        tls,
        proxy_protocol: settings.proxy_protocol,
        trusted_proxies: settings.trusted_proxies.clone(),
        deadlines: Deadlines::new(settings.header_timeout, settings.keep_alive),
        per_address: AddressLimit::new(settings.connections_per_address),
        connections: Arc::new(metrics.gauge(
            "gatehouse_gateway_connections",
            "Connections of clients that are open.",
            &[],
        )),
        refused: Arc::new(metrics.counter(
            "gatehouse_gateway_connections_refused_total",
            "Connections closed at once because their client has too many.",
            &[],
        )),
        clock: settings.clock.clone(),
    }
}

fn outermost_layer(
    settings: &Settings,
    routes: &Arc<Routes>,
    has_pages: bool,
    metrics: &Registry,
) -> OutermostLayer {
    let max_age = settings.hsts.as_secs();
    let hsts = (max_age > 0).then(|| HeaderValue::from_str(&format!("max-age={max_age}")).ok());
    OutermostLayer {
        routes: routes.clone(),
        trusted_proxies: settings.trusted_proxies.clone(),
        cors: settings.cors.clone(),
        max_body_bytes: body_limits(settings).max_bytes,
        counts: RouteCounts::new("none", metrics),
        strict_transport_security: hsts.flatten(),
        has_pages,
    }
}

/// Starts what keeps keys and ended sessions up to date.
fn edge_auth(
    settings: &Settings,
    routes: &Arc<Routes>,
    readiness: &Readiness,
    metrics: &Registry,
    signal: &Shutdown,
) -> EdgeAuth {
    let identity = || IdentityClient::new(routes.clone(), Rc::default(), OWN_REQUEST);
    let keys = KeyFetcher::start(
        readiness.part("keys"),
        signal.clone(),
        settings.key_fetch_pause,
        settings.token_names.clone(),
        identity(),
    );
    let known = (
        Revocations::new(settings.revocations_interval, metrics),
        SecretKeys::default(),
    );
    RevocationFeed::start(
        known.clone(),
        settings.revocations_interval,
        settings.clock.clone(),
        metrics,
        (readiness.part("revocations"), signal.clone()),
        identity(),
    );
    EdgeAuth::new(keys, known, settings.when_stale, settings.clock.clone(), metrics)
}

/// What every worker is made from.
#[derive(Clone)]
struct Parts {
    outermost: Arc<OutermostLayer>,
    /// The budget of the contract.
    rate_limit: Arc<RateLimit>,
    routes: Arc<Routes>,
    edge_auth: Arc<EdgeAuth>,
    entrance: Entrance,
    extra_pages: Option<ExtraPages>,
    held: Held,
    settings: Settings,
    signal: Shutdown,
}

impl Parts {
    /// One worker's application, with its own connections to upstreams.
    async fn app(&self) -> Option<AppService> {
        let pool = Rc::new(Pool::default());
        pool.sweep();
        let identity = IdentityClient::new(self.routes.clone(), pool.clone(), self.settings.upstream_timeout);
        app::start(app::Parts {
            outermost: self.outermost.clone(),
            rate_limit: self.rate_limit.clone(),
            checker: Checker::new(self.edge_auth.clone(), identity),
            proxy: Proxy {
                pool,
                held: self.held.clone(),
            },
            extra_pages: self.extra_pages.clone(),
        })
        .await
    }
}

fn serve(parts: Parts, listener: std::net::TcpListener) -> io::Result<Server> {
    let builder = Server::build()
        .workers(parts.settings.workers)
        .max_concurrent_connections(MAX_CONNECTIONS)
        .shutdown_timeout(parts.settings.drain.as_secs())
        .disable_signals();
    let builder = builder.listen("gateway", listener, move || {
        let parts = parts.clone();
        fn_factory(move || {
            let parts = parts.clone();
            async move {
                let app = parts.app().await.ok_or(())?;
                let wire = Wire::new(parts.entrance, app, parts.signal);
                Ok::<_, ()>(fn_service(move |socket: TcpStream| {
                    let wire = wire.clone();
                    async move {
                        connection::serve(socket, wire).await;
                        Ok::<_, ()>(())
                    }
                }))
            }
        })
    })?;
    Ok(builder.run())
}
