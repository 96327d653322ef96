//! How much of something bounded one client may hold at a time, so that no single one takes all of it.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};

/// Locks that clients are spread over, so that workers seldom wait for each other.
const SHARDS: usize = 32;

/// Whom a share belongs to: an IPv4 address, or the whole /64 network that whoever has an IPv6 address has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ClientKey(IpAddr);

impl From<IpAddr> for ClientKey {
    fn from(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V6(address) => {
                let network = u128::from(address) & !u128::from(u64::MAX);
                Self(IpAddr::V6(Ipv6Addr::from(network)))
            }
            address @ IpAddr::V4(_) => Self(address),
        }
    }
}

type Shard = Mutex<HashMap<ClientKey, usize>>;

/// What all clients hold, each up to `max`. Whoever holds nothing is not remembered. Clones share it.
#[derive(Clone, Debug)]
pub struct ClientShares {
    max: usize,
    held: Arc<(RandomState, [Shard; SHARDS])>,
}

impl ClientShares {
    /// Shares of at most `max` each.
    pub fn new(max: usize) -> Self {
        Self {
            max,
            held: Arc::default(),
        }
    }

    /// Nothing yet of what `client` may hold.
    pub fn of(&self, client: ClientKey) -> ClientShare {
        ClientShare {
            shares: self.clone(),
            client,
            amount: 0,
        }
    }

    fn shard<T>(
        &self,
        client: ClientKey,
        work: impl FnOnce(&mut HashMap<ClientKey, usize>) -> T,
    ) -> Option<T> {
        let (state, shards) = &*self.held;
        let count = u64::try_from(SHARDS).unwrap_or(1);
        let place = usize::try_from(state.hash_one(client) % count).unwrap_or_default();
        let shard = shards.get(place)?;
        Some(work(&mut shard.lock().unwrap_or_else(PoisonError::into_inner)))
    }
}

/// What one holder has of its client's share; given back when dropped.
#[derive(Debug)]
pub struct ClientShare {
    shares: ClientShares,
    client: ClientKey,
    amount: usize,
}

impl ClientShare {
    /// Takes so much more. `false`, and nothing is taken: it is more than the client may hold.
    #[must_use]
    pub fn take(&mut self, amount: usize) -> bool {
        let max = self.shares.max;
        let is_taken = self.shares.shard(self.client, |shard| {
            let held = shard.entry(self.client).or_default();
            let has_room = held.checked_add(amount).is_some_and(|held| held <= max);
            if has_room {
                *held += amount;
            } else if *held == 0 {
                shard.remove(&self.client);
            }
            has_room
        });
        let is_taken = is_taken.unwrap_or_default();
        if is_taken {
            self.amount += amount;
        }
        is_taken
    }
}

impl Drop for ClientShare {
    fn drop(&mut self) {
        if self.amount == 0 {
            return;
        }
        self.shares.shard(self.client, |shard| {
            if let Some(held) = shard.get_mut(&self.client) {
                *held = held.saturating_sub(self.amount);
                if *held == 0 {
                    shard.remove(&self.client);
                }
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(address: &str) -> ClientKey {
        address.parse::<IpAddr>().unwrap().into()
    }

    #[test]
    fn one_client_holds_no_more_than_its_share_and_others_have_theirs() {
        let shares = ClientShares::new(3);
        let (mut first, mut second) = (shares.of(key("192.0.2.1")), shares.of(key("192.0.2.1")));
        assert!(first.take(2) && second.take(1) && !second.take(1));
        assert!(shares.of(key("192.0.2.2")).take(3));
        drop(first);
        assert!(second.take(2) && !second.take(1));
        drop(second);
        assert!(!shares.of(key("192.0.2.1")).take(4) && shares.of(key("192.0.2.1")).take(3));
    }

    #[test]
    fn a_network_of_ipv6_is_one_client() {
        assert_eq!(key("2001:db8::1"), key("2001:db8::ffff:1"));
        assert_ne!(key("2001:db8::1"), key("2001:db8:0:1::1"));
        assert_eq!(key("::ffff:192.0.2.1"), key("192.0.2.1"));
    }

    #[test]
    fn who_holds_nothing_is_not_remembered() {
        let shares = ClientShares::new(1);
        for number in 0..100_u8 {
            let mut share = shares.of(IpAddr::from([10, 0, 0, number]).into());
            assert!(share.take(1) && !share.take(1));
        }
        let (_, held) = &*shares.held;
        assert!(held.iter().all(|shard| shard.lock().unwrap().is_empty()));
    }
}
