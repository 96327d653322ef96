//! Settings of mailer-svc, from `GATEHOUSE_MAILER_*`.

use std::path::{Path, PathBuf};

use lettre::Address;
use lettre::message::Mailbox;
use shared::admin::Listen;
use shared::brand::{Brand, Palette};
use shared::env::Env;
use shared::secret::Secret;

use crate::outgoing_mail::with_ascii_domain;
use crate::smtp_url::{Security, SmtpSettings};

const QUEUE_URL: &str = "GATEHOUSE_MAILER_QUEUE_URL";
const SENDER_URL: &str = "GATEHOUSE_MAILER_SENDER_URL";
const SMTP_PASSWORD: &str = "GATEHOUSE_MAILER_SMTP_PASSWORD";
const FROM: &str = "GATEHOUSE_MAILER_FROM";
const TEMPLATES_DIR: &str = "GATEHOUSE_MAILER_TEMPLATES_DIR";

/// Everything that can be set.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `GATEHOUSE_MAILER_QUEUE_URL`, or `GATEHOUSE_MAILER_QUEUE_URL_FILE`: where jobs come from. `None` when not set, as in
    /// embedded mode; `amqp:` or `amqps:` for a program of its own.
    pub queue_url: Option<Secret<String>>,
    /// `GATEHOUSE_MAILER_ADMIN_LISTEN`: health and metrics. Default `127.0.0.1:9002`, in embedded mode off.
    pub admin: Listen,
    /// `GATEHOUSE_MAILER_SENDER_URL`: `file:FOLDER`, `smtp://...` or `smtps://...`. Required.
    pub sender: SenderSettings,
    /// `GATEHOUSE_MAILER_FROM`, default `Gatehouse <no-reply@localhost>`. Its domain is in ASCII here.
    pub from: Mailbox,
    /// `GATEHOUSE_MAILER_SITE_NAME`, default `GATEHOUSE_BRAND_NAME`.
    pub site_name: String,
    /// The colours that follow from `GATEHOUSE_BRAND_COLOR`.
    pub palette: Palette,
    /// `GATEHOUSE_MAILER_TEMPLATES_DIR`: replaces compiled-in templates one by one.
    pub templates_dir: Option<PathBuf>,
}

/// Where mails go.
#[derive(Clone, Debug)]
pub enum SenderSettings {
    Folder(PathBuf),
    Smtp(SmtpSettings),
}

impl Settings {
    pub fn from_env(env: &Env) -> Self {
        let brand = Brand::from_env(env);
        Self {
            queue_url: env.secret(QUEUE_URL),
            admin: Listen::from_env(env, "GATEHOUSE_MAILER_ADMIN_LISTEN"),
            sender: sender(env),
            from: from(env),
            site_name: site_name(env, &brand.name),
            palette: Palette::of(brand.color),
            templates_dir: templates_dir(env),
        }
    }

    /// Settings of the program of its own: jobs come from a broker.
    #[cfg(feature = "rabbitmq")]
    pub fn from_env_with_broker(env: &Env) -> Self {
        let settings = Self::from_env(env);
        match &settings.queue_url {
            Some(url) => {
                if let Err(error) = shared::queue::rabbitmq::BrokerUrl::parse(url) {
                    env.problem(QUEUE_URL, &error.to_string());
                }
            }
            None => {
                env.required(QUEUE_URL, "amqp://user:password@host:5672/vhost");
            }
        }
        settings
    }

    /// How many jobs may be in hand at once.
    pub fn max_in_hand(&self) -> usize {
        match &self.sender {
            // The files then come in the order of their jobs.
            SenderSettings::Folder(_) => 1,
            SenderSettings::Smtp(smtp) => smtp.connections,
        }
    }

    /// The folder that mails are written into, when they go into a folder.
    pub fn mails_folder(&self) -> Option<&Path> {
        match &self.sender {
            SenderSettings::Folder(folder) => Some(folder),
            SenderSettings::Smtp(_) => None,
        }
    }
}

