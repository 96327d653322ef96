//! Questions to identity-svc about tokens that cannot be checked here. Clients cause them, so they are bounded: one at a
//! time for each token, so many for each client and in all; and what was refused stays refused for a moment.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use futures_util::future::{LocalBoxFuture, Shared, WeakShared};
use shared::metrics::Counter;

use super::refusal::Refusal;
use super::token_cache::{Digest, TokenCache};
use crate::upstream::{ClientKey, ClientShares};

/// Questions of one worker under way at once.
const UNDER_WAY: usize = 64;
/// Questions of one client under way at once, at all workers.
pub const UNDER_WAY_OF_A_CLIENT: usize = 16;
/// For how long a refusal counts.
const REFUSED: Duration = Duration::from_secs(5);
/// Tokens of one generation whose refusal is remembered; a worker holds two.
const REFUSED_TOKENS: usize = 4096;

type Outcome = Result<(), Refusal>;
type Question = LocalBoxFuture<'static, Outcome>;

/// The questions of one worker.
pub struct Questions {
    state: Rc<RefCell<State>>,
    shares: ClientShares,
    asked: Counter,
}

struct State {
    /// Held by those who wait, and gone with the last of them.
    under_way: HashMap<Digest, WeakShared<Question>>,
    refused: TokenCache<(Refusal, Instant)>,
}

impl Questions {
    /// `shares` is what all workers go by; `asked` counts.
    pub fn new(shares: ClientShares, asked: Counter) -> Self {
        let state = State {
            under_way: HashMap::new(),
            refused: TokenCache::new(REFUSED_TOKENS),
        };
        Self {
            state: Rc::new(RefCell::new(state)),
            shares,
            asked,
        }
    }

    /// What `question` says about the token of this digest, unless it is known already or being asked.
    ///
    /// # Errors
    /// When the token is refused, nobody says, or too many questions are under way.
    pub async fn ask<Ask>(&self, digest: Digest, client: ClientKey, question: impl FnOnce() -> Ask) -> Outcome
    where
        Ask: Future<Output = Outcome> + 'static,
    {
        // A statement of its own: the state is free again before anything waits.
        let asked = self.begin(digest, client, question)?;
        asked.await
    }

    fn begin<Ask>(
        &self,
        digest: Digest,
        client: ClientKey,
        question: impl FnOnce() -> Ask,
    ) -> Result<Shared<Question>, Refusal>
    where
        Ask: Future<Output = Outcome> + 'static,
    {
        let mut state = self.state.borrow_mut();
        if let Some((refusal, until)) = state.refused.get(&digest)
            && Instant::now() < until
        {
            return Err(refusal);
        }
        if let Some(asked) = state.under_way.get(&digest).and_then(WeakShared::upgrade) {
            return Ok(asked);
        }
        let mut share = self.shares.of(client);
        if state.under_way.len() >= UNDER_WAY || !share.take(1) {
            return Err(Refusal::Unavailable);
        }
        self.asked.increment();
        let question = question();
        let entry = UnderWay {
            state: self.state.clone(),
            digest,
        };
        let asked = async move {
            let (entry, _share) = (entry, share);
            let outcome = question.await;
            // Whether nobody can say may be different at once.
            if let Err(refusal @ (Refusal::Token(_) | Refusal::NoUser)) = &outcome {
                let known = (refusal.clone(), Instant::now() + REFUSED);
                entry.state.borrow_mut().refused.insert(digest, known);
            }
            outcome
        };
        let asked = asked.boxed_local().shared();
        if let Some(weak) = asked.downgrade() {
            state.under_way.insert(digest, weak);
        }
        Ok(asked)
    }
}

/// The entry of a question, until it is answered or nobody waits for it.
struct UnderWay {
    state: Rc<RefCell<State>>,
    digest: Digest,
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.state.borrow_mut().under_way.remove(&self.digest);
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::net::{IpAddr, Ipv4Addr};

    use futures_util::future::{join, pending, ready};
    use shared::jwt::TokenError;
    use shared::metrics::Registry;

    use super::super::token_cache::digest;
    use super::*;

    fn client(number: u8) -> ClientKey {
        IpAddr::V4(Ipv4Addr::new(192, 0, 2, number)).into()
    }

    fn questions() -> Questions {
        let asked = Registry::default().counter("asked", "Questions.", &[]);
        Questions::new(ClientShares::new(UNDER_WAY_OF_A_CLIENT), asked)
    }

    /// Begins a question without an end, and returns how it stands.
    fn hold<'a>(
        questions: &'a Questions,
        token: &str,
        client: ClientKey,
    ) -> (LocalBoxFuture<'a, Outcome>, Option<Outcome>) {
        let mut asked = questions.ask(digest(token), client, pending).boxed_local();
        let outcome = (&mut asked).now_or_never();
        (asked, outcome)
    }

    #[actix_web::test]
    async fn a_token_is_asked_about_once_however_many_wait() {
        let (questions, count) = (questions(), Cell::new(0));
        let ask = || {
            questions.ask(digest("a"), client(1), || {
                count.set(count.get() + 1);
                tokio::task::yield_now().map(Ok)
            })
        };
        assert_eq!(join(ask(), ask()).await, (Ok(()), Ok(())));
        assert_eq!(count.get(), 1);
        assert!(questions.state.borrow().under_way.is_empty());
    }

    #[actix_web::test]
    async fn a_refusal_is_remembered_for_a_moment_and_an_outage_is_not() {
        let (questions, count) = (questions(), Cell::new(0));
        let ask = |token: &str, outcome: Outcome| {
            questions.ask(digest(token), client(1), || {
                count.set(count.get() + 1);
                ready(outcome)
            })
        };
        let invalid = Err(Refusal::Token(TokenError::Invalid));
        for _ in 0..3 {
            assert_eq!(ask("bad", invalid.clone()).await, invalid);
        }
        assert_eq!(count.get(), 1);
        for _ in 0..3 {
            let unavailable = Err(Refusal::Unavailable);
            assert_eq!(ask("away", unavailable.clone()).await, unavailable);
        }
        assert_eq!(count.get(), 4);
    }

    #[actix_web::test]
    async fn one_client_cannot_ask_for_all() {
        let questions = questions();
        let mut held: Vec<_> = (0..UNDER_WAY_OF_A_CLIENT)
            .map(|number| hold(&questions, &number.to_string(), client(1)).0)
            .collect();
        assert_eq!(
            hold(&questions, "more", client(1)).1,
            Some(Err(Refusal::Unavailable))
        );
        assert_eq!(
            hold(&questions, "0", client(1)).1,
            None,
            "what is asked already costs nothing"
        );
        assert_eq!(hold(&questions, "other", client(2)).1, None);
        held.pop();
        assert_eq!(
            hold(&questions, "more", client(1)).1,
            None,
            "a question that nobody waits for ends"
        );
    }

    #[actix_web::test]
    async fn a_worker_asks_only_so_much_at_once() {
        let questions = questions();
        let held: Vec<_> = (0..UNDER_WAY)
            .map(|number| {
                let client = client(u8::try_from(number / UNDER_WAY_OF_A_CLIENT).unwrap());
                hold(&questions, &number.to_string(), client)
            })
            .collect();
        assert!(held.iter().all(|(_, outcome)| outcome.is_none()));
        assert_eq!(
            hold(&questions, "more", client(99)).1,
            Some(Err(Refusal::Unavailable))
        );
        drop(held);
        assert!(questions.state.borrow().under_way.is_empty());
    }
}
