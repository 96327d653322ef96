//! Who may import whom.

use std::collections::BTreeMap;

use crate::source_tree::{
    SourceFile, assert_none, files, folders, is_test_file, names_word, read, rust_files,
};

/// `(folder or file, words that its code must not name, the reason)`.
const FORBIDDEN_IMPORTS: &[(&str, &str, &str)] = &[
    (
        "identity-svc/src/http",
        "diesel schema lapin Addr queries outbox lettre",
        "endpoints speak to handles (db, passwords, tokens), never to what is behind them",
    ),
    (
        "identity-svc/src/tokens",
        "actix actix_web diesel tokio crate::db crate::http",
        "tokens are pure: the clock and the keys are passed in",
    ),
    (
        "identity-svc/src/domain",
        "actix actix_web diesel tokio lapin crate::db crate::http crate::tokens",
        "the domain does no I/O",
    ),
    (
        "identity-svc/src/db/queries",
        "actix actix_web lapin crate::http crate::outbox crate::service",
        "queries know diesel and nothing above",
    ),
    (
        "identity-svc/src/db/messages",
        "actix actix_web lapin crate::http crate::outbox crate::service",
        "units of work know diesel and nothing above",
    ),
    (
        "identity-svc/src/outbox",
        "diesel schema actix_web lapin crate::http",
        "the relay knows the db handle and the queue, not what is behind them",
    ),
    (
        "identity-svc/src",
        "gateway:: mailer_svc lettre",
        "services share messages, never code",
    ),
    (
        "gateway/src",
        "identity_svc mailer_svc diesel lapin lettre",
        "the gateway knows paths, never users, and has no database",
    ),
    (
        "mailer-svc/src",
        "identity_svc gateway:: diesel lapin",
        "the mailer knows no user and no database, and reads its queue through shared::queue",
    ),
    (
        "shared/src",
        "identity_svc gateway:: mailer_svc diesel lettre",
        "shared is what two services agree on; it imports no room",
    ),
];

/// `(room of the gateway, rooms it may import)`, from the lowest up: a room may name only rooms above it in this list, so
/// no circle can be written down here. A room is a folder or a file; `server/app_service` is what the wire and the
/// application agree on, and the rest of `server` and what handles requests know nothing of each other.
const GATEWAY_ROOMS: &[(&str, &str)] = &[
    ("error", ""),
    ("request_budget", ""),
    ("http1", "error"),
    ("server/app_service", "error http1"),
    ("client_address", "http1 server/app_service"),
    ("upstream", "http1"),
    ("routes", "client_address http1 request_budget upstream"),
    ("edge_auth", "error http1 routes upstream"),
    (
        "middleware",
        "error request_budget server/app_service client_address upstream routes edge_auth",
    ),
    (
        "proxy",
        "error http1 server/app_service client_address upstream routes edge_auth middleware",
    ),
    ("server", "error http1 server/app_service client_address"),
    (
        "app",
        "request_budget server/app_service routes edge_auth middleware proxy",
    ),
    (
        "settings",
        "client_address upstream routes edge_auth middleware server",
    ),
    // What property tests and fuzz targets see.
    ("fuzzing", "http1 routes server"),
    ("reload", "routes server"),
    (
        "service",
        "request_budget server/app_service upstream routes edge_auth middleware proxy server app settings reload",
    ),
];

/// The room of the gateway that a path such as `server/http1.rs` or `server::app_service::Upgraded` leads to.
fn gateway_room<'a>(path: &'a str, separator: &str) -> &'a str {
    let path = path.strip_suffix(".rs").unwrap_or(path);
    let app_service = format!("server{separator}app_service");
    if path.starts_with(&app_service) {
        return "server/app_service";
    }
    path.split(separator).next().unwrap_or(path)
}

#[test]
fn rooms_of_the_gateway_import_downwards_only() {
    let mut broken = Vec::new();
    for (index, (room, allowed)) in GATEWAY_ROOMS.iter().enumerate() {
        let lower = GATEWAY_ROOMS.get(..index).unwrap_or_default();
        let upwards = allowed
            .split_whitespace()
            .filter(|name| !lower.iter().any(|(room, _)| room == name));
        broken.extend(upwards.map(|name| format!("the row of {room} names {name}, which is not above it")));
    }
    for file in rust_files() {
        let Some(path) = file.name.strip_prefix("gateway/src/") else {
            continue;
        };
        let room = gateway_room(path, "/");
        if is_test_file(&file.name) || matches!(room, "lib" | "main") {
            continue;
        }
        let Some((_, allowed)) = GATEWAY_ROOMS.iter().find(|(name, _)| *name == room) else {
            broken.push(format!("{}: {room} has no row", file.name));
            continue;
        };
        for (number, line) in file.code() {
            for (_, rest) in line.split('"').step_by(2).flat_map(|code| {
                code.match_indices("crate::")
                    .map(move |(start, word)| code.split_at(start + word.len()))
            }) {
                let end = rest.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':'));
                let other = gateway_room(rest.get(..end.unwrap_or(rest.len())).unwrap_or_default(), "::");
                if other != room && !allowed.split_whitespace().any(|name| name == other) {
                    broken.push(format!("{}:{number}: {room} may not import {other}", file.name));
                }
            }
        }
    }
    assert_none(&broken);
}

