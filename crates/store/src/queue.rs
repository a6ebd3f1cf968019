//! Requests that wait for the write-ahead log.
//!
//! Owns: order and waking. Never does: bound memory (the budget does that before a request gets here).

use crate::{Segment, StoreError};
use parking_lot::{Condvar, Mutex};
use std::{collections::VecDeque, sync::Arc};
use tokio::sync::oneshot;

/// One request: all of it is kept, or nothing.
#[derive(Debug)]
pub(crate) struct Group {
    /// Datasets and images.
    pub(crate) pieces: Vec<(u64, Arc<Segment>)>,
    /// What it counts against the limit of memory.
    pub(crate) cost: usize,
    /// Told when the events are on disk and visible, or were not kept.
    pub(crate) ack: oneshot::Sender<Result<(), StoreError>>,
}

#[derive(Debug, Default)]
struct Inner {
    groups: VecDeque<Group>,
    closed: bool,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    inner: Mutex<Inner>,
    wake: Condvar,
}

impl Queue {
    /// Adds a request, or gives it back if the queue is closed.
    pub(crate) fn push(&self, group: Group) -> Result<(), Group> {
        let mut inner = self.inner.lock();
        if inner.closed {
            return Err(group);
        }
        inner.groups.push_back(group);
        self.wake.notify_one();
        Ok(())
    }

    /// Waits for requests and takes up to `bytes` of them, at least one. `None` when closed and empty.
    pub(crate) fn take(&self, bytes: usize) -> Option<Vec<Group>> {
        let mut inner = self.inner.lock();
        while inner.groups.is_empty() {
            if inner.closed {
                return None;
            }
            self.wake.wait(&mut inner);
        }
        let mut taken = Vec::new();
        let mut left = bytes;
        while let Some(group) = inner.groups.pop_front_if(|g| taken.is_empty() || g.cost <= left) {
            left = left.saturating_sub(group.cost);
            taken.push(group);
        }
        Some(taken)
    }

    /// Lets nothing in any more; what waits is still taken.
    pub(crate) fn close(&self) {
        self.inner.lock().closed = true;
        self.wake.notify_all();
    }

    pub(crate) fn len(&self) -> usize {
        self.inner.lock().groups.len()
    }
}
