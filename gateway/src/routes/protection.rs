//! A protected part of a service is not reached by another spelling of its path, nor by another route.
//!
//! What counts is the path that the service reads, and services read more spellings than one: many take `/Admin` or
//! `/admin` for `/admin/`, and some decode twice. So of all routes that lead to the same service the one with the longest
//! part, compared without case, escapes and last slash, says what protects a path there. A request that comes by a route
//! which protects less is not found.

use std::borrow::Cow;

use super::{Auth, NearSpellings, RouteSettings};

/// A part of a service, as seen from a route that leads there, too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Folded, without its last slash.
    path: String,
    /// Whether it is all below that path, too.
    is_tree: bool,
    /// Whether the route that looks at it protects as much.
    is_covered: bool,
}

impl Part {
    fn of(route: &RouteSettings, seen_from: &RouteSettings) -> Self {
        let prefix = service_prefix(route);
        Self {
            path: fold(prefix).into_owned(),
            is_tree: prefix.ends_with('/'),
            is_covered: covers(seen_from, route),
        }
    }

    fn contains(&self, folded: &str) -> bool {
        folded
            .strip_prefix(&self.path)
            .is_some_and(|rest| rest.is_empty() || (self.is_tree && rest.starts_with('/')))
    }
}

/// What the service of `routes[index]` holds that the route does not protect enough, among all its parts, the longest
/// first; nothing when the route protects enough everywhere.
pub fn parts(routes: &[RouteSettings], index: usize) -> Vec<Part> {
    let Some(route) = routes.get(index) else {
        return Vec::new();
    };
    let same_service = routes.iter().filter(|other| {
        other.near_spellings == NearSpellings::Closed && (other == &route || lead_together(route, other))
    });
    let mut parts: Vec<Part> = same_service.map(|other| Part::of(other, route)).collect();
    if parts.iter().all(|part| part.is_covered) {
        return Vec::new();
    }
    parts.sort_by_key(|part| (std::cmp::Reverse(part.path.len()), part.is_covered));
    parts
}

/// Whether a route with these [`parts`] may have `path`, as its service will read it.
pub fn may_have(parts: &[Part], path: &str) -> bool {
    if parts.is_empty() {
        return true;
    }
    let folded = fold(path);
    let longest = parts.iter().find(|part| part.contains(&folded));
    longest.is_none_or(|part| part.is_covered)
}

/// Pairs of routes for the very same part of a service, of which the first protects less: no spelling tells them apart.
pub fn contradictions(routes: &[RouteSettings]) -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    for (weak_index, weak) in routes.iter().enumerate() {
        for (strong_index, strong) in routes.iter().enumerate() {
            if strong.near_spellings == NearSpellings::Closed
                && !covers(weak, strong)
                && lead_together(weak, strong)
                && fold(service_prefix(weak)) == fold(service_prefix(strong))
            {
                found.push((weak_index, strong_index));
            }
        }
    }
    found
}

/// What the service sees in place of the prefix.
fn service_prefix(route: &RouteSettings) -> &str {
    if route.strip_prefix { "/" } else { &route.prefix }
}

/// Whether `route` demands at least what `other` demands.
fn covers(route: &RouteSettings, other: &RouteSettings) -> bool {
    (other.auth != Auth::Required || route.auth == Auth::Required)
        && (other.addresses.is_empty() || route.addresses == other.addresses)
}

/// Whether both lead to the same service, which cannot tell them apart by the host.
fn lead_together(one: &RouteSettings, other: &RouteSettings) -> bool {
    let (one_host, other_host) = (&one.host, &other.host);
    if let (Some(one_host), Some(other_host)) = (one_host, other_host)
        && one.preserve_host
        && other.preserve_host
        && !one_host.overlaps(other_host)
    {
        return false;
    }
    one.upstreams.iter().any(|upstream| {
        let same = |url: &crate::upstream::UpstreamUrl| url.is_same_place(upstream);
        other.upstreams.iter().any(same)
    })
}

/// A path without what services overlook: case, escapes of any depth, the last slash.
fn fold(path: &str) -> Cow<'_, str> {
    let path = path.strip_suffix('/').unwrap_or(path);
    let is_folded = |byte: u8| byte.is_ascii() && !byte.is_ascii_uppercase() && byte != b'%';
    if path.bytes().all(is_folded) {
        return Cow::Borrowed(path);
    }
    let mut bytes = path.as_bytes().to_vec();
    while let Some(decoded) = super::canonical_path::decode_once(&bytes) {
        bytes = decoded;
    }
    // Twice, since some letters have one form in capitals and two in small ones.
    Cow::Owned(String::from_utf8_lossy(&bytes).to_uppercase().to_lowercase())
}