#[test]
fn rooms_import_only_what_they_may() {
    let mut broken = Vec::new();
    for (folder, words, reason) in FORBIDDEN_IMPORTS {
        for file in rust_files()
            .iter()
            .filter(|file| file.name.starts_with(&format!("{folder}/")))
        {
            for (number, line) in file.code() {
                for word in words.split(' ').filter(|word| names_word(line, word)) {
                    broken.push(format!("{}:{number}: names {word}: {reason}", file.name));
                }
            }
        }
    }
    assert_none(&broken);
}

#[test]
fn services_depend_on_shared_and_never_on_each_other() {
    let services = ["gateway", "identity-svc", "mailer-svc"];
    let mut broken = Vec::new();
    for package in ["gateway", "identity-svc", "mailer-svc", "shared"] {
        let manifest = read(&format!("{package}/Cargo.toml"));
        let names = manifest
            .lines()
            .filter_map(|line| line.split(['=', '.', ' ']).next());
        broken.extend(
            names
                .filter(|name| services.contains(name))
                .map(|name| format!("{package}/Cargo.toml depends on {name}")),
        );
    }
    assert_none(&broken);
}

#[test]
fn only_main_files_and_tests_name_a_service_module_of_their_own_crate() {
    let is_wiring =
        |name: &str| name.ends_with("/main.rs") || name.ends_with("/lib.rs") || is_test_file(name);
    let broken: Vec<String> = rust_files()
        .iter()
        .filter(|file| !is_wiring(&file.name))
        .flat_map(|file| {
            let uses = file
                .code()
                .filter(|(_, line)| names_word(line, "crate::service"))
                .map(|(number, _)| number);
            uses.map(|number| format!("{}:{number}: names crate::service", file.name))
                .collect::<Vec<_>>()
        })
        .collect();
    assert_none(&broken);
}

/// The floors of a crate, top first: the modules of a line may use those of the lines below it, and no others. Every
/// module has its place here, so there is no circle and no arrow up.
const FLOORS: &[(&str, &[&str])] = &[
    (
        "shared",
        &[
            "actor admin queue",
            "background jwt",
            "brand email_job health internal_secret logging mail_outcome message_bundle metrics request_id shutdown templates token_names",
            "backoff clock env private_file",
            "headers html pool random secret",
        ],
    ),
    (
        "mailer-svc",
        &[
            "main",
            "dead_letters service",
            "mailbox queue_reader settings",
            "job_consumer",
            "mail_job",
            "sender",
            "file_sender smtp_sender",
            "outgoing_mail",
            "masking metrics recent_jobs render retry send_error smtp_url",
            "durations templates",
        ],
    ),
];

#[test]
fn modules_use_only_what_is_below_them() {
    let sources = rust_files();
    let mut broken = Vec::new();
    for (package, floors) in FLOORS {
        let floor_of: BTreeMap<&str, usize> = floors
            .iter()
            .enumerate()
            .flat_map(|(floor, line)| line.split(' ').map(move |module| (module, floor)))
            .collect();
        let folder = format!("{package}/src");
        let known = modules(&folder);
        broken.extend(
            known
                .iter()
                .filter(|module| !floor_of.contains_key(module.as_str()))
                .map(|module| format!("{folder}/{module} has no place in FLOORS")),
        );
        broken.extend(
            floor_of
                .keys()
                .filter(|module| !known.iter().any(|known| known == *module))
                .map(|module| format!("FLOORS names {module}, which {folder} does not have")),
        );
        for file in sources
            .iter()
            .filter(|file| file.name.starts_with(&format!("{folder}/")))
        {
            let rest = file.name.get(folder.len() + 1..).unwrap_or_default();
            let from = rest.split(['/', '.']).next().unwrap_or_default();
            for (number, to) in used_modules(file) {
                let is_below = match (floor_of.get(from), floor_of.get(to.as_str())) {
                    (Some(from), Some(to)) => from < to,
                    // `crate::Name` and `crate::{` hide which module it is.
                    (Some(_), None) => false,
                    (None, _) => true,
                };
                if to != from && !is_below {
                    broken.push(format!(
                        "{}:{number}: {from} uses {to}, which is not below it",
                        file.name
                    ));
                }
            }
        }
    }
    assert_none(&broken);
}

/// The top-level modules of a crate, `lib` aside.
fn modules(folder: &str) -> Vec<String> {
    let stems = files(folder)
        .into_iter()
        .filter_map(|name| name.strip_suffix(".rs").map(str::to_owned));
    stems
        .chain(folders(folder))
        .filter(|module| module != "lib")
        .collect()
}

/// What stands behind `crate::` in the code of a file: `db` of `crate::db::Db`; `{` where several are named at once.
fn used_modules(file: &SourceFile) -> Vec<(usize, String)> {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    let mut found = Vec::new();
    for (number, line) in file.code() {
        for rest in line
            .split('"')
            .step_by(2)
            .flat_map(|code| code.split("crate::").skip(1))
        {
            let name: String = rest.chars().take_while(|c| is_part(*c)).collect();
            found.push((number, if name.is_empty() { "{".to_owned() } else { name }));
        }
    }
    found
}
