//! The operator's commands, beside a running server.

use std::process::Command;

use crate::server::{PASSWORD, Server, program, run};

fn command(server: &Server, arguments: &[&str]) -> (i32, String) {
    let output = run(program(server.data.path()).args(arguments));
    let text = String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap();
    (output.status.code().unwrap(), text)
}

#[test]
fn an_account_is_switched_off_and_on_shown_and_deleted() {
    let server = Server::start();
    assert_eq!(server.register("ann").status, 201);
    assert_eq!(command(&server, &["users", "deactivate", "ann"]).0, 0);
    assert_eq!(server.login("ann", PASSWORD).status, 400);
    assert_eq!(command(&server, &["users", "activate", "ANN@mail.test"]).0, 0);
    assert_eq!(server.login("ann", PASSWORD).status, 200);
    let (code, shown) = command(&server, &["users", "show", "ann"]);
    assert_eq!(code, 0);
    assert!(
        shown.contains("ann@mail.test") && shown.contains("bcrypt_sha256") && !shown.contains("$2b$"),
        "{shown}"
    );
    assert_eq!(command(&server, &["users", "delete", "ann"]).0, 0);
    assert_eq!(server.login("ann", PASSWORD).status, 400);
    let (code, text) = command(&server, &["users", "show", "ann"]);
    assert_eq!(code, 1);
    assert!(text.contains("there is no account named ann"), "{text}");
}

#[test]
fn a_django_hash_is_imported_and_a_damaged_one_refused() {
    let server = Server::start();
    assert_eq!(server.register("ann").status, 201);
    let hash = "pbkdf2_sha256$1$seasalt2$PL2hSIVNWQ6aPhDRzBtGr9jNqk2sHdFIG7lOD0bIbQA=";
    let file = server.data.path().join("hash");
    std::fs::write(&file, format!("{hash}\n")).unwrap();
    let from_file = ["users", "set-hash", "ann", "--file", file.to_str().unwrap()];
    assert_eq!(command(&server, &from_file).0, 0);
    assert_eq!(server.login("ann", PASSWORD).status, 200);
    let from_input = program(server.data.path())
        .args(["users", "set-hash", "ann"])
        .stdin(std::fs::File::open(&file).unwrap())
        .output()
        .unwrap();
    assert!(from_input.status.success(), "{from_input:?}");
    let (_, shown) = command(&server, &["users", "show", "ann"]);
    assert!(shown.contains("pbkdf2_sha256"), "{shown}");
    let (code, text) = command(&server, &["users", "set-hash", "ann", hash]);
    assert!(code == 0 && text.contains("every user of the machine"), "{text}");
    let (code, text) = command(&server, &["users", "set-hash", "ann", "--file", "nowhere"]);
    assert!(
        code == 1 && text.contains("cannot read the password hash"),
        "{text}"
    );
    assert_eq!(
        command(&server, &["users", "set-hash", "ann"]).0,
        1,
        "no input, no hash"
    );
    assert_eq!(server.login("ann", PASSWORD).status, 200);
    let (_, shown) = command(&server, &["users", "show", "ann"]);
    assert!(shown.contains("bcrypt_sha256"), "re-hashed at the login: {shown}");
    assert_eq!(
        command(
            &server,
            &["users", "set-hash", "ann", "pbkdf2_sha256$600000$salt"]
        )
        .0,
        1
    );
    assert_eq!(server.login("ann", PASSWORD).status, 200);
}

#[test]
fn keys_are_rotated_without_logging_anybody_out() {
    let server = Server::start();
    let token = server.register("ann").json()["access"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(command(&server, &["keys", "rotate"]).0, 0);
    let (code, listed) = command(&server, &["keys", "list"]);
    assert_eq!(code, 0);
    assert!(listed.contains("signs") && listed.contains("waits"), "{listed}");
    assert_eq!(
        server
            .post("token/verify/", &serde_json::json!({ "token": token }))
            .status,
        200
    );
}

#[test]
fn a_first_key_is_made_only_when_there_is_none() {
    let server = Server::start();
    let (_, before) = command(&server, &["keys", "list"]);
    let (code, said) = command(&server, &["keys", "rotate", "--if-none"]);
    assert_eq!((code, said.trim()), (0, "there is a key already"));
    assert_eq!(command(&server, &["keys", "list"]).1, before);
}

#[test]
fn the_command_line_explains_itself() {
    for arguments in [&["--help"][..], &["users", "--help"], &["keys", "--help"]] {
        let output = Command::new(env!("CARGO_BIN_EXE_gatehouse"))
            .args(arguments)
            .output()
            .unwrap();
        assert!(output.status.success());
        assert!(String::from_utf8(output.stdout).unwrap().contains("Usage:"));
    }
}
