//! What docs/LOGGING.md promises of the mailer's lines.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::{Mutex, OnceLock, PoisonError};

use shared::email_job::EmailJob;

use crate::harness::{LINK, Mailer, verify_email};
use crate::smtp_server::{Act, SmtpServer};

/// Keeps every line, as the program would write it, of all tests of this binary.
struct Lines(Mutex<Vec<String>>);

impl log::Log for Lines {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        let line = shared::logging::line_of(record);
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(line);
    }

    fn flush(&self) {}
}

fn lines() -> &'static Lines {
    static LINES: OnceLock<&'static Lines> = OnceLock::new();
    LINES.get_or_init(|| {
        let lines: &'static Lines = Box::leak(Box::new(Lines(Mutex::default())));
        log::set_logger(lines).unwrap();
        log::set_max_level(log::LevelFilter::Trace);
        lines
    })
}

impl Lines {
    /// Those that carry the ids of this job, and nothing of what is in it.
    fn of(&self, job: &EmailJob) -> Vec<String> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_of_job = |line: &&String| line.contains(&format!("job_id={}", job.job_id));
        let found: Vec<String> = all.iter().filter(is_of_job).cloned().collect();
        for line in &found {
            assert!(
                line.contains(&format!("request_id={}", job.request_id)),
                "no request: {line}"
            );
            for personal in ["ann@example.org", "ann_77", LINK, "k3y_k3y"] {
                assert!(!line.contains(personal), "{line}");
            }
        }
        found
    }
}

#[actix_web::test]
async fn a_dead_letter_is_one_error_line() {
    let (lines, server) = (lines(), SmtpServer::start());
    server.script([Act::ReplyToRcpt("550 5.1.1 <ann@example.org> is not here")]);
    let mailer = Mailer::with_smtp(&server).await;
    let job = verify_email("ann@example.org", "en");
    mailer.publish(&job).await.unwrap_err();
    let said = lines.of(&job);
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(
        said[0].starts_with("ERROR mailer_svc::mail_job: mail job dead-lettered mail=verify_email attempt=1"),
        "{said:?}"
    );
}

#[actix_web::test]
async fn a_retry_is_a_warning_and_a_mail_is_an_info() {
    let (lines, server) = (lines(), SmtpServer::start());
    server.script([Act::ReplyToRcpt("451 later")]);
    let mailer = Mailer::with_smtp(&server).await;
    let job = verify_email("ann@example.org", "en");
    mailer.publish(&job).await.unwrap_err();
    mailer.publish_again(&job, 1).await.unwrap();
    let said = lines.of(&job);
    let levels: Vec<&str> = said.iter().filter_map(|line| line.split(' ').next()).collect();
    assert_eq!(levels, ["WARN", "INFO"], "{said:?}");
}

#[actix_web::test]
async fn what_only_the_operator_can_mend_is_an_error_line() {
    let (lines, server) = (lines(), SmtpServer::start());
    server.script([Act::ReplyToRcpt("530 5.7.0 authentication required")]);
    let mailer = Mailer::with_smtp(&server).await;
    let job = verify_email("ann@example.org", "en");
    mailer.publish(&job).await.unwrap_err();
    let said = lines.of(&job);
    assert!(said.len() == 1 && said[0].starts_with("ERROR "), "{said:?}");
}

#[cfg(feature = "rabbitmq")]
#[test]
fn the_program_says_its_settings_at_the_start_and_no_secret() {
    // Nobody listens at either address, which delays nothing but mails.
    let mut program = Command::new(env!("CARGO_BIN_EXE_mailer-svc"))
        .env_clear()
        .env("GATEHOUSE_MAILER_QUEUE_URL", "amqp://ann:hush@127.0.0.1:1/")
        .env("GATEHOUSE_MAILER_SENDER_URL", "smtp://ann@127.0.0.1:1")
        .env("GATEHOUSE_MAILER_SMTP_PASSWORD", "hush")
        .env("GATEHOUSE_MAILER_ADMIN_LISTEN", "off")
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut seen = Vec::new();
    for line in BufReader::new(program.stderr.take().unwrap()).lines() {
        seen.push(line.unwrap());
        // What comes last of a start.
        if seen.iter().any(|line| line.contains("cannot reach the broker")) {
            break;
        }
    }
    program.kill().unwrap();
    program.wait().unwrap();
    let settings = seen
        .iter()
        .find(|line| line.contains("starts with these settings"));
    let settings = settings.unwrap_or_else(|| panic!("{seen:?}"));
    for part in [
        " INFO  ",
        "GATEHOUSE_MAILER_QUEUE_URL=***",
        "GATEHOUSE_MAILER_SMTP_PASSWORD=***",
        "GATEHOUSE_MAILER_SENDER_URL=smtp://ann:***@127.0.0.1:1",
        "GATEHOUSE_MAILER_ADMIN_LISTEN=off",
    ] {
        assert!(settings.contains(part), "{part}: {settings}");
    }
    assert!(!seen.iter().any(|line| line.contains("hush")), "{seen:?}");
}
