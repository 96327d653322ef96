//! The gateway as a program of its own. `gateway health` asks a running one whether it is ready.

use std::fmt::Display;
use std::process::ExitCode;

use gateway::Settings;
use shared::env::Env;
use shared::logging::{self, LogSettings};

#[actix_web::main]
async fn main() -> ExitCode {
    let env = Env::from_process().with_default("GATEHOUSE_GATEWAY_ADMIN_LISTEN", "127.0.0.1:9000");
    let (settings, log_settings) = (Settings::from_env(&env), LogSettings::from_env(&env));
    if let Err(error) = env.finish(&["GATEHOUSE_GATEWAY_", "GATEHOUSE_LOG"]) {
        return fail(2, &error);
    }
    match std::env::args().nth(1).as_deref() {
        None => {}
        Some("health") => {
            return match shared::admin::probe(settings.admin) {
                Ok(()) => ExitCode::SUCCESS,
                Err(error) => fail(1, &error),
            };
        }
        Some(other) => return fail(2, &format!("\"{other}\" is no command; there is one: health")),
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
