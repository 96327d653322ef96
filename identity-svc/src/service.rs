//! The composition root: builds handles, actors and server, and takes them down in order.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering::Relaxed};
use std::time::Duration;

use actix_web::dev::ServerHandle;
use actix_web::middleware::from_fn;
use actix_web::{App, HttpServer, web};
use shared::clock::Clock;
use shared::queue::{OutcomeConsumer, Publisher};
use shared::shutdown::{self, ShutdownTrigger};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;

use crate::db::messages::{FindAmbiguousNames, ReleaseAllClaims};
use crate::db::{DatabaseState, DatabaseUrl, DatabaseWatch, Db, OpenError};
use crate::domain::languages::{Catalogue, CatalogueError};
use crate::encryption::Encryption;
use crate::encryption::key_file::EncryptionKeysError;
use crate::http::{self, ApiError, AppState};
use crate::janitor::{Janitor, Keys};
use crate::openapi::{self, Documents};
use crate::outbox::{OutboxRelay, OutcomeRecorder, RelayMetrics, RelaySettings};
use crate::pages::{self, Pages, PagesError};
use crate::passwords::{ImportedHashes, Passwords};
use crate::settings::{QueueUrl, Settings};
use crate::tokens::Tokens;
use crate::tokens::key_file::KeysError;

