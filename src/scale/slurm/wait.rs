//! Waiting for a submission's jobs: what Slurm says, again and again, until nothing goes on.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::report::table::one_line;
use crate::report::units;
use crate::trial::signals::Signals;

use super::client;
use super::queue::{Job, Queue};
use super::submission::Submission;

/// How long Slurm may be silent: its controller starts again in less.
const SILENCE: Duration = Duration::from_secs(600);

/// How long jobs that were cancelled may take to go.
const FAREWELL: Duration = Duration::from_secs(30);

/// How often progress is said.
const SAY_EVERY: Duration = Duration::from_secs(30);

/// How often Slurm is asked, and how long is waited for what may never come.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// Between two questions.
    pub poll: Duration,
    /// For nodes that are down or held back.
    pub give_up: Duration,
}

/// What the waiting ended with.
pub struct Waited {
    /// What Slurm knew of the jobs last.
    pub queue: Queue,
    /// A signal ended it, and the jobs were cancelled; but those of these arrays could not be.
    pub interrupted: Option<Vec<usize>>,
    /// Slurm does not answer any more: why the jobs' state is not known.
    pub silence: Option<anyhow::Error>,
}

/// One who waits.
struct Waiter<'a> {
    submission: &'a Submission,
    patience: Patience,
    queue: Queue,
    started: Instant,
    answered: Instant,
    said: Option<Instant>,
    /// Slurm did not answer last time.
    silent: bool,
    /// Since when an array waits for nodes that are not there.
    stuck: BTreeMap<usize, Instant>,
    /// Elements that were over at the start.
    before: Option<usize>,
}

/// Waits until every job is over. A signal cancels what is left. `say` hears of progress and of what holds jobs up.
pub fn wait(submission: &Submission, patience: Patience, signals: &Signals, say: &mut dyn FnMut(&str)) -> Waited {
    // A second signal would leave the jobs running.
    let _alive = signals.defer_exit();
    let mut waiter = Waiter::new(submission, patience);
    let mut cancelling: Option<(Instant, Vec<usize>)> = None;
    loop {
        match waiter.ask(say) {
            Ok(true) => break,
            Err(error) if cancelling.is_none() => {
                return Waited { queue: waiter.queue, interrupted: None, silence: Some(error) };
            }
            Ok(false) | Err(_) => {}
        }
        let (since, left) = match cancelling.take() {
            None if signals.stops() == 0 => {
                waiter.pause(signals, false);
                continue;
            }
            None => {
                say("cancelling the jobs");
                (Instant::now(), (0..submission.arrays.len()).collect())
            }
            Some(cancelling) => cancelling,
        };
        let failed = client::scancel(submission, left);
        let left = failed.iter().map(|(array, _)| *array).collect();
        cancelling = Some((since, left));
        if since.elapsed() > FAREWELL {
            failed.iter().for_each(|(array, error)| say(&format!("array {array}: {error:#}")));
            break;
        }
        waiter.pause(signals, true);
    }
    Waited { queue: waiter.queue, interrupted: cancelling.map(|(_, left)| left), silence: None }
}

