//! The three services in one process: SQLite, an in-process queue, mails as files and a mailbox page.

use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

use actix_web::guard::fn_guard;
use actix_web::web::{self, ServiceConfig};
use anyhow::anyhow;
use gateway::ExtraPages;
use shared::clock::Clock;
use shared::env::{Env, SettingsError, Summary};
use shared::internal_secret::InternalSecret;
use shared::logging::LogSettings;
use shared::metrics::Registry;
use shared::private_file;
use shared::queue::in_process;

use crate::own_hosts::OwnHosts;

pub struct Settings {
    pub log: LogSettings,
    pub identity: identity_svc::Settings,
    gateway: gateway::Settings,
    mailer: mailer_svc::Settings,
    public_url: String,
    data_dir: PathBuf,
    summary: Summary,
}

impl Settings {
    /// # Errors
    /// Everything that is wrong with the environment, one sentence each.
    pub fn from_env(env: Env) -> Result<Self, SettingsError> {
        let data_dir = env.text("GATEHOUSE_DATA_DIR", "./data");
        let listen = env.text("GATEHOUSE_GATEWAY_LISTEN", "127.0.0.1:8000");
        let public_url = env.text("GATEHOUSE_PUBLIC_URL", &format!("http://{listen}"));
        let public_url = public_url.trim_end_matches('/').to_owned();
        let in_data = |scheme: &str, name: &str| format!("{scheme}{data_dir}/{name}");
        let env = env
            .with_default("GATEHOUSE_IDENTITY_LISTEN", "127.0.0.1:0")
            .with_default(
                "GATEHOUSE_IDENTITY_DATABASE_URL",
                in_data("sqlite:", "gatehouse.sqlite3"),
            )
            .with_default("GATEHOUSE_IDENTITY_QUEUE_URL", "memory:")
            .with_default("GATEHOUSE_IDENTITY_KEYS_FILE", in_data("", "keys.json"))
            .with_default(
                "GATEHOUSE_IDENTITY_ENCRYPTION_KEYS_FILE",
                in_data("", "encryption-keys.json"),
            )
            .with_default("GATEHOUSE_IDENTITY_CREATE_KEYS", "on")
            .with_default(
                "GATEHOUSE_IDENTITY_VERIFY_URL",
                format!("{public_url}/account/verify-email/{{key}}"),
            )
            .with_default(
                "GATEHOUSE_IDENTITY_RESET_URL",
                format!("{public_url}/account/password/reset/confirm/{{uid}}/{{token}}"),
            )
            .with_default(
                "GATEHOUSE_IDENTITY_ASK_RESET_URL",
                format!("{public_url}/account/password/reset"),
            )
            .with_default("GATEHOUSE_MAILER_QUEUE_URL", "memory:")
            .with_default("GATEHOUSE_MAILER_SENDER_URL", in_data("file:", "mails"));
        let settings = Self {
            log: LogSettings::from_env(&env),
            identity: identity_svc::Settings::from_env(&env),
            gateway: gateway::Settings::from_env(&env),
            mailer: mailer_svc::Settings::from_env(&env),
            public_url,
            data_dir: PathBuf::from(data_dir),
            // The last, when everything has been read.
            summary: env.summary(),
        };
        for name in ["GATEHOUSE_IDENTITY_QUEUE_URL", "GATEHOUSE_MAILER_QUEUE_URL"] {
            if env.text(name, "memory:") != "memory:" {
                env.problem(
                    name,
                    "must be memory: here, where one process runs all three services",
                );
            }
        }
        env.finish(&["GATEHOUSE_"])?;
        Ok(settings)
    }

    /// Where the gateway tells whether it is ready, which it is when the others are.
    pub fn admin(&self) -> shared::admin::Listen {
        self.gateway.admin
    }
}

