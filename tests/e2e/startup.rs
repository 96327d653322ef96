//! Starts that must fail: one clear sentence, a non-zero exit, no panic.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::server::{Folder, Server, program, run};

/// What the program says when it does not start.
fn refusal(data: &Folder, settings: &[(&str, &str)]) -> (i32, String) {
    let output = run(program(data.path())
        .envs(settings.iter().copied())
        .env("GATEHOUSE_LOG", "error"));
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(!text.contains("panicked"), "{text}");
    (output.status.code().unwrap(), text.trim().to_owned())
}

#[test]
fn wrong_settings_are_refused_all_at_once() {
    let settings = [
        ("GATEHOUSE_IDENTITY_BCRYPT_COST", "99"),
        ("GATEHOUSE_IDENTITY_VERIFY_URL", "https://app.test/confirm"),
        ("GATEHOUSE_MAILER_SENDER_URL", "pigeon:loft"),
        ("GATEHOUSE_GATEWAY_LISTEN", "everywhere"),
        ("GATEHOUSE_BRAND_COLOR", "blue"),
        ("GATEHOUSE_IDENTITY_TEMPLATES_DIR", "nowhere"),
        ("GATEHOUSE_IDENTITY_ACES_TOKEN_SECONDS", "300"),
    ];
    let (code, text) = refusal(&Folder::new(), &settings);
    assert_eq!(code, 2);
    for (name, _) in settings {
        assert!(text.contains(name), "{name} is not in: {text}");
    }
    assert_eq!(text.lines().count(), settings.len(), "{text}");
}

#[test]
fn a_port_in_use_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let (code, text) = refusal(&Folder::new(), &[("GATEHOUSE_GATEWAY_LISTEN", &address)]);
    assert_eq!(code, 1);
    assert!(text.contains(&address) && text.contains("in use"), "{text}");
}

#[test]
fn a_damaged_keys_file_is_named_and_not_quoted() {
    let data = Folder::new();
    fs::write(data.path().join("keys.json"), "{\"keys\": [\"hush\"").unwrap();
    let (code, text) = refusal(&data, &[]);
    assert_eq!(code, 1);
    assert!(
        text.contains("keys.json is damaged") && !text.contains("hush"),
        "{text}"
    );
}

#[test]
fn a_file_that_is_no_database_is_refused() {
    let data = Folder::new();
    fs::write(
        data.path().join("gatehouse.sqlite3"),
        "this is no database, only text that is long enough",
    )
    .unwrap();
    let (code, text) = refusal(&data, &[]);
    assert_eq!(code, 1);
    assert!(text.contains("gatehouse.sqlite3"), "{text}");
}

#[test]
fn a_data_folder_that_cannot_be_made_is_named() {
    let data = Folder::new();
    fs::write(data.path().join("file"), "").unwrap();
    let inside = data.path().join("file/data");
    let (code, text) = refusal(&data, &[("GATEHOUSE_DATA_DIR", inside.to_str().unwrap())]);
    assert_eq!(code, 1);
    assert!(text.contains("file/data"), "{text}");
}

#[test]
fn a_template_with_a_mistake_is_named_with_its_line() {
    let data = Folder::new();
    let folder = data.path().join("templates/en/verify_email");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("body.txt"), "Hello\n{{ link \n").unwrap();
    let templates = data.path().join("templates");
    let (code, text) = refusal(
        &data,
        &[("GATEHOUSE_MAILER_TEMPLATES_DIR", templates.to_str().unwrap())],
    );
    assert_ne!(code, 0);
    assert!(text.contains("body.txt") && text.contains('2'), "{text}");
}

#[test]
fn bad_input_to_a_running_server_changes_nothing() {
    let server = Server::start();
    let bad =
        serde_json::json!({ "username": "a b", "email": "nope", "password1": "1234567", "password2": 5 });
    let answer = server.post("registration/", &bad);
    assert_eq!(answer.status, 400);
    let fields: Vec<String> = answer.json().as_object().unwrap().keys().cloned().collect();
    assert_eq!(fields, ["username", "email", "password1"]);
    assert!(server.mails("nope").is_empty());
}

#[test]
fn a_mistake_in_a_page_of_the_operators_is_named_with_its_line() {
    let data = Folder::new();
    let pages = data.path().join("pages");
    fs::create_dir(&pages).unwrap();
    fs::write(pages.join("ask.html"), "\n{{ text(\"no-such\") }}").unwrap();
    let folder = pages.to_str().unwrap();
    let (code, text) = refusal(&data, &[("GATEHOUSE_IDENTITY_TEMPLATES_DIR", folder)]);
    assert_eq!(code, 1);
    assert!(
        text.contains("ask.html, line 2: ") && text.contains("no-such"),
        "{text}"
    );
    let no_picture = pages.join("ask.html");
    let settings = [("GATEHOUSE_BRAND_LOGO_FILE", no_picture.to_str().unwrap())];
    let (code, text) = refusal(&data, &settings);
    assert_eq!(code, 1);
    assert!(text.contains("is neither SVG, PNG, JPEG nor WebP"), "{text}");
}

#[test]
fn what_is_kept_is_for_its_owner_alone_also_in_a_folder_that_was_open() {
    let data = Folder::new();
    fs::set_permissions(data.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let server = Server::start_with(data, &[]);
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let folder = server.data.path();
    assert_eq!(mode(folder), 0o700);
    let mut seen = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let (path, is_folder) = entry
            .map(|entry| (entry.path(), entry.file_type().unwrap().is_dir()))
            .unwrap();
        // The log is the test's own.
        if !path.ends_with("log") {
            assert_eq!(
                mode(&path),
                if is_folder { 0o700 } else { 0o600 },
                "{}",
                path.display()
            );
            seen += 1;
        }
    }
    assert!(
        seen >= 6,
        "database, two journals, two files of keys, mails: {seen}"
    );
    let log = fs::read_to_string(folder.join("log")).unwrap();
    assert!(log.contains("was open to others (mode 755)"), "{log}");
}
