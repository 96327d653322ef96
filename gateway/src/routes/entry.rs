//! One `[[route]]` of the routes file as it is written, and what can be wrong with it.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use toml::Spanned;

use super::address_rules::AddressRules;
use super::file::{DEFAULT_PAUSE_SECONDS, RouteSettings};
use super::header_rules::{self, HeaderRules};
use super::{Auth, CanonicalPath, IDENTITY_PREFIXES, NearSpellings, PAGES_PREFIX};
use crate::client_address::parse_network;
use crate::upstream::{ClientCertificate, UpstreamTls, UpstreamUrl, check_tls};

const MAX_SECONDS: u64 = 86_400;
/// Paths of the gateway's own, and of identity-svc's inside.
const OWN_PREFIXES: [&str; 3] = ["/auth/forward", "/internal", PAGES_PREFIX];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    host: Option<Spanned<String>>,
    pub prefix: Spanned<String>,
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

/// The mistakes that were found so far, each with its line.
pub struct Problems<'a> {
    pub name: &'a str,
    pub text: &'a str,
    pub found: Vec<String>,
}

impl Problems<'_> {
    pub fn line(&self, span: Range<usize>) -> usize {
        let before = self.text.get(..span.start).unwrap_or(self.text);
        before.matches('\n').count() + 1
    }

    pub fn add<T>(&mut self, at: &Spanned<T>, reason: &str) {
        let line = self.line(at.span());
        self.found.push(format!("{}:{line}: {reason}", self.name));
    }

    pub fn route(&mut self, entry: &Entry, classes: &BTreeMap<String, usize>) -> RouteSettings {
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
        let escaped = |byte: u8| match byte.is_ascii() {
            true => char::from(byte).to_string(),
            false => format!("%{byte:02X}"),
        };
        let ascii: String = prefix.get_ref().bytes().map(escaped).collect();
        if let Some(path) = CanonicalPath::of(&ascii) {
            return path.as_str().to_owned();
        }
        self.add(prefix, "a prefix is a path such as /app/, without a query");
        prefix.get_ref().clone()
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
            let found = self.found.len();
            let settings = self.tls(tls);
            if let Some(url) = upstreams.iter().find(|url| url.is_tls())
                && self.found.len() == found
                && let Err(reason) = check_tls(url, Some(&settings))
            {
                self.add(tls, &reason);
            }
            Arc::new(settings)
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

    pub fn number(&mut self, value: Option<&Spanned<u64>>, allowed: Range<u64>) -> Option<u64> {
        let value = value?;
        if !allowed.contains(value.get_ref()) {
            let (low, high) = (allowed.start, allowed.end - 1);
            self.add(value, &format!("{} is not from {low} to {high}", value.get_ref()));
        }
        Some(*value.get_ref())
    }
}
