//! The table: which path goes to which upstreams, and under which rules. Whatever matches no route is 404.

mod address_rules;
mod canonical_path;
mod entry;
mod file;
mod header_rules;
mod host;
mod listing;
mod protection;

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use shared::clock::Clock;
use shared::internal_secret::InternalSecret;
use shared::metrics::{Counter, Histogram, LATENCY_BUCKETS, Registry};

pub use address_rules::AddressRules;
pub use canonical_path::CanonicalPath;
#[cfg(any(test, feature = "fuzzing"))]
pub use file::parse;
pub use file::{FileError, RouteSettings, RoutesFile, read_file};
pub use header_rules::HeaderRules;
pub use host::HostPattern;
pub use listing::listing;

use crate::request_budget::RateLimit;
use crate::upstream::{Group, Upstream, UpstreamTls, UpstreamUrl};

/// Pages that the gateway serves itself, when embedded mode gives it some.
pub const PAGES_PREFIX: &str = "/dev/";
/// Where identity-svc says that it is about to stop. An older one has no such path: its 404 is an answer, too.
const IDENTITY_PROBE: &str = "/internal/ready";
/// What identity-svc shows to the world. Its `/internal/` is in no line.
const IDENTITY_PREFIXES: [&str; 3] = ["/api/auth/", "/account/", "/.well-known/jwks.json"];

/// identity-svc's document and the page that shows it. A service with its own at these paths takes them by a route.
const DOCUMENT_PREFIXES: [&str; 4] = ["/api/schema/", "/api/schema", "/api/docs/", "/api/docs"];

/// Whether a route demands an access token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Auth {
    /// None is looked at.
    #[default]
    None,
    /// A good one is told to the upstream; any other counts as none.
    Optional,
    /// Without a good one the answer is 401.
    Required,
}

/// What becomes of a path that is almost one of a protected route: in another case, with or without its last slash, or by
/// another route to the same service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NearSpellings {
    /// It is not found.
    #[default]
    Closed,
    /// It goes where the table says.
    Open,
}

/// One line of the table.
#[derive(Debug)]
pub struct Route {
    /// The hosts that it is for; `None`: all.
    pub host: Option<HostPattern>,
    /// `/api/auth/` takes every path below it; without a last slash, exactly this path.
    pub prefix: String,
    pub upstreams: Arc<Group>,
    /// identity-svc is a part of this product: its endpoints have a budget for each client, and to clients every
    /// failure of it, refused, cut or frozen, is one thing: 503.
    pub is_identity: bool,
    pub auth: Auth,
    /// Which clients it is for. The others are answered 403.
    pub addresses: AddressRules,
    /// Whether the upstream gets the client's `Host`, and not its own.
    pub preserves_host: bool,
    pub headers: HeaderRules,
    pub strips_prefix: bool,
    /// What is protected at its service, when other routes protect more than this one.
    parts: Vec<protection::Part>,
    /// For the beginning of the answer.
    pub timeout: Duration,
    /// For a pause within the answer.
    pub pause: Duration,
    pub body: Limits,
    pub rate_limit: Option<Arc<RateLimit>>,
    pub counts: RouteCounts,
}

/// The bounds of a request's body.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub max_bytes: u64,
    pub timeout: Duration,
}

/// What is counted of a route.
#[derive(Debug)]
pub struct RouteCounts {
    /// By the first digit of the status.
    pub statuses: [Counter; 6],
    pub seconds: Histogram,
    pub limited: Counter,
}

impl RouteCounts {
    pub fn new(route: &str, metrics: &Registry) -> Self {
        let of_status = |status| {
            metrics.counter(
                "gatehouse_gateway_requests_total",
                "Requests answered, by route and status.",
                &[("route", route), ("status", status)],
            )
        };
        Self {
            statuses: ["0xx", "1xx", "2xx", "3xx", "4xx", "5xx"].map(of_status),
            seconds: metrics.histogram(
                "gatehouse_gateway_request_seconds",
                "From a request's head to the head of its answer.",
                &[("route", route)],
                LATENCY_BUCKETS,
            ),
            limited: metrics.counter(
                "gatehouse_gateway_limited_total",
                "Requests beyond the budget of their client.",
                &[("route", route)],
            ),
        }
    }
}

