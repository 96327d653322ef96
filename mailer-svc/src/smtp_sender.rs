//! Owns:      SMTP connections, one a thread; N threads (`GATEHOUSE_MAILER_SMTP_CONNECTIONS`).
//! Receives:  `SendMail`.      Replies: `Result<(), SendError>`.
//! Bound:     N; the consumer takes no more jobs than that in hand.
//! On panic:  the mail fails and is retried, its connection is dropped, the thread lives.
//! On stop:   finishes what it holds, then says QUIT.

use std::error::Error as _;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::{Actor, Handler, SyncArbiter, SyncContext};
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{SmtpConnection, TlsParameters};
use lettre::transport::smtp::commands::{Data, Mail, Noop, Rcpt, Rset};
use lettre::transport::smtp::extension::ClientId;
use shared::pool::{Execute, Job, Pool, PoolError};
use tokio::sync::mpsc;

use crate::masking::masked;
use crate::outgoing_mail::OutgoingMail;
use crate::send_error::SendError;
use crate::smtp_url::{Security, SmtpSettings};

type SmtpError = lettre::transport::smtp::Error;

/// After this long without use a connection is tried with NOOP first: the server, or a firewall between, may have
/// dropped it.
const IDLE_BEFORE_NOOP: Duration = Duration::from_secs(30);
/// How long a NOOP or a QUIT may take; a dead connection is not worth the full timeout.
const SHORT_TIMEOUT: Duration = Duration::from_secs(3);
/// More round trips than one mail can need, so that the thread's own timeouts end first and the outcome is known.
const ROUND_TRIPS: u32 = 24;

/// What all threads know of the server.
struct Server {
    settings: SmtpSettings,
    /// `None` when the connection is never encrypted.
    tls: Option<TlsParameters>,
    credentials: Option<Credentials>,
    hello: ClientId,
}

pub struct SmtpSender {
    server: Arc<Server>,
    connection: Option<OpenConnection>,
    /// Dropped with the thread, which is how [`ConnectionsClosed`] knows.
    _alive: mpsc::Sender<()>,
}

struct OpenConnection {
    connection: SmtpConnection,
    last_used: Instant,
}

/// Resolves when all threads have ended, which they do when the last handle to the pool is gone.
#[derive(Debug)]
pub struct ConnectionsClosed(mpsc::Receiver<()>);

impl ConnectionsClosed {
    pub async fn wait(&mut self) {
        // Nothing is ever sent: the end of the channel is the message.
        let _ = self.0.recv().await;
    }
}

/// Starts the threads; they connect at their first mail. `hello_name` is what they call themselves in EHLO.
///
/// # Errors
/// When TLS cannot be set up.
pub fn start(
    settings: &SmtpSettings,
    hello_name: &str,
) -> Result<(Pool<SmtpSender>, ConnectionsClosed), String> {
    let tls = match settings.security {
        Security::Plain => None,
        _ => Some(TlsParameters::new(settings.host.clone()).map_err(|error| error.to_string())?),
    };
    let server = Arc::new(Server {
        settings: settings.clone(),
        tls,
        credentials: settings.credentials(),
        hello: ClientId::Domain(hello_name.to_owned()),
    });
    let (alive, closed) = mpsc::channel(1);
    let addr = SyncArbiter::start(settings.connections, move || SmtpSender {
        server: server.clone(),
        connection: None,
        _alive: alive.clone(),
    });
    let deadline = settings.timeout.saturating_mul(ROUND_TRIPS);
    Ok((
        Pool::new(addr, settings.connections, deadline),
        ConnectionsClosed(closed),
    ))
}

/// "Send this."
#[derive(Debug)]
pub struct SendMail {
    pub mail: OutgoingMail,
}

impl Actor for SmtpSender {
    type Context = SyncContext<Self>;
}

impl Handler<Job<Self, SendMail>> for SmtpSender {
    type Result = Result<Result<(), SendError>, PoolError>;

    fn handle(&mut self, job: Job<Self, SendMail>, _: &mut Self::Context) -> Self::Result {
        job.run(self)
    }
}

