//! A few threads that work through a bounded queue; the first failure ends the work.
//!
//! Owns: the threads. Never does: know what a job is.

use crate::error::CliError;
use std::{
    sync::{
        Arc, Mutex,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread::JoinHandle,
};

/// Threads and their queue.
#[derive(Debug)]
pub(crate) struct Pool<J> {
    queue: Option<SyncSender<J>>,
    threads: Vec<JoinHandle<()>>,
    failure: Arc<Mutex<Option<CliError>>>,
}

impl<J: Send + 'static> Pool<J> {
    /// Starts `n` threads that do `work` on each job.
    pub(crate) fn new(n: usize, work: impl Fn(J) -> Result<(), CliError> + Send + Sync + 'static) -> Pool<J> {
        let (queue, jobs) = sync_channel::<J>(n);
        let (jobs, work, failure) = (Arc::new(Mutex::new(jobs)), Arc::new(work), Arc::new(Mutex::new(None)));
        let threads = (0..n)
            .map(|_| {
                let (jobs, work, failure) = (Arc::clone(&jobs), Arc::clone(&work), Arc::clone(&failure));
                std::thread::spawn(move || run(&jobs, &*work, &failure))
            })
            .collect();
        Pool { queue: Some(queue), threads, failure }
    }

    /// Queues a job; waits while all threads are busy. Answers the failure of an earlier job, if there was one.
    pub(crate) fn push(&self, job: J) -> Result<(), CliError> {
        if let Some(queue) = &self.queue
            && queue.send(job).is_ok()
        {
            return Ok(());
        }
        self.failed()
    }

    fn failed(&self) -> Result<(), CliError> {
        match self.failure.lock().map(|mut f| f.take()) {
            Ok(Some(error)) => Err(error),
            _ => Ok(()),
        }
    }

    /// Waits until all jobs are done.
    pub(crate) fn finish(mut self) -> Result<(), CliError> {
        self.queue = None;
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                return Err(CliError::Found("a worker thread ended by a defect of wideye".to_owned()));
            }
        }
        self.failed()
    }
}

fn run<J>(jobs: &Mutex<Receiver<J>>, work: &dyn Fn(J) -> Result<(), CliError>, failure: &Mutex<Option<CliError>>) {
    loop {
        let Ok(Ok(job)) = jobs.lock().map(|jobs| jobs.recv()) else { return };
        if failure.lock().is_ok_and(|f| f.is_some()) {
            return;
        }
        if let Err(error) = work(job) {
            if let Ok(mut failure) = failure.lock() {
                failure.get_or_insert(error);
            }
            return;
        }
    }
}
