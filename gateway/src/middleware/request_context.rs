//! What is known of a request before anything handles it; made once, in the outermost middleware.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use shared::request_id::RequestId;

use crate::edge_auth::Caller;
use crate::proxy::headers::Origin;
use crate::routes::{CanonicalPath, Route};

/// In the extensions of every request that the application sees.
#[derive(Clone, Debug)]
pub struct RequestContext {
    pub id: RequestId,
    pub started: Instant,
    /// Who asks, and how.
    pub origin: Origin,
    /// The canonical path: what routing, authentication, budgets, forwarding and the log use, and nothing else.
    /// `None`: the target has none, and the request is refused.
    pub path: Option<CanonicalPath>,
    /// Where the path leads; `None` for the gateway's own handlers, and for what is not found.
    pub route: Option<Arc<Route>>,
    /// Who the client is, checked; set by the middleware of edge authentication.
    pub caller: Option<Rc<Caller>>,
    /// For identity-svc: the client's budget is used up for so many seconds.
    pub throttle_wait_seconds: Option<i64>,
}