#[cfg(test)]
mod tests {
    use super::super::file::parse;
    use super::*;

    /// The routes of lines such as `/admin/ required http://a:1`, with more settings behind.
    fn routes(lines: &[&str]) -> Vec<RouteSettings> {
        let route = |line: &&str| {
            let mut words = line.splitn(4, ' ');
            let [prefix, auth, upstream] = [(); 3].map(|()| words.next().unwrap());
            let more = words.next().unwrap_or_default();
            format!(
                "[[route]]\nprefix = \"{prefix}\"\nauth = \"{auth}\"\nupstreams = [\"{upstream}\"]\n{more}\n"
            )
        };
        let text: String = lines.iter().map(route).collect();
        parse("routes.toml", &text).unwrap().routes
    }

    fn may(routes: &[RouteSettings], index: usize, path: &str) -> bool {
        may_have(&parts(routes, index), path)
    }

    #[test]
    fn a_near_spelling_of_a_protected_path_does_not_go_by_an_open_route() {
        let routes = routes(&[
            "/ none http://a:1",
            "/admin/ required http://a:1",
            "/admin/open/ none http://a:1",
            "/caf\u{e9}/ required http://a:1",
        ]);
        for path in [
            "/admin",
            "/Admin/users",
            "/ADMIN",
            "/%2561dmin/users",
            "/CAF%C3%89/x",
            "/caf%C3%A9",
            "/caf%25C3%25A9/x",
        ] {
            assert!(!may(&routes, 0, path), "{path}");
        }
        for path in [
            "/",
            "/administration",
            "/Adminx/",
            "/x/admin/",
            "/ADMIN/open/x",
            "/admin/Open",
        ] {
            assert!(may(&routes, 0, path), "{path}");
        }
        for path in ["/admin/", "/admin/Users", "/admin/open"] {
            assert!(may(&routes, 1, path), "{path}");
        }
        assert!(parts(&routes, 1).is_empty() && parts(&routes, 3).is_empty());
    }

    #[test]
    fn a_reserved_character_in_a_protected_prefix_has_two_spellings_and_both_are_closed() {
        let routes = routes(&["/ none http://a:1", "/v1:admin/ required http://a:1"]);
        assert!(!may(&routes, 0, "/v1%3Aadmin/users") && may(&routes, 0, "/v1/users"));
    }

    #[test]
    fn a_route_that_strips_its_prefix_does_not_lead_around_a_protected_one() {
        let routes = routes(&[
            "/public/ none http://a:1 strip_prefix = true",
            "/admin/ required http://a:1",
        ]);
        assert!(!may(&routes, 0, "/admin/users") && !may(&routes, 0, "/Admin") && may(&routes, 0, "/x"));
    }

    #[test]
    fn an_allow_list_protects_as_a_token_does() {
        let routes = routes(&[
            "/ required http://a:1",
            "/metrics none http://a:1 allow = [\"10.0.0.0/8\"]",
            "/jobs/ required http://a:1",
        ]);
        assert!(
            !may(&routes, 0, "/METRICS") && !may(&routes, 0, "/metrics/") && may(&routes, 0, "/metrics/x")
        );
        assert!(may(&routes, 0, "/jobs"), "a token is demanded there, too");
    }

    #[test]
    fn another_service_is_another_matter_and_so_is_what_is_open_on_purpose() {
        let elsewhere = routes(&["/ none http://a:1", "/admin/ required http://b:1"]);
        let on_purpose = routes(&[
            "/ none http://a:1",
            "/admin/ required http://a:1 near_spellings = \"open\"",
        ]);
        let same_place = routes(&["/ none http://a", "/admin/ required http://A:80"]);
        assert!(may(&elsewhere, 0, "/admin") && may(&on_purpose, 0, "/admin"));
        assert!(!may(&same_place, 0, "/admin"));
    }

    #[test]
    fn hosts_are_told_apart_only_by_a_service_that_is_told_the_host() {
        let of = |more: &str| {
            routes(&[
                &format!("/ none http://a:1 host = \"www.example.org\"\n{more}"),
                &format!("/admin/ required http://a:1 host = \"admin.example.org\"\n{more}"),
            ])
        };
        assert!(!may(&of(""), 0, "/admin/x"));
        assert!(may(&of("preserve_host = true"), 0, "/admin/x"));
    }
}