impl Execute<SmtpSender> for SendMail {
    type Output = Result<(), SendError>;

    fn execute(self, sender: &mut SmtpSender) -> Self::Output {
        sender.send(&self.mail)
    }
}

impl Drop for SmtpSender {
    fn drop(&mut self) {
        if let Some(mut open) = self.connection.take()
            && open.connection.set_timeout(Some(SHORT_TIMEOUT)).is_ok()
        {
            // A server that does not reply to QUIT loses nothing by it.
            let _ = open.connection.quit();
        }
    }
}

impl SmtpSender {
    fn send(&mut self, mail: &OutgoingMail) -> Result<(), SendError> {
        let mut connection = match self.reusable() {
            Some(mut connection) => match connection.command(mail_from(mail)) {
                Ok(_) => connection,
                // Nothing has been sent yet, so a connection that broke while idle costs one new connection, not one attempt.
                Err(error) if is_connection_lost(&error) => self.connect_and_begin(mail)?,
                Err(error) => {
                    self.keep(connection, &error);
                    return Err(rejected_sender(mail, &error));
                }
            },
            None => self.connect_and_begin(mail)?,
        };

        let outcome = connection
            .command(Rcpt::new(mail.to.clone(), Vec::new()))
            .map_err(|error| (Stage::Recipient, error))
            .and_then(|_| connection.command(Data).map_err(|error| (Stage::Data, error)))
            .and_then(|_| {
                connection
                    .message(&mail.bytes)
                    .map_err(|error| (Stage::Message, error))
            });
        match outcome {
            Ok(_) => {
                self.connection = Some(OpenConnection {
                    connection,
                    last_used: Instant::now(),
                });
                Ok(())
            }
            Err((stage, error)) => {
                let failure = stage.classify(mail, &error);
                self.keep(connection, &error);
                Err(failure)
            }
        }
    }

    /// The open connection, when it seems to be alive.
    fn reusable(&mut self) -> Option<SmtpConnection> {
        let OpenConnection {
            mut connection,
            last_used,
        } = self.connection.take()?;
        if connection.has_broken() {
            return None;
        }
        if last_used.elapsed() >= IDLE_BEFORE_NOOP {
            connection.set_timeout(Some(SHORT_TIMEOUT)).ok()?;
            connection.command(Noop).ok()?;
            connection.set_timeout(Some(self.server.settings.timeout)).ok()?;
        }
        Some(connection)
    }

    /// Keeps the connection after a rejection, unless it is lost. RSET ends the transaction that was rejected.
    fn keep(&mut self, mut connection: SmtpConnection, rejection: &SmtpError) {
        if !is_connection_lost(rejection) && connection.command(Rset).is_ok() {
            self.connection = Some(OpenConnection {
                connection,
                last_used: Instant::now(),
            });
        }
    }

    fn connect_and_begin(&mut self, mail: &OutgoingMail) -> Result<SmtpConnection, SendError> {
        let mut connection = self.server.connect()?;
        match connection.command(mail_from(mail)) {
            Ok(_) => Ok(connection),
            Err(error) => {
                self.keep(connection, &error);
                Err(rejected_sender(mail, &error))
            }
        }
    }
}

impl Server {
    /// Connects, encrypts and logs in. Whatever goes wrong here says nothing about the mail.
    fn connect(&self) -> Result<SmtpConnection, SendError> {
        let settings = &self.settings;
        let address = (settings.host.as_str(), settings.port);
        let from_the_start = self
            .tls
            .as_ref()
            .filter(|_| settings.security == Security::ImplicitTls);
        let mut connection =
            SmtpConnection::connect(address, Some(settings.timeout), &self.hello, from_the_start, None)
                .map_err(|error| not_connected("connecting to the SMTP server", &error))?;

        if let (Some(tls), Security::StartTls | Security::StartTlsIfOffered) = (&self.tls, settings.security)
        {
            if connection.can_starttls() {
                connection
                    .starttls(tls, &self.hello)
                    .map_err(|error| not_connected("STARTTLS", &error))?;
            } else if settings.security == Security::StartTls {
                connection.abort();
                return Err(SendError::Misconfigured(
                    "the SMTP server does not offer STARTTLS".to_owned(),
                ));
            }
        }
        if let Some(credentials) = &self.credentials {
            let mechanisms = [Mechanism::Plain, Mechanism::Login];
            connection
                .auth(&mechanisms, credentials)
                .map_err(|error| not_connected("logging in to the SMTP server", &error))?;
        }
        Ok(connection)
    }
}