/// Why identity-svc does not start. One sentence for the operator.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    Database(#[from] OpenError),
    #[error(transparent)]
    Keys(#[from] KeysError),
    #[error(transparent)]
    EncryptionKeys(#[from] EncryptionKeysError),
    #[error(transparent)]
    Texts(#[from] CatalogueError),
    #[error(transparent)]
    Pages(#[from] PagesError),
    #[error("cannot listen on {address}: {reason}; set GATEHOUSE_IDENTITY_LISTEN")]
    Listen { address: String, reason: String },
    #[error("cannot read the outbox at the start: {0}")]
    Outbox(#[from] crate::db::DbError),
}

/// The queue between identity-svc and mailer-svc, as identity-svc holds it.
pub struct Queues {
    pub publisher: Publisher,
    /// `None`: the publisher tells the outcomes itself, as in-process queues do.
    pub outcomes: Option<OutcomeConsumer>,
}

impl From<Publisher> for Queues {
    fn from(publisher: Publisher) -> Self {
        Self {
            publisher,
            outcomes: None,
        }
    }
}

/// A running identity-svc.
pub struct Running {
    /// Where it listens.
    pub address: SocketAddr,
    pub db: Db,
    pub database_state: watch::Receiver<DatabaseState>,
    pub relay_metrics: Arc<RelayMetrics>,
    pub passwords: Passwords,
    is_draining: Arc<AtomicBool>,
    server: ServerHandle,
    server_ended: JoinHandle<std::io::Result<()>>,
    actors: ShutdownTrigger,
    database_ended: oneshot::Receiver<Option<OpenError>>,
    relay_ended: oneshot::Receiver<()>,
    recorder_ended: Option<oneshot::Receiver<()>>,
    janitor_ended: oneshot::Receiver<()>,
}

/// Requests under way may take this long to finish after a stop.
const DRAIN_SECONDS: u64 = 20;
/// Longer than the gateway keeps an idle connection, so that it is never this side that closes one in use.
const KEEP_ALIVE: Duration = Duration::from_secs(75);

/// Starts everything. Must run on an actix system.
///
/// # Errors
/// See [`StartError`]; nothing is left running then.
pub async fn start(
    settings: Settings,
    clock: Clock,
    queues: impl Into<Queues>,
) -> Result<Running, StartError> {
    let Queues { publisher, outcomes } = queues.into();
    let texts = Arc::new(Catalogue::compiled_in()?);
    let pages = Pages::load(settings.templates_dir.as_deref(), &settings.brand, &texts)?;
    let documents = settings.api_docs.then(|| Documents::new(&settings, &texts));
    let now_ms = clock.now_ms();
    let database_state = prepare(&settings.database_url)?;
    let tokens = Tokens::start(settings.tokens.clone(), now_ms)?;
    let encryption = Encryption::start(settings.encryption.clone(), now_ms)?;
    let listen = |reason: std::io::Error| StartError::Listen {
        address: settings.listen.clone(),
        reason: reason.to_string(),
    };
    let listener = std::net::TcpListener::bind(&settings.listen).map_err(listen)?;
    let address = listener.local_addr().map_err(listen)?;
    let db = Db::start(settings.database_url.clone(), settings.database_connections);
    let relay_settings = relay_settings(&settings);
    if settings.queue_url == QueueUrl::Memory {
        // One process owns this outbox: what an earlier run had claimed is free.
        db.call(ReleaseAllClaims { now_ms }).await?;
        // In production `migrate` tells it.
        for found in db.call(FindAmbiguousNames { limit: 10 }).await? {
            let (username_of, email_of) = (found.username_of, found.email_of);
            log::warn!(username_of, email_of; "an account's username is another's address: see `users ambiguous`");
        }
    }
    let (actors, signal) = shutdown::channel();
    let url = settings.database_url.clone();
    let (database_state, database_ended) =
        DatabaseWatch::start(db.clone(), url, database_state, signal.clone());
    let relay_metrics = Arc::<RelayMetrics>::default();
    let relay_ended = OutboxRelay::start(
        db.clone(),
        publisher,
        encryption.clone(),
        clock.clone(),
        relay_settings,
        relay_metrics.clone(),
        signal.clone(),
    );
    let recorder_ended =
        outcomes.map(|outcomes| OutcomeRecorder::start(db.clone(), outcomes, signal.clone()));
    let janitor_ended = Janitor::start(
        db.clone(),
        Keys {
            tokens: tokens.clone(),
            encryption: encryption.clone(),
            internal_secret: settings.internal_secret.clone(),
        },
        clock.clone(),
        signal,
    );
    let passwords = start_passwords(&settings);
    let is_draining = Arc::<AtomicBool>::default();
    let state = AppState {
        db: db.clone(),
        passwords: passwords.clone(),
        tokens,
        encryption,
        clock,
        settings: Arc::new(settings),
        texts,
        is_draining: is_draining.clone(),
        stranger_told_at_ms: AtomicI64::new(i64::MIN),
    };
    let state = web::Data::new(state);
    let server = HttpServer::new(move || {
        App::new()
            .app_data(state.clone())
            .wrap(from_fn(http::respond))
            .configure(http::configure)
            .configure(pages::configure(pages.clone()))
            .configure(openapi::configure(documents.clone()))
            .default_service(web::to(|| async { Err::<&str, _>(ApiError::NotFound) }))
    })
    .disable_signals()
    .keep_alive(KEEP_ALIVE)
    .shutdown_timeout(DRAIN_SECONDS)
    .listen(listener)
    .map_err(|reason| StartError::Listen {
        address: address.to_string(),
        reason: reason.to_string(),
    })?
    .run();
    let handle = server.handle();
    let server_ended = actix_web::rt::spawn(server);
    Ok(Running {
        address,
        db,
        database_state,
        relay_metrics,
        passwords,
        is_draining,
        server: handle,
        server_ended,
        actors,
        database_ended,
        relay_ended,
        recorder_ended,
        janitor_ended,
    })
}

/// A database that is away delays nothing but what needs it; one that is wrong ends the start.
fn prepare(url: &DatabaseUrl) -> Result<DatabaseState, OpenError> {
    match url.prepare() {
        Ok(()) => Ok(Ok(())),
        Err(error @ OpenError::Unreachable { .. }) => {
            log::warn!("{error}; starting without it, not ready");
            Ok(Err(error.to_string()))
        }
        Err(error) => Err(error),
    }
}

fn relay_settings(settings: &Settings) -> RelaySettings {
    match settings.queue_url {
        // A publish lasts until the mail is out.
        QueueUrl::Memory => RelaySettings {
            in_flight: 32,
            claimed_ahead: 0,
            claim: Duration::from_secs(600),
            takes_when_delivered: true,
        },
        QueueUrl::Amqp(_) => RelaySettings {
            in_flight: 512,
            claimed_ahead: 512,
            claim: Duration::from_secs(60),
            takes_when_delivered: false,
        },
    }
}

impl Running {
    /// Resolves, with the reason, when a part has ended that nobody stopped.
    pub async fn ended(&mut self) -> String {
        tokio::select! {
            _ = &mut self.server_ended => "the HTTP server of identity-svc has ended".to_owned(),
            error = &mut self.database_ended => match error {
                Ok(Some(error)) => error.to_string(),
                Ok(None) | Err(_) => "the watch over the database has ended".to_owned(),
            },
            _ = &mut self.relay_ended => "the outbox relay has ended".to_owned(),
            () = ended(&mut self.recorder_ended) => "the recorder of mail outcomes has ended".to_owned(),
            _ = &mut self.janitor_ended => "the janitor has ended".to_owned(),
        }
    }

    /// Tells gateways to send nothing new here. Still answers what comes.
    pub fn drain(&self) {
        self.is_draining.store(true, Relaxed);
    }

    /// Stops accepting, finishes requests, then the relay, then the rest.
    pub async fn stop(self) {
        self.server.stop(true).await;
        self.actors.trigger();
        end_of(self.relay_ended).await;
        if let Some(recorder_ended) = self.recorder_ended {
            end_of(recorder_ended).await;
        }
        end_of(self.database_ended).await;
        end_of(self.janitor_ended).await;
    }
}

/// Either it has ended, or its panic was logged. It may have ended before, and was heard then.
async fn end_of<T>(part: oneshot::Receiver<T>) {
    if !part.is_terminated() {
        let _ = part.await;
    }
}

async fn ended(part: &mut Option<oneshot::Receiver<()>>) {
    match part {
        // Either it has ended, or it has panicked: an end as well.
        Some(part) => drop(part.await),
        None => std::future::pending().await,
    }
}

fn start_passwords(settings: &Settings) -> Passwords {
    let passwords = Passwords::start(settings.hash_threads, settings.bcrypt_cost, settings.hash_queue);
    match settings.imported_hashes {
        ImportedHashes::Measured => passwords.measure_in_background(),
        ImportedHashes::Typical => {}
    }
    passwords
}
