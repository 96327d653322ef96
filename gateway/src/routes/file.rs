//! The routes file: TOML, checked as a whole; every mistake is told with its line.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use toml::Spanned;

use super::address_rules::AddressRules;
use super::header_rules::{self, HeaderRules};
use super::host::HostPattern;
use super::protection;
use super::{Auth, CanonicalPath, IDENTITY_PREFIXES, NearSpellings, PAGES_PREFIX, route_name};
use crate::client_address::parse_network;
use crate::upstream::{ClientCertificate, UpstreamTls, UpstreamUrl};

/// How long an answer may pause: long enough for server-sent events, whose senders comment every so often.
const DEFAULT_PAUSE_SECONDS: u64 = 300;
const MAX_SECONDS: u64 = 86_400;
/// Paths of the gateway's own, and of identity-svc's inside.
const OWN_PREFIXES: [&str; 3] = ["/auth/forward", "/internal", PAGES_PREFIX];

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

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    host: Option<Spanned<String>>,
    prefix: Spanned<String>,
    upstreams: Spanned<Vec<Spanned<String>>>,
    upstream_tls: Option<Spanned<TlsEntry>>,
    #[serde(default)]
    auth: Auth,
    #[serde(default)]
    allow: Vec<Spanned<String>>,
    #[serde(default)]
    deny: Vec<Spanned<String>>,
    #[serde(default)]
    near_spellings: NearSpellings,
    #[serde(default)]
    preserve_host: bool,
    #[serde(default)]
    request_headers: HeadersEntry,
    #[serde(default)]
    response_headers: HeadersEntry,
    #[serde(default)]
    strip_prefix: bool,
    timeout_seconds: Option<Spanned<u64>>,
    pause_seconds: Option<Spanned<u64>>,
    body_seconds: Option<Spanned<u64>>,
    max_body_bytes: Option<Spanned<u64>>,
    max_in_flight: Option<Spanned<u64>>,
    rate_class: Option<Spanned<String>>,
    health_path: Option<Spanned<String>>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct HeadersEntry {
    #[serde(default)]
    set: BTreeMap<String, Spanned<String>>,
    #[serde(default)]
    remove: Vec<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TlsEntry {
    ca_file: Option<Spanned<PathBuf>>,
    certificate_file: Option<Spanned<PathBuf>>,
    key_file: Option<Spanned<PathBuf>>,
    server_name: Option<Spanned<String>>,
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

struct Problems<'a> {
    name: &'a str,
    text: &'a str,
    found: Vec<String>,
}

impl Problems<'_> {
    fn line(&self, span: Range<usize>) -> usize {
        let before = self.text.get(..span.start).unwrap_or(self.text);
        before.matches('\n').count() + 1
    }

    fn add<T>(&mut self, at: &Spanned<T>, reason: &str) {
        let line = self.line(at.span());
        self.found.push(format!("{}:{line}: {reason}", self.name));
    }

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

    fn route(&mut self, entry: &Entry, classes: &BTreeMap<String, usize>) -> RouteSettings {
        let prefix = self.prefix(&entry.prefix);
        let is_taken = |taken: &&&str| {
            let rest = prefix.strip_prefix(taken.trim_end_matches('/'));
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        if let Some(taken) = IDENTITY_PREFIXES.iter().chain(&OWN_PREFIXES).find(is_taken) {
            self.add(&entry.prefix, &format!("{taken} is Gatehouse's own"));
        }
        if entry.strip_prefix && !prefix.ends_with('/') {
            self.add(&entry.prefix, "only a prefix that ends in / can be stripped");
        }
        if entry.upstreams.get_ref().is_empty() {
            self.add(&entry.upstreams, "a route needs an upstream");
        }
        let (upstreams, upstream_tls) = self.upstreams(entry);
        let host = entry.host.as_ref().and_then(|host| {
            let parsed = host.get_ref().parse();
            parsed
                .map_err(|error: super::host::BadHost| self.add(host, &error.to_string()))
                .ok()
        });
        if let Some(class) = &entry.rate_class
            && !classes.contains_key(class.get_ref())
        {
            self.add(class, &format!("there is no [rate_class.{}]", class.get_ref()));
        }
        if let Some(path) = &entry.health_path
            && (!path.get_ref().starts_with('/')
                || !path.get_ref().bytes().all(|byte| byte.is_ascii_graphic()))
        {
            self.add(path, "a health path is a path such as /health");
        }
        let text = |value: &Option<Spanned<String>>| value.as_ref().map(|text| text.get_ref().clone());
        RouteSettings {
            host,
            prefix,
            upstreams,
            upstream_tls,
            auth: entry.auth,
            addresses: AddressRules {
                allow: self.networks(&entry.allow),
                deny: self.networks(&entry.deny),
            },
            near_spellings: entry.near_spellings,
            preserve_host: entry.preserve_host,
            headers: self.headers(&entry.request_headers, &entry.response_headers),
            strip_prefix: entry.strip_prefix,
            timeout: self.seconds(entry.timeout_seconds.as_ref()),
            pause: self
                .seconds(entry.pause_seconds.as_ref())
                .unwrap_or(Duration::from_secs(DEFAULT_PAUSE_SECONDS)),
            body_timeout: self.seconds(entry.body_seconds.as_ref()),
            max_body_bytes: self.number(entry.max_body_bytes.as_ref(), 0..1 << 50),
            max_in_flight: self
                .number(entry.max_in_flight.as_ref(), 1..1_000_000)
                .and_then(|number| usize::try_from(number).ok()),
            rate_class: text(&entry.rate_class),
            health_path: text(&entry.health_path),
        }
    }

    /// The canonical form of a prefix; letters beyond ASCII may stand for themselves in the file.
    fn prefix(&mut self, prefix: &Spanned<String>) -> String {
        let mut ascii = String::new();
        for byte in prefix.get_ref().bytes() {
            if byte.is_ascii() {
                ascii.push(char::from(byte));
            } else {
                ascii.push_str(&format!("%{byte:02X}"));
            }
        }
        match CanonicalPath::of(&ascii) {
            Some(path) => path.as_str().to_owned(),
            None => {
                self.add(prefix, "a prefix is a path such as /app/, without a query");
                prefix.get_ref().clone()
            }
        }
    }

    fn upstreams(&mut self, entry: &Entry) -> (Vec<UpstreamUrl>, Option<Arc<UpstreamTls>>) {
        let mut upstreams: Vec<UpstreamUrl> = Vec::new();
        for text in entry.upstreams.get_ref() {
            match text.get_ref().parse() {
                Ok(url) => upstreams.push(url),
                Err(error) => self.add(text, &format!("\"{}\" is {error}", text.get_ref())),
            }
        }
        let tls = entry.upstream_tls.as_ref().map(|tls| {
            if !upstreams.iter().any(UpstreamUrl::is_tls) {
                self.add(
                    tls,
                    "upstream_tls is for upstreams of https://, and there is none",
                );
            }
            Arc::new(self.tls(tls))
        });
        (upstreams, tls)
    }

    fn tls(&mut self, entry: &Spanned<TlsEntry>) -> UpstreamTls {
        let tls = entry.get_ref();
        for file in [&tls.ca_file, &tls.certificate_file, &tls.key_file]
            .into_iter()
            .flatten()
        {
            if let Err(error) = std::fs::File::open(file.get_ref()) {
                self.add(
                    file,
                    &format!("{} cannot be read: {error}", file.get_ref().display()),
                );
            }
        }
        let path = |file: &Spanned<PathBuf>| file.get_ref().clone();
        let client = match (&tls.certificate_file, &tls.key_file) {
            (Some(certificate), Some(key)) => Some(ClientCertificate {
                certificate_file: path(certificate),
                key_file: path(key),
            }),
            (None, None) => None,
            _ => {
                self.add(entry, "certificate_file and key_file belong together");
                None
            }
        };
        if let Some(name) = &tls.server_name
            && rustls_pki_types::ServerName::try_from(name.get_ref().as_str()).is_err()
        {
            self.add(name, "server_name is a name such as api.internal, or an address");
        }
        UpstreamTls {
            ca_file: tls.ca_file.as_ref().map(path),
            client,
            server_name: tls.server_name.as_ref().map(|name| name.get_ref().clone()),
        }
    }

    fn networks(&mut self, texts: &[Spanned<String>]) -> Vec<ipnet::IpNet> {
        let mut networks = Vec::new();
        for text in texts {
            match parse_network(text.get_ref()) {
                Ok(network) => networks.push(network),
                Err(error) => self.add(text, &error.to_string()),
            }
        }
        networks
    }

    fn headers(&mut self, request: &HeadersEntry, response: &HeadersEntry) -> HeaderRules {
        let mut rules = HeaderRules::default();
        for (entry, set, remove) in [
            (request, &mut rules.request_set, &mut rules.request_remove),
            (response, &mut rules.response_set, &mut rules.response_remove),
        ] {
            for (name, value) in &entry.set {
                let checked = header_rules::checked_name(name).and_then(|name| {
                    header_rules::checked_value(&name, value.get_ref()).map(|value| (name, value))
                });
                match checked {
                    Ok(pair) => set.push(pair),
                    Err(reason) => self.add(value, &reason),
                }
            }
            for name in &entry.remove {
                match header_rules::checked_name(name.get_ref()) {
                    Ok(checked) => remove.push(checked),
                    Err(reason) => self.add(name, &reason),
                }
            }
        }
        rules
    }

    fn seconds(&mut self, value: Option<&Spanned<u64>>) -> Option<Duration> {
        self.number(value, 1..MAX_SECONDS + 1).map(Duration::from_secs)
    }

    fn number(&mut self, value: Option<&Spanned<u64>>, allowed: Range<u64>) -> Option<u64> {
        let value = value?;
        if !allowed.contains(value.get_ref()) {
            let (low, high) = (allowed.start, allowed.end - 1);
            self.add(value, &format!("{} is not from {low} to {high}", value.get_ref()));
        }
        Some(*value.get_ref())
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
        std::fs::write(&pem, "").unwrap();
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