/// Serves until a signal comes or a part ends by itself.
///
/// # Errors
/// One sentence: what does not start, or what has ended.
pub async fn run(mut settings: Settings) -> anyhow::Result<()> {
    settings.summary.log();
    // Database, keys and mails are in it: for its owner alone, also when an earlier release made it.
    private_file::create_folder(&settings.data_dir).map_err(|error| {
        anyhow!(
            "cannot create the folder {}: {error}",
            settings.data_dir.display()
        )
    })?;
    private_file::tighten(&settings.data_dir);
    let clock = Clock::System;
    let (publisher, consumer) = in_process::channel();
    let mailbox = mailbox(&settings);
    let has_mailbox = mailbox.is_some();
    // Unless the settings have one: nobody else has to know it.
    let internal_secret = settings.identity.internal_secret.clone();
    let internal_secret = internal_secret.unwrap_or_else(InternalSecret::random);
    settings.identity.internal_secret = Some(internal_secret.clone());
    let has_api_docs = settings.identity.api_docs;
    let mut mailer =
        mailer_svc::service::start(settings.mailer, clock.clone(), consumer, &Registry::default()).await?;
    let mut identity = identity_svc::service::start(settings.identity, clock, publisher.clone()).await?;
    let mut gateway_settings = settings.gateway;
    let identity_url = format!("http://{}", identity.address);
    let identity_url = identity_url
        .parse()
        .map_err(|error| anyhow!("{identity_url}: {error}"))?;
    gateway_settings.identity_urls = vec![identity_url];
    gateway_settings.internal_secret = Some(internal_secret);
    let mut gateway = gateway::service::start(gateway_settings, mailbox).await?;
    let greeting = greet(
        &settings.public_url,
        &settings.data_dir,
        gateway.address,
        identity.address,
        has_mailbox,
        has_api_docs,
    );
    if let Err(error) = greeting {
        // Nobody reads it; whoever closed standard output did not mean to end the service.
        log::warn!("cannot write the greeting: {error}");
    }
    let outcome = tokio::select! {
        signal = shared::shutdown::signal() => {
            log::info!("{signal}: finishing requests, then mails");
            Ok(())
        }
        () = gateway.ended() => Err(anyhow!("the gateway has ended")),
        reason = identity.ended() => Err(anyhow!(reason)),
        () = mailer.ended() => Err(anyhow!("the mailer has ended")),
    };
    // In the order of a request's way: nothing new comes in, then its mails go out.
    gateway.stop().await;
    identity.stop().await;
    mailer.stop().await;
    // Until here the queue must not end: without it the mailer would take the stop for a failure.
    drop(publisher);
    outcome
}

/// The mailbox page, where mails go into a folder and nobody else can see the page: it shows links with secrets.
fn mailbox(settings: &Settings) -> Option<ExtraPages> {
    let folder = settings.mailer.mails_folder()?.to_owned();
    let address = settings.gateway.listen.ip();
    if !address.is_loopback() {
        log::warn!(
            "the mailbox page is not shown, because the gateway listens on {address}, where others can reach it; mails are in {}",
            folder.display()
        );
        return None;
    }
    let own_hosts = OwnHosts::new(address, &settings.public_url);
    let mailer = &settings.mailer;
    let pages = mailer_svc::mailbox::pages(folder, &mailer.site_name, &mailer.palette);
    Some(Arc::new(move |config: &mut ServiceConfig| {
        let own_hosts = own_hosts.clone();
        let for_us = fn_guard(move |context| own_hosts.are_meant(context.head()));
        config.service(web::scope("").guard(for_us).configure(pages.clone()));
    }))
}

fn greet(
    url: &str,
    data_dir: &std::path::Path,
    gateway: std::net::SocketAddr,
    identity: std::net::SocketAddr,
    has_mailbox: bool,
    has_api_docs: bool,
) -> std::io::Result<()> {
    let mut out = std::io::stdout();
    let api = format!("{url}/api/auth");
    writeln!(out, "Gatehouse {} is running.\n", env!("CARGO_PKG_VERSION"))?;
    writeln!(out, "  gateway   http://{gateway}")?;
    writeln!(out, "  identity  http://{identity} (private)")?;
    writeln!(out, "  data      {}", data_dir.display())?;
    if has_mailbox {
        writeln!(out, "  mailbox   {url}/dev/mailbox")?;
    }
    if has_api_docs {
        writeln!(out, "  API       {url}/api/docs/")?;
    }
    writeln!(out, "\nTry it:\n")?;
    writeln!(
        out,
        "  curl -s {api}/registration/ -d username=ann -d email=ann@example.org -d password1=Quartz-Lamp-9 -d password2=Quartz-Lamp-9"
    )?;
    writeln!(
        out,
        "  curl -s {api}/login/ -d username=ann -d password=Quartz-Lamp-9"
    )?;
    writeln!(out, "  curl -s {api}/token/verify/ -d token=...")?;
    writeln!(out, "\nCtrl-C ends it.")?;
    out.flush()
}
