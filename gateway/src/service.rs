//! Puts the parts together and runs them: listener, connections, parser, requests.

use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use actix_http::body::BoxBody;
use actix_http::error::DispatchError;
use actix_http::{HttpService, KeepAlive, Request, Response};
use actix_server::{Server, ServerHandle};
use actix_service::{
    IntoServiceFactory, Service, ServiceFactoryExt, apply_fn_factory, fn_service, map_config,
};
use actix_web::dev::AppConfig;
use actix_web::web::ServiceConfig;
use actix_web::{App, Error, HttpRequest};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinHandle;

use crate::connection::{Connection, Limits};
use crate::envelope::{Answer, Destination, Envelope, Shared, Worker};
use crate::error::GatewayError;
use crate::proxy::Proxy;
use crate::rate_limit::RateLimit;
use crate::request_body::BodyLimits;
use crate::routes::Routes;
use crate::settings::Settings;

const BACKLOG: u32 = 4096;
/// All request bodies that are held at once, in multiples of the largest one.
const BODIES_HELD: usize = 100;

/// Pages under `/dev/` that the gateway serves itself; embedded mode shows its mailbox there.
pub type ExtraPages = Arc<dyn Fn(&mut ServiceConfig) + Send + Sync>;

/// Why the gateway did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("cannot listen on {address}: {}; set GATEHOUSE_GATEWAY_LISTEN", reason(.source))]
    Listen { address: SocketAddr, source: io::Error },
    #[error("cannot serve on {address}: {source}")]
    Serve { address: SocketAddr, source: io::Error },
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
    handle: ServerHandle,
    server: Option<JoinHandle<io::Result<()>>>,
}

impl Running {
    /// Stops accepting, lets requests under way finish within the drain time, and returns when that is done.
    pub async fn stop(mut self) {
        self.handle.stop(true).await;
        self.ended().await;
        log::info!("gateway stopped");
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

/// Starts serving.
///
/// # Errors
/// When the address cannot be listened on.
#[expect(
    clippy::unused_async,
    reason = "it needs a runtime, and reading certificates and key sets will wait here"
)]
pub async fn start(settings: Settings, extra_pages: Option<ExtraPages>) -> Result<Running, StartError> {
    let address = settings.listen;
    let listener = listen(address).map_err(|source| StartError::Listen { address, source })?;
    let bound = listener
        .local_addr()
        .map_err(|source| StartError::Listen { address, source })?;
    let server =
        serve(&settings, listener, extra_pages).map_err(|source| StartError::Serve { address, source })?;
    let handle = server.handle();
    log::info!(
        address:% = bound,
        identity:% = settings.identity_url,
        workers = settings.workers,
        auth_requests_per_minute = settings.auth_requests_per_minute;
        "gateway listens"
    );
    Ok(Running {
        address: bound,
        handle,
        server: Some(tokio::spawn(server)),
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

fn serve(
    settings: &Settings,
    listener: std::net::TcpListener,
    extra_pages: Option<ExtraPages>,
) -> io::Result<Server> {
    let shared = Arc::new(Shared {
        routes: Routes::new(&settings.identity_url, settings.other_routes.clone()),
        trusted_proxies: settings.trusted_proxies.clone(),
        rate_limit: RateLimit::new(settings.auth_requests_per_minute, settings.clock.clone()),
        has_pages: extra_pages.is_some(),
    });
    let limits = Limits {
        header: settings.header_timeout,
        body: settings.body_timeout,
        keep_alive: settings.keep_alive,
        max_body_bytes: u64::try_from(settings.max_body_bytes).unwrap_or(u64::MAX),
    };
    let bytes_held = settings.max_body_bytes.saturating_mul(BODIES_HELD);
    let body_limits = BodyLimits::new(settings.max_body_bytes, settings.body_timeout, bytes_held);
    let upstream_timeout = settings.upstream_timeout;

    let builder = Server::build()
        .workers(settings.workers)
        .shutdown_timeout(settings.drain.as_secs())
        .disable_signals();
    let drain = builder.graceful_shutdown_signal();
    let builder = builder.listen("gateway", listener, move || {
        let proxy = Proxy::new(upstream_timeout, body_limits.clone());
        let worker = Rc::new(Worker {
            shared: shared.clone(),
            proxy,
        });
        let drain = drain.clone();
        let http = HttpService::build()
            // All deadlines of a connection are kept by `Connection`.
            .keep_alive(KeepAlive::Os)
            .client_request_timeout(std::time::Duration::ZERO)
            .client_disconnect_timeout(std::time::Duration::ZERO)
            .graceful_shutdown_signal(move || {
                let drain = drain.clone();
                async move { drain.notified().await }
            })
            .on_connect_ext(|connection: &Connection<TcpStream>, data| {
                data.insert(connection.exchange());
            })
            .h1(requests(worker, extra_pages.clone()));
        fn_service(move |socket: TcpStream| async move {
            socket.set_nodelay(true).map_err(DispatchError::Io)?;
            let peer = socket.peer_addr().ok();
            Ok((Connection::new(socket, limits), peer))
        })
        .and_then(http)
    })?;
    Ok(builder.run())
}

/// Answers requests: the gateway's own pages are an actix-web application, everything else does without one.
fn requests(
    worker: Rc<Worker>,
    extra_pages: Option<ExtraPages>,
) -> impl actix_service::ServiceFactory<
    Request,
    Config = (),
    Response = Response<Answer>,
    Error = Error,
    InitError = (),
    Service: Service<Request, Future: 'static>,
    Future: 'static,
> {
    let pages = App::new()
        .configure(move |config| {
            if let Some(extra_pages) = &extra_pages {
                extra_pages(config);
            }
        })
        .default_service(actix_web::web::to(|_: HttpRequest| async {
            actix_web::HttpResponse::from(GatewayError::NotFound.response())
        }));
    let pages = map_config(pages.into_factory(), |()| AppConfig::default());
    apply_fn_factory(pages, move |request: Request, pages| {
        let envelope = Envelope::of(&request, &worker.shared);
        let destination = if envelope.is_page {
            let page = pages.call(request);
            Destination::Page(async move {
                match page.await {
                    Ok(answer) => Response::<BoxBody>::from(answer),
                    Err(error) => Response::from(error),
                }
            })
        } else {
            Destination::Elsewhere(request)
        };
        let worker = worker.clone();
        async move { Ok(worker.answer(envelope, destination).await) }
    })
}
