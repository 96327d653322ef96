//! The gateway as a program of its own, and the commands for its operator. Wiring only.

use std::fmt::Display;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use gateway::{Settings, routes};
use shared::env::Env;
use shared::logging::{self, LogSettings};

/// The gateway of Gatehouse: all that clients see. Without a command it serves.
///
/// Settings come from the environment, `GATEHOUSE_GATEWAY_*`; .env.example lists them all. docs/gateway/ has the routes file.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Read a routes file and print the table it makes, or each mistake with its line
    Check {
        /// The file
        routes: PathBuf,
    },
    /// Ask a running gateway whether it is ready, for health checks
    Health,
}

#[actix_web::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if let Some(Command::Check { routes }) = &arguments.command {
        return check(routes);
    }
    let env = Env::from_process().with_default("GATEHOUSE_GATEWAY_ADMIN_LISTEN", "127.0.0.1:9000");
    let (settings, log_settings) = (Settings::from_env(&env), LogSettings::from_env(&env));
    if let Err(error) = env.finish(&["GATEHOUSE_GATEWAY_", "GATEHOUSE_LOG"]) {
        return fail(2, &error);
    }
    if let Some(Command::Health) = &arguments.command {
        return match shared::admin::probe(settings.admin) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => fail(1, &error),
        };
    }
    logging::start(&log_settings);
    match gateway::service::start(settings, None).await {
        Ok(running) => {
            let was_told_to_stop = running.until_signal().await;
            if was_told_to_stop {
                ExitCode::SUCCESS
            } else {
                fail(1, &"the gateway ended by itself")
            }
        }
        Err(error) => fail(1, &error),
    }
}

fn check(path: &Path) -> ExitCode {
    let file = match routes::read_file(path) {
        Ok(file) => file,
        Err(error) => return fail(1, &error),
    };
    match std::io::stdout().write_all(routes::listing(&file).as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(1, &error),
    }
}

fn fail(code: u8, error: &dyn Display) -> ExitCode {
    eprintln!("{error}");
    ExitCode::from(code)
}
