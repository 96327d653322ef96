//! How often somebody may try a password: every try is counted before the work of its hash, so that tries that come at
//! once are no way around the limit.

use aws_lc_rs::digest;
use diesel::QueryResult;

use super::login::Login;
use crate::db::connection::DbConnection;
use crate::db::queries::login_failures::{self, Delay, Failures};
use crate::db::queries::users::User;
use crate::db::{DbMessage, Mode};

/// After this long without a failure, all are forgotten.
pub(super) const FORGET_AFTER_MS: i64 = 3_600_000;
const FIRST_DELAY_MS: i64 = 30_000;
const LONGEST_DELAY_MS: i64 = 900_000;

/// Failures of one counter from one client, before a growing delay.
#[derive(Clone, Copy, Debug)]
pub struct LoginLimit {
    /// 0: no limit.
    pub free_failures: u32,
}

impl LoginLimit {
    /// None for the first `free_failures`, then 30 s, 1 min, 2 min, ... 15 min.
    fn delays(self) -> [Delay; 6] {
        let free = i32::try_from(self.free_failures).unwrap_or(i32::MAX);
        [0, 1, 2, 3, 4, 5].map(|doublings| Delay {
            failures: free.saturating_add(doublings),
            delay_ms: (FIRST_DELAY_MS << doublings).min(LONGEST_DELAY_MS),
        })
    }

    /// Milliseconds until the next try.
    fn wait_ms(self, failures: Failures, now_ms: i64) -> Option<i64> {
        let is_forgotten = failures.last_failed_at_ms < now_ms.saturating_sub(FORGET_AFTER_MS);
        if self.free_failures == 0 || is_forgotten {
            return None;
        }
        let reached = |delay: &Delay| failures.failure_count >= delay.failures;
        let delay = self.delays().into_iter().rfind(reached)?;
        let wait_ms = failures
            .last_failed_at_ms
            .saturating_add(delay.delay_ms)
            .saturating_sub(now_ms);
        (wait_ms > 0).then_some(wait_ms)
    }
}

/// One try at a password, and what it is charged to.
///
/// A login is charged to the name as it is looked up, known or not, as a username and as an address: each is a counter of
/// its own, under a digest. So nobody learns from waiting whether a name has an account or which address belongs to which
/// username; and an account whose username is somebody's address cannot clear that somebody's counter.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// The address before the username, so that transactions meet them in one order.
    counters: Vec<String>,
    /// The client's network.
    address: String,
}

impl Attempt {
    /// A login from a client.
    pub fn at_login(login: &Login, address: &str) -> Self {
        let counters = match login {
            Login::Email(email_key) => vec![of_email(email_key)],
            // What has no @ is nobody's address.
            Login::Username {
                username_key,
                email_key,
            } if email_key.contains('@') => {
                vec![of_email(email_key), of_username(username_key)]
            }
            Login::Username { username_key, .. } => vec![of_username(username_key)],
        };
        Self {
            counters,
            address: address.to_owned(),
        }
    }

    /// A try by somebody who has shown the account's token, and so knows all its names: charged to them like a login.
    pub fn of_account(user: &User, address: &str) -> Self {
        Self {
            counters: counters_of(user),
            address: address.to_owned(),
        }
    }

    /// After the right password of `user`: forgets the failures of names that are this account's, and takes the try itself
    /// back from the others, whose owner has shown nothing.
    pub(super) fn settle(&self, connection: &mut DbConnection, user: &User) -> QueryResult<()> {
        let own = counters_of(user);
        for counter in &self.counters {
            if own.contains(counter) {
                login_failures::delete_failures(connection, counter, &self.address)?;
            } else {
                login_failures::decrement_failures(connection, counter, &self.address)?;
            }
        }
        Ok(())
    }

    fn give_back(&self, connection: &mut DbConnection) -> QueryResult<()> {
        for counter in &self.counters {
            login_failures::decrement_failures(connection, counter, &self.address)?;
        }
        Ok(())
    }

    fn find_wait_ms(
        &self,
        connection: &mut DbConnection,
        limit: LoginLimit,
        now_ms: i64,
    ) -> QueryResult<Option<i64>> {
        let mut longest = None;
        for counter in &self.counters {
            let failures = login_failures::find_failures(connection, counter, &self.address)?;
            longest = longest.max(failures.and_then(|failures| limit.wait_ms(failures, now_ms)));
        }
        Ok(longest)
    }
}

