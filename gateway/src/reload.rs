//! SIGHUP: routes file and certificate are read again. What is wrong with them is told, and the old ones stay.

use std::path::PathBuf;
use std::sync::Arc;

use shared::internal_secret::InternalSecret;
use shared::shutdown::Shutdown;
use tokio::signal::unix::{SignalKind, signal};

use crate::routes::{self, Routes};
use crate::server::tls::Certificate;

/// What there is to read again. Clones share it.
#[derive(Clone, Debug)]
pub struct Reload {
    routes_file: Option<PathBuf>,
    routes: Arc<Routes>,
    certificate: Option<Arc<Certificate>>,
    internal_secret: Option<InternalSecret>,
}

impl Reload {
    pub fn new(
        routes_file: Option<PathBuf>,
        routes: Arc<Routes>,
        certificate: Option<Arc<Certificate>>,
        internal_secret: Option<InternalSecret>,
    ) -> Self {
        Self {
            routes_file,
            routes,
            certificate,
            internal_secret,
        }
    }

    pub fn run(&self) {
        if let Some(path) = &self.routes_file {
            match routes::read_file(path) {
                Ok(file) => {
                    self.routes.replace(&file);
                    log::info!(routes = file.routes.len(); "the routes file was read again");
                }
                Err(error) => log::error!("the routes file is wrong, the old routes stay: {error}"),
            }
        }
        if let Some(certificate) = &self.certificate {
            match certificate.reload() {
                Ok(()) => log::info!("the certificate was read again"),
                Err(error) => log::error!("the new certificate is wrong, the old one stays: {error}"),
            }
        }
        match self.internal_secret.as_ref().map(InternalSecret::reload) {
            Some(Ok(true)) => log::info!("the internal secret was read again"),
            Some(Ok(false)) | None => {}
            Some(Err(error)) => log::error!("the old internal secret stays: {error}"),
        }
    }

    /// From now on, at every SIGHUP.
    pub fn on_signal(&self, mut shutdown: Shutdown) {
        let reload = self.clone();
        tokio::spawn(async move {
            let Ok(mut hang_up) = signal(SignalKind::hangup()) else {
                log::error!("cannot listen for SIGHUP; a change of routes needs a new start");
                return;
            };
            loop {
                tokio::select! {
                    received = hang_up.recv() => match received {
                        Some(()) => reload.run(),
                        None => return,
                    },
                    () = shutdown.requested() => return,
                }
            }
        });
    }
}
