//! A running identity-svc for one test.

use std::cell::{Cell, RefCell};
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use identity_svc::{Running, Settings};
use shared::clock::Clock;
use shared::email_job::{EmailJob, Mail};
use shared::env::Env;
use shared::queue::in_process;

use super::database::TestDatabase;
use super::{Answer, Mailer, START_MS};

/// What a test may set before it starts the service.
pub struct Setup {
    pub database: TestDatabase,
    mailer: Mailer,
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
            mailer: Mailer::Takes,
            variables: Vec::new(),
        }
    }

    /// Sets `GATEHOUSE_IDENTITY_<NAME>`.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "numbers and texts are written where they are set"
    )]
    pub fn with(mut self, name: &str, value: impl ToString) -> Self {
        self.variables
            .push((format!("GATEHOUSE_IDENTITY_{name}"), value.to_string()));
        self
    }

    /// Sets a variable of any name.
    pub fn with_variable(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
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

    pub fn with_mailer(self, mailer: Mailer) -> Self {
        Self { mailer, ..self }
    }

    pub async fn spawn(self) -> TestApp {
        let keys = std::env::temp_dir().join(format!("gatehouse-{}.json", shared::random::hex_128()));
        let encryption_keys = keys.with_extension("encryption.json");
        let defaults = [
            ("LISTEN", "127.0.0.1:0"),
            ("DATABASE_URL", &self.database.text),
            ("DATABASE_CONNECTIONS", "4"),
            ("QUEUE_URL", "memory:"),
            ("KEYS_FILE", &keys.to_string_lossy()),
            ("ENCRYPTION_KEYS_FILE", &encryption_keys.to_string_lossy()),
            ("CREATE_KEYS", "on"),
            ("PASSWORD_CHANGED_MAIL", "on"),
            ("BCRYPT_COST", "4"),
            ("HASH_THREADS", "1"),
            ("HASH_QUEUE_SECONDS", "60"),
            ("VERIFY_URL", "https://app.test/confirm/{key}"),
            ("RESET_URL", "https://app.test/reset/{uid}/{token}"),
        ]
        .map(|(name, value)| (format!("GATEHOUSE_IDENTITY_{name}"), value.to_owned()));
        let env = Env::from_pairs(defaults.into_iter().chain(self.variables));
        let mut settings = Settings::from_env(&env);
        settings.imported_hashes = identity_svc::passwords::ImportedHashes::Typical;
        env.finish(&["GATEHOUSE_"]).unwrap();
        let clock = Clock::fixed(START_MS);
        let (publisher, consumer) = in_process::channel();
        let running = identity_svc::service::start(settings.clone(), clock.clone(), publisher)
            .await
            .unwrap();
        let mails = Rc::<RefCell<Vec<EmailJob>>>::default();
        actix_web::rt::spawn(self.mailer.run(consumer, mails.clone()));
        let database = Rc::new(self.database);
        TestApp {
            running,
            settings,
            clock,
            mails,
            database: database.clone(),
            checks: Checks {
                database,
                expects_dead: Cell::new(false),
                keys,
            },
        }
    }
}

pub struct TestApp {
    pub running: Running,
    settings: Settings,
    pub clock: Clock,
    pub database: Rc<TestDatabase>,
    mails: Rc<RefCell<Vec<EmailJob>>>,
    checks: Checks,
}

/// What is looked at when a test is over.
struct Checks {
    database: Rc<TestDatabase>,
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
        let latest = mails.iter().rev().find(|job| job.mail.arguments().to == address);
        latest.unwrap_or_else(|| panic!("no mail to {address}")).clone()
    }

    /// The verification key of the latest mail to an address.
    pub async fn verification_key(&self, address: &str) -> String {
        let job = self.mail_to(address).await;
        assert!(matches!(job.mail, Mail::VerifyEmailV1(_)), "{job:?}");
        let link = job.mail.arguments().link.expose();
        link.strip_prefix("https://app.test/confirm/").unwrap().to_owned()
    }

    /// `uid` and `token` of the latest mail to an address.
    pub async fn reset_link(&self, address: &str) -> (String, String) {
        let job = self.mail_to(address).await;
        assert!(matches!(job.mail, Mail::ResetPasswordV1(_)), "{job:?}");
        let link = job.mail.arguments().link.expose();
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

    /// Waits until a query gives a number above 0.
    pub async fn wait_until(&self, sql: &str) {
        for _ in 0..500 {
            if self.database.number(sql) > 0 {
                return;
            }
            actix_web::rt::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("never came true: {sql}");
    }

    /// What `mail status` says, or why it fails.
    pub fn mail_status(&self, name: &str) -> Result<String, String> {
        self.command(&["mail", "status", name])
    }

    /// What an operator's command says, or why it fails.
    pub fn command(&self, arguments: &[&str]) -> Result<String, String> {
        #[derive(clap::Parser)]
        struct Arguments {
            #[command(subcommand)]
            command: identity_svc::cli::Command,
        }
        let arguments = std::iter::once(&"identity-svc").chain(arguments);
        let arguments = <Arguments as clap::Parser>::parse_from(arguments);
        let mut out = Vec::new();
        identity_svc::cli::run(&arguments.command, &self.settings, &self.clock, &mut out)
            .map_err(|error| error.to_string())?;
        Ok(String::from_utf8(out).unwrap())
    }

    /// Ends the service as a signal does, and leaves its database.
    pub async fn stop(self) -> Rc<TestDatabase> {
        self.running.stop().await;
        self.database
    }

    /// This test is about mails that are given up.
    pub fn expect_dead(&self) {
        self.checks.expects_dead.set(true);
    }
}

impl Drop for Checks {
    fn drop(&mut self) {
        // Nothing else needs it, and a failed removal fails no test.
        let _ = std::fs::remove_file(&self.keys);
        let _ = std::fs::remove_file(self.keys.with_extension("encryption.json"));
        if !std::thread::panicking() && !self.expects_dead.get() {
            let dead = self
                .database
                .number("SELECT count(*) FROM outbox WHERE state = 'dead'");
            assert_eq!(dead, 0, "mails were given up");
        }
    }
}
