//! Actors that work asynchronously: an actor is its messages, an enum that others send to its [`Address`].
//!
//! The supervisor is [`Background`]; what happens after a panic is one constant of the actor. In a test [`channel`] gives an
//! address whose messages the test reads itself, so that what sends to an actor is tested without it. Actors that block a
//! thread (database, hashing, SMTP) are actix's `SyncArbiter`s behind a [`crate::pool::Pool`].

use std::fmt;

use tokio::sync::{mpsc, oneshot};

use crate::background::{self, Background};

/// What is done with messages. Timers and other events stand beside [`Inbox::next`] in a `tokio::select!`.
pub trait Actor: 'static {
    /// Everything that others can send, one variant each. A variant that is answered holds a [`Reply`].
    type Message: 'static;

    /// For log lines.
    const NAME: &'static str;
    /// How many messages may wait; beyond it [`Address::send`] waits too.
    const CAPACITY: usize;
    /// What the supervisor does after a panic.
    const ON_PANIC: OnPanic;

    /// Works until the inbox ends. Runs again after a panic when [`Actor::ON_PANIC`] says so: with the messages that were not
    /// taken yet, and with the state that the panic left.
    fn run(&mut self, inbox: &mut Inbox<Self::Message>) -> impl Future<Output = ()>;
}

/// The supervisor's rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnPanic {
    /// The actor goes on with the next message.
    Restart,
    /// It is reported by [`Background::failed`], and the process ends.
    EndProcess,
}

/// Starts an actor under `background`. It ends when its last address is gone.
pub fn start<A: Actor>(mut actor: A, background: &mut Background) -> Address<A::Message> {
    let (address, mut inbox) = channel(A::CAPACITY);
    match A::ON_PANIC {
        OnPanic::EndProcess => background.require(A::NAME, async move { actor.run(&mut inbox).await }),
        OnPanic::Restart => background.require(A::NAME, async move {
            while !inbox.is_ended() {
                let reason = background::end_of(actor.run(&mut inbox)).await;
                if !inbox.is_ended() {
                    log::error!(actor = A::NAME, reason; "an actor has ended and goes on with its next message");
                }
            }
        }),
    }
    address
}

/// Both ends of an inbox for at least one waiting message: for [`start`], and in tests in an actor's place.
pub fn channel<M>(capacity: usize) -> (Address<M>, Inbox<M>) {
    let (sender, receiver) = mpsc::channel(capacity.max(1));
    (Address(sender), Inbox(receiver))
}

/// The actor has ended, and the message with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the actor has stopped")]
pub struct Stopped;

/// Where messages are sent to. Cheap to clone.
pub struct Address<M>(mpsc::Sender<M>);

impl<M> Clone for Address<M> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<M> fmt::Debug for Address<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Address")
    }
}

impl<M> Address<M> {
    /// Waits until there is room for the message.
    pub async fn send(&self, message: M) -> Result<(), Stopped> {
        self.0.send(message).await.map_err(|_| Stopped)
    }

    /// Sends without waiting. False when there is no room: enough for "look now", which others have said then already.
    pub fn try_send(&self, message: M) -> bool {
        self.0.try_send(message).is_ok()
    }

    /// Sends the message that `make` makes, and waits for the reply to it.
    pub async fn ask<R>(&self, make: impl FnOnce(Reply<R>) -> M) -> Result<R, Stopped> {
        let (reply, replied) = oneshot::channel();
        self.send(make(Reply(reply))).await?;
        replied.await.map_err(|_| Stopped)
    }
}

/// The way back to whoever asked.
#[derive(Debug)]
pub struct Reply<R>(oneshot::Sender<R>);

impl<R> Reply<R> {
    /// Somebody who no longer waits is not told.
    pub fn send(self, reply: R) {
        let _ = self.0.send(reply);
    }
}

/// The messages of an actor, in the order in which they were sent.
#[derive(Debug)]
pub struct Inbox<M>(mpsc::Receiver<M>);

impl<M> Inbox<M> {
    /// The next message; `None` when the last address is gone. Safe to cancel.
    pub async fn next(&mut self) -> Option<M> {
        self.0.recv().await
    }

    /// Whether nothing will come any more.
    pub fn is_ended(&self) -> bool {
        self.0.is_closed() && self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    struct Adder(u32);

    enum AdderMessage {
        Add(u32),
        Panic,
        Sum(Reply<u32>),
    }

    impl Actor for Adder {
        type Message = AdderMessage;
        const NAME: &'static str = "adder";
        const CAPACITY: usize = 1;
        const ON_PANIC: OnPanic = OnPanic::Restart;

        async fn run(&mut self, inbox: &mut Inbox<AdderMessage>) {
            while let Some(message) = inbox.next().await {
                match message {
                    AdderMessage::Add(number) => self.0 += number,
                    AdderMessage::Panic => panic!("asked to"),
                    AdderMessage::Sum(reply) => reply.send(self.0),
                }
            }
        }
    }

    #[actix::test]
    async fn an_actor_goes_on_after_a_panic_and_ends_with_its_last_address() {
        let mut background = Background::default();
        let address = start(Adder(0), &mut background);
        for message in [AdderMessage::Add(2), AdderMessage::Panic, AdderMessage::Add(3)] {
            address.send(message).await.unwrap();
        }
        assert_eq!(address.ask(AdderMessage::Sum).await, Ok(5));
        drop(address);
        assert!(background.stop(Duration::from_secs(5)).await.is_empty());
    }

    #[tokio::test]
    async fn a_test_reads_what_an_actor_would() {
        let (address, mut inbox) = channel(1);
        assert!(address.try_send(1));
        assert!(!address.try_send(2), "there is room for one");
        assert_eq!(inbox.next().await, Some(1));
        drop(inbox);
        assert_eq!(address.send(3).await, Err(Stopped));
    }
}
