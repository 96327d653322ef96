//! `mailer-svc`: takes mail jobs from a broker; and the operator's commands. Wiring only.

use std::process::ExitCode;

use clap::Parser;
use mailer_svc::{Settings, dead, service};
use shared::clock::Clock;
use shared::env::Env;
use shared::logging::{self, LogSettings};
use shared::queue::{Consumer, rabbitmq};
use shared::secret::Secret;

/// Sends the mails of Gatehouse: jobs from RabbitMQ, mails out by SMTP.
///
/// Without a command it serves. Settings come from the environment; .env.example lists them all.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Mail jobs that were given up: look at them, send them again, remove them.
    #[command(subcommand)]
    Dead(dead::Command),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let env = Env::from_process();
    let log = LogSettings::from_env(&env);
    let settings = Settings::from_env_with_broker(&env);
    if let Err(error) = env.finish(&["GATEHOUSE_MAILER_", "GATEHOUSE_LOG"]) {
        eprintln!("{error}");
        return ExitCode::from(2);
    }
    logging::start(&log);
    let broker = settings.queue_url.clone().unwrap_or(Secret::new(String::new()));
    let outcome = actix_web::rt::System::new().block_on(async {
        match arguments.command {
            Some(Command::Dead(command)) => {
                let options = rabbitmq::Options::default();
                dead::run(
                    &command,
                    &broker,
                    &options,
                    &Clock::System,
                    &mut std::io::stdout(),
                )
                .await
                .map_err(|error| error.to_string())
            }
            None => serve(settings, &broker).await,
        }
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("mailer-svc: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Serves until a signal comes, or the service ends by itself.
async fn serve(settings: Settings, broker: &Secret<String>) -> Result<(), String> {
    // The next jobs are here when the ones in hand are done, and the rest is left to other replicas.
    let prefetch = u16::try_from(settings.max_in_hand().saturating_mul(2)).unwrap_or(u16::MAX);
    let consumer = rabbitmq::consumer(broker, prefetch).map_err(|error| error.to_string())?;
    let mut running = service::start(settings, Clock::System, Consumer::RabbitMq(consumer))
        .await
        .map_err(|error| error.to_string())?;
    let outcome = tokio::select! {
        signal = shared::shutdown::signal() => {
            log::info!("{signal}: finishing the mails in hand");
            Ok(())
        }
        () = running.ended() => Err("the mailer has ended".to_owned()),
    };
    running.stop().await;
    outcome
}
