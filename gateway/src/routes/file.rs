//! The routes file: TOML, checked as a whole; every mistake is told with its line.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use toml::Spanned;

use super::address_rules::AddressRules;
use super::entry::{Entry, Problems};
use super::header_rules::HeaderRules;
use super::host::HostPattern;
use super::protection;
use super::{Auth, NearSpellings, route_name};
use crate::upstream::{UpstreamTls, UpstreamUrl};

/// How long an answer may pause: long enough for server-sent events, whose senders comment every so often.
pub(super) const DEFAULT_PAUSE_SECONDS: u64 = 300;

/// What the file says.
#[derive(Clone, Debug, Default)]
pub struct RoutesFile {
    pub routes: Vec<RouteSettings>,
    /// Requests a minute for each client.
    pub rate_classes: BTreeMap<String, usize>,
}

/// What it says of one route.
#[derive(Clone, Debug, PartialEq)]
pub struct RouteSettings {
    pub host: Option<HostPattern>,
    pub prefix: String,
    pub upstreams: Vec<UpstreamUrl>,
    pub upstream_tls: Option<Arc<UpstreamTls>>,
    pub auth: Auth,
    pub addresses: AddressRules,
    pub near_spellings: NearSpellings,
    pub preserve_host: bool,
    pub headers: HeaderRules,
    pub strip_prefix: bool,
    pub timeout: Option<Duration>,
    pub pause: Duration,
    pub body_timeout: Option<Duration>,
    pub max_body_bytes: Option<u64>,
    pub rate_class: Option<String>,
    pub health_path: Option<String>,
    pub max_in_flight: Option<usize>,
}

impl RouteSettings {
    /// A route with the defaults of the file.
    pub fn new(prefix: impl Into<String>, upstreams: Vec<UpstreamUrl>) -> Self {
        Self {
            host: None,
            prefix: prefix.into(),
            upstreams,
            upstream_tls: None,
            auth: Auth::None,
            addresses: AddressRules::default(),
            near_spellings: NearSpellings::default(),
            preserve_host: false,
            headers: HeaderRules::default(),
            strip_prefix: false,
            timeout: None,
            pause: Duration::from_secs(DEFAULT_PAUSE_SECONDS),
            body_timeout: None,
            max_body_bytes: None,
            rate_class: None,
            health_path: None,
            max_in_flight: None,
        }
    }
}

impl RouteSettings {
    /// Host and prefix, as people name a route.
    pub fn name(&self) -> String {
        route_name(self.host.as_ref(), &self.prefix)
    }
}

/// What is wrong with the file: a line for each mistake, `file:line: reason`.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct FileError(String);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    #[serde(default)]
    route: Vec<Entry>,
    #[serde(default)]
    rate_class: BTreeMap<String, RateClass>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RateClass {
    requests_per_minute: Spanned<u64>,
}

/// # Errors
/// See [`FileError`].
pub fn read_file(path: &Path) -> Result<RoutesFile, FileError> {
    let name = path.display().to_string();
    let text = std::fs::read_to_string(path)
        .map_err(|error| FileError(format!("{name}: cannot be read: {error}")))?;
    parse(&name, &text)
}

/// # Errors
/// See [`FileError`].
pub fn parse(name: &str, text: &str) -> Result<RoutesFile, FileError> {
    let mut problems = Problems {
        name,
        text,
        found: Vec::new(),
    };
    let document: Document = match toml::from_str(text) {
        Ok(document) => document,
        Err(error) => {
            let line = problems.line(error.span().unwrap_or_default());
            return Err(FileError(format!("{name}:{line}: {}", error.message().trim())));
        }
    };
    let mut file = RoutesFile::default();
    for (class, settings) in &document.rate_class {
        let limit = problems.number(Some(&settings.requests_per_minute), 1..1_000_000);
        let limit = usize::try_from(limit.unwrap_or_default()).unwrap_or_default();
        file.rate_classes.insert(class.clone(), limit);
    }
    for entry in &document.route {
        let route = problems.route(entry, &file.rate_classes);
        let is_known = file
            .routes
            .iter()
            .any(|other| other.prefix == route.prefix && other.host == route.host);
        if is_known {
            problems.add(
                &entry.prefix,
                &format!("there are two routes for {}", route.name()),
            );
        }
        file.routes.push(route);
    }
    if problems.found.is_empty() {
        problems.contradictions(&document.route, &file.routes);
    }
    if problems.found.is_empty() {
        Ok(file)
    } else {
        Err(FileError(problems.found.join("\n")))
    }
}

