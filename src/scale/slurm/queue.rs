//! What `squeue --json` says of a submission's jobs. Its layout changes from version to version: numbers became objects with `number`, the
//! state a list, the exit code an object; all of them are read.

use std::collections::BTreeMap;

use anyhow::Context;
use serde_json::Value;

use crate::error::Stop;

use super::submission::{ElementId, Submission};

/// States of a job that is over. Any other is one that goes on, also those of later versions.
const OVER: [&str; 10] = [
    "COMPLETED",
    "FAILED",
    "CANCELLED",
    "TIMEOUT",
    "NODE_FAIL",
    "OUT_OF_MEMORY",
    "BOOT_FAIL",
    "DEADLINE",
    "PREEMPTED",
    "REVOKED",
];

/// Flags of a job that goes on whatever its state: it still has its node, or starts again after a node's failure.
const GOES_ON: [&str; 7] =
    ["COMPLETING", "REQUEUED", "REQUEUE_HOLD", "REQUEUE_FED", "SPECIAL_EXIT", "SIGNALING", "STAGE_OUT"];

/// Beginnings of the reasons for which a job may wait for ever. A busy cluster is none, nor are "Nodes required for job are DOWN, DRAINED or
/// reserved for jobs in higher priority partitions" and "ReqNodeNotAvail, May be reserved for other job", which a busy one says too.
const STUCK: [&str; 12] = [
    "NodeDown",
    "PartitionDown",
    "PartitionInactive",
    "BadConstraints",
    "JobHeld",
    "JobHoldMaxRequeue",
    "DependencyNeverSatisfied",
    "InvalidAccount",
    "InvalidQOS",
    "launch failed requeued held",
    "PartitionNodeLimit",
    "PartitionTimeLimit",
];

/// Beginning of the reason that names nodes which are down, if it names any.
const UNAVAILABLE: &str = "ReqNodeNotAvail, UnavailableNodes:";

/// A job of an element, as Slurm has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Job {
    /// Its number.
    pub id: u64,
    /// Its state, e.g. "RUNNING".
    pub state: String,
    /// Why it waits or failed.
    pub reason: String,
    /// The nodes it has or had.
    pub nodes: String,
    /// How often it was started before.
    pub restart: u64,
    /// The wait status of its script.
    pub exit: u64,
}

/// The jobs of a submission.
#[derive(Clone, Debug, Default)]
pub struct Queue {
    tasks: BTreeMap<ElementId, Job>,
    /// What an array's elements that have no job of their own yet are: Slurm lists them as one.
    rest: BTreeMap<usize, Rest>,
}

/// Elements that Slurm lists as one.
#[derive(Clone, Debug)]
struct Rest {
    job: Job,
    /// Which they are, if it says so in full. The others have had a job of their own, which it may have forgotten.
    tasks: Option<Tasks>,
}

/// Numbers as Slurm writes those of an array: "1,4-7,10-20:2%5", of which the last is how many may run at once.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Tasks(Vec<(u64, u64, u64)>);

impl Tasks {
    /// `None` for what is cut short ("...") or no list.
    fn parse(text: &str) -> Option<Tasks> {
        let range = |part: &str| -> Option<(u64, u64, u64)> {
            let (range, step) = part.split_once(':').unwrap_or((part, "1"));
            let (first, last) = range.split_once('-').unwrap_or((range, range));
            Some((first.parse().ok()?, last.parse().ok()?, step.parse().ok().filter(|&step| step > 0)?))
        };
        let numbers = text.split('%').next()?;
        numbers.split(',').map(range).collect::<Option<_>>().map(Tasks)
    }

    fn contains(&self, task: u64) -> bool {
        self.0.iter().any(|&(first, last, step)| (first..=last).contains(&task) && (task - first).is_multiple_of(step))
    }
}

impl Job {
    /// Nothing of it runs or will run.
    pub fn is_over(&self) -> bool {
        OVER.contains(&self.state.as_str())
    }

    /// It has a node.
    pub fn is_running(&self) -> bool {
        matches!(self.state.as_str(), "RUNNING" | "COMPLETING" | "SUSPENDED" | "CONFIGURING" | "STOPPED")
    }

    /// It is to start.
    pub fn waits(&self) -> bool {
        !self.is_over() && !self.is_running()
    }

    /// Why it may wait for ever.
    pub fn stuck(&self) -> Option<&str> {
        let names_nodes = self.reason.strip_prefix(UNAVAILABLE).is_some_and(|nodes| !nodes.trim().is_empty());
        let is_stuck = names_nodes || STUCK.iter().any(|start| self.reason.starts_with(start));
        (self.waits() && is_stuck).then_some(self.reason.as_str())
    }

