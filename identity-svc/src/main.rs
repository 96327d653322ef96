//! `identity-svc`: accounts, sessions and tokens on PostgreSQL, mail jobs to RabbitMQ; and the operator's commands.
//! Wiring only.

use std::process::ExitCode;

use anyhow::anyhow;
use clap::Parser;
use identity_svc::{QueueUrl, Queues, Settings, cli};
use shared::clock::Clock;
use shared::env::{Env, SettingsError};
use shared::logging::LogSettings;
use shared::queue::{Publisher, rabbitmq};

/// Accounts, sessions and tokens of Gatehouse. Without a command it serves, behind the gateway.
///
/// Settings come from the environment; .env.example lists them all.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Option<cli::Command>,
}

/// Mail outcomes that may be on their way to the database at once.
const OUTCOMES_PREFETCH: u16 = 200;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let (log, settings) = match settings(Env::from_process()) {
        Ok(settings) => settings,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::from(2);
        }
    };
    shared::logging::start(&log);
    let outcome = match arguments.command {
        Some(command) => {
            let answer = &mut std::io::stdout();
            cli::run(&command, &settings, &Clock::System, answer).map_err(anyhow::Error::from)
        }
        None => actix_web::rt::System::new().block_on(serve(settings)),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("identity-svc: {error}");
            ExitCode::FAILURE
        }
    }
}

fn settings(env: Env) -> Result<(LogSettings, Settings), SettingsError> {
    let log = LogSettings::from_env(&env);
    let settings = Settings::from_env(&env);
    const QUEUE_URL: &str = "GATEHOUSE_IDENTITY_QUEUE_URL";
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
    env.finish(&["GATEHOUSE_IDENTITY_", "GATEHOUSE_LOG"])?;
    Ok((log, settings))
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
    let mut identity = identity_svc::service::start(settings, Clock::System, queues).await?;
    log::info!(address:% = identity.address; "identity-svc {} listens", env!("CARGO_PKG_VERSION"));
    let outcome = tokio::select! {
        signal = shared::shutdown::signal() => {
            log::info!("{signal}: finishing requests, then mail jobs");
            Ok(())
        }
        reason = identity.ended() => Err(anyhow!(reason)),
    };
    identity.stop().await;
    publisher.close().await;
    outcome
}
