//! Which hosts a route is for.

use std::fmt;
use std::str::FromStr;

/// `app.example.org`, or `*.example.org` for every name below it. Kept in lower case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPattern {
    /// Of a wildcard, with the dot before it: `.example.org`.
    name: String,
    is_wildcard: bool,
}

#[derive(Debug, thiserror::Error)]
#[error("a host is a name such as app.example.org or *.example.org, or an address, without a port")]
pub struct BadHost;

impl FromStr for HostPattern {
    type Err = BadHost;

    fn from_str(text: &str) -> Result<Self, BadHost> {
        let (name, is_wildcard) = match text.strip_prefix('*') {
            Some(rest) => (rest, true),
            None => (text, false),
        };
        let labels = if is_wildcard {
            name.strip_prefix('.').ok_or(BadHost)?
        } else {
            name
        };
        let is_label = |label: &str| {
            !label.is_empty()
                && label
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
        };
        let address = labels.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        let is_address = address.is_some_and(|inner| inner.parse::<std::net::Ipv6Addr>().is_ok());
        if (is_address && !is_wildcard) || labels.split('.').all(is_label) {
            Ok(Self {
                name: name.to_ascii_lowercase(),
                is_wildcard,
            })
        } else {
            Err(BadHost)
        }
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let star = if self.is_wildcard { "*" } else { "" };
        write!(f, "{star}{}", self.name)
    }
}

impl HostPattern {
    /// Whether it is for `name`, a host without its port, in any case.
    pub fn matches(&self, name: &str) -> bool {
        if !self.is_wildcard {
            return name.eq_ignore_ascii_case(&self.name);
        }
        let split = name.len().saturating_sub(self.name.len());
        name.get(split..)
            .is_some_and(|end| split > 0 && end.eq_ignore_ascii_case(&self.name))
    }

    /// Whether there is a host that both are for.
    pub fn overlaps(&self, other: &Self) -> bool {
        match (self.is_wildcard, other.is_wildcard) {
            (false, false) => self.name == other.name,
            (true, false) => self.matches(&other.name),
            (false, true) => other.matches(&self.name),
            (true, true) => self.name.ends_with(&other.name) || other.name.ends_with(&self.name),
        }
    }

    /// What comes first in the table: a name before a wildcard, a longer wildcard before a shorter one.
    pub fn rank(&self) -> (bool, usize) {
        (!self.is_wildcard, self.name.len())
    }
}

/// The name in a `Host` header, without its port and the dot that may end it.
pub fn name_of(host: &str) -> &str {
    let end = match host.find(']') {
        Some(bracket) => bracket + 1,
        None => host.find(':').unwrap_or(host.len()),
    };
    let name = host.get(..end).unwrap_or(host);
    name.strip_suffix('.').unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(text: &str) -> HostPattern {
        text.parse().unwrap()
    }

    #[test]
    fn a_host_is_compared_without_case_port_and_last_dot() {
        let app = pattern("App.Example.org");
        for host in ["app.example.org", "APP.EXAMPLE.ORG:8443", "app.example.org."] {
            assert!(app.matches(name_of(host)), "{host}");
        }
        for host in ["example.org", "xapp.example.org", "app.example.org.evil", ""] {
            assert!(!app.matches(name_of(host)), "{host}");
        }
        assert!(pattern("[::1]").matches(name_of("[::1]:80")));
    }

    #[test]
    fn a_wildcard_is_for_names_below_it_only() {
        let all = pattern("*.example.org");
        for host in ["a.example.org", "a.b.Example.org:1"] {
            assert!(all.matches(name_of(host)), "{host}");
        }
        for host in [
            "example.org",
            ".example.org",
            "aexample.org",
            "é.org",
            "example.com",
        ] {
            assert!(!all.matches(name_of(host)), "{host}");
        }
        assert!(all.overlaps(&pattern("a.example.org")) && !all.overlaps(&pattern("example.org")));
        assert!(all.overlaps(&pattern("*.b.example.org")) && !all.overlaps(&pattern("*.example.com")));
    }

    #[test]
    fn what_is_no_host_is_refused() {
        for bad in [
            "",
            "*",
            "*example.org",
            "a..b",
            "a.b:80",
            "http://a",
            "a.*.b",
            "a/b",
            "[a]",
        ] {
            assert!(bad.parse::<HostPattern>().is_err(), "{bad}");
        }
    }
}
