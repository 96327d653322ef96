//! Remembers which jobs were sent lately, so that a job delivered twice is a mail sent once.

use std::collections::{HashSet, VecDeque};

/// What is known of a job that has just been delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known {
    /// It may be sent; it counts as in hand until [`RecentJobs::finish`].
    New,
    /// Another delivery of it is being sent at this moment.
    InHand,
    Sent,
}

/// Job ids in hand, and the last `capacity` that were sent.
#[derive(Debug)]
pub struct RecentJobs {
    capacity: usize,
    in_hand: HashSet<String>,
    sent: HashSet<String>,
    oldest_first: VecDeque<String>,
}

impl RecentJobs {
    pub fn new(capacity: usize) -> Self {
        Self {
            capacity,
            in_hand: HashSet::new(),
            sent: HashSet::new(),
            oldest_first: VecDeque::new(),
        }
    }

    pub fn begin(&mut self, job_id: &str) -> Known {
        if self.sent.contains(job_id) {
            return Known::Sent;
        }
        if self.in_hand.insert(job_id.to_owned()) {
            Known::New
        } else {
            Known::InHand
        }
    }

    /// Ends what [`RecentJobs::begin`] began. A job that was not sent is forgotten, and may come again.
    pub fn finish(&mut self, job_id: &str, was_sent: bool) {
        self.in_hand.remove(job_id);
        if was_sent && self.sent.insert(job_id.to_owned()) {
            self.oldest_first.push_back(job_id.to_owned());
        }
        while self.oldest_first.len() > self.capacity {
            if let Some(oldest) = self.oldest_first.pop_front() {
                self.sent.remove(&oldest);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_is_remembered_only_after_success() {
        let mut jobs = RecentJobs::new(10);
        assert_eq!(jobs.begin("a"), Known::New);
        assert_eq!(jobs.begin("a"), Known::InHand);
        jobs.finish("a", false);
        assert_eq!(jobs.begin("a"), Known::New);
        jobs.finish("a", true);
        assert_eq!(jobs.begin("a"), Known::Sent);
    }

    #[test]
    fn the_oldest_are_forgotten() {
        let mut jobs = RecentJobs::new(2);
        for id in ["a", "b", "c"] {
            jobs.begin(id);
            jobs.finish(id, true);
        }
        assert_eq!(
            (jobs.begin("a"), jobs.begin("b"), jobs.begin("c")),
            (Known::New, Known::Sent, Known::Sent)
        );
    }
}
