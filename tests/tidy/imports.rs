//! Who may import whom.

use crate::source_tree::{assert_none, is_test_file, names_word, read, rust_files};

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
