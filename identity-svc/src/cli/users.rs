//! `users deactivate | activate | delete | set-hash | show`.

use std::io::Write;
use std::path::{Path, PathBuf};

use shared::clock::Clock;
use shared::secret::Secret;

use super::CommandError;
use crate::dates::iso_8601;
use crate::db::DbMessage;
use crate::db::connection::DbConnection;
use crate::db::messages::{DeleteUser, FindUserByName, ImportPassword, SetActive, User};
use crate::domain::{email_address, username};
use crate::passwords::encoded;
use crate::settings::Settings;

/// NAME is a username or an e-mail address.
#[derive(Clone, Debug, clap::Subcommand)]
pub enum UsersCommand {
    /// Refuse logins and tokens of an account until it is activated again
    Deactivate { name: String },
    /// Let an account in again
    Activate { name: String },
    /// Delete an account; its tokens end at once
    Delete { name: String },
    /// Set an account's password from a hash in one of Django's encodings, or `!` for none at all
    ///
    /// The hash is read from standard input or from a file: on the command line every user of the machine can see it.
    SetHash {
        name: String,
        /// For tests and for `!`; for example `pbkdf2_sha256$1000000$salt$hash`, in single quotes
        #[arg(conflicts_with = "file")]
        encoded: Option<String>,
        /// A file that holds the hash
        #[arg(long)]
        file: Option<PathBuf>,
    },
    /// Show what is known of an account, without its password hash
    Show { name: String },
}

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
        UsersCommand::Deactivate { name } | UsersCommand::Activate { name } => {
            let is_active = matches!(command, UsersCommand::Activate { .. });
            let user = get_user(connection, name)?;
            write(
                connection,
                &SetActive {
                    user_id: user.id,
                    is_active,
                },
            )?;
            let what = if is_active { "active" } else { "inactive" };
            writeln!(out, "{} is {what}", user.username)?;
        }
        UsersCommand::Delete { name } => {
            let user = get_user(connection, name)?;
            write(
                connection,
                &DeleteUser {
                    user_id: user.id,
                    now_ms,
                },
            )?;
            writeln!(out, "{} is deleted", user.username)?;
        }
        UsersCommand::SetHash { name, encoded, file } => {
            let encoded = read_hash(encoded.as_deref(), file.as_deref())?;
            encoded::check_importable(encoded.expose())
                .map_err(|error| CommandError::BadHash(error.to_string()))?;
            let user = get_user(connection, name)?;
            let message = ImportPassword {
                user_id: user.id,
                encoded,
                now_ms,
            };
            write(connection, &message)?;
            writeln!(out, "{} has another password", user.username)?;
        }
        UsersCommand::Show { name } => show(&get_user(connection, name)?, out)?,
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

fn get_user(connection: &mut DbConnection, name: &str) -> Result<User, CommandError> {
    let message = FindUserByName {
        username_key: username::key(name),
        email_key: email_address::key(name),
    };
    message
        .run(connection)?
        .ok_or_else(|| CommandError::NoSuchUser(name.to_owned()))
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