impl Route {
    fn matches(&self, host: Option<&str>, path: &str) -> bool {
        if let Some(pattern) = &self.host
            && !host.is_some_and(|name| pattern.matches(name))
        {
            return false;
        }
        if self.prefix.ends_with('/') {
            path.starts_with(&self.prefix)
        } else {
            path == self.prefix
        }
    }

    /// The path for the upstream.
    pub fn upstream_path<'a>(&self, path: &'a str) -> &'a str {
        if !self.strips_prefix {
            return path;
        }
        path.get(self.prefix.len().saturating_sub(1)..)
            .filter(|rest| rest.starts_with('/'))
            .unwrap_or("/")
    }
}

/// All lines at one time, in the order in which they count: those of a host first, then the longest prefix.
#[derive(Debug)]
pub struct Table {
    routes: Vec<Arc<Route>>,
    identity: Arc<Group>,
    upstreams: Vec<Arc<Upstream>>,
}

impl Table {
    /// The route of a request for `path` at `host`, the value of its `Host` header. None, too, when its service may read
    /// `path` as one that another route protects better.
    pub fn find(&self, host: Option<&str>, path: &CanonicalPath) -> Option<&Arc<Route>> {
        let host = host.map(host::name_of);
        let route = self.routes.iter().find(|route| route.matches(host, path))?;
        protection::may_have(&route.parts, route.upstream_path(path)).then_some(route)
    }

    pub fn identity(&self) -> &Arc<Group> {
        &self.identity
    }

    pub fn upstreams(&self) -> Vec<Arc<Upstream>> {
        self.upstreams.clone()
    }
}

/// What all tables have in common.
#[derive(Clone, Debug)]
pub struct Common {
    pub identity_urls: Vec<UpstreamUrl>,
    pub internal_secret: Option<InternalSecret>,
    pub timeout: Duration,
    pub body: Limits,
    pub max_in_flight: usize,
    pub clock: Clock,
    pub metrics: Registry,
}

/// The present table. To replace it disturbs no request under way.
#[derive(Debug)]
pub struct Routes {
    common: Common,
    table: RwLock<Arc<Table>>,
}

impl Routes {
    pub fn new(common: Common, file: &RoutesFile) -> Self {
        let table = RwLock::new(Arc::new(build(&common, file, None)));
        Self { common, table }
    }