fn mail_from(mail: &OutgoingMail) -> Mail {
    // No parameters: the message and both addresses are ASCII.
    Mail::new(Some(mail.from.clone()), Vec::new())
}

/// Where in the dialogue the recipient or the message was rejected.
#[derive(Clone, Copy, Debug)]
enum Stage {
    Recipient,
    Data,
    Message,
}

impl Stage {
    fn classify(self, mail: &OutgoingMail, error: &SmtpError) -> SendError {
        let stage = match self {
            Self::Recipient => "the recipient was refused",
            Self::Data => "DATA was refused",
            Self::Message => "the message was refused",
        };
        if wants_login(error) {
            SendError::Misconfigured(reason("the SMTP server wants a login", mail, error))
        } else if error.is_permanent() {
            SendError::Rejected(reason(stage, mail, error))
        } else {
            SendError::Later(reason(stage, mail, error))
        }
    }
}

/// MAIL FROM was not taken: a 5xx concerns our own address or login, not this mail.
fn rejected_sender(mail: &OutgoingMail, error: &SmtpError) -> SendError {
    let text = reason("the sender was refused", mail, error);
    if error.is_permanent() {
        SendError::Misconfigured(text)
    } else {
        SendError::Later(text)
    }
}

fn not_connected(stage: &str, error: &SmtpError) -> SendError {
    let text = format!("{stage}: {}", described(error, ""));
    // A client error is a server without a login that we know, or without what we demand of it.
    if error.is_permanent() || error.is_client() || error.is_tls() || is_bad_certificate(error) {
        SendError::Misconfigured(text)
    } else {
        SendError::Later(text)
    }
}

fn reason(stage: &str, mail: &OutgoingMail, error: &SmtpError) -> String {
    let text = described(error, mail.to.user());
    if error.status().is_some() {
        format!("{stage}: {text}")
    } else {
        format!("the connection broke: {text}")
    }
}

/// `550 5.1.1 no such user`, or what the network said.
fn described(error: &SmtpError, local_part: &str) -> String {
    match (error.status(), error.source()) {
        (Some(code), Some(text)) => format!("{code} {}", masked(&text.to_string(), local_part)),
        (Some(code), None) => code.to_string(),
        (None, Some(_)) if error.is_timeout() || is_would_block(error) => "no reply in time".to_owned(),
        (None, Some(cause)) => masked(&cause.to_string(), local_part),
        (None, None) => masked(&error.to_string(), local_part),
    }
}

/// 530, 534, 535 and 538 (RFC 4954 section 6): a matter between the operator and the server, wherever it is said.
fn wants_login(error: &SmtpError) -> bool {
    error
        .status()
        .is_some_and(|code| matches!(u16::from(code), 530 | 534 | 535 | 538))
}

/// No reply at all, or 421 "closing the channel".
fn is_connection_lost(error: &SmtpError) -> bool {
    error.status().is_none_or(|code| u16::from(code) == 421)
}

/// rustls reports a certificate that it does not trust as "invalid data" of the first read.
fn is_bad_certificate(error: &SmtpError) -> bool {
    io_kind(error) == Some(io::ErrorKind::InvalidData)
}

/// How Unix names a read that timed out.
fn is_would_block(error: &SmtpError) -> bool {
    io_kind(error) == Some(io::ErrorKind::WouldBlock)
}

fn io_kind(error: &SmtpError) -> Option<io::ErrorKind> {
    error.source()?.downcast_ref::<io::Error>().map(io::Error::kind)
}
