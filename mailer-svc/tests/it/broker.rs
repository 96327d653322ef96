//! mailer-svc between a real broker, named by `TEST_AMQP_URL`, and an SMTP server; and the operator's commands.

use std::time::Duration;

use mailer_svc::dead_letters::{self, Command, Which};
use mailer_svc::{Running, service};
use shared::clock::Clock;
use shared::email_job::EmailJob;
use shared::env::Env;
use shared::mail_outcome::MailResult;
use shared::metrics::Registry;
use shared::queue::rabbitmq::{self, Options};
use shared::queue::topology::Topology;
use shared::queue::{Consumer, Message, Publisher};
use shared::random;
use shared::secret::Secret;

use crate::harness::{FROM, LINK, eventually, settings, verify_email};
use crate::smtp_server::{Act, SmtpServer};

/// Names of its own on the broker. The queues stay behind, empty: the transport has no way to delete one.
struct Post {
    url: Secret<String>,
    options: Options,
    publisher: Publisher,
    clock: Clock,
}

impl Post {
    fn open(test: &str) -> Option<Self> {
        let Some(url) = Env::from_process().optional("TEST_AMQP_URL") else {
            println!("skipped, TEST_AMQP_URL is not set: {test}");
            return None;
        };
        let url = Secret::new(url);
        let options = Options {
            topology: Topology::named(
                &format!("test-{}", random::hex_128()),
                &[Duration::from_millis(300)],
            ),
            ..Options::default()
        };
        let publisher = rabbitmq::publisher_with(&url, &options).unwrap();
        Some(Self {
            url,
            options,
            publisher: Publisher::RabbitMq(publisher),
            clock: Clock::System,
        })
    }

    async fn mailer(&self, server: &SmtpServer) -> Running {
        let sender = format!("smtp://{}", server.address);
        let settings = settings(&[("GATEHOUSE_MAILER_SENDER_URL", &sender), FROM]);
        let consumer = rabbitmq::consumer_with(&self.url, 8, &self.options).unwrap();
        let registry = Registry::default();
        let started = service::start(
            settings,
            self.clock.clone(),
            Consumer::RabbitMq(consumer),
            &registry,
        );
        started.await.unwrap()
    }

    async fn publish(&self, job_id: &str, body: &str) {
        let message = Message {
            job_id: job_id.to_owned(),
            body: body.as_bytes().to_vec(),
            failed_attempts: 0,
        };
        for _ in 0..50 {
            if self.publisher.publish(message.clone()).await.is_ok() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("{:?}", self.publisher.status());
    }

    async fn post(&self, to: &str) -> EmailJob {
        let job = EmailJob {
            created_at_ms: self.clock.now_ms(),
            ..verify_email(to, "en")
        };
        self.publish(&job.job_id, &job.to_json().unwrap()).await;
        job
    }

    async fn command(&self, command: Command) -> Result<String, String> {
        let mut out = Vec::new();
        dead_letters::run(&command, &self.url, &self.options, &self.clock, &mut out)
            .await
            .map_err(|error| error.to_string())?;
        Ok(String::from_utf8(out).unwrap())
    }

    /// Outcomes of `count` jobs, in their order.
    async fn outcomes(&self, count: usize) -> Vec<(String, u32, MailResult)> {
        let mut outcomes = rabbitmq::outcome_consumer_with(&self.url, 10, &self.options).unwrap();
        let mut told = Vec::new();
        while told.len() < count {
            let next = tokio::time::timeout(Duration::from_secs(10), outcomes.next()).await;
            let delivery = next.expect("an outcome in time").unwrap();
            let outcome = delivery.outcome();
            told.push((outcome.job_id.clone(), outcome.attempts, outcome.result.clone()));
            delivery.ack().await;
        }
        told
    }
}

fn one(job: &str) -> Which {
    Which {
        job: Some(job.to_owned()),
        all: false,
    }
}

const ALL: Which = Which { job: None, all: true };

#[actix_web::test]
async fn a_job_goes_from_the_broker_to_the_mailbox_and_its_outcome_back() {
    let Some(post) = Post::open("a_job_goes_from_the_broker_to_the_mailbox_and_its_outcome_back") else {
        return;
    };
    let server = SmtpServer::start();
    server.script([Act::ReplyToMessage("451 later")]);
    let mailer = post.mailer(&server).await;
    let job = post.post("ann@example.org").await;
    eventually("the mail", || server.mails().len() == 1).await;
    mailer.stop().await;
    assert_eq!(post.outcomes(1).await, [(job.job_id, 2, MailResult::Delivered)]);
}

#[actix_web::test]
async fn two_mailers_send_every_mail_once() {
    let Some(post) = Post::open("two_mailers_send_every_mail_once") else {
        return;
    };
    let server = SmtpServer::start();
    let (first, second) = (post.mailer(&server).await, post.mailer(&server).await);
    for number in 0..40 {
        post.post(&format!("ann{number}@example.org")).await;
    }
    eventually("the mails", || server.mails().len() >= 40).await;
    first.stop().await;
    second.stop().await;
    let mut to: Vec<String> = server.mails().into_iter().flat_map(|mail| mail.to).collect();
    to.sort();
    to.dedup();
    assert_eq!((to.len(), server.mails().len()), (40, 40));
}

#[actix_web::test]
async fn a_job_that_a_stopped_mailer_had_not_begun_is_sent_by_the_next() {
    let Some(post) = Post::open("a_job_that_a_stopped_mailer_had_not_begun_is_sent_by_the_next") else {
        return;
    };
    let server = SmtpServer::start();
    server.script([Act::TakeAfterRelease]);
    let first = post.mailer(&server).await;
    post.post("ann@example.org").await;
    eventually("the first mail being held", || server.held() == 1).await;
    let release = async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        server.release();
    };
    tokio::join!(first.stop(), release);
    post.post("bob@example.org").await;
    let second = post.mailer(&server).await;
    eventually("both mails", || server.mails().len() == 2).await;
    second.stop().await;
}

