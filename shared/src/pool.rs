//! Calls to actors that own a scarce thing: the bound, the deadline and the error mapping, in one place.
//!
//! actix's `SyncArbiter` drains its mailbox into an unbounded queue, so the bound lives here, as permits. A permit
//! travels inside the message and is freed when the work ends or is skipped, not when the caller gives up.

use std::fmt;
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::dev::ToEnvelope;
use actix::{Actor, Addr, Handler, Message};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// One piece of work for an actor `A`: a struct with named fields and one reply.
pub trait Execute<A>: Send + 'static {
    type Output: Send + 'static;

    fn execute(self, actor: &mut A) -> Self::Output;
}

/// Why a call brought no reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PoolError {
    #[error("too much work is waiting")]
    Busy,
    #[error("the deadline has passed")]
    Deadline,
    #[error("the work panicked")]
    Panicked,
    #[error("the actor has stopped")]
    Stopped,
}

/// Work on its way to an actor. Each actor has one generic `Handler` for it, which calls [`Job::run`].
pub struct Job<A, M> {
    work: M,
    deadline: Instant,
    _permit: OwnedSemaphorePermit,
    actor: PhantomData<fn(&mut A)>,
}

impl<A: 'static, M: Execute<A>> Message for Job<A, M> {
    type Result = Result<M::Output, PoolError>;
}

impl<A, M: Execute<A>> Job<A, M> {
    /// Does the work, unless nobody waits for it any more. A panic fails the call, not the actor's thread, which
    /// nothing would start again.
    ///
    /// # Errors
    /// `Deadline` when it was skipped, `Panicked` when it panicked.
    pub fn run(self, actor: &mut A) -> Result<M::Output, PoolError> {
        if Instant::now() >= self.deadline {
            return Err(PoolError::Deadline);
        }
        let work = self.work;
        catch_unwind(AssertUnwindSafe(|| work.execute(actor))).map_err(|_| PoolError::Panicked)
    }
}

/// The handle to a pool of actors. Cheap to clone.
pub struct Pool<A: Actor> {
    addr: Addr<A>,
    permits: Arc<Semaphore>,
    capacity: usize,
    deadline: Duration,
}

impl<A: Actor> Clone for Pool<A> {
    fn clone(&self) -> Self {
        Self {
            addr: self.addr.clone(),
            permits: self.permits.clone(),
            capacity: self.capacity,
            deadline: self.deadline,
        }
    }
}

impl<A: Actor> fmt::Debug for Pool<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool")
            .field("capacity", &self.capacity)
            .field("in_use", &self.in_use())
            .field("deadline", &self.deadline)
            .finish_non_exhaustive()
    }
}

impl<A: Actor> Pool<A> {
    /// `capacity` counts what runs and what waits; a call beyond it is refused at once.
    pub fn new(addr: Addr<A>, capacity: usize, deadline: Duration) -> Self {
        Self {
            addr,
            permits: Arc::new(Semaphore::new(capacity)),
            capacity,
            deadline,
        }
    }

    /// How much work runs or waits now.
    pub fn in_use(&self) -> usize {
        self.capacity.saturating_sub(self.permits.available_permits())
    }

    /// Sends `work` and waits for its reply, at most until the deadline.
    ///
    /// # Errors
    /// See [`PoolError`].
    pub async fn call<M>(&self, work: M) -> Result<M::Output, PoolError>
    where
        M: Execute<A>,
        A: Handler<Job<A, M>>,
        A::Context: ToEnvelope<A, Job<A, M>>,
    {
        let permit = self
            .permits
            .clone()
            .try_acquire_owned()
            .map_err(|_| PoolError::Busy)?;
        let job = Job {
            work,
            deadline: Instant::now() + self.deadline,
            _permit: permit,
            actor: PhantomData,
        };
        match tokio::time::timeout(self.deadline, self.addr.send(job)).await {
            Ok(Ok(reply)) => reply,
            Ok(Err(_)) => Err(PoolError::Stopped),
            Err(_) => Err(PoolError::Deadline),
        }
    }
}
