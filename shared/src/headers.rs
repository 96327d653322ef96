//! Header names that gateway and identity-svc agree on. identity-svc believes them of a request that has the secret of
//! [`INTERNAL_SECRET`]; the gateway removes whatever a client sent under these names, in any spelling.

/// The secret that gateway and identity-svc share (`internal_secret.rs`), on every request of the gateway.
pub const INTERNAL_SECRET: &str = "x-gatehouse-internal-secret";

/// The id of a request, from the gateway's access log to the mail's log line. Also sent to clients.
pub const REQUEST_ID: &str = "x-request-id";

/// The client's address as the gateway knows it: exactly one address, no port.
pub const CLIENT_ADDRESS: &str = "x-gatehouse-client-address";

/// Set by the gateway when the client's budget (contract, section 12) is used up: whole seconds to wait.
/// identity-svc responds, because the contract puts two of its checks before this one.
pub const THROTTLE_WAIT: &str = "x-gatehouse-throttle-wait";

/// The account behind a checked access token, for services behind the gateway.
pub const AUTH_USER_ID: &str = "x-auth-user-id";

/// The session behind a checked access token, for services behind the gateway.
pub const AUTH_SESSION_ID: &str = "x-auth-session-id";