#[actix_web::test]
async fn an_operator_sees_shows_replays_and_drops_dead_letters() {
    let Some(post) = Post::open("an_operator_sees_shows_replays_and_drops_dead_letters") else {
        return;
    };
    let server = SmtpServer::start();
    server.script([Act::ReplyToRcpt("550 5.1.1 <ann@example.org> unknown")]);
    let mailer = post.mailer(&server).await;
    assert_eq!(post.command(Command::List).await.unwrap(), "No dead letters.\n");
    let job = post.post("ann@example.org").await;
    let id = job.job_id.clone();
    assert_eq!(post.outcomes(1).await[0].0, id);
    post.publish("", "{\"no\": \"job\u{1b}[2J\"}").await;
    let mut list = String::new();
    for _ in 0..100 {
        list = post.command(Command::List).await.unwrap();
        if list.lines().count() == 3 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let line = list.lines().find(|line| line.starts_with(&id)).expect(&list);
    assert!(
        line.contains("verify_email") && line.contains("550 5.1.1 ***"),
        "{line}"
    );
    assert!(
        !list.contains("ann@") && !list.contains(LINK) && !list.contains('\u{1b}'),
        "{list}"
    );
    let line = list.lines().find(|line| line.starts_with("- ")).expect(&list);
    assert!(
        line.contains("unreadable") && line.contains("not an e-mail job"),
        "{line}"
    );

    let shown = post.command(Command::Show { job: id.clone() }).await.unwrap();
    assert!(shown.contains("to        ann@example.org\n"), "{shown}");
    assert!(
        shown.contains("link      https://app.example/***, good for 259200 s\n"),
        "{shown}"
    );
    assert!(!shown.contains("k3y"), "{shown}");

    let nobody = post.command(Command::Replay(one("nobody"))).await;
    assert_eq!(nobody.unwrap_err(), "no dead letter has the job id nobody");
    assert_eq!(
        post.command(Command::Replay(one(&id))).await.unwrap(),
        "Replayed.\n"
    );
    eventually("the mail", || server.mails().len() == 1).await;
    assert_eq!(post.command(Command::Drop(one("-"))).await.unwrap(), "Removed.\n");
    assert_eq!(post.command(Command::Drop(ALL)).await.unwrap(), "Removed: 0\n");
    assert_eq!(post.command(Command::List).await.unwrap(), "No dead letters.\n");
    mailer.stop().await;
    let told: Vec<MailResult> = post.outcomes(1).await.into_iter().map(|told| told.2).collect();
    assert_eq!(told, [MailResult::Delivered]);
}
