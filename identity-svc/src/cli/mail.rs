//! `mail status`.

use std::io::Write;

use super::CommandError;
use crate::dates::iso_8601;
use crate::db::DbMessage;
use crate::db::messages::{FindMails, MailRow};
use crate::domain::email_address;
use crate::settings::Settings;

/// The latest mails to an address; older ones are rarely asked for.
const LIMIT: i64 = 20;

#[derive(Clone, Debug, clap::Subcommand)]
pub enum MailCommand {
    /// Tell what became of a mail, or of the latest mails to an address
    Status {
        /// An e-mail address or a job id
        #[arg(value_name = "ADDRESS|JOB")]
        address_or_job: String,
    },
}

pub fn run(command: &MailCommand, settings: &Settings, out: &mut dyn Write) -> Result<(), CommandError> {
    let MailCommand::Status { address_or_job } = command;
    settings.database_url.prepare()?;
    let mut connection = settings.database_url.connect()?;
    let message = FindMails {
        job_or_recipient: email_address::key(address_or_job),
        limit: LIMIT,
    };
    let mails = message.run(&mut connection)?;
    if mails.is_empty() {
        return Err(CommandError::NoSuchMail(address_or_job.clone()));
    }
    for mail in &mails {
        show(mail, out)?;
    }
    Ok(())
}

/// One line: job, kind, when, and what became of it.
fn show(mail: &MailRow, out: &mut dyn Write) -> Result<(), CommandError> {
    let time = |ms: i64| iso_8601(ms.div_euclid(1000));
    let finished = mail.finished_at_ms.map(time).unwrap_or_default();
    let failed = match mail.failed_attempts {
        0 => String::new(),
        1 => ", after one failed attempt".to_owned(),
        count => format!(", after {count} failed attempts"),
    };
    let reason = mail.last_error.as_deref().unwrap_or("no reason given");
    let end = match mail.state.as_str() {
        "waiting" if mail.failed_attempts > 0 => {
            format!(
                "waiting for the next attempt at {}{failed}: {reason}",
                time(mail.due_at_ms)
            )
        }
        "waiting" if mail.last_error.is_some() => {
            format!("waiting until {}: {reason}", time(mail.due_at_ms))
        }
        "waiting" => "waiting for the queue".to_owned(),
        "published" => format!("published {finished}, no word from the mailer yet"),
        "delivered" => format!("delivered {finished}{failed}"),
        "dead" => format!("dead {finished}{failed}: {reason}"),
        "suppressed" => "never was a mail: there was nobody to send it to".to_owned(),
        other => other.to_owned(),
    };
    writeln!(
        out,
        "{}  {:14}  created {}  {end}",
        mail.job_id,
        mail.kind,
        time(mail.created_at_ms)
    )?;
    Ok(())
}