    pub fn get(&self) -> Arc<Table> {
        self.table.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Upstreams and budgets that stay keep what is known of them.
    pub fn replace(&self, file: &RoutesFile) {
        let table = Arc::new(build(&self.common, file, Some(&self.get())));
        *self.table.write().unwrap_or_else(PoisonError::into_inner) = table;
    }
}

fn build(common: &Common, file: &RoutesFile, old: Option<&Table>) -> Table {
    let mut known: HashMap<UpstreamUrl, Arc<Upstream>> = HashMap::new();
    for upstream in old.iter().flat_map(|table| &table.upstreams) {
        known.insert(upstream.url.clone(), upstream.clone());
    }
    let mut upstreams: Vec<Arc<Upstream>> = Vec::new();
    let mut group =
        |urls: &[UpstreamUrl], tls: Option<&Arc<UpstreamTls>>, probe_path: Option<&str>, max_in_flight| {
            let members = urls.iter().map(|url| {
                let tls = tls.filter(|_| url.is_tls());
                let same = known
                    .get(url)
                    .filter(|old| old.is(tls, probe_path, max_in_flight));
                let upstream = same.cloned().unwrap_or_else(|| {
                    let is_identity = common.identity_urls.contains(url);
                    Upstream::with_secret(
                        url.clone(),
                        tls.cloned(),
                        probe_path.map(ToOwned::to_owned),
                        max_in_flight,
                        common.internal_secret.clone().filter(|_| is_identity),
                        &common.metrics,
                    )
                });
                known.insert(url.clone(), upstream.clone());
                if !upstreams.iter().any(|other| Arc::ptr_eq(other, &upstream)) {
                    upstreams.push(upstream.clone());
                }
                upstream
            });
            Arc::new(Group::new(members.collect()))
        };
    let identity = group(
        &common.identity_urls,
        None,
        Some(IDENTITY_PROBE),
        common.max_in_flight,
    );
    let own = IDENTITY_PREFIXES.into_iter();
    let mut routes: Vec<Arc<Route>> = own
        .chain(
            DOCUMENT_PREFIXES
                .into_iter()
                .filter(|prefix| is_free(file, prefix)),
        )
        .map(|prefix| Arc::new(identity_route(common, prefix, &identity)))
        .collect();
    let limits = rate_limits(common, file, old);
    for (index, settings) in file.routes.iter().enumerate() {
        let max_in_flight = settings.max_in_flight.unwrap_or(common.max_in_flight);
        let upstreams = group(
            &settings.upstreams,
            settings.upstream_tls.as_ref(),
            settings.health_path.as_deref(),
            max_in_flight,
        );
        routes.push(Arc::new(Route {
            host: settings.host.clone(),
            prefix: settings.prefix.clone(),
            upstreams,
            is_identity: false,
            auth: settings.auth,
            addresses: settings.addresses.clone(),
            preserves_host: settings.preserve_host,
            headers: settings.headers.clone(),
            strips_prefix: settings.strip_prefix,
            parts: protection::parts(&file.routes, index),
            timeout: settings.timeout.unwrap_or(common.timeout),
            pause: settings.pause,
            body: Limits {
                max_bytes: settings.max_body_bytes.unwrap_or(common.body.max_bytes),
                timeout: settings.body_timeout.unwrap_or(common.body.timeout),
            },
            rate_limit: settings
                .rate_class
                .as_deref()
                .and_then(|class| limits.get(class))
                .cloned(),
            counts: RouteCounts::new(&settings.name(), &common.metrics),
        }));
    }
    routes.sort_by_key(|route| order(route.host.as_ref(), &route.prefix));
    Table {
        routes,
        identity,
        upstreams,
    }
}

fn identity_route(common: &Common, prefix: &str, identity: &Arc<Group>) -> Route {
    Route {
        host: None,
        prefix: prefix.to_owned(),
        upstreams: identity.clone(),
        is_identity: true,
        auth: Auth::None,
        addresses: AddressRules::default(),
        preserves_host: false,
        headers: HeaderRules::default(),
        strips_prefix: false,
        parts: Vec::new(),
        timeout: common.timeout,
        pause: common.timeout,
        body: common.body,
        rate_limit: None,
        counts: RouteCounts::new(prefix, &common.metrics),
    }
}

/// The budgets of the classes; those that stay as they were go on.
fn rate_limits<'a>(
    common: &Common,
    file: &'a RoutesFile,
    old: Option<&Table>,
) -> HashMap<&'a str, Arc<RateLimit>> {
    let of_class = |class: &str, requests_per_minute| {
        let routes = old.iter().flat_map(|table| &table.routes);
        let mut limits = routes.filter_map(|route| route.rate_limit.as_ref());
        let known = limits.find(|limit| limit.is(class, requests_per_minute));
        known.cloned().unwrap_or_else(|| {
            Arc::new(RateLimit::of_class(
                class,
                requests_per_minute,
                common.clock.clone(),
            ))
        })
    };
    let classes = file.rate_classes.iter();
    classes
        .map(|(class, &requests_per_minute)| (class.as_str(), of_class(class, requests_per_minute)))
        .collect()
}

/// Whether no route of the file takes a prefix of identity-svc's document.
fn is_free(file: &RoutesFile, prefix: &str) -> bool {
    let is_same = |route: &RouteSettings| {
        route.host.is_none() && route.prefix.trim_end_matches('/') == prefix.trim_end_matches('/')
    };
    !file.routes.iter().any(is_same)
}

/// In which order routes count: identity-svc's own first, then those of a host, then the longest prefix.
fn order(host: Option<&HostPattern>, prefix: &str) -> impl Ord + use<> {
    let is_own = IDENTITY_PREFIXES.contains(&prefix);
    std::cmp::Reverse((is_own, host.map(HostPattern::rank), prefix.len()))
}

/// Whether the gateway itself may have a page at `path`.
pub fn is_page(path: &CanonicalPath) -> bool {
    path.starts_with(PAGES_PREFIX)
}

