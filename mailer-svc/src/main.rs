//! `mailer-svc`: takes mail jobs from a broker; and the operator's commands. Wiring only.

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use mailer_svc::{Settings, dead_letters, service};
use shared::admin;
use shared::background::Background;
use shared::clock::Clock;
use shared::env::Env;
use shared::health::Readiness;
use shared::logging::{self, LogSettings};
use shared::metrics::Registry;
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
    Dead(dead_letters::Command),
    /// Ask a running mailer-svc whether it is ready, for health checks.
    Health,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let env = Env::from_process().with_default("GATEHOUSE_MAILER_ADMIN_LISTEN", "127.0.0.1:9002");
    let log = LogSettings::from_env(&env);
    let settings = Settings::from_env_with_broker(&env);
    let summary = env.summary();
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
                dead_letters::run(
                    &command,
                    &broker,
                    &options,
                    &Clock::System,
                    &mut std::io::stdout(),
                )
                .await
                .map_err(|error| error.to_string())
            }
            Some(Command::Health) => admin::probe(settings.admin),
            None => {
                summary.log();
                serve(settings, &broker).await
            }
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

/// How often readiness looks at the broker's connection.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Serves until a signal comes, or the service ends by itself.
async fn serve(settings: Settings, broker: &Secret<String>) -> Result<(), String> {
    // The next jobs are here when the ones in hand are done, and the rest is left to other replicas.
    let prefetch = u16::try_from(settings.max_in_hand().saturating_mul(2)).unwrap_or(u16::MAX);
    let consumer = rabbitmq::consumer(broker, prefetch).map_err(|error| error.to_string())?;
    let consumer = Consumer::RabbitMq(consumer);
    let (readiness, registry) = (Readiness::default(), Registry::default());
    let (part, status) = (readiness.part("broker"), consumer.status());
    let admin = admin::start(settings.admin, readiness.clone(), registry.clone())
        .map_err(|error| error.to_string())?;
    let mut running = service::start(settings, Clock::System, consumer, &registry)
        .await
        .map_err(|error| error.to_string())?;
    let mut background = Background::default();
    background.restart("look at the broker", move || {
        match status() {
            Ok(()) => part.set_ready(),
            Err(reason) => part.set_unready(reason),
        }
        tokio::time::sleep(LOOK_EVERY)
    });
    let outcome = tokio::select! {
        signal = shared::shutdown::signal() => {
            log::info!("{signal}: finishing the mails in hand");
            readiness.drain();
            Ok(())
        }
        () = running.ended() => Err("the mailer has ended".to_owned()),
    };
    running.stop().await;
    background.stop(Duration::ZERO).await;
    admin.stop().await;
    outcome
}
