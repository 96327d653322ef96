//! The operator's commands, for what HTTP cannot do. They work on the database and the keys file themselves, beside
//! a running server or without one.

mod encryption_keys;
mod keys;
mod mail;
mod migrate;
mod users;

use std::io::Write;

use shared::clock::Clock;

use crate::db::OpenError;
use crate::db::messages::AmbiguousName;
use crate::encryption::key_file::EncryptionKeysError;
use crate::settings::Settings;
use crate::tokens::key_file::KeysError;

#[derive(Clone, Debug, clap::Subcommand)]
pub enum Command {
    /// Look at accounts, switch them on and off, delete them, import password hashes
    #[command(subcommand)]
    Users(users::UsersCommand),
    /// List and rotate the keys that tokens are signed with
    #[command(subcommand)]
    Keys(keys::KeysCommand),
    /// List and rotate the keys that waiting mail jobs are encrypted with
    #[command(subcommand)]
    EncryptionKeys(encryption_keys::EncryptionKeysCommand),
    /// Ask what became of mails
    #[command(subcommand)]
    Mail(mail::MailCommand),
    /// Bring the database's tables to the form of this release, one process at a time
    Migrate {
        /// Change nothing; fail unless they have it
        #[arg(long)]
        check: bool,
    },
}

/// Why a command failed. One sentence for the operator.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    #[error("there is no account named {0}")]
    NoSuchUser(String),
    #[error("{0}; say which one with --id {first} or --id {second}", first = .0.username_of, second = .0.email_of)]
    Ambiguous(AmbiguousName),
    #[error(
        "there is no mail to {0} and no job of that name; finished ones are kept for a week, dead ones for a month"
    )]
    NoSuchMail(String),
    #[error("cannot read the password hash: {0}")]
    NoHash(String),
    #[error("this is no password hash that can be imported: {0}")]
    BadHash(String),
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error("the database refused: {0}")]
    Database(#[from] diesel::result::Error),
    #[error(transparent)]
    Keys(#[from] KeysError),
    #[error(transparent)]
    EncryptionKeys(#[from] EncryptionKeysError),
    #[error("keys of {0} come from the settings, not from a file: change the secret there")]
    KeyFromSettings(&'static str),
    #[error("cannot write the answer: {0}")]
    Output(#[from] std::io::Error),
}

/// Runs one command; what it has to say goes to `out`.
///
/// # Errors
/// See [`CommandError`].
pub fn run(
    command: &Command,
    settings: &Settings,
    clock: &Clock,
    out: &mut dyn Write,
) -> Result<(), CommandError> {
    match command {
        Command::Users(command) => users::run(command, settings, clock, out),
        Command::Keys(command) => keys::run(command, settings, clock, out),
        Command::EncryptionKeys(command) => encryption_keys::run(command, settings, clock, out),
        Command::Mail(command) => mail::run(command, settings, out),
        Command::Migrate { check } => migrate::run(*check, settings, out),
    }
}
