//! A running identity-svc for one test.

use std::cell::{Cell, RefCell};
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use identity_svc::{Running, Settings};
use shared::clock::Clock;
use shared::email_job::{EmailJob, Mail};
use shared::env::Env;
use shared::queue::{Consumer, in_process};

use super::database::TestDatabase;
use super::{Answer, START_MS};

/// What a test may set before it starts the service.
pub struct Setup {
    pub database: TestDatabase,
    variables: Vec<(String, String)>,
}

impl Setup {
    pub fn sqlite() -> Self {
        Self::on(TestDatabase::sqlite())
    }

    /// `None`: skipped.
    pub fn postgres() -> Option<Self> {
        TestDatabase::postgres().map(Self::on)
    }

    fn on(database: TestDatabase) -> Self {
        Self {
            database,
            variables: Vec::new(),
        }
    }

    /// Sets `GATEHOUSE_IDENTITY_<NAME>`.
    pub fn with(mut self, name: &str, value: impl ToString) -> Self {
        self.variables
            .push((format!("GATEHOUSE_IDENTITY_{name}"), value.to_string()));
        self
    }

    /// The address has to be verified before the first login.
    pub fn mandatory(self) -> Self {
        self.with("EMAIL_VERIFICATION", "mandatory")
    }

    pub fn with_rotation(self, grace: Duration) -> Self {
        self.with("ROTATE_REFRESH_TOKENS", "on")
            .with("ROTATION_GRACE_SECONDS", grace.as_secs())
    }

    pub async fn spawn(self) -> TestApp {
        let keys = std::env::temp_dir().join(format!("gatehouse-{}.json", shared::random::hex_128()));
        let defaults = [
            ("LISTEN", "127.0.0.1:0"),
            ("DATABASE_URL", &self.database.text),
            ("DATABASE_CONNECTIONS", "4"),
            ("QUEUE_URL", "memory:"),
            ("KEYS_FILE", &keys.to_string_lossy()),
            ("CREATE_KEYS", "on"),
            ("BCRYPT_COST", "4"),
            ("HASH_THREADS", "1"),
            ("HASH_QUEUE_SECONDS", "60"),
            ("VERIFY_URL", "https://app.test/confirm/{key}"),
            ("RESET_URL", "https://app.test/reset/{uid}/{token}"),
        ]
        .map(|(name, value)| (format!("GATEHOUSE_IDENTITY_{name}"), value.to_owned()));
        let env = Env::from_pairs(defaults.into_iter().chain(self.variables));
        let settings = Settings::from_env(&env);
        env.finish(&["GATEHOUSE_"]).unwrap();
        let clock = Clock::fixed(START_MS);
        let (publisher, consumer) = in_process::channel();
        let running = identity_svc::service::start(settings, clock.clone(), publisher)
            .await
            .unwrap();
        let mails = Rc::<RefCell<Vec<EmailJob>>>::default();
        actix_web::rt::spawn(take_mails(consumer, mails.clone()));
        TestApp {
            running,
            clock,
            database: self.database,
            mails,
            expects_dead: Cell::new(false),
            keys,
        }
    }
}

/// A mailer that takes every mail at once.
async fn take_mails(mut consumer: Consumer, mails: Rc<RefCell<Vec<EmailJob>>>) {
    while let Some(delivery) = consumer.next().await {
        match EmailJob::from_json(&delivery.message().body) {
            Ok(job) => {
                mails.borrow_mut().push(job);
                delivery.ack().await;
            }
            Err(error) => delivery.dead_letter(error.to_string()).await,
        }
    }
}

pub struct TestApp {
    pub running: Running,
    pub clock: Clock,
    pub database: TestDatabase,
    mails: Rc<RefCell<Vec<EmailJob>>>,
    expects_dead: Cell<bool>,
    keys: PathBuf,
}

impl TestApp {
    pub fn advance(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }

    /// All mails so far, once none waits any more.
    pub async fn mails(&self) -> Vec<EmailJob> {
        for _ in 0..500 {
            let depth = self.running.db.call(identity_svc::db::messages::FindOutboxDepth);
            if depth.await.unwrap().waiting_count == 0 {
                return self.mails.borrow().clone();
            }
            actix_web::rt::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("mails wait for too long");
    }

    /// The latest mail to an address.
    pub async fn mail_to(&self, address: &str) -> EmailJob {
        let mails = self.mails().await;
        let latest = mails.iter().rev().find(|job| job.mail.facts().to == address);
        latest.unwrap_or_else(|| panic!("no mail to {address}")).clone()
    }

    /// The verification key of the latest mail to an address.
    pub async fn verification_key(&self, address: &str) -> String {
        let job = self.mail_to(address).await;
        assert!(matches!(job.mail, Mail::VerifyEmailV1(_)), "{job:?}");
        let link = job.mail.facts().link.expose();
        link.strip_prefix("https://app.test/confirm/").unwrap().to_owned()
    }

    /// `uid` and `token` of the latest mail to an address.
    pub async fn reset_link(&self, address: &str) -> (String, String) {
        let job = self.mail_to(address).await;
        assert!(matches!(job.mail, Mail::ResetPasswordV1(_)), "{job:?}");
        let link = job.mail.facts().link.expose();
        let path = link.strip_prefix("https://app.test/reset/").unwrap();
        let (uid, token) = path.split_once('/').unwrap();
        (uid.to_owned(), token.to_owned())
    }

    /// Registers a name with the password of all tests and its address `<name>@example.org`.
    pub async fn register(&self, name: &str) -> Answer {
        let answer = self.try_register(name, &format!("{name}@example.org")).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        answer
    }

    pub fn expect_dead(&self) {
        self.expects_dead.set(true);
    }
}

impl Drop for TestApp {
    fn drop(&mut self) {
        // Nothing else needs it, and a failed removal fails no test.
        let _ = std::fs::remove_file(&self.keys);
        if !std::thread::panicking() && !self.expects_dead.get() {
            let dead = self
                .database
                .number("SELECT count(*) FROM outbox WHERE state = 'dead'");
            assert_eq!(dead, 0, "mails were given up");
        }
    }
}
