//! The gateway as a program of its own.

use std::process::ExitCode;

use gateway::Settings;
use shared::env::Env;
use shared::logging::{self, LogSettings};

#[actix_web::main]
async fn main() -> ExitCode {
    let env = Env::from_process();
    let (settings, log_settings) = (Settings::from_env(&env), LogSettings::from_env(&env));
    if let Err(error) = env.finish(&["GATEHOUSE_GATEWAY_", "GATEHOUSE_LOG"]) {
        eprintln!("{error}");
        return ExitCode::from(2);
    }
    logging::start(&log_settings);
    let mut gateway = match gateway::service::start(settings, None).await {
        Ok(gateway) => gateway,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    };
    tokio::select! {
        signal = shared::shutdown::signal() => log::info!("{signal}: the gateway stops"),
        () = gateway.ended() => return ExitCode::FAILURE,
    }
    gateway.stop().await;
    ExitCode::SUCCESS
}
