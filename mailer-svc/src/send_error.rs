//! Why a mail did not go out.

/// No reason holds an address or a link.
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
    Rejected(String),
}
