//! Which keys are secrets (HS256): identity-svc alone can check what they signed. It says which there are, so that a token
//! that only claims to be signed with one costs no question.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

/// Replicas may be told of a change one after the other.
const KEPT: Duration = Duration::from_secs(60);

/// What identity-svc said last. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct SecretKeys(Arc<RwLock<Option<Told>>>);

/// Each until when it counts.
#[derive(Debug, Default)]
struct Told {
    by_kid: HashMap<String, Instant>,
    /// For tokens that name no key.
    unnamed: Option<Instant>,
}

impl SecretKeys {
    /// Takes what identity-svc says: the names of these keys, `None` for one whose tokens name none. Nothing at all is said
    /// by one of an earlier release.
    pub fn take(&self, told: Option<Vec<Option<String>>>, now: Instant) {
        let mut held = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let Some(names) = told else {
            *held = None;
            return;
        };
        let held = held.get_or_insert_default();
        held.by_kid.retain(|_, until| *until > now);
        for name in names {
            match name {
                Some(kid) => drop(held.by_kid.insert(kid, now + KEPT)),
                None => held.unnamed = Some(now + KEPT),
            }
        }
    }

    /// Whether a token that names `kid`, or no key, may be signed with one. While nothing is known, every one may be.
    pub fn may_be(&self, kid: Option<&str>, now: Instant) -> bool {
        let held = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let Some(told) = held.as_ref() else {
            return true;
        };
        let until = match kid {
            Some(kid) => told.by_kid.get(kid).copied(),
            None => told.unnamed,
        };
        until.is_some_and(|until| now < until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_key_that_identity_names_is_one() {
        let (keys, now) = (SecretKeys::default(), Instant::now());
        assert!(
            keys.may_be(Some("a"), now) && keys.may_be(None, now),
            "nothing is known yet"
        );
        keys.take(Some(Vec::new()), now);
        assert!(!keys.may_be(Some("a"), now) && !keys.may_be(None, now));
        keys.take(Some(vec![Some("a".to_owned())]), now);
        assert!(keys.may_be(Some("a"), now) && !keys.may_be(Some("b"), now) && !keys.may_be(None, now));
        keys.take(Some(vec![None]), now);
        assert!(
            keys.may_be(None, now) && keys.may_be(Some("a"), now),
            "another replica may still have it"
        );
        let later = now + KEPT;
        keys.take(Some(vec![None]), later);
        assert!(!keys.may_be(Some("a"), later) && keys.may_be(None, later));
        keys.take(None, later);
        assert!(
            keys.may_be(Some("b"), later),
            "one of an earlier release says nothing"
        );
    }
}
