use crate::support::{PASSWORD, Setup, on_both_databases};

on_both_databases!(a_name_that_means_two_accounts_is_refused_until_it_is_said_which);

async fn a_name_that_means_two_accounts_is_refused_until_it_is_said_which(setup: Setup) {
    let app = setup.spawn().await;
    app.register("ann").await;
    app.register("decoy").await;
    let name = "ann@example.org";
    let is = "ann@example.org is the username of account 2 and the address of account 1";
    assert_eq!(app.command(&["users", "ambiguous"]).unwrap(), "");
    // From before a username could not be another account's address.
    app.database.execute(&format!(
        "UPDATE users SET username = '{name}', username_key = '{name}' WHERE username = 'decoy'"
    ));
    let told = app.command(&["users", "ambiguous"]).unwrap();
    assert_eq!(told, format!("{is}: give one of them another\n"));
    assert!(app.command(&["migrate"]).unwrap().contains(&told));
    let refusal = Err(format!("{is}; say which one with --id 2 or --id 1"));
    for command in ["show", "deactivate", "activate", "delete"] {
        assert_eq!(app.command(&["users", command, name]), refusal, "{command}");
    }
    assert_eq!(app.command(&["users", "set-hash", name, "!"]), refusal);
    assert_eq!(app.login("ann", PASSWORD).await.status, 200, "nothing was done");
    for (id, username) in [("1", "ann"), ("2", name)] {
        let shown = app.command(&["users", "show", name, "--id", id]).unwrap();
        assert!(
            shown.contains(&format!("username:        {username}\n")),
            "{shown}"
        );
    }
    assert_eq!(
        app.command(&["users", "show", name, "--id", "3"]),
        Err("there is no account named ann@example.org with the number 3".to_owned())
    );
    app.command(&["users", "delete", name, "--id", "2"]).unwrap();
    assert_eq!(
        app.login(name, PASSWORD).await.status,
        200,
        "it means one account again"
    );
}