fn sender(env: &Env) -> SenderSettings {
    let starttls = env.choice(
        "GATEHOUSE_MAILER_SMTP_STARTTLS",
        None,
        &[
            ("required", Some(Security::StartTls)),
            ("opportunistic", Some(Security::StartTlsIfOffered)),
            ("off", Some(Security::Plain)),
        ],
    );
    let connections = env.number("GATEHOUSE_MAILER_SMTP_CONNECTIONS", 4, 1..=64);
    let timeout = env.seconds("GATEHOUSE_MAILER_SMTP_TIMEOUT_SECONDS", 30, 1..=600);
    let password = env.secret(SMTP_PASSWORD);
    let url = env.required(
        SENDER_URL,
        "file:FOLDER, smtp://user:password@host:587 or smtps://user:password@host:465",
    );

    let nowhere = SenderSettings::Folder(PathBuf::new());
    if url.is_empty() {
        return nowhere; // Noted by `required`.
    }
    if let Some(folder) = url.strip_prefix("file:") {
        let folder = folder.strip_prefix("//").unwrap_or(folder);
        if folder.is_empty() {
            env.problem(SENDER_URL, "names no folder, as in file:./data/mails");
        }
        return SenderSettings::Folder(PathBuf::from(folder));
    }
    match SmtpSettings::parse(&url, starttls) {
        Ok(parsed) => SenderSettings::Smtp(SmtpSettings {
            password: one_password(env, &parsed, password),
            connections: usize::try_from(connections).unwrap_or(1),
            timeout,
            ..parsed
        }),
        Err(what) => {
            env.problem(SENDER_URL, &what);
            nowhere
        }
    }
}

fn one_password(
    env: &Env,
    parsed: &SmtpSettings,
    separate: Option<Secret<String>>,
) -> Option<Secret<String>> {
    match (&parsed.user, &parsed.password, &separate) {
        (_, Some(_), Some(_)) => env.problem(
            SMTP_PASSWORD,
            "is set, and a password stands in the URL of the sender too; keep one",
        ),
        (None, None, Some(_)) => {
            env.problem(SMTP_PASSWORD, "is set, but the URL of the sender names no user");
        }
        (Some(_), None, None) => {
            env.problem(SMTP_PASSWORD, "is required: the URL of the sender names a user");
        }
        _ => {}
    }
    if parsed.user.is_some() && parsed.security == Security::StartTlsIfOffered {
        env.problem(
            "GATEHOUSE_MAILER_SMTP_STARTTLS",
            "is opportunistic, so that anybody on the way could get the password; make it required",
        );
    }
    parsed.password.clone().or(separate)
}

fn from(env: &Env) -> Mailbox {
    let default = Mailbox::new(
        Some("Gatehouse".to_owned()),
        Address::new_dangerous("no-reply", "localhost"),
    );
    let mailbox = env.parsed(FROM, default);
    let has_control = mailbox
        .name
        .as_ref()
        .is_some_and(|name| name.chars().any(char::is_control));
    let ascii = with_ascii_domain(&mailbox.email).filter(|address| address.user().is_ascii() && !has_control);
    let Some(email) = ascii else {
        env.problem(
            FROM,
            "has an address that is neither ASCII nor has an ASCII form, or a control character",
        );
        return mailbox;
    };
    Mailbox::new(mailbox.name, email)
}

fn site_name(env: &Env, default: &str) -> String {
    let name = env.text("GATEHOUSE_MAILER_SITE_NAME", default);
    if name.chars().any(char::is_control) || name.chars().count() > 100 {
        env.problem(
            "GATEHOUSE_MAILER_SITE_NAME",
            "is longer than 100 characters or has a control character",
        );
    }
    name
}

