//! The program's commands.

use std::process::{Command, Output};

fn run(arguments: &[&str]) -> (Option<i32>, String, String) {
    let Output {
        status,
        stdout,
        stderr,
    } = Command::new(env!("CARGO_BIN_EXE_gateway"))
        .args(arguments)
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code(), text(stdout), text(stderr))
}

#[test]
fn check_prints_the_table_of_a_routes_file_or_each_mistake() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("routes.toml");
    let name = path.display().to_string();
    std::fs::write(
        &path,
        "[[route]]\nprefix = \"/%61pp/\"\nupstreams = [\"http://a:1\"]\nauth = \"required\"\n",
    )
    .unwrap();
    let (code, table, told) = run(&["check", &name]);
    assert_eq!((code, told.as_str()), (Some(0), ""));
    let line = table.lines().find(|line| line.contains("/app/")).unwrap();
    assert_eq!(
        line.split_whitespace().collect::<Vec<_>>(),
        ["*", "/app/", "http://a:1", "required"]
    );
    std::fs::write(&path, "[[route]]\nprefix = \"app\"\nupstreams = []\n").unwrap();
    let (code, table, told) = run(&["check", &name]);
    assert_eq!((code, table.as_str()), (Some(1), ""));
    assert_eq!(
        told,
        format!(
            "{name}:2: a prefix is a path such as /app/, without a query\n{name}:3: a route needs an upstream\n"
        )
    );
    let (code, _, told) = run(&["check", "/no/such/file"]);
    assert!(
        code == Some(1) && told.starts_with("/no/such/file: cannot be read: "),
        "{told}"
    );
}

#[test]
fn help_names_every_command_and_where_the_settings_are() {
    let (code, help, _) = run(&["--help"]);
    assert_eq!(code, Some(0));
    for word in ["check", "health", "GATEHOUSE_GATEWAY_*", ".env.example"] {
        assert!(help.contains(word), "{help}");
    }
    for wrong in [["serve"].as_slice(), &["check"], &["--port"]] {
        assert_eq!(run(wrong).0, Some(2), "{wrong:?}");
    }
}
