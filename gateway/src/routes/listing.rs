//! The table of a routes file, for people: `gateway check`.

use std::fmt::Write;

use super::{
    Auth, DOCUMENT_PREFIXES, IDENTITY_PREFIXES, NearSpellings, RouteSettings, RoutesFile, is_free, order,
};

/// One line for each route, in the order in which they count: host, prefix, upstreams, auth and what else decides who may
/// pass.
pub fn listing(file: &RoutesFile) -> String {
    let own = IDENTITY_PREFIXES.into_iter();
    let own = own.chain(
        DOCUMENT_PREFIXES
            .into_iter()
            .filter(|prefix| is_free(file, prefix)),
    );
    let mut lines: Vec<_> = own
        .map(|prefix| {
            let line = ["*", prefix, "identity-svc", "none"].map(ToOwned::to_owned);
            (order(None, prefix), line)
        })
        .collect();
    for route in &file.routes {
        lines.push((order(route.host.as_ref(), &route.prefix), line(route)));
    }
    lines.sort_by(|(one, _), (other, _)| one.cmp(other));
    let mut all = vec![["HOST", "PREFIX", "UPSTREAMS", "AUTH"].map(ToOwned::to_owned)];
    all.extend(lines.into_iter().map(|(_, line)| line));
    let width = |column: usize| {
        let cells = all.iter().filter_map(|line| line.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths = [width(0), width(1), width(2)];
    let mut text = String::new();
    for [host, prefix, upstreams, auth] in &all {
        let [host_width, prefix_width, upstreams_width] = widths;
        let _ = writeln!(
            text,
            "{host:host_width$}  {prefix:prefix_width$}  {upstreams:upstreams_width$}  {auth}"
        );
    }
    text
}

fn line(route: &RouteSettings) -> [String; 4] {
    let host = route
        .host
        .as_ref()
        .map_or_else(|| "*".to_owned(), ToString::to_string);
    let upstreams: Vec<String> = route.upstreams.iter().map(ToString::to_string).collect();
    let mut auth = match route.auth {
        Auth::None => "none",
        Auth::Optional => "optional",
        Auth::Required => "required",
    }
    .to_owned();
    for (word, networks) in [("allow", &route.addresses.allow), ("deny", &route.addresses.deny)] {
        let networks: Vec<String> = networks.iter().map(ToString::to_string).collect();
        if !networks.is_empty() {
            let _ = write!(auth, ", {word} {}", networks.join(" "));
        }
    }
    if route.near_spellings == NearSpellings::Open {
        auth += ", near spellings open";
    }
    [host, route.prefix.clone(), upstreams.join(" "), auth]
}

#[cfg(test)]
mod tests {
    use super::super::file::parse;
    use super::*;

    #[test]
    fn the_listing_has_a_line_for_each_route_in_the_order_in_which_they_count() {
        let file = parse(
            "routes.toml",
            "[[route]]\nprefix = \"/\"\nupstreams = [\"http://a:1\", \"http://b:1\"]\n\
             [[route]]\nprefix = \"/api/docs/\"\nupstreams = [\"http://a:1\"]\nauth = \"optional\"\n\
             [[route]]\nhost = \"*.example.org\"\nprefix = \"/admin/\"\nupstreams = [\"http://c:1\"]\nauth = \"required\"\n\
             allow = [\"10.0.0.0/8\"]\ndeny = [\"10.1.0.0/16\", \"::1\"]\nnear_spellings = \"open\"\n",
        )
        .unwrap();
        assert_eq!(
            listing(&file),
            "HOST           PREFIX                  UPSTREAMS              AUTH\n\
             *              /.well-known/jwks.json  identity-svc           none\n\
             *              /api/auth/              identity-svc           none\n\
             *              /account/               identity-svc           none\n\
             *.example.org  /admin/                 http://c:1             required, allow 10.0.0.0/8, deny 10.1.0.0/16 ::1/128, near spellings open\n\
             *              /api/schema/            identity-svc           none\n\
             *              /api/schema             identity-svc           none\n\
             *              /api/docs/              http://a:1             optional\n\
             *              /                       http://a:1 http://b:1  none\n"
        );
    }
}
