//! The gateway as a program of its own.

use std::fmt::Display;
use std::process::ExitCode;

use gateway::Settings;
use shared::env::Env;
use shared::logging::{self, LogSettings};

#[actix_web::main]
async fn main() -> ExitCode {
    let env = Env::from_process();
    let (settings, log_settings) = (Settings::from_env(&env), LogSettings::from_env(&env));
    if let Err(error) = env.finish(&["GATEHOUSE_GATEWAY_", "GATEHOUSE_LOG"]) {
        return fail(2, &error);
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

fn fail(code: u8, error: &dyn Display) -> ExitCode {
    eprintln!("{error}");
    ExitCode::from(code)
}
