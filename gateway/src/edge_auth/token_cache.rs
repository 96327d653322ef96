//! Tokens that were found good, by their digest, so that a signature is checked once and not at every request.

use std::collections::HashMap;

use aws_lc_rs::digest::{SHA256, digest as sha256};

use super::Checked;

/// How many tokens one generation holds; a worker holds two, at most some tens of megabytes.
const GENERATION_TOKENS: usize = 32_768;

/// SHA-256, so that nobody can make two tokens that are taken for one.
pub type Digest = [u8; 32];

pub fn digest(token: &str) -> Digest {
    let mut bytes = [0; 32];
    for (place, byte) in bytes.iter_mut().zip(sha256(&SHA256, token.as_bytes()).as_ref()) {
        *place = *byte;
    }
    bytes
}

/// Two generations: what is used moves to the young one; when that is full, the old one is dropped whole.
#[derive(Debug, Default)]
pub struct TokenCache {
    young: HashMap<Digest, Checked>,
    old: HashMap<Digest, Checked>,
}

impl TokenCache {
    pub fn get(&mut self, digest: &Digest) -> Option<Checked> {
        if let Some(checked) = self.young.get(digest) {
            return Some(checked.clone());
        }
        let checked = self.old.remove(digest)?;
        self.insert(*digest, checked.clone());
        Some(checked)
    }

    pub fn insert(&mut self, digest: Digest, checked: Checked) {
        if self.young.len() >= GENERATION_TOKENS {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(digest, checked);
    }
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use bytes::Bytes;

    use super::super::Caller;
    use super::*;

    #[test]
    fn it_is_bounded_and_keeps_what_is_used() {
        let mut cache = TokenCache::default();
        let checked = Checked {
            caller: Rc::new(Caller {
                user_id: Bytes::from_static(b"1"),
                session_id: None,
                expires_at_seconds: 0,
            }),
            expires_at_seconds: 0,
            asked_until: None,
            key_set: 0,
        };
        let used = digest("used");
        cache.insert(used, checked.clone());
        for number in 0..3 * GENERATION_TOKENS {
            cache.insert(digest(&number.to_string()), checked.clone());
            if number % 1000 == 0 {
                assert!(cache.get(&used).is_some());
            }
        }
        assert!(cache.young.len() + cache.old.len() <= 2 * GENERATION_TOKENS);
        assert!(cache.get(&digest("0")).is_none());
    }
}
