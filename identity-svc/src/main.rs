//! `identity-svc`: accounts, sessions and tokens on PostgreSQL, mail jobs to RabbitMQ; and the operator's commands.
//! Wiring only.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::anyhow;
use clap::Parser;
use identity_svc::observe::Observed;
use identity_svc::{QueueUrl, Queues, Settings, cli};
use shared::clock::Clock;
use shared::env::{Env, SettingsError, Summary};
use shared::logging::LogSettings;
use shared::queue::{Publisher, rabbitmq};

/// Accounts, sessions and tokens of Gatehouse. Without a command it serves, behind the gateway.
///
/// Settings come from the environment; .env.example lists them all.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(clap::Subcommand)]
enum Command {
    #[command(flatten)]
    Operator(cli::Command),
    /// Ask a running identity-svc whether it is ready, for health checks
    Health,
}

/// After a signal it goes on answering for so long, once on each connection. Longer than a gateway looks for its state, and
/// than it keeps an idle connection (4 s), so that none is closed while a request is on its way.
const LINGER: Duration = Duration::from_secs(5);

const QUEUE_URL: &str = "GATEHOUSE_IDENTITY_QUEUE_URL";

/// Mail outcomes that may be on their way to the database at once.
const OUTCOMES_PREFETCH: u16 = 200;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let (log, settings, summary) =
        match settings(Env::from_process().with_default("GATEHOUSE_IDENTITY_ADMIN_LISTEN", "127.0.0.1:9001"))
        {
            Ok(settings) => settings,
            Err(error) => {
                eprintln!("{error}");
                return ExitCode::from(2);
            }
        };
    shared::logging::start(&log);
    let outcome = match arguments.command {
        Some(Command::Health) => shared::admin::probe(settings.admin).map_err(anyhow::Error::msg),
        Some(Command::Operator(command)) => {
            let answer = &mut std::io::stdout();
            cli::run(&command, &settings, &Clock::System, answer).map_err(anyhow::Error::from)
        }
        None => {
            summary.log();
            actix_web::rt::System::new().block_on(serve(settings))
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("identity-svc: {error}");
            ExitCode::FAILURE
        }
    }
}

fn settings(env: Env) -> Result<(LogSettings, Settings, Summary), SettingsError> {
    let log = LogSettings::from_env(&env);
    let settings = Settings::from_env(&env);
    match &settings.queue_url {
        // It also stands for a URL that is missing, which is noted already.
        QueueUrl::Memory if env.optional(QUEUE_URL).as_deref() == Some("memory:") => env.problem(
            QUEUE_URL,
            "is memory:, which is for the program gatehouse, where one process runs all three services",
        ),
        QueueUrl::Memory => {}
        QueueUrl::Amqp(url) => {
            if let Err(error) = rabbitmq::BrokerUrl::parse(url) {
                env.problem(QUEUE_URL, &error.to_string());
            }
        }
    }
    let summary = env.summary();
    env.finish(&["GATEHOUSE_IDENTITY_", "GATEHOUSE_LOG"])?;
    Ok((log, settings, summary))
}

/// Serves until a signal comes or a part ends by itself.
async fn serve(settings: Settings) -> anyhow::Result<()> {
    let QueueUrl::Amqp(url) = &settings.queue_url else {
        return Err(anyhow!("there is no queue"));
    };
    let publisher = Publisher::RabbitMq(rabbitmq::publisher(url)?);
    let queues = Queues {
        publisher: publisher.clone(),
        outcomes: Some(rabbitmq::outcome_consumer(url, OUTCOMES_PREFETCH)?),
    };
    let admin = settings.admin;
    if settings.internal_secret.is_none() {
        log::warn!(
            "GATEHOUSE_INTERNAL_SECRET is not set: whoever reaches {} is taken for the gateway",
            settings.listen
        );
    }
    let mut identity = identity_svc::service::start(settings, Clock::System, queues).await?;
    let broker = publisher.clone();
    let observed = Observed::start(admin, &identity, Clock::System, move || broker.status())?;
    log::info!(address:% = identity.address; "identity-svc {} listens", env!("CARGO_PKG_VERSION"));
    let outcome = tokio::select! {
        signal = shared::shutdown::signal() => {
            log::info!("{signal}: finishing requests, then mail jobs");
            observed.drain();
            identity.drain();
            tokio::time::sleep(LINGER).await;
            Ok(())
        }
        reason = identity.ended() => Err(anyhow!(reason)),
    };
    identity.stop().await;
    publisher.close().await;
    observed.stop().await;
    outcome
}