/// Host and prefix, as people name a route: `app.example.org/admin/`.
fn route_name(host: Option<&HostPattern>, prefix: &str) -> String {
    host.map_or_else(|| prefix.to_owned(), |host| format!("{host}{prefix}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn routes() -> Routes {
        let seconds = Duration::from_secs(1);
        let common = Common {
            identity_urls: vec!["http://127.0.0.1:1".parse().unwrap()],
            internal_secret: None,
            timeout: seconds,
            body: Limits {
                max_bytes: 10,
                timeout: seconds,
            },
            max_in_flight: 10,
            clock: Clock::System,
            metrics: Registry::default(),
        };
        Routes::new(common, &RoutesFile::default())
    }

    fn find<'a>(table: &'a Table, path: &str) -> Option<&'a Arc<Route>> {
        table.find(None, &CanonicalPath::of(path)?)
    }

    fn file(text: &str) -> RoutesFile {
        file::parse("routes.toml", text).unwrap()
    }

    #[test]
    fn the_table_has_what_clients_may_reach() {
        let table = routes().get();
        for path in [
            "/api/auth/login/",
            "/api/auth/login",
            "/api/auth/x",
            "/account/verify-email/a.b-c_d~",
            "/.well-known/jwks.json",
            "/api/schema/",
            "/api/docs",
        ] {
            assert!(find(&table, path).is_some(), "{path}");
        }
        for path in [
            "/",
            "/api/auth",
            "/account",
            "/internal/users",
            "/API/auth/login/",
            "/.well-known/jwks.json/",
            "/api/",
            "/api/auth/../internal/",
            "*",
            "",
        ] {
            assert!(find(&table, path).is_none(), "{path}");
        }
        assert!(
            is_page(&CanonicalPath::of("/dev/mailbox").unwrap())
                && !is_page(&CanonicalPath::of("/devious").unwrap())
        );
    }

    #[test]
    fn a_service_may_have_its_own_document() {
        let routes = routes();
        routes.replace(&file(
            "[[route]]\nprefix = \"/api/schema/\"\nupstreams = [\"http://127.0.0.1:2\"]\n",
        ));
        let table = routes.get();
        assert!(!find(&table, "/api/schema/").unwrap().is_identity);
        assert!(find(&table, "/api/schema").is_none(), "half of it is not ours");
        assert!(find(&table, "/api/docs/").unwrap().is_identity);
    }

    #[test]
    fn the_longest_prefix_counts_and_may_be_stripped() {
        let routes = routes();
        routes.replace(&file(
            "[[route]]\nprefix = \"/app/\"\nupstreams = [\"http://a:1\"]\nstrip_prefix = true\n\
             [[route]]\nprefix = \"/app/admin/\"\nupstreams = [\"http://b:1\"]\n\
             [[route]]\nprefix = \"/\"\nupstreams = [\"http://c:1\"]\n",
        ));
        let table = routes.get();
        let found = |path: &str| {
            let route = find(&table, path).unwrap();
            let upstream = route.upstreams.members().first().unwrap().url.to_string();
            (upstream, route.upstream_path(path).to_owned())
        };
        assert_eq!(found("/app/x/y"), ("http://a:1".into(), "/x/y".into()));
        assert_eq!(found("/app/"), ("http://a:1".into(), "/".into()));
        assert_eq!(
            found("/app/admin/x"),
            ("http://b:1".into(), "/app/admin/x".into())
        );
        assert_eq!(found("/apple"), ("http://c:1".into(), "/apple".into()));
        assert_eq!(found("/api/auth/login/").0, "http://127.0.0.1:1");
        assert_eq!(found("/internal/x").0, "http://c:1");
    }

    #[test]
    fn a_reload_keeps_what_is_known_of_upstreams_and_clients() {
        let text = "[rate_class.slow]\nrequests_per_minute = 5\n\
                    [[route]]\nprefix = \"/app/\"\nupstreams = [\"http://a:1\"]\nrate_class = \"slow\"\n";
        let routes = routes();
        routes.replace(&file(text));
        let before = find(&routes.get(), "/app/").unwrap().clone();
        routes.replace(&file(&text.replace("/app/", "/other/")));
        let after = find(&routes.get(), "/other/").unwrap().clone();
        let upstream = |route: &Route| route.upstreams.members().first().unwrap().clone();
        assert!(Arc::ptr_eq(&upstream(&before), &upstream(&after)));
        assert!(Arc::ptr_eq(
            before.rate_limit.as_ref().unwrap(),
            after.rate_limit.as_ref().unwrap()
        ));
        assert!(find(&routes.get(), "/app/").is_none());
    }

    #[test]
    fn routes_of_the_host_come_first_and_then_the_longest_prefix() {
        let routes = routes();
        routes.replace(&file(
            "[[route]]\nprefix = \"/app/long/\"\nupstreams = [\"http://any:1\"]\n\
             [[route]]\nhost = \"*.example.org\"\nprefix = \"/app/\"\nupstreams = [\"http://wild:1\"]\n\
             [[route]]\nhost = \"a.example.org\"\nprefix = \"/\"\nupstreams = [\"http://a:1\"]\n\
             [[route]]\nhost = \"a.example.org\"\nprefix = \"/app/\"\nupstreams = [\"http://a-app:1\"]\n",
        ));
        let table = routes.get();
        let found = |host: Option<&str>, path: &str| {
            let route = table.find(host, &CanonicalPath::of(path).unwrap());
            route.map(|route| route.upstreams.members().first().unwrap().url.to_string())
        };
        for (host, path, upstream) in [
            (Some("A.example.org:8443"), "/app/long/x", Some("http://a-app:1")),
            (Some("a.example.org"), "/x", Some("http://a:1")),
            (Some("b.example.org"), "/app/long/x", Some("http://wild:1")),
            (Some("example.org"), "/app/long/x", Some("http://any:1")),
            (None, "/app/long/x", Some("http://any:1")),
            (Some("b.example.org"), "/x", None),
            (
                Some("a.example.org"),
                "/api/auth/login/",
                Some("http://127.0.0.1:1"),
            ),
            (Some("a.example.org"), "/api/docs/", Some("http://a:1")),
            (Some("b.example.org"), "/api/docs/", Some("http://127.0.0.1:1")),
        ] {
            assert_eq!(found(host, path).as_deref(), upstream, "{host:?} {path}");
        }
    }

    /// The law behind all of this: whatever a path looks like, a service that decodes it never takes it for a path of a
    /// protected route, unless it came by that route.
    #[test]
    fn no_spelling_of_a_protected_path_goes_by_an_open_route() {
        let routes = routes();
        routes.replace(&file(
            "[[route]]\nprefix = \"/\"\nupstreams = [\"http://a:1\"]\n\
             [[route]]\nprefix = \"/admin/\"\nupstreams = [\"http://a:1\"]\nauth = \"required\"\n\
             [[route]]\nprefix = \"/caf\u{e9}/\"\nupstreams = [\"http://a:1\"]\nauth = \"required\"\n",
        ));
        let table = routes.get();
        for path in [
            "/%61dmin/users",
            "/a%64min/users",
            "/%61%64%6d%69%6e/users",
            "/%61%64%6D%69%6E%2Fusers",
            "/admin%2fusers",
            "/%2fadmin/users",
            "//admin/users",
            "/./admin/users",
            "/x/../admin/users",
            "/x/.%2E/%61dmin/users",
            "/;/admin/users",
            "/admin;a=b/users",
            "/adm%69n",
            "/admin",
            "/adm%69n/",
            "/ADM%49N/x",
            "/admin%5cusers",
            "/admin%00/users",
            "/%2561dmin/users",
            "/%C1%A1dmin/users",
            "/caf%c3%a9/users",
            "/c%61f%C3%A9/users",
            "/caf\u{e9}/users",
            "/CAF%C3%89/users",
        ] {
            let route = find(&table, path);
            assert!(route.is_none_or(|route| route.auth == Auth::Required), "{path}");
        }
        assert_eq!(find(&table, "/%61dmin/users").unwrap().prefix, "/admin/");
        assert_eq!(find(&table, "/c%61f%c3%a9/").unwrap().prefix, "/caf%C3%A9/");
        for path in [
            "/",
            "/administration",
            "/files/a%2Bb@c:d,e",
            "/files/%D1%84%D0%B0.txt",
        ] {
            assert_eq!(find(&table, path).unwrap().auth, Auth::None, "{path}");
        }
    }
}