    /// How it ended, in words.
    pub fn ending(&self) -> String {
        let on = if self.nodes.is_empty() { String::new() } else { format!(" on {}", self.nodes) };
        let how = match (self.state.as_str(), self.exit) {
            ("OUT_OF_MEMORY", _) => "it used more memory than it had asked for".into(),
            ("TIMEOUT" | "DEADLINE", _) => "it took longer than it had asked for: raise --time-factor".into(),
            ("NODE_FAIL", _) => "the node failed".into(),
            ("CANCELLED", _) => "it was cancelled".into(),
            ("BOOT_FAIL", _) => "the node did not boot".into(),
            ("PREEMPTED", _) => "another job took its place".into(),
            ("COMPLETED", 0) => "Slurm says completed, and there is no valid record".into(),
            (_, exit) if exit & 0x7f != 0 && exit < 0x100 => format!("signal {} ended it", exit & 0x7f),
            (_, 32_512) => "its program was not found on the node".into(),
            (_, 32_256) => "its program could not be executed on the node".into(),
            _ if self.reason == "JobLaunchFailure" => {
                "it could not be launched: the directory may not be there on the node".into()
            }
            (_, exit) => format!("exit code {}", exit >> 8),
        };
        format!("{}{on}: {how}", self.state)
    }
}

impl Queue {
    /// The jobs of a submission in squeue's document.
    pub fn parse(text: &str, submission: &Submission) -> anyhow::Result<Queue> {
        let document: Value =
            serde_json::from_str(text).context("squeue --json printed no JSON: it takes Slurm 21.08 or later")?;
        // An answer that never came is exit code 0 and an empty list too, beside the error.
        if let Some(error) = document["errors"].as_array().and_then(|errors| errors.first()) {
            let text = error["description"].as_str().or(error["error"].as_str()).unwrap_or("no reason").escape_debug();
            return Err(Stop::Refused.error(format!(
                "squeue failed ({text}): slurmctld does not answer, or munged does not run here: see scontrol ping"
            )));
        }
        let jobs = document["jobs"]
            .as_array()
            .context("squeue --json printed a document without jobs: this version of Slurm is not known, and --emit submits by hand")?;
        let names: Vec<String> = (0..submission.arrays.len()).map(|array| submission.job_name(array)).collect();
        let mut queue = Queue::default();
        for job in jobs {
            let Some(array) = names.iter().position(|name| job["name"] == name.as_str()) else { continue };
            let found = of(job);
            match number(&job["array_task_id"]) {
                Some(index) => keep(&mut queue.tasks, ElementId { array, index: index as usize }, found),
                None => {
                    let rest = Rest { job: found, tasks: job["array_task_string"].as_str().and_then(Tasks::parse) };
                    keep(&mut queue.rest, array, rest);
                }
            }
        }
        Ok(queue)
    }

    /// The job of an element, if Slurm knows one. Where it does not say which elements are still together, all that have none of their own are.
    pub fn job(&self, element: ElementId) -> Option<&Job> {
        let rest = || self.rest.get(&element.array).filter(|rest| rest.has(element).unwrap_or(true));
        self.tasks.get(&element).or_else(|| rest().map(|rest| &rest.job))
    }

    /// Whether what [`Queue::job`] gives is the element's beyond doubt.
    pub fn is_sure_of(&self, element: ElementId) -> bool {
        let rest = || self.rest.get(&element.array).and_then(|rest| rest.has(element)).unwrap_or(false);
        self.tasks.contains_key(&element) || rest()
    }

    /// Whether an element runs or will run.
    pub fn is_live(&self, element: ElementId) -> bool {
        self.job(element).is_some_and(|job| !job.is_over())
    }

    /// What was known before stays known: Slurm forgets jobs that are over.
    pub fn remember(&mut self, before: &Queue) {
        for (id, job) in before.tasks.iter().filter(|(_, job)| job.is_over()) {
            self.tasks.entry(*id).or_insert_with(|| job.clone());
        }
    }
}

impl Rest {
    /// Whether an element is one of them, if that is known.
    fn has(&self, element: ElementId) -> Option<bool> {
        self.tasks.as_ref().map(|tasks| tasks.contains(element.index as u64))
    }
}

impl AsRef<Job> for Job {
    fn as_ref(&self) -> &Job {
        self
    }
}

impl AsRef<Job> for Rest {
    fn as_ref(&self) -> &Job {
        &self.job
    }
}

