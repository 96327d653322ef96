//! How many connections one client may hold at once.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};

/// Counts the connections of each client address. Clones share the counts.
#[derive(Clone, Debug)]
pub struct AddressLimit {
    max: usize,
    counts: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

/// One connection's place, free again when it is dropped.
#[derive(Debug)]
pub struct Place {
    limit: AddressLimit,
    client: IpAddr,
}

impl AddressLimit {
    /// At most `max` connections of one address; 0 is no limit.
    pub fn new(max: usize) -> Self {
        Self {
            max,
            counts: Arc::default(),
        }
    }

    pub fn is_on(&self) -> bool {
        self.max > 0
    }

    /// `None`: the client holds as many as it may.
    pub fn enter(&self, address: IpAddr) -> Option<Place> {
        let client = client(address);
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(client).or_default();
        if *count >= self.max {
            return None;
        }
        *count += 1;
        Some(Place {
            limit: self.clone(),
            client,
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.limit.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Entry::Occupied(mut count) = counts.entry(self.client) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
    }
}

/// Whoever has an IPv6 address has the 2^64 of its network.
fn client(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_place_is_free_again_when_its_connection_ends() {
        let limit = AddressLimit::new(2);
        let first = limit.enter(address("192.0.2.1")).unwrap();
        let _second = limit.enter(address("192.0.2.1")).unwrap();
        assert!(limit.enter(address("192.0.2.1")).is_none());
        assert!(limit.enter(address("192.0.2.2")).is_some());
        drop(first);
        assert!(limit.enter(address("192.0.2.1")).is_some());
    }

    #[test]
    fn nobody_is_remembered_who_holds_nothing() {
        let limit = AddressLimit::new(1);
        drop(limit.enter(address("192.0.2.1")));
        assert!(limit.counts.lock().unwrap().is_empty());
    }

    #[test]
    fn a_network_of_ipv6_is_one_client() {
        let limit = AddressLimit::new(1);
        let _first = limit.enter(address("2001:db8::1")).unwrap();
        assert!(limit.enter(address("2001:db8::ffff:1")).is_none());
        assert!(limit.enter(address("2001:db8:0:1::1")).is_some());
    }
}
