//! The way out for a mail: an SMTP server, or a folder.

use shared::pool::{Pool, PoolError};

use crate::file_sender::FileSender;
use crate::message::OutgoingMail;
use crate::smtp_sender::{SendMail, SmtpSender};

/// Why a mail did not go out. No reason holds an address or a link.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// It may go out later: a 4xx reply, the network, a full disk.
    #[error("{0}")]
    Later(String),
    /// It may go out once the operator has changed something: a certificate, a password, the sender's address.
    #[error("{0}")]
    Misconfigured(String),
    /// It will never go out: a 5xx reply to the recipient or to the message.
    #[error("{0}")]
    Refused(String),
}

#[derive(Clone, Debug)]
pub enum Sender {
    Folder(FileSender),
    Smtp(Pool<SmtpSender>),
}

impl Sender {
    /// Resolves when the mail is in other hands: the server's, or the disk's.
    ///
    /// # Errors
    /// See [`SendError`].
    pub async fn send(&self, mail: OutgoingMail) -> Result<(), SendError> {
        match self {
            Self::Folder(folder) => folder.send(mail).await,
            Self::Smtp(pool) => pool.call(SendMail { mail }).await.map_err(not_reached)?,
        }
    }
}

fn not_reached(error: PoolError) -> SendError {
    SendError::Later(format!("the SMTP connections: {error}"))
}
