//! What is remembered of tokens, by their digest, so that a signature is checked once and not at every request.

use std::collections::HashMap;

use aws_lc_rs::digest::{SHA256, digest as sha256};

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
#[derive(Debug)]
pub struct TokenCache<T> {
    /// How many tokens one generation holds.
    capacity: usize,
    young: HashMap<Digest, T>,
    old: HashMap<Digest, T>,
}

impl<T: Clone> TokenCache<T> {
    /// Holds at most twice `capacity` tokens.
    pub fn new(capacity: usize) -> Self {
        Self {
            capacity,
            young: HashMap::new(),
            old: HashMap::new(),
        }
    }

    pub fn get(&mut self, digest: &Digest) -> Option<T> {
        if let Some(known) = self.young.get(digest) {
            return Some(known.clone());
        }
        let known = self.old.remove(digest)?;
        self.insert(*digest, known.clone());
        Some(known)
    }

    pub fn insert(&mut self, digest: Digest, known: T) {
        if self.young.len() >= self.capacity {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(digest, known);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_bounded_and_keeps_what_is_used() {
        let mut cache = TokenCache::new(100);
        let used = digest("used");
        cache.insert(used, 0);
        for number in 0..300 {
            cache.insert(digest(&number.to_string()), number);
            if number % 30 == 0 {
                assert!(cache.get(&used).is_some());
            }
        }
        assert!(cache.young.len() + cache.old.len() <= 200);
        assert!(cache.get(&digest("0")).is_none());
    }
}
