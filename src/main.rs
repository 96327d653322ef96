//! `gatehouse`: the three services in one process, and the operator's commands. Wiring only.

mod embedded;
mod own_hosts;

use std::process::ExitCode;

use clap::Parser;
use shared::clock::Clock;

/// An authentication back end that speaks the dj-rest-auth contract, everything in one process.
///
/// Without a command it serves: gateway on 127.0.0.1:8000, database, keys and mails in ./data. Settings come from
/// the environment; .env.example lists them all.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(clap::Subcommand)]
enum Command {
    #[command(flatten)]
    Operator(identity_svc::cli::Command),
    /// Ask a running gatehouse whether it is ready, for health checks; needs `GATEHOUSE_GATEWAY_ADMIN_LISTEN`
    Health,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let settings = match embedded::Settings::from_env(shared::env::Env::from_process()) {
        Ok(settings) => settings,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::from(2);
        }
    };
    shared::logging::start(&settings.log);
    let outcome = match arguments.command {
        Some(Command::Health) => shared::admin::probe(settings.admin()).map_err(anyhow::Error::msg),
        Some(Command::Operator(command)) => {
            let answer = &mut std::io::stdout();
            identity_svc::cli::run(&command, &settings.identity, &Clock::System, answer)
                .map_err(anyhow::Error::from)
        }
        None => actix_web::rt::System::new().block_on(embedded::run(settings)),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("gatehouse: {error}");
            ExitCode::FAILURE
        }
    }
}
