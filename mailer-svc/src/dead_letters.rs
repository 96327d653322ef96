//! The operator's commands for mail jobs that were given up.

use std::io::{self, Write};

use shared::clock::Clock;
use shared::email_job::EmailJob;
use shared::queue::rabbitmq::Options;
use shared::queue::rabbitmq::dead_letters::{DeadLetter, DeadLetterError, DeadLetters};
use shared::secret::Secret;

/// Where a message without an id is named.
const NO_ID: &str = "-";

/// What to do with dead letters.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Lists them, oldest first: no addresses, no links.
    List,
    /// Shows one with its arguments; the secret of its link stays hidden.
    Show {
        /// The job id as `list` shows it.
        job: String,
    },
    /// Sends them to the queue again, as if they had never been tried.
    Replay(Which),
    /// Removes them for good.
    Drop(Which),
}

#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
pub struct Which {
    /// The job id as `list` shows it.
    pub job: Option<String>,
    /// Every dead letter that is there now.
    #[arg(long)]
    pub all: bool,
}

/// Why a command did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    #[error(transparent)]
    Letters(#[from] DeadLetterError),
    #[error("no dead letter has the job id {0}")]
    Unknown(String),
    #[error("cannot write the output: {0}")]
    Output(#[from] io::Error),
}

/// Runs a command; its output goes to `out`.
///
/// # Errors
/// See [`CommandError`]. What was replayed or removed before an error stays so.
pub async fn run(
    command: &Command,
    broker: &Secret<String>,
    options: &Options,
    clock: &Clock,
    out: &mut impl Write,
) -> Result<(), CommandError> {
    let mut letters = DeadLetters::open(broker, options).await?;
    let outcome = work(command, &mut letters, clock, out).await;
    letters.close().await;
    outcome
}

async fn work(
    command: &Command,
    letters: &mut DeadLetters,
    clock: &Clock,
    out: &mut impl Write,
) -> Result<(), CommandError> {
    let mut count = 0_u64;
    while let Some(letter) = letters.next().await? {
        let is_meant = match command {
            Command::List => true,
            Command::Show { job } => *job == name(&letter),
            Command::Replay(which) | Command::Drop(which) => {
                which.all || which.job.as_deref() == Some(name(&letter).as_str())
            }
        };
        if !is_meant {
            continue;
        }
        match command {
            Command::List => {
                if count == 0 {
                    writeln!(
                        out,
                        "{:32}  {:14}  {:>8}  {:>8}  REASON",
                        "JOB", "MAIL", "ATTEMPTS", "AGE"
                    )?;
                }
                list(&letter, clock, out)?;
            }
            Command::Show { .. } => show(&letter, clock, out)?,
            Command::Replay(_) => letters.replay(&letter).await?,
            Command::Drop(_) => letters.remove(&letter).await?,
        }
        count += 1;
    }
    match command {
        Command::List if count == 0 => writeln!(out, "No dead letters.")?,
        Command::Replay(Which { all: true, .. }) => writeln!(out, "Replayed: {count}")?,
        Command::Drop(Which { all: true, .. }) => writeln!(out, "Removed: {count}")?,
        Command::Show { job }
        | Command::Replay(Which { job: Some(job), .. })
        | Command::Drop(Which { job: Some(job), .. })
            if count == 0 =>
        {
            return Err(CommandError::Unknown(plain(job)));
        }
        Command::Replay(_) => writeln!(out, "Replayed.")?,
        Command::Drop(_) => writeln!(out, "Removed.")?,
        Command::List | Command::Show { .. } => {}
    }
    Ok(())
}

fn list(letter: &DeadLetter, clock: &Clock, out: &mut impl Write) -> io::Result<()> {
    let mail = EmailJob::from_json(&letter.body).map_or("unreadable", |job| job.mail.template());
    writeln!(
        out,
        "{:32}  {mail:14}  {:>8}  {:>8}  {}",
        name(letter),
        letter.attempts,
        age(letter.dead_at_ms, clock.now_ms()),
        plain(&letter.reason)
    )
}

fn show(letter: &DeadLetter, clock: &Clock, out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "job       {}", name(letter))?;
    writeln!(out, "reason    {}", plain(&letter.reason))?;
    writeln!(out, "attempts  {}", letter.attempts)?;
    writeln!(out, "dead for  {}", age(letter.dead_at_ms, clock.now_ms()))?;
    let job = match EmailJob::from_json(&letter.body) {
        Ok(job) => job,
        Err(error) => return writeln!(out, "body      {} bytes, {error}", letter.body.len()),
    };
    let arguments = job.mail.arguments();
    writeln!(
        out,
        "made      {} ago",
        age(Some(job.created_at_ms), clock.now_ms())
    )?;
    writeln!(out, "request   {}", plain(&job.request_id))?;
    writeln!(out, "mail      {}", job.mail.template())?;
    writeln!(out, "language  {}", plain(arguments.language))?;
    writeln!(out, "to        {}", plain(arguments.to))?;
    writeln!(out, "username  {}", plain(arguments.username))?;
    let life = arguments.valid_seconds;
    let life = life.map_or_else(String::new, |seconds| format!(", good for {seconds} s"));
    writeln!(out, "link      {}{life}", origin(arguments.link.expose()))
}

fn name(letter: &DeadLetter) -> String {
    match letter.job_id.as_str() {
        "" => NO_ID.to_owned(),
        job_id => plain(job_id),
    }
}

/// The part of a link that is no secret.
fn origin(link: &str) -> String {
    let origin = url::Url::parse(link).map(|url| url.origin().ascii_serialization());
    origin.map_or_else(|_| "***".to_owned(), |origin| format!("{origin}/***"))
}

/// Anybody may have put it into the queue: nothing of it may steer a terminal.
fn plain(text: &str) -> String {
    let is_bad = |character: char| character.is_control();
    text.replace(is_bad, "?")
}

fn age(since_ms: Option<i64>, now_ms: i64) -> String {
    let Some(since_ms) = since_ms else {
        return "unknown".to_owned();
    };
    let seconds = now_ms.saturating_sub(since_ms).max(0) / 1000;
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        7200..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_has_one_unit() {
        let ages = [
            (0, "0 s"),
            (119, "119 s"),
            (120, "2 min"),
            (7200, "2 h"),
            (172_800, "2 days"),
            (-5, "0 s"),
        ];
        for (seconds, text) in ages {
            assert_eq!(age(Some(0), seconds * 1000), text);
        }
        assert_eq!(age(None, 5), "unknown");
    }

    #[test]
    fn a_link_shows_where_it_leads_and_not_its_secret() {
        assert_eq!(
            origin("https://app.example:8443/confirm/k3y?x=1"),
            "https://app.example:8443/***"
        );
        assert_eq!(origin("k3y"), "***");
    }

    #[test]
    fn nothing_of_a_letter_steers_a_terminal() {
        assert_eq!(plain("a\u{1b}[2J\r\nb"), "a?[2J??b");
    }
}