/// An array that was submitted twice has two jobs of an element: the one that goes on counts, else the later one.
fn keep<K: Ord, J: AsRef<Job>>(jobs: &mut BTreeMap<K, J>, key: K, job: J) {
    let rank = |job: &J| (!job.as_ref().is_over(), job.as_ref().id);
    if jobs.get(&key).is_none_or(|known| rank(known) < rank(&job)) {
        jobs.insert(key, job);
    }
}

fn of(job: &Value) -> Job {
    let states: Vec<&str> = match &job["job_state"] {
        Value::Array(states) => states.iter().filter_map(Value::as_str).collect(),
        state => state.as_str().into_iter().collect(),
    };
    // The first is the state proper, the others are flags.
    let goes_on = states.iter().find(|state| GOES_ON.contains(state));
    let state = goes_on.or(states.first()).copied().unwrap_or("");
    let text = |key: &str| job[key].as_str().unwrap_or("").to_string();
    let described = Some(text("state_description")).filter(|text| !text.is_empty());
    Job {
        id: number(&job["job_id"]).unwrap_or(0),
        state: state.to_string(),
        reason: described.unwrap_or_else(|| text("state_reason")),
        nodes: text("nodes"),
        restart: number(&job["restart_cnt"]).unwrap_or(0),
        exit: exit(&job["exit_code"]),
    }
}

/// A number, or an object that holds one and says whether it is set.
fn number(value: &Value) -> Option<u64> {
    match value {
        Value::Object(_) if value["set"] == false => None,
        Value::Object(_) => value["number"].as_u64(),
        _ => value.as_u64(),
    }
}