impl<'a> Waiter<'a> {
    fn new(submission: &'a Submission, patience: Patience) -> Waiter<'a> {
        let now = Instant::now();
        Waiter {
            submission,
            patience,
            queue: Queue::default(),
            started: now,
            answered: now,
            said: None,
            silent: false,
            stuck: BTreeMap::new(),
            before: None,
        }
    }

    /// Asks Slurm; whether every job is over.
    fn ask(&mut self, say: &mut dyn FnMut(&str)) -> anyhow::Result<bool> {
        match client::squeue(self.submission) {
            Ok(queue) => self.take(queue, say),
            Err(error) if self.answered.elapsed() > SILENCE => {
                return Err(error.context(
                    "Slurm has not answered for ten minutes, and the jobs are left as they are: when it does, wait again with --collect DIR --wait",
                ));
            }
            Err(error) => {
                self.silence(&error, say);
                return Ok(false);
            }
        }
        if self.live() == 0 {
            return Ok(true);
        }
        self.progress(say);
        self.give_up(say);
        Ok(false)
    }

    fn take(&mut self, mut queue: Queue, say: &mut dyn FnMut(&str)) {
        if std::mem::take(&mut self.silent) {
            say("Slurm answers again");
        }
        queue.remember(&self.queue);
        self.queue = queue;
        self.answered = Instant::now();
    }

    fn live(&self) -> usize {
        self.submission.elements().filter(|(id, _)| self.queue.is_live(*id)).count()
    }

    /// Counts and the time that is left, now and then.
    fn progress(&mut self, say: &mut dyn FnMut(&str)) {
        let total = self.submission.elements().count();
        let over = total - self.live();
        let before = *self.before.get_or_insert(over);
        if self.said.is_some_and(|said| said.elapsed() < SAY_EVERY) {
            return;
        }
        self.said = Some(Instant::now());
        let is_running = |id| self.queue.job(id).is_some_and(|job| job.is_running());
        let running = self.submission.elements().filter(|(id, _)| is_running(*id)).count();
        let left = match over - before {
            0 => String::new(),
            done => {
                let each = self.started.elapsed().as_secs_f64() / done as f64;
                format!(", ETA {}", units::duration(each * (total - over) as f64))
            }
        };
        say(&format!("[{over}/{total}] {running} running, {} waiting{}{left}", total - over - running, self.reasons()));
    }

    /// Why elements wait, and how many for what.
    fn reasons(&self) -> String {
        let mut reasons: BTreeMap<&str, usize> = BTreeMap::new();
        let jobs = self.submission.elements().filter_map(|(id, _)| self.queue.job(id));
        let has_reason = |job: &&Job| !job.reason.is_empty() && job.reason != "None";
        for job in jobs.filter(|job| job.waits()).filter(has_reason) {
            *reasons.entry(&job.reason).or_default() += 1;
        }
        let words: Vec<String> =
            reasons.iter().map(|(reason, count)| format!("{count} {}", one_line(reason))).collect();
        if words.is_empty() { String::new() } else { format!(" ({})", words.join("; ")) }
    }

    /// Says that Slurm does not answer, once.
    fn silence(&mut self, error: &anyhow::Error, say: &mut dyn FnMut(&str)) {
        if !self.silent {
            say(&format!("{error:#}; asking again"));
        }
        self.silent = true;
    }

    /// Says which arrays wait for nodes that are not there, and cancels those that have for too long.
    fn give_up(&mut self, say: &mut dyn FnMut(&str)) {
        for (array, found) in self.submission.arrays.iter().enumerate() {
            let Some(reason) = self.stuck_for(array) else {
                self.stuck.remove(&array);
                continue;
            };
            let nodes = found.constraint.as_deref().map_or("any node".to_string(), |name| format!("nodes with {name}"));
            let is_new = !self.stuck.contains_key(&array);
            let since = *self.stuck.entry(array).or_insert_with(Instant::now);
            if is_new {
                let limit = units::duration(self.patience.give_up.as_secs_f64());
                say(&format!(
                    "array {array} waits for {nodes}, which Slurm cannot give it now ({}); given up after {limit}",
                    one_line(&reason)
                ));
            } else if since.elapsed() > self.patience.give_up {
                let limit = units::duration(since.elapsed().as_secs_f64());
                say(&format!(
                    "array {array} is given up after {limit}: Slurm gave it no {nodes} ({})",
                    one_line(&reason)
                ));
                let failed = client::scancel(self.submission, [array]);
                failed.iter().for_each(|(_, error)| say(&format!("array {array}: {error:#}; trying again")));
            }
        }
    }

    /// Why an array waits for ever: nothing of it runs, and all that waits does so for what is not there.
    fn stuck_for(&self, array: usize) -> Option<String> {
        let elements = self.submission.elements().filter(|(id, _)| id.array == array);
        let jobs: Vec<_> = elements.filter_map(|(id, _)| self.queue.job(id)).collect();
        if jobs.iter().any(|job| job.is_running()) {
            return None;
        }
        let reasons: Option<Vec<&str>> = jobs.iter().filter(|job| job.waits()).map(|job| job.stuck()).collect();
        reasons?.first().map(|reason| reason.to_string())
    }

    /// Until the next question, or a signal.
    fn pause(&self, signals: &Signals, is_leaving: bool) {
        let end = Instant::now() + self.patience.poll;
        while Instant::now() < end && (is_leaving || signals.stops() == 0) {
            std::thread::sleep(Duration::from_millis(50).min(self.patience.poll));
        }
    }
}