fn templates_dir(env: &Env) -> Option<PathBuf> {
    let folder = env.optional_path(TEMPLATES_DIR)?;
    if !folder.is_dir() {
        env.problem(
            TEMPLATES_DIR,
            &format!("names {}, which is not a folder", folder.display()),
        );
    }
    Some(folder)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn read(pairs: &[(&str, &str)]) -> (Settings, Result<(), String>) {
        let env = Env::from_pairs(pairs.iter().copied());
        let settings = Settings::from_env(&env);
        (
            settings,
            env.finish(&["GATEHOUSE_MAILER_"])
                .map_err(|error| error.to_string()),
        )
    }

    fn problem(pairs: &[(&str, &str)]) -> String {
        read(pairs).1.unwrap_err()
    }

    #[test]
    fn a_folder_is_enough() {
        for (url, folder) in [
            ("file:./data/mails", "./data/mails"),
            ("file:///srv/mails", "/srv/mails"),
            ("file:/srv", "/srv"),
        ] {
            let (settings, outcome) = read(&[(SENDER_URL, url)]);
            outcome.unwrap();
            assert_eq!(settings.mails_folder(), Some(Path::new(folder)));
            assert_eq!(settings.from.to_string(), "Gatehouse <no-reply@localhost>");
        }
    }

    #[test]
    fn an_smtp_server_takes_its_password_from_one_place() {
        let (settings, outcome) = read(&[
            (SENDER_URL, "smtps://ann@mail.example.org"),
            (SMTP_PASSWORD, "hush"),
            ("GATEHOUSE_MAILER_SMTP_CONNECTIONS", "2"),
            ("GATEHOUSE_MAILER_SMTP_TIMEOUT_SECONDS", "7"),
            ("GATEHOUSE_MAILER_QUEUE_URL", "amqp://ann:pw@host/"),
        ]);
        outcome.unwrap();
        assert!(settings.mails_folder().is_none());
        let debug = format!("{settings:?}");
        assert!(!debug.contains("hush") && !debug.contains("pw@host"), "{debug}");
        let SenderSettings::Smtp(smtp) = settings.sender else {
            panic!()
        };
        assert_eq!((smtp.connections, smtp.timeout), (2, Duration::from_secs(7)));
        assert_eq!(smtp.password.unwrap().expose(), "hush");

        assert!(problem(&[(SENDER_URL, "smtps://ann:a@h"), (SMTP_PASSWORD, "b")]).contains("keep one"));
        assert!(
            problem(&[(SENDER_URL, "smtps://ann@h")])
                .starts_with("GATEHOUSE_MAILER_SMTP_PASSWORD is required")
        );
        assert!(problem(&[(SENDER_URL, "smtps://h"), (SMTP_PASSWORD, "b")]).contains("names no user"));
    }

    #[test]
    fn a_password_never_depends_on_what_the_network_lets_through() {
        let pairs = [
            (SENDER_URL, "smtp://ann:a@h"),
            ("GATEHOUSE_MAILER_SMTP_STARTTLS", "opportunistic"),
        ];
        assert!(problem(&pairs).contains("make it required"));
    }

    #[test]
    fn mistakes_are_named() {
        assert!(problem(&[]).starts_with("GATEHOUSE_MAILER_SENDER_URL is required: "));
        assert!(problem(&[(SENDER_URL, "file:")]).contains("names no folder"));
        assert!(problem(&[(SENDER_URL, "mailto:x")]).contains("begins with \"mailto:\""));
        let file = (SENDER_URL, "file:x");
        assert!(problem(&[file, (FROM, "nobody")]).starts_with("GATEHOUSE_MAILER_FROM is \"nobody\""));
        assert!(problem(&[file, (TEMPLATES_DIR, "/nowhere/at/all")]).contains("not a folder"));
        assert!(
            problem(&[file, ("GATEHOUSE_MAILER_SMTP_STARTTLS", "maybe")])
                .contains("required, opportunistic, off")
        );
    }

    #[cfg(feature = "rabbitmq")]
    #[test]
    fn a_program_of_its_own_needs_a_broker() {
        let problem = |pairs: &[(&str, &str)]| {
            let env = Env::from_pairs(pairs.iter().copied());
            Settings::from_env_with_broker(&env);
            env.finish(&["GATEHOUSE_MAILER_"])
                .map_err(|error| error.to_string())
        };
        let file = (SENDER_URL, "file:x");
        problem(&[file, (QUEUE_URL, "amqp://ann:hush@host/mail")]).unwrap();
        let said = problem(&[file]).unwrap_err();
        assert!(
            said.starts_with("GATEHOUSE_MAILER_QUEUE_URL is required: amqp://"),
            "{said}"
        );
        assert_eq!(
            problem(&[file, (QUEUE_URL, "memory:")]).unwrap_err(),
            "GATEHOUSE_MAILER_QUEUE_URL begins with \"memory:\", not with amqp: or amqps:"
        );
    }

    #[test]
    fn an_international_sender_is_kept_in_ascii() {
        let (settings, outcome) = read(&[(SENDER_URL, "file:x"), (FROM, "Привет <no-reply@пример.рф>")]);
        outcome.unwrap();
        assert_eq!(settings.from.email.to_string(), "no-reply@xn--e1afmkfd.xn--p1ai");
    }
}