/// The wait status; later versions take it apart.
fn exit(value: &Value) -> u64 {
    let signal =
        value.get("signal").and_then(|signal| number(signal.get("id").or(signal.get("signal_id")).unwrap_or(signal)));
    match value.get("return_code") {
        Some(code) => number(code).unwrap_or(0) << 8 | signal.unwrap_or(0),
        None => number(value).unwrap_or(0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scale::slurm::submission::{Array, Ask, Element};
    use crate::sector::Seed;
    use serde_json::json;

    fn submission() -> Submission {
        let ask = Ask { cpus: 1, exclusive: false, smt: false, memory_mib: 512, minutes: 8 };
        let elements = vec![Element { point: 0, round: 0, repeats: 1 }; 3];
        let mut submission = Submission::new("s".into(), Vec::new(), Seed::default(), "/p".into());
        submission.arrays = vec![Array { constraint: None, ask, elements }];
        submission
    }

    fn queue(jobs: Value) -> Queue {
        Queue::parse(&json!({"jobs": jobs}).to_string(), &submission()).unwrap()
    }

    fn id(index: usize) -> ElementId {
        ElementId { array: 0, index }
    }

    /// A job in the layout of 22.05, and in that of 23.11 and later.
    fn layouts(task: u64, state: &str, exit: u64) -> [Value; 2] {
        let old = json!({"name": "sealbench-s-0", "job_id": 9, "array_task_id": task, "job_state": state, "state_reason": "None",
                         "state_description": "", "nodes": "n1", "restart_cnt": 2, "exit_code": exit});
        let set = |number: u64| json!({"set": true, "infinite": false, "number": number});
        let mut new = old.clone();
        new["array_task_id"] = set(task);
        new["job_state"] = json!([state]);
        new["exit_code"] =
            json!({"status": ["X"], "return_code": set(exit >> 8), "signal": {"id": set(exit & 0x7f), "name": ""}});
        [old, new]
    }

    #[test]
    fn the_layouts_of_all_versions_say_the_same() {
        for (exit, ending) in
            [(768, "exit code 3"), (139 & 0x7f, "signal 11 ended it"), (32_512, "not found on the node")]
        {
            let [old, new] = layouts(1, "FAILED", exit).map(|job| queue(json!([job])).job(id(1)).cloned().unwrap());
            assert_eq!(old, new);
            assert!(old.is_over() && old.ending().contains(ending), "{}", old.ending());
            assert_eq!((old.nodes.as_str(), old.restart), ("n1", 2));
        }
    }

    #[test]
    fn the_rest_of_an_array_are_those_that_slurm_says_it_is() {
        let rest = |tasks: &str| {
            queue(
                json!([{"name": "sealbench-s-0", "job_id": 7, "array_task_id": null, "array_task_string": tasks, "job_state": "PENDING"}]),
            )
        };
        let has = |tasks: &str| [0, 1, 2].map(|index| rest(tasks).job(id(index)).is_some());
        assert_eq!(has("1-2"), [false, true, true]);
        assert_eq!(has("0,2%1"), [true, false, true]);
        assert_eq!(has("0-2:2"), [true, false, true]);
        // A list that is cut short may mean any.
        for tasks in ["1,...", "", "0x6", "2-1:0"] {
            assert_eq!(has(tasks), [true; 3], "{tasks}");
            assert!(!rest(tasks).is_sure_of(id(1)));
        }
        assert!(rest("1-2").is_sure_of(id(1)) && !rest("1-2").is_sure_of(id(0)));
    }

    #[test]
    fn elements_without_a_job_of_their_own_are_what_the_rest_of_the_array_is() {
        let [running, _] = layouts(0, "RUNNING", 0);
        let rest = json!({"name": "sealbench-s-0", "job_id": 7, "array_task_id": null, "job_state": "PENDING",
                          "state_reason": "ReqNodeNotAvail", "state_description": "ReqNodeNotAvail, UnavailableNodes:n2"});
        let unset = json!({"name": "sealbench-s-0", "job_id": 7, "array_task_id": {"set": false, "number": 0}, "job_state": ["PENDING"]});
        let other = json!({"name": "sealbench-s2-0", "job_id": 8, "array_task_id": 2, "job_state": "FAILED"});
        let found = queue(json!([running, rest, other]));
        assert!(found.job(id(0)).unwrap().is_running() && found.job(id(0)).unwrap().stuck().is_none());
        assert_eq!(found.job(id(2)).unwrap().stuck(), Some("ReqNodeNotAvail, UnavailableNodes:n2"));
        let waits = |reason: &str| Job { state: "PENDING".into(), reason: reason.into(), ..Job::default() };
        assert!(waits("JobHoldMaxRequeue").stuck().is_some());
        let busy = "Nodes required for job are DOWN, DRAINED or reserved for jobs in higher priority partitions";
        let reserved = "ReqNodeNotAvail, May be reserved for other job";
        assert!(
            ["Resources", "Priority", busy, reserved, UNAVAILABLE].iter().all(|reason| waits(reason).stuck().is_none())
        );
        assert!(queue(json!([unset])).is_live(id(1)));
        assert!(queue(json!([])).job(id(0)).is_none());
    }

    #[test]
    fn endings_are_told_in_words_and_what_goes_on_has_none() {
        let ended = |state: &str, exit: u64| {
            let [job, _] = layouts(0, state, exit);
            queue(json!([job])).job(id(0)).unwrap().ending()
        };
        assert!(ended("OUT_OF_MEMORY", 253).contains("more memory than it had asked for"));
        assert!(ended("TIMEOUT", 15).contains("--time-factor"));
        assert!(ended("COMPLETED", 0).contains("Slurm says completed"));
        assert!(ended("NODE_FAIL", 0).contains("the node failed"));
        for state in ["PENDING", "RUNNING", "COMPLETING", "REQUEUED", "SPECIAL_EXIT", "A_NEW_ONE"] {
            let [old, new] = layouts(0, state, 0);
            assert!(queue(json!([old])).is_live(id(0)) && queue(json!([new])).is_live(id(0)), "{state}");
        }
    }

    #[test]
    fn a_job_of_a_lost_node_that_starts_again_is_not_over() {
        for (flag, is_live) in
            [("COMPLETING", true), ("REQUEUED", true), ("REQUEUE_HOLD", true), ("POWER_UP_NODE", false)]
        {
            let [_, mut job] = layouts(0, "NODE_FAIL", 0);
            job["job_state"] = json!(["NODE_FAIL", flag]);
            assert_eq!(queue(json!([job])).is_live(id(0)), is_live, "{flag}");
        }
    }

    #[test]
    fn what_slurm_forgets_stays_known_and_of_two_jobs_the_one_that_goes_on_counts() {
        let [done, _] = layouts(0, "COMPLETED", 0);
        let mut now = queue(json!([]));
        now.remember(&queue(json!([done])));
        assert!(now.job(id(0)).unwrap().is_over());
        let again = json!({"name": "sealbench-s-0", "job_id": 5, "array_task_id": 0, "job_state": "RUNNING"});
        for jobs in [json!([done, again]), json!([again, done])] {
            assert_eq!(queue(jobs).job(id(0)).unwrap().id, 5);
        }
        let silent = r#"{"errors": [{"description": "Failed while looking for jobs"}], "jobs": []}"#;
        for text in ["", "[]", "{}", "{\"jobs\": 1}", silent] {
            assert!(Queue::parse(text, &submission()).is_err(), "{text}");
        }
    }
}
