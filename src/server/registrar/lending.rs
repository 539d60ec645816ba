//! The store is lent to a process that takes over: the registrar waits until that one serves, or has failed.
//!
//! Nothing is judged meanwhile: what this process would acknowledge, the other would not know. UPDATEs are kept in order and
//! judged afterwards as of when they were received, so that a failed upgrade makes no heartbeat late; signed questions, which
//! need no store, are answered.

use std::collections::VecDeque;
use std::iter;
use std::thread;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, never, select};
use tracing::{info, warn};

use super::super::clock;
use super::{Commit, GROUP_MAX, GroupCommit, Job, Request, Task};
use crate::wire::{Header, Opcode};

/// UPDATEs kept here while the store is lent; more wait in the queue, and signed questions behind them.
const KEPT_MAX: usize = GROUP_MAX;
/// How long, and how often, it is tried to have the store back from a process that has just ended: the kernel unlocks its files
/// one after the other. After that each commit tries, and fails as with a broken disk.
const TAKE_BACK: Duration = Duration::from_secs(5);
const TAKE_BACK_EVERY: Duration = Duration::from_millis(10);

/// Another process asks for the store.
pub struct Lending {
    /// Is told that it is free and holds all that this process knows, or why not.
    pub released: Sender<Result<(), String>>,
    /// Tells that the other process keeps it. Disconnected without that, it is ours again.
    pub is_kept: Receiver<()>,
}

impl<S: Commit> GroupCommit<S> {
    /// Lends the store. Whether the other process keeps it; then this one has turned away all that was left to do.
    pub(super) fn lend(&mut self, lending: &Lending, tasks: &Receiver<Task>) -> bool {
        // What workers acknowledge from now on the other process would not know.
        self.registrar.heartbeats().forget_all();
        let released = match self.stop(self.leases.now().now_ms) {
            true => self.store.release().map_err(|error| error.to_string()),
            false => Err("its store cannot be written, and what it knows would be lost".to_owned()),
        };
        let is_released = released.is_ok();
        // Nobody waits for it any more if that has taken too long.
        let is_lent = lending.released.send(released).is_ok() && is_released;
        let (is_kept, mut waiting) = if is_lent { self.wait(lending, tasks) } else { Default::default() };
        if is_kept {
            for task in waiting.into_iter().chain(tasks) {
                self.turn_away(task);
            }
            return true;
        }
        if is_released {
            self.have_back();
        }
        while let Some(first) = waiting.pop_front() {
            // Nobody else lends it: that is for one process at a time.
            self.attend(iter::once(first).chain(iter::from_fn(|| waiting.pop_front())));
        }
        false
    }

    /// Keeps what comes until it is known who has the store. Whether the other process does, and what was kept.
    fn wait(&mut self, lending: &Lending, tasks: &Receiver<Task>) -> (bool, VecDeque<Task>) {
        let (mut kept, full) = (VecDeque::new(), never());
        loop {
            let more = if kept.len() < KEPT_MAX { tasks } else { &full };
            select! {
                recv(lending.is_kept) -> is_kept => return (is_kept.is_ok(), kept),
                recv(more) -> task => match task {
                    Ok(Task::Judge(job)) if is_question(&job) => self.answer(&job),
                    Ok(task) => kept.push_back(task),
                    // The server stops, and has decided.
                    Err(_) => return (lending.is_kept.recv().is_ok(), kept),
                }
            }
        }
    }

    /// Answers a signed question. As far as leases go nothing is judged by that: UPDATEs that came before it still wait.
    fn answer(&mut self, job: &Job) {
        let clock = self.leases.both();
        let transport = job.reply_to.transport();
        let (message, source) = (&job.message, job.source.ip());
        let request = Request { message, source, transport, received_ms: job.received_ms };
        let handled = self.registrar.handle(&request, clock);
        self.observer.update(job.source, &handled, clock.now_ms);
        self.reply(&job.reply_to, handled.reply.as_ref(), true, clock.wall_s);
    }

    fn have_back(&mut self) {
        let until_ms = clock::now_ms() + TAKE_BACK.as_millis() as u64;
        loop {
            match self.store.take_back() {
                Ok(()) => return info!("the store is this server's again"),
                Err(_) if clock::now_ms() < until_ms => thread::sleep(TAKE_BACK_EVERY),
                Err(error) => return warn!("UPDATEs cannot be stored: {error}"),
            }
        }
    }

    /// What this process does not do any more. A client over UDP repeats it, and reaches the other; a connection closes, for
    /// it is told that there is no reply, and the server stops.
    fn turn_away(&mut self, task: Task) {
        match task {
            Task::Judge(job) if is_question(&job) => self.answer(&job),
            Task::Judge(job) => _ = job.reply_to.send(None),
            Task::Reload(_) | Task::Release(_) => {}
        }
    }
}

fn is_question(job: &Job) -> bool {
    Header::read(&job.message).is_some_and(|header| header.opcode() == Opcode::QUERY)
}
