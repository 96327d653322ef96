//! How many requests each client may make in a minute: of the contract's endpoints, or of a route's class.
//!
//! A sliding window, exactly as the reference counts: a request passes when fewer than the limit have passed in the
//! minute before it, and a request that does not pass does not count.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use shared::clock::{Clock, to_ms};

const WINDOW_MS: i64 = 60_000;
/// How many clients one generation holds; the table holds two, at most some tens of megabytes.
const GENERATION_CLIENTS: usize = 65_536;

/// The budgets of all clients.
#[derive(Debug)]
pub struct RateLimit {
    /// Its name in the routes file; empty for the one of the contract.
    class: String,
    requests_per_minute: usize,
    time: Time,
    clients: Mutex<Clients>,
}

/// Milliseconds that never go back, whatever happens to the system's clock; a test's clock is taken as it is.
#[derive(Debug)]
struct Time {
    clock: Clock,
    started: Instant,
}

impl Time {
    fn now_ms(&self) -> i64 {
        match &self.clock {
            Clock::System => to_ms(self.started.elapsed()),
            fixed @ Clock::Fixed(_) => fixed.now_ms(),
        }
    }
}

/// When the requests of one client passed, oldest first.
type Passed = VecDeque<i64>;

/// Two generations of clients. Whoever is seen moves to the young one; when a window has gone by, the old one holds
/// only clients without a request in it, and is dropped whole.
///
/// When the young one is full earlier than that, it becomes the old one at once: the clients that were longest away
/// are forgotten and start with a fresh budget. Nobody is ever locked out by it, and to be forgotten costs an attacker
/// requests from 65,536 other addresses (or /64 networks) within a minute, each of which has a budget of its own anyway.
#[derive(Debug, Default)]
struct Clients {
    young: HashMap<IpAddr, Passed>,
    old: HashMap<IpAddr, Passed>,
    young_since_ms: i64,
}

impl RateLimit {
    /// `requests_per_minute` of 0 switches the limit off.
    pub fn new(requests_per_minute: usize, clock: Clock) -> Self {
        Self::of_class("", requests_per_minute, clock)
    }

    /// The budget of a class of routes.
    pub fn of_class(class: &str, requests_per_minute: usize, clock: Clock) -> Self {
        let time = Time {
            clock,
            started: Instant::now(),
        };
        let clients = Clients {
            young_since_ms: time.now_ms(),
            ..Clients::default()
        };
        Self {
            class: class.to_owned(),
            requests_per_minute,
            time,
            clients: Mutex::new(clients),
        }
    }

    pub fn is(&self, class: &str, requests_per_minute: usize) -> bool {
        self.class == class && self.requests_per_minute == requests_per_minute
    }

    /// Charges a request to `client`, or returns after how many whole seconds, rounded up, there is budget again.
    pub fn charge(&self, client: IpAddr) -> Option<i64> {
        if self.requests_per_minute == 0 {
            return None;
        }
        let now_ms = self.time.now_ms();
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        let passed = clients.get_mut(budget_holder(client), now_ms, GENERATION_CLIENTS);
        while passed
            .front()
            .is_some_and(|&first_ms| first_ms <= now_ms - WINDOW_MS)
        {
            passed.pop_front();
        }
        match passed.front() {
            Some(first_ms) if passed.len() >= self.requests_per_minute => {
                let wait_ms = first_ms + WINDOW_MS - now_ms;
                Some((wait_ms + 999).div_euclid(1000).max(1))
            }
            _ => {
                passed.push_back(now_ms);
                None
            }
        }
    }
}

impl Clients {
    fn get_mut(&mut self, client: IpAddr, now_ms: i64, capacity: usize) -> &mut Passed {
        let earlier = self.old.remove(&client);
        let is_full = self.young.len() >= capacity && !self.young.contains_key(&client);
        if is_full || now_ms - self.young_since_ms >= WINDOW_MS {
            self.old = std::mem::take(&mut self.young);
            self.young_since_ms = now_ms;
        }
        let earlier = earlier.or_else(|| self.old.remove(&client));
        self.young
            .entry(client)
            .or_insert_with(|| earlier.unwrap_or_default())
    }
}

/// Whoever has an IPv6 address has the whole /64 network around it.
fn budget_holder(client: IpAddr) -> IpAddr {
    match client.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6((u128::from(address) >> 64 << 64).into()),
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn the_wait_is_until_the_oldest_request_leaves_the_window() {
        let clock = Clock::fixed(1_000_000);
        let limit = RateLimit::new(5, clock.clone());
        let ann = address("192.0.2.1");
        for _ in 0..5 {
            assert_eq!(limit.charge(ann), None);
        }
        assert_eq!(limit.charge(ann), Some(60));
        clock.advance(Duration::from_secs(1));
        assert_eq!(limit.charge(ann), Some(59));
        clock.advance(Duration::from_millis(1));
        assert_eq!(limit.charge(ann), Some(59));
        clock.advance(Duration::from_millis(58_998));
        assert_eq!(limit.charge(ann), Some(1));
        clock.advance(Duration::from_millis(1));
        assert_eq!(limit.charge(ann), None);
        assert_eq!(limit.charge(address("192.0.2.2")), None);
    }

    #[test]
    fn the_window_slides_instead_of_jumping() {
        let clock = Clock::fixed(0);
        let limit = RateLimit::new(2, clock.clone());
        let ann = address("192.0.2.1");
        assert_eq!(limit.charge(ann), None);
        clock.advance(Duration::from_secs(50));
        assert_eq!(limit.charge(ann), None);
        clock.advance(Duration::from_secs(10));
        assert_eq!(limit.charge(ann), None);
        assert_eq!(limit.charge(ann), Some(50));
        clock.advance(Duration::from_secs(45));
        assert_eq!(limit.charge(ann), Some(5));
    }

    #[test]
    fn an_ipv6_client_is_its_64_bit_network_and_a_mapped_address_is_ipv4() {
        let limit = RateLimit::new(1, Clock::fixed(0));
        assert_eq!(limit.charge(address("2001:db8::1")), None);
        assert!(limit.charge(address("2001:db8::ffff:2")).is_some());
        assert_eq!(limit.charge(address("2001:db8:0:1::1")), None);
        assert_eq!(limit.charge(address("192.0.2.1")), None);
        assert!(limit.charge(address("::ffff:192.0.2.1")).is_some());
    }

    #[test]
    fn a_full_table_forgets_the_stalest_and_keeps_the_rest() {
        let mut clients = Clients::default();
        let numbered = |number: u32| IpAddr::V4(number.into());
        clients.get_mut(numbered(0), 0, 4).push_back(0);
        for number in 1..7 {
            clients.get_mut(numbered(number), 1, 4).push_back(1);
            assert!(clients.young.len() + clients.old.len() <= 8);
            assert_eq!(
                clients.get_mut(numbered(0), 1, 4).len(),
                1,
                "a client that keeps coming is remembered"
            );
        }
        for number in 100..108 {
            clients.get_mut(numbered(number), 2, 4).push_back(2);
        }
        assert!(clients.get_mut(numbered(0), 2, 4).is_empty());
    }

    #[test]
    fn a_limit_of_zero_is_no_limit() {
        let limit = RateLimit::new(0, Clock::fixed(0));
        assert!((0..1000).all(|_| limit.charge(address("192.0.2.1")).is_none()));
    }
}
