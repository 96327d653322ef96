//! Memory for bodies that are held whole: a bound over all of them together, and a share of it for each client.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use crate::error::GatewayError;
use crate::upstream::{ClientShare, ClientShares};

/// How much all bodies that are held whole may take together; one client has at most half of it. Clones share it.
#[derive(Clone, Debug)]
pub struct Held {
    max_bytes: usize,
    bytes: Arc<AtomicUsize>,
    shares: ClientShares,
}

/// What one body takes; given back when dropped.
#[derive(Debug)]
pub struct HeldBytes {
    held: Held,
    share: ClientShare,
    bytes: usize,
}

impl Held {
    pub fn new(max_bytes: usize) -> Self {
        Self {
            max_bytes,
            bytes: Arc::default(),
            shares: ClientShares::new(max_bytes.div_ceil(2)),
        }
    }

    /// Nothing yet, for a body of `client`.
    pub fn of(&self, client: IpAddr) -> HeldBytes {
        HeldBytes {
            held: self.clone(),
            share: self.shares.of(client.into()),
            bytes: 0,
        }
    }
}

impl HeldBytes {
    /// Takes so much more.
    ///
    /// # Errors
    /// 503 over the bound of all, or over the client's share.
    pub fn add(&mut self, bytes: usize) -> Result<(), GatewayError> {
        if bytes == 0 {
            return Ok(());
        }
        if !self.share.take(bytes) {
            log::warn!("refused a body: its client has its whole share of the memory for bodies");
            return Err(GatewayError::Unavailable);
        }
        self.bytes += bytes;
        let held_bytes = self.held.bytes.fetch_add(bytes, Relaxed) + bytes;
        if held_bytes > self.held.max_bytes {
            log::warn!(held_bytes; "refused a body: too many are held at once");
            return Err(GatewayError::Unavailable);
        }
        Ok(())
    }
}

impl Drop for HeldBytes {
    fn drop(&mut self) {
        self.held.bytes.fetch_sub(self.bytes, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_client_cannot_take_the_memory_of_all() {
        let held = Held::new(100);
        let address = |last| IpAddr::from([192, 0, 2, last]);
        let mut greedy = held.of(address(1));
        greedy.add(50).unwrap();
        assert_eq!(greedy.add(1), Err(GatewayError::Unavailable));
        assert_eq!(held.of(address(1)).add(1), Err(GatewayError::Unavailable));
        let mut other = held.of(address(2));
        other.add(50).unwrap();
        assert_eq!(held.of(address(3)).add(1), Err(GatewayError::Unavailable));
        drop((greedy, other));
        held.of(address(1)).add(50).unwrap();
        assert_eq!(held.bytes.load(Relaxed), 0);
    }
}
