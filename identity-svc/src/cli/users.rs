//! `users deactivate | activate | delete | set-hash | show | ambiguous`.

use std::io::Write;
use std::path::{Path, PathBuf};

use shared::clock::Clock;
use shared::secret::Secret;

use super::CommandError;
use crate::dates::iso_8601;
use crate::db::DbMessage;
use crate::db::connection::DbConnection;
use crate::db::messages::{
    AmbiguousName, DeleteUser, FindAmbiguousNames, FindLogin, ImportPassword, Login, SetActive, User,
};
use crate::passwords::encoded;
use crate::settings::Settings;

#[derive(Clone, Debug, clap::Subcommand)]
pub enum UsersCommand {
    /// End all sessions of an account, and refuse logins until it is activated again
    Deactivate(Named),
    /// Let an account in again
    Activate(Named),
    /// Delete an account; its tokens end at once
    Delete(Named),
    /// Set an account's password from a hash in one of Django's encodings, or `!` for none at all
    ///
    /// The hash is read from standard input or from a file: on the command line every user of the machine can see it.
    SetHash {
        #[command(flatten)]
        named: Named,
        /// For tests and for `!`; for example `pbkdf2_sha256$1000000$salt$hash`, in single quotes
        #[arg(conflicts_with = "file")]
        encoded: Option<String>,
        /// A file that holds the hash
        #[arg(long)]
        file: Option<PathBuf>,
    },
    /// Show what is known of an account, without its password hash
    Show(Named),
    /// List usernames that are another account's address
    Ambiguous,
}

/// Which account is meant.
#[derive(Clone, Debug, clap::Args)]
pub struct Named {
    /// A username or an e-mail address
    name: String,
    /// The account's number (pk), for a name that means two accounts
    #[arg(long, value_name = "PK")]
    id: Option<i64>,
}

/// More would not be read at once.
const MAX_LISTED: i64 = 1000;

pub fn run(
    command: &UsersCommand,
    settings: &Settings,
    clock: &Clock,
    out: &mut dyn Write,
) -> Result<(), CommandError> {
    settings.database_url.prepare()?;
    let mut connection = settings.database_url.connect()?;
    let connection = &mut connection;
    let now_ms = clock.now_ms();
    match command {
        UsersCommand::Deactivate(named) | UsersCommand::Activate(named) => {
            let is_active = matches!(command, UsersCommand::Activate(_));
            let user = get_user(connection, named)?;
            write(
                connection,
                &SetActive {
                    user_id: user.id,
                    is_active,
                    now_ms,
                },
            )?;
            let what = if is_active { "active" } else { "inactive" };
            writeln!(out, "{} is {what}", user.username)?;
        }
        UsersCommand::Delete(named) => {
            let user = get_user(connection, named)?;
            write(
                connection,
                &DeleteUser {
                    user_id: user.id,
                    now_ms,
                },
            )?;
            writeln!(out, "{} is deleted", user.username)?;
        }
        UsersCommand::SetHash { named, encoded, file } => {
            let encoded = read_hash(encoded.as_deref(), file.as_deref())?;
            encoded::check_importable(encoded.expose())
                .map_err(|error| CommandError::BadHash(error.to_string()))?;
            let user = get_user(connection, named)?;
            let message = ImportPassword {
                user_id: user.id,
                encoded,
                now_ms,
            };
            write(connection, &message)?;
            writeln!(out, "{} has another password", user.username)?;
        }
        UsersCommand::Show(named) => show(&get_user(connection, named)?, out)?,
        UsersCommand::Ambiguous => list_ambiguous(connection, out)?,
    }
    Ok(())
}

/// From the command line, from a file, or from standard input; one line break at the end does not count.
fn read_hash(encoded: Option<&str>, file: Option<&Path>) -> Result<Secret<String>, CommandError> {
    let text = match (encoded, file) {
        (Some(encoded), _) => {
            if !encoded.starts_with('!') {
                log::warn!(
                    "every user of the machine can see a hash on the command line: give it by --file or standard input"
                );
            }
            Ok(encoded.to_owned())
        }
        (None, Some(file)) => std::fs::read_to_string(file),
        (None, None) => std::io::read_to_string(std::io::stdin()),
    };
    let text = text.map_err(|error| CommandError::NoHash(error.to_string()))?;
    Ok(Secret::new(text.trim_end_matches(['\r', '\n']).to_owned()))
}

/// The one account that is meant. A name that means two is refused: it may have been chosen to.
fn get_user(connection: &mut DbConnection, named: &Named) -> Result<User, CommandError> {
    let login = Login::by_name(&named.name);
    let mut found = FindLogin { login }.run(connection)?;
    match (found.as_slice(), named.id) {
        (_, Some(id)) => found.retain(|user| user.id == id),
        ([username_of, email_of, ..], None) => {
            return Err(CommandError::Ambiguous(AmbiguousName {
                name: named.name.clone(),
                username_of: username_of.id,
                email_of: email_of.id,
            }));
        }
        (_, None) => {}
    }
    let name = match named.id {
        Some(id) => format!("{} with the number {id}", named.name),
        None => named.name.clone(),
    };
    found.pop().ok_or(CommandError::NoSuchUser(name))
}

/// Also told after a migration: such accounts are from before that was refused.
pub fn list_ambiguous(connection: &mut DbConnection, out: &mut dyn Write) -> Result<(), CommandError> {
    for found in (FindAmbiguousNames { limit: MAX_LISTED }).run(connection)? {
        writeln!(out, "{found}: give one of them another")?;
    }
    Ok(())
}

fn write<M: DbMessage>(connection: &mut DbConnection, message: &M) -> Result<M::Output, CommandError> {
    let outcome = connection.write(|connection| message.run(connection));
    Ok(outcome.map_err(diesel::result::Error::from)?)
}

fn show(user: &User, out: &mut dyn Write) -> Result<(), CommandError> {
    let yes_no = |is_so: bool| if is_so { "yes" } else { "no" };
    let time = |ms: i64| iso_8601(ms.div_euclid(1000));
    writeln!(out, "pk:              {}", user.id)?;
    writeln!(out, "username:        {}", user.username)?;
    writeln!(out, "email:           {}", user.email)?;
    writeln!(out, "email verified:  {}", yes_no(user.is_email_verified))?;
    writeln!(out, "first name:      {}", user.first_name)?;
    writeln!(out, "last name:       {}", user.last_name)?;
    writeln!(out, "active:          {}", yes_no(user.is_active))?;
    writeln!(out, "created:         {}", time(user.created_at_ms))?;
    writeln!(out, "password set:    {}", time(user.password_set_at_ms))?;
    let algorithm = user.password.split('$').next().unwrap_or_default();
    let algorithm = if algorithm.starts_with('!') || algorithm.is_empty() {
        "none"
    } else {
        algorithm
    };
    writeln!(out, "password kept as: {algorithm}")?;
    Ok(())
}
