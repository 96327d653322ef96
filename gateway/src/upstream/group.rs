//! The upstreams of a route: which one a request goes to.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use super::service::Upstream;

/// The upstreams that can answer the same requests.
#[derive(Debug)]
pub struct Group {
    members: Vec<Arc<Upstream>>,
    turn: AtomicUsize,
}

impl Group {
    pub fn new(members: Vec<Arc<Upstream>>) -> Self {
        Self {
            members,
            turn: AtomicUsize::new(0),
        }
    }

    pub fn members(&self) -> &[Arc<Upstream>] {
        &self.members
    }

    pub fn is_ready(&self) -> bool {
        self.members.iter().any(|member| member.health.is_ready())
    }

    /// The least loaded one that is ready and not among `tried`; of equals, each in turn. When none is ready, one that
    /// may be tried again.
    pub fn choose(&self, tried: &[Arc<Upstream>]) -> Option<&Arc<Upstream>> {
        let is_new = |member: &&Arc<Upstream>| !tried.iter().any(|other| Arc::ptr_eq(other, member));
        if let [only] = self.members.as_slice() {
            return Some(only)
                .filter(is_new)
                .filter(|it| it.health.is_ready() || it.health.try_again());
        }
        let count = self.members.len();
        let start = self.turn.fetch_add(1, Relaxed).checked_rem(count).unwrap_or(0);
        let in_turn = || self.members.iter().cycle().skip(start).take(count).filter(is_new);
        in_turn()
            .filter(|member| member.health.is_ready())
            .min_by_key(|member| member.in_flight())
            .or_else(|| in_turn().find(|member| member.health.try_again()))
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use shared::metrics::Registry;

    use super::super::service::Requester;
    use super::*;

    const CLIENT: Requester = Requester::Client(IpAddr::V4(std::net::Ipv4Addr::LOCALHOST));

    fn group(ports: &[u16]) -> Group {
        let upstream = |port| {
            let url = format!("http://127.0.0.1:{port}").parse().unwrap();
            Upstream::new(url, None, None, 2, &Registry::default())
        };
        Group::new(ports.iter().map(upstream).collect())
    }

    #[test]
    fn the_least_loaded_one_that_is_ready_is_chosen() {
        let group = group(&[1, 2, 3]);
        let [a, b, c] = group.members() else { panic!() };
        let _permits = [a, b, b, c].map(|member| member.enter(CLIENT).unwrap());
        let held = c.enter(CLIENT);
        assert!(Arc::ptr_eq(group.choose(&[]).unwrap(), a));
        drop(held);
        a.health.unreachable(false);
        assert!(Arc::ptr_eq(group.choose(&[]).unwrap(), c));
        assert!(Arc::ptr_eq(group.choose(std::slice::from_ref(c)).unwrap(), b));
        assert!(group.choose(&[c.clone(), b.clone()]).is_none());
    }

    #[test]
    fn equals_are_chosen_in_turn() {
        let group = group(&[1, 2]);
        let mut ports: Vec<String> = (0..2)
            .map(|_| group.choose(&[]).unwrap().url.to_string())
            .collect();
        ports.sort();
        assert_eq!(ports, ["http://127.0.0.1:1", "http://127.0.0.1:2"]);
    }
}