fn counters_of(user: &User) -> Vec<String> {
    let address = user.email_key.as_deref().map(of_email);
    address
        .into_iter()
        .chain([of_username(&user.username_key)])
        .collect()
}

fn of_username(key: &str) -> String {
    counter("username", key)
}

fn of_email(key: &str) -> String {
    counter("email", key)
}

/// A digest: what was typed by mistake, a password perhaps, is not kept.
fn counter(kind: &str, key: &str) -> String {
    let digest = digest::digest(&digest::SHA256, format!("{kind}:{key}").as_bytes());
    format!("{kind}:{}", shared::random::hex(digest.as_ref()))
}

/// Counts a try as a failure, before its password is looked at, unless earlier ones demand waiting.
#[derive(Clone, Debug)]
pub struct ReserveAttempt {
    pub attempt: Attempt,
    pub limit: LoginLimit,
    pub now_ms: i64,
}

impl DbMessage for ReserveAttempt {
    /// Milliseconds to wait; nothing was counted then.
    type Output = Option<i64>;
    const MODE: Mode = Mode::Write;

    fn run(&self, connection: &mut DbConnection) -> QueryResult<Option<i64>> {
        let Self {
            attempt,
            limit,
            now_ms,
        } = self;
        if let Some(wait_ms) = attempt.find_wait_ms(connection, *limit, *now_ms)? {
            return Ok(Some(wait_ms));
        }
        let forget_before_ms = now_ms.saturating_sub(FORGET_AFTER_MS);
        for (position, counter) in attempt.counters.iter().enumerate() {
            let is_counted = login_failures::upsert_unless_waiting(
                connection,
                counter,
                &attempt.address,
                *now_ms,
                forget_before_ms,
                &limit.delays(),
            )?;
            if !is_counted {
                // Others came first since the look above.
                for counted in attempt.counters.iter().take(position) {
                    login_failures::decrement_failures(connection, counted, &attempt.address)?;
                }
                let wait_ms = attempt.find_wait_ms(connection, *limit, *now_ms)?;
                return Ok(Some(wait_ms.unwrap_or(1)));
            }
        }
        Ok(None)
    }
}

/// Takes a try back: its password was never looked at.
#[derive(Clone, Debug)]
pub struct GiveBackAttempt {
    pub attempt: Attempt,
}

impl DbMessage for GiveBackAttempt {
    type Output = ();
    const MODE: Mode = Mode::Write;

    fn run(&self, connection: &mut DbConnection) -> QueryResult<()> {
        self.attempt.give_back(connection)
    }
}

/// Settles a try with the right password that opens no session.
#[derive(Clone)]
pub struct SettleAttempt {
    pub attempt: Attempt,
    pub user: User,
}

impl DbMessage for SettleAttempt {
    type Output = ();
    const MODE: Mode = Mode::Write;

    fn run(&self, connection: &mut DbConnection) -> QueryResult<()> {
        self.attempt.settle(connection, &self.user)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_delay_after_failed_logins_grows_up_to_a_quarter_of_an_hour() {
        let limit = LoginLimit { free_failures: 10 };
        let failures = |failure_count| Failures {
            failure_count,
            last_failed_at_ms: 0,
        };
        let wait = |failure_count, since_ms| limit.wait_ms(failures(failure_count), since_ms);
        assert_eq!(wait(9, 0), None);
        assert_eq!(wait(10, 0), Some(30_000));
        assert_eq!(wait(10, 29_000), Some(1_000));
        assert_eq!(wait(10, 30_000), None);
        assert_eq!(wait(11, 0), Some(60_000));
        assert_eq!(wait(99, 0), Some(900_000));
        assert_eq!(wait(99, FORGET_AFTER_MS + 1), None);
        let none = LoginLimit { free_failures: 0 };
        assert_eq!(none.wait_ms(failures(99), 0), None);
    }

    #[test]
    fn a_name_is_charged_as_all_that_it_may_be() {
        let counters = |login: &Login| Attempt::at_login(login, "192.0.2.1").counters;
        let name = |text: &str| Login::Username {
            username_key: text.to_owned(),
            email_key: text.to_owned(),
        };
        assert_eq!(counters(&name("ann")).len(), 1);
        let both = counters(&name("ann@example.org"));
        assert_eq!(both.len(), 2);
        let by_address = counters(&Login::Email("ann@example.org".to_owned()));
        assert!(both.contains(&by_address[0]) && by_address.len() == 1);
        assert!(!both.concat().contains("ann"), "{both:?}");
    }
}
