//! How the gateway speaks TLS to an upstream of `https://`.

use std::path::PathBuf;

/// What a route's `upstream_tls` says. Without one, an upstream of `https://` must show a certificate for its own host
/// that the system's authorities vouch for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct UpstreamTls {
    /// The authorities that are believed, PEM, in place of the system's.
    pub ca_file: Option<PathBuf>,
    /// The gateway's own certificate and its key, PEM, for upstreams that ask for one.
    pub client: Option<ClientCertificate>,
    /// The name that the upstream's certificate must be for, and that it is asked for (SNI), in place of its host.
    pub server_name: Option<String>,
}

/// A certificate with which the gateway says who it is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ClientCertificate {
    pub certificate_file: PathBuf,
    pub key_file: PathBuf,
}