impl Problems<'_> {
    /// Routes for the same part of a service that do not protect it alike.
    fn contradictions(&mut self, entries: &[Entry], routes: &[RouteSettings]) {
        for (weak, strong) in protection::contradictions(routes) {
            let (Some(at), Some(weak), Some(strong_at), Some(strong)) = (
                entries.get(weak),
                routes.get(weak),
                entries.get(strong),
                routes.get(strong),
            ) else {
                continue;
            };
            let reason = format!(
                "{} leads to what {} (line {}) protects: give both the same auth, allow and deny, or write \
                 near_spellings = \"open\" there",
                weak.name(),
                strong.name(),
                self.line(strong_at.prefix.span()),
            );
            self.add(&at.prefix, &reason);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_route_says_what_it_wants_and_the_rest_has_defaults() {
        let file = parse(
            "routes.toml",
            "[rate_class.api]\nrequests_per_minute = 600\n\n[[route]]\nprefix = \"/app/\"\n\
             upstreams = [\"http://10.0.0.1:3000\", \"http://10.0.0.2:3000\"]\nauth = \"required\"\nstrip_prefix = true\n\
             timeout_seconds = 30\nmax_body_bytes = 104857600\nrate_class = \"api\"\nhealth_path = \"/healthz\"\n\n\
             [[route]]\nprefix = \"/exact\"\nupstreams = [\"http://a:1\"]\n",
        )
        .unwrap();
        let [app, exact] = file.routes.as_slice() else {
            panic!()
        };
        assert_eq!(
            (app.upstreams.len(), app.auth, app.strip_prefix),
            (2, Auth::Required, true)
        );
        assert_eq!(app.timeout, Some(Duration::from_secs(30)));
        assert_eq!(file.rate_classes["api"], 600);
        assert_eq!(
            (exact.auth, exact.timeout, exact.pause),
            (Auth::None, None, Duration::from_secs(300))
        );
    }

    #[test]
    fn every_mistake_is_told_with_its_line() {
        let error = parse(
            "routes.toml",
            "[[route]]\nprefix = \"app\"\nupstreams = [\n  \"http://a:1\",\n  \"a:2\",\n]\n\n[[route]]\nprefix = \"/api/auth/x/\"\n\
             upstreams = []\nrate_class = \"none\"\ntimeout_seconds = 0\n[[route]]\nprefix = \"/a\"\nupstreams = [\"http://a:1\"]\n\
             strip_prefix = true\n[[route]]\nprefix = \"/a\"\nupstreams = [\"http://a:1\"]\n",
        )
        .unwrap_err();
        assert_eq!(
            error.to_string(),
            "routes.toml:2: a prefix is a path such as /app/, without a query\n\
             routes.toml:5: \"a:2\" is not of the form http://host:port or https://host:port\n\
             routes.toml:9: /api/auth/ is Gatehouse's own\n\
             routes.toml:10: a route needs an upstream\n\
             routes.toml:11: there is no [rate_class.none]\n\
             routes.toml:12: 0 is not from 1 to 86400\n\
             routes.toml:14: only a prefix that ends in / can be stripped\n\
             routes.toml:18: there are two routes for /a"
        );
    }

    #[test]
    fn every_option_of_a_route_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let pem = folder.path().join("ca.pem");
        let certified = rcgen::generate_simple_self_signed(["b".to_owned()]).unwrap();
        let text = certified.cert.pem() + &certified.signing_key.serialize_pem();
        std::fs::write(&pem, text).unwrap();
        let pem = pem.display();
        let file = parse(
            "routes.toml",
            &format!(
                "[[route]]\nhost = \"*.Example.org\"\nprefix = \"/%61/caf\u{e9}/\"\nupstreams = [\"https://a\"]\n\
                 upstream_tls = {{ ca_file = \"{pem}\", certificate_file = \"{pem}\", key_file = \"{pem}\", server_name = \"b\" }}\n\
                 preserve_host = true\nallow = [\"10.0.0.0/8\", \"::1\"]\ndeny = [\"10.0.0.1\"]\nnear_spellings = \"open\"\n\
                 request_headers = {{ set = {{ X-Tenant = \"a\" }}, remove = [\"Cookie\"] }}\n\
                 response_headers = {{ set = {{ Cache-Control = \"no-store\" }}, remove = [\"Server\"] }}\n"
            ),
        )
        .unwrap();
        let [route] = file.routes.as_slice() else { panic!() };
        assert_eq!(route.name(), "*.example.org/a/caf%C3%A9/");
        assert!(route.preserve_host && route.near_spellings == NearSpellings::Open);
        assert!(!route.addresses.allows("10.0.0.1".parse().unwrap()));
        assert!(route.addresses.allows("::1".parse().unwrap()));
        let tls = route.upstream_tls.as_ref().unwrap();
        assert_eq!(tls.server_name.as_deref(), Some("b"));
        assert!(tls.ca_file.is_some() && tls.client.is_some());
        let (name, value) = route.headers.request_set.first().unwrap();
        assert_eq!((name.as_str(), value.as_bytes()), ("x-tenant", b"a".as_slice()));
        assert_eq!(route.headers.request_remove, ["cookie"]);
        assert_eq!(route.headers.response_remove, ["server"]);
        assert_eq!(route.headers.response_set.len(), 1);
    }

    #[test]
    fn every_wrong_option_is_told_with_its_line() {
        let error = parse(
            "routes.toml",
            "[[route]]\nprefix = \"/a\"\nupstreams = [\"http://a:1\"]\nhost = \"a:80\"\nallow = [\n \"10.0.0.0/33\",\n]\n\
             request_headers = { set = { Host = \"a\" }, remove = [\"Connection\"] }\n\
             response_headers = { set = { X-A = \"a\\nb\" } }\n\
             upstream_tls = { ca_file = \"/no/such\", key_file = \"/no/key\", server_name = \"a b\" }\n",
        )
        .unwrap_err()
        .to_string();
        let lines: Vec<&str> = error.lines().collect();
        for (line, reason) in lines.iter().zip([
            "10: upstream_tls is for upstreams of https://, and there is none",
            "10: /no/such cannot be read: ",
            "10: /no/key cannot be read: ",
            "10: certificate_file and key_file belong together",
            "10: server_name is a name such as api.internal, or an address",
            "4: a host is a name such as app.example.org or *.example.org",
            "6: \"10.0.0.0/33\" is neither an address nor a network",
            "8: host is kept with preserve_host = true, and no rule can change it",
            "8: connection belongs to the connection, and no rule can change it",
            "9: x-a cannot have this value",
        ]) {
            assert!(
                line.starts_with(&format!("routes.toml:{reason}")),
                "{line}\n{reason}"
            );
        }
        assert_eq!(lines.len(), 10, "{error}");
    }

    #[test]
    fn files_that_hold_no_certificate_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let pem = folder.path().join("ca.pem");
        std::fs::write(&pem, "nothing").unwrap();
        let text = format!(
            "[[route]]\nprefix = \"/a\"\nupstreams = [\"https://a\"]\nupstream_tls = {{ ca_file = \"{}\" }}\n",
            pem.display()
        );
        assert_eq!(
            parse("routes.toml", &text).unwrap_err().to_string(),
            "routes.toml:4: there is no authority to believe"
        );
    }

    #[test]
    fn one_host_has_one_route_for_a_prefix() {
        let text = "[[route]]\nhost = \"a.example\"\nprefix = \"/%61\"\nupstreams = [\"http://a:1\"]\n\
                    [[route]]\nprefix = \"/a\"\nupstreams = [\"http://a:1\"]\n";
        assert_eq!(parse("routes.toml", text).unwrap().routes.len(), 2);
        let same =
            format!("{text}[[route]]\nhost = \"A.example\"\nprefix = \"/a\"\nupstreams = [\"http://a:1\"]\n");
        assert_eq!(
            parse("routes.toml", &same).unwrap_err().to_string(),
            "routes.toml:10: there are two routes for a.example/a"
        );
    }

    #[test]
    fn two_routes_to_one_part_of_a_service_protect_it_alike() {
        let text = |first: &str, second: &str| {
            format!(
                "[[route]]\nprefix = \"/admin/\"\nupstreams = [\"http://a:1\"]\nauth = \"required\"\n{first}\n\
                 [[route]]\nprefix = \"/x/\"\nupstreams = [\"http://b:1\"]\n\
                 [[route]]\n{second}\nupstreams = [\"http://b:1\", \"http://a:1\"]\n"
            )
        };
        for prefix in ["/admin", "/Admin/", "/ADMIN"] {
            assert_eq!(
                parse("routes.toml", &text("", &format!("prefix = \"{prefix}\"")))
                    .unwrap_err()
                    .to_string(),
                format!(
                    "routes.toml:10: {prefix} leads to what /admin/ (line 2) protects: give both the same auth, allow \
                     and deny, or write near_spellings = \"open\" there"
                )
            );
        }
        let stripped = text("strip_prefix = true", "prefix = \"/\"");
        assert!(
            parse("routes.toml", &stripped).is_err(),
            "both are all of the service"
        );
        for (first, second) in [
            ("near_spellings = \"open\"", "prefix = \"/admin\""),
            ("", "auth = \"required\"\nprefix = \"/admin\""),
            ("", "prefix = \"/\""),
            ("", "prefix = \"/admin/open/\""),
        ] {
            assert!(
                parse("routes.toml", &text(first, second)).is_ok(),
                "{first} {second}"
            );
        }
    }

    #[test]
    fn what_is_no_toml_or_no_setting_is_told_with_its_line() {
        for (text, line) in [
            ("[[route]]\nprefix = \n", "routes.toml:2: "),
            (
                "[[route]]\nprefix = \"/a\"\nupstream = []\n",
                "routes.toml:3: unknown field `upstream`",
            ),
            (
                "\n[[route]]\nprefix = \"/a\"\n",
                "routes.toml:2: missing field `upstreams`",
            ),
            (
                "[[route]]\nprefix = \"/a\"\nupstreams = [\"http://a:1\"]\nauth = \"always\"\n",
                "routes.toml:4: unknown variant `always`",
            ),
        ] {
            let error = parse("routes.toml", text).unwrap_err().to_string();
            assert!(error.starts_with(line), "{error}");
        }
    }
}
