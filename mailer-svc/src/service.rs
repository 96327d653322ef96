//! The composition root: builds renderer, sender and consumer out of settings.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use shared::actor;
use shared::background::Background;
use shared::clock::Clock;
use shared::metrics::Registry;
use shared::queue::Consumer;
use shared::templates::TemplateError;

use crate::file_sender::FileSender;
use crate::job_consumer::JobConsumer;
use crate::mail_job::JobContext;
use crate::metrics::MailMetrics;
use crate::queue_reader::read_queue;
use crate::render::Renderer;
use crate::sender::Sender;
use crate::settings::{SenderSettings, Settings};
use crate::smtp_sender::{self, ConnectionsClosed};
use crate::smtp_url::Security;

/// How long `stop` waits for mails in hand, and for the queue's good-bye. What is not finished then goes back to the queue.
const FINISH_LIMIT: Duration = Duration::from_secs(20);
/// How long `stop` waits for connections to be closed.
const CLOSE_LIMIT: Duration = Duration::from_secs(5);

/// Why the service cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    Template(#[from] TemplateError),
    #[error("cannot create the mail folder {}: {source}", .folder.display())]
    Folder { folder: PathBuf, source: io::Error },
    #[error("cannot set up TLS for the SMTP server: {0}")]
    Tls(String),
}

/// The service while it runs. Dropping it asks the service to end, without waiting.
#[derive(Debug)]
pub struct Running {
    background: Background,
    connections: Option<ConnectionsClosed>,
}

/// Starts the service on the current arbiter. What becomes of jobs is counted in `registry`. The SMTP server is not asked: it may come up later.
///
/// # Errors
/// See [`StartError`].
#[expect(
    clippy::unused_async,
    reason = "callers await it, so that a start that has to wait changes nothing for them"
)]
pub async fn start(
    settings: Settings,
    clock: Clock,
    consumer: Consumer,
    registry: &Registry,
) -> Result<Running, StartError> {
    let max_in_hand = settings.max_in_hand();
    let Settings {
        sender,
        from,
        site_name,
        palette,
        templates_dir,
        queue_url: _,
        admin: _,
    } = settings;
    let renderer = Renderer::load(templates_dir.as_deref(), &site_name, palette)?;
    let languages = renderer.languages().collect::<Vec<_>>().join(", ");

    let (sender, connections) = match sender {
        SenderSettings::Folder(folder) => {
            log::info!(languages, folder = folder.display().to_string(); "mailer starts, mails go into a folder");
            let opened = FileSender::open(&folder, clock.clone());
            let sender = opened.map_err(|source| StartError::Folder { folder, source })?;
            (Sender::Folder(sender), None)
        }
        SenderSettings::Smtp(smtp) => {
            log::info!(languages, host = smtp.host, port = smtp.port, connections = smtp.connections; "mailer starts, mails go by SMTP");
            if smtp.security == Security::Plain && smtp.user.is_some() {
                log::warn!("the SMTP password crosses the network in clear: neither TLS nor STARTTLS is on");
            }
            let (pool, connections) =
                smtp_sender::start(&smtp, from.email.domain()).map_err(StartError::Tls)?;
            (Sender::Smtp(pool), Some(connections))
        }
    };
    let context = JobContext::new(renderer, sender, from, clock, MailMetrics::new(registry));
    let mut background = Background::default();
    let jobs = actor::start(JobConsumer::new(context), &mut background);
    let shutdown = background.shutdown();
    background.require(
        "reader of mail jobs",
        read_queue(consumer, jobs, max_in_hand, shutdown),
    );
    Ok(Running {
        background,
        connections,
    })
}

impl Running {
    /// Stops taking jobs, finishes those in hand, and closes the SMTP connections.
    pub async fn stop(mut self) {
        if !self.background.stop(FINISH_LIMIT).await.is_empty() {
            log::warn!("stopped with mails in hand; their jobs will be delivered again");
            return;
        }
        if let Some(connections) = &mut self.connections
            && tokio::time::timeout(CLOSE_LIMIT, connections.wait())
                .await
                .is_err()
        {
            log::warn!("SMTP connections were not closed in time");
        }
    }

    /// Resolves when the service has ended: after `stop`, or because its queue has.
    pub async fn ended(&mut self) {
        self.background.failed().await;
    }
}
