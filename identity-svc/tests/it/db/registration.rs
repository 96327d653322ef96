use futures_util::future::join;
use identity_svc::db::messages::{
    AmbiguousName, FindAmbiguousNames, FindTaken, Registered, Taken, UpdateProfile, UpdatedProfile,
};

use super::{count_of, register, registration, start};
use crate::support::{Setup, on_both_databases};

on_both_databases!(
    of_fifty_simultaneous_registrations_of_one_name_one_wins,
    of_fifty_simultaneous_registrations_of_one_address_one_wins,
    no_username_becomes_another_ones_address_however_many_try_at_once,
    an_address_that_was_somebodys_username_before_is_taken,
    a_registration_is_whole_or_not_at_all,
    what_is_taken_is_told,
);

async fn of_fifty_simultaneous_registrations_of_one_name_one_wins(setup: Setup) {
    let db = start(&setup);
    let messages = (0..50).map(|at| registration("Ann", &format!("ann{at}@example.org")));
    let created = count_of(&db, messages.collect(), |it| matches!(it, Registered::Created(_))).await;
    assert_eq!(created, 1);
    for table in ["users", "sessions", "outbox", "one_time_secrets"] {
        assert_eq!(
            setup.database.number(&format!("SELECT count(*) FROM {table}")),
            1,
            "{table}"
        );
    }
}

async fn of_fifty_simultaneous_registrations_of_one_address_one_wins(setup: Setup) {
    let db = start(&setup);
    let messages = (0..50).map(|at| registration(&format!("ann{at}"), "ann@example.org"));
    let told = |it: &Registered| match it {
        Registered::Created(_) => true,
        Registered::Taken(taken) => {
            assert!(taken.email && !taken.username);
            false
        }
    };
    assert_eq!(count_of(&db, messages.collect(), told).await, 1);
}

async fn no_username_becomes_another_ones_address_however_many_try_at_once(setup: Setup) {
    let db = start(&setup);
    let (bob, _) = register(&db, "bob").await;
    let address = "ann@example.org";
    let registrations = (0..40).map(|at| match at % 2 {
        0 => registration(address, &format!("decoy{at}@example.org")),
        _ => registration(&format!("ann{at}"), address),
    });
    let renames = (0..10).map(|_| UpdateProfile {
        user_id: bob.id,
        username: Some((address.to_owned(), address.to_owned())),
        first_name: None,
        last_name: None,
    });
    let created = count_of(&db, registrations.collect(), |it| {
        matches!(it, Registered::Created(_))
    });
    let took_it = count_of(&db, renames.collect(), |it| {
        matches!(it, UpdatedProfile::Updated(_))
    });
    assert_eq!(join(created, took_it).await, (1, 0));
    let decoys = "SELECT count(*) FROM users WHERE username_key LIKE '%@%'";
    assert_eq!(setup.database.number(decoys), 0);
    let owners = "SELECT count(*) FROM users WHERE email_key = 'ann@example.org'";
    assert_eq!(setup.database.number(owners), 1);
}

async fn an_address_that_was_somebodys_username_before_is_taken(setup: Setup) {
    let db = start(&setup);
    let (decoy, _) = register(&db, "decoy").await;
    let names = "username = 'Ann@Example.org', username_key = 'ann@example.org'";
    setup.database.execute(&format!("UPDATE users SET {names}"));
    let found = async || db.call(FindAmbiguousNames { limit: 9 }).await.unwrap();
    assert_eq!(found().await, []);
    let outcome = db.call(registration("ann", "ann@example.org")).await.unwrap();
    assert!(matches!(
        outcome,
        Registered::Taken(Taken {
            email: true,
            username: false
        })
    ));
    // Who has such a name keeps it when something else changes.
    let update = UpdateProfile {
        user_id: decoy.id,
        username: Some(("ANN@example.org".to_owned(), "ann@example.org".to_owned())),
        first_name: Some("Eve".to_owned()),
        last_name: None,
    };
    let outcome = db.call(update).await.unwrap();
    assert!(matches!(outcome, UpdatedProfile::Updated(_)));
    // `registration` of the same address is refused, so it comes another way.
    let Registered::Created(ann) = db.call(registration("ann", "a@example.org")).await.unwrap() else {
        panic!("nobody has these names")
    };
    let ambiguous = AmbiguousName {
        name: "ann@example.org".to_owned(),
        username_of: decoy.id,
        email_of: ann.id,
    };
    setup
        .database
        .execute("UPDATE users SET email_key = 'ann@example.org' WHERE username = 'ann'");
    assert_eq!(found().await, [ambiguous]);
}

async fn a_registration_is_whole_or_not_at_all(setup: Setup) {
    let db = start(&setup);
    let first = registration("ann", "ann@example.org");
    let mut second = registration("bob", "bob@example.org");
    second.mail.job_id = first.mail.job_id.clone();
    db.call(first).await.unwrap();
    // The last statement of the second one fails, twice.
    assert!(db.call(second).await.is_err());
    for table in ["users", "sessions", "outbox", "one_time_secrets"] {
        assert_eq!(
            setup.database.number(&format!("SELECT count(*) FROM {table}")),
            1,
            "{table}"
        );
    }
}

async fn what_is_taken_is_told(setup: Setup) {
    let db = start(&setup);
    register(&db, "ann").await;
    let look = |username: &str, email: &str| FindTaken {
        username: username.to_owned(),
        username_key: username.to_owned(),
        email_key: email.to_owned(),
    };
    let taken = |username, email| Taken { username, email };
    assert_eq!(
        db.call(look("ann", "bob@example.org")).await,
        Ok(taken(true, false))
    );
    assert_eq!(
        db.call(look("bob", "ann@example.org")).await,
        Ok(taken(false, true))
    );
    assert_eq!(
        db.call(look("ann", "ann@example.org")).await,
        Ok(taken(true, true))
    );
    assert_eq!(
        db.call(look("bob", "bob@example.org")).await,
        Ok(taken(false, false))
    );
}
