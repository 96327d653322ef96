//! The way out for a mail: an SMTP server, or a folder.

use shared::pool::{Pool, PoolError};

use crate::file_sender::FileSender;
use crate::outgoing_mail::OutgoingMail;
use crate::send_error::SendError;
use crate::smtp_sender::{SendMail, SmtpSender};

/// Where mails go.
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
