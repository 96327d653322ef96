use identity_svc::db::messages::{FindTaken, Registered, Taken};

use super::{count_of, register, registration, start};
use crate::support::{Setup, on_both_databases};

on_both_databases!(
    of_fifty_simultaneous_registrations_of_one_name_one_wins,
    of_fifty_simultaneous_registrations_of_one_address_one_wins,
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
