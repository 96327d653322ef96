//! A mailer with a queue in front and a server or a folder behind.

use std::path::{Path, PathBuf};
use std::time::Duration;

use mail_parser::MessageParser;
use mailer_svc::{Running, Settings, StartError, service};
use shared::clock::Clock;
use shared::email_job::{EmailJob, Link, LinkMail, Mail, SCHEMA};
use shared::env::Env;
use shared::metrics::Registry;
use shared::queue::{Message, PublishError, Publisher, in_process};
use shared::random;

use crate::smtp_server::SmtpServer;

/// Thursday, 2026-01-01 00:00:00 UTC.
pub const NOW_MS: i64 = 1_767_225_600_000;
pub const LINK: &str = "https://app.example/confirm/k3y_k3y-k3y?next=%2Fhome&lang=en";

pub struct Mailer {
    pub publisher: Publisher,
    pub running: Running,
    pub clock: Clock,
}

pub fn settings(pairs: &[(&str, &str)]) -> Settings {
    let env = Env::from_pairs(pairs.iter().copied());
    let settings = Settings::from_env(&env);
    env.finish(&["GATEHOUSE_MAILER_"]).unwrap();
    settings
}

pub async fn try_start(pairs: &[(&str, &str)]) -> Result<Mailer, StartError> {
    let (publisher, consumer) = in_process::channel();
    let clock = Clock::fixed(NOW_MS);
    let running = service::start(settings(pairs), clock.clone(), consumer, &Registry::default()).await?;
    Ok(Mailer {
        publisher,
        running,
        clock,
    })
}

impl Mailer {
    pub async fn with_smtp(server: &SmtpServer) -> Self {
        Self::with_smtp_and(server, &[]).await
    }

    pub async fn with_smtp_and(server: &SmtpServer, more: &[(&str, &str)]) -> Self {
        let url = format!("smtp://{}", server.address);
        let mut pairs = vec![
            ("GATEHOUSE_MAILER_SENDER_URL", url.as_str()),
            FROM,
            ("GATEHOUSE_MAILER_SITE_NAME", "Пример"),
        ];
        pairs.extend_from_slice(more);
        try_start(&pairs).await.unwrap()
    }

    pub async fn publish(&self, job: &EmailJob) -> Result<(), PublishError> {
        self.publish_again(job, 0).await
    }

    pub async fn publish_again(&self, job: &EmailJob, failed_attempts: u32) -> Result<(), PublishError> {
        let body = job.to_json().unwrap().into_bytes();
        self.publish_body(&job.job_id, body, failed_attempts).await
    }

    pub async fn publish_body(
        &self,
        job_id: &str,
        body: Vec<u8>,
        failed_attempts: u32,
    ) -> Result<(), PublishError> {
        let message = Message {
            job_id: job_id.to_owned(),
            body,
            failed_attempts,
        };
        // A test that hangs should say where.
        tokio::time::timeout(Duration::from_secs(20), self.publisher.publish(message))
            .await
            .expect("an outcome in time")
    }
}

pub const FROM: (&str, &str) = ("GATEHOUSE_MAILER_FROM", "Gatehouse <no-reply@example.com>");

pub fn verify_email(to: &str, language: &str) -> EmailJob {
    job(Mail::VerifyEmailV1(arguments(to, language)))
}

pub fn reset_password(to: &str, language: &str) -> EmailJob {
    job(Mail::ResetPasswordV1(arguments(to, language)))
}

pub fn arguments(to: &str, language: &str) -> LinkMail {
    LinkMail {
        to: to.to_owned(),
        language: language.to_owned(),
        username: "ann_77".to_owned(),
        link: Link::new(LINK.to_owned()),
        valid_seconds: 259_200,
    }
}

pub fn job(mail: Mail) -> EmailJob {
    let job_id = random::hex_128();
    EmailJob {
        schema: SCHEMA,
        job_id,
        created_at_ms: NOW_MS,
        request_id: random::hex_128(),
        mail,
    }
}

/// The parts of a mail that a reader sees.
pub struct Read {
    pub subject: String,
    pub text: String,
    pub html: String,
}

pub fn read(mail: &str) -> Read {
    let message = MessageParser::default().parse(mail.as_bytes()).unwrap();
    Read {
        subject: message.subject().unwrap().to_owned(),
        text: message.body_text(0).unwrap().into_owned(),
        html: message.body_html(0).unwrap().into_owned(),
    }
}

/// A folder that goes away with the test.
pub struct TempDir(PathBuf);

impl TempDir {
    pub fn new() -> Self {
        let path = std::env::temp_dir().join(format!("gatehouse-mailer-{}", random::hex_128()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    pub fn write(&self, name: &str, content: &str) {
        let path = self.0.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    pub fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(&self.0).unwrap();
        let mut names: Vec<String> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Waits until `is_so`, since what happens on other threads has no signal to wait for.
pub async fn eventually(what: &str, is_so: impl Fn() -> bool) {
    for _ in 0..500 {
        if is_so() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{what} did not happen in time");
}
