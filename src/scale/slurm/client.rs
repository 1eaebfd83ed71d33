//! Slurm's commands: started with words of their own, their refusals in a sentence.

use std::env;
use std::io::ErrorKind;
use std::os::unix::process::CommandExt;
use std::process::Command;

use crate::error::Stop;

use super::queue::Queue;
use super::submission::Submission;

/// Variables of Slurm's that its commands keep: where the cluster is, and who asks. Others would add options of their own, or say of a job
/// what is true of the one that submits: an element's first start would pass for its second.
pub const KEPT: [&str; 3] = ["SLURM_CONF", "SLURM_CLUSTERS", "SLURM_JWT"];

/// Beginnings of the names of all of them.
pub const OURS: [&str; 4] = ["SLURM_", "SBATCH_", "SQUEUE_", "SCANCEL_"];

/// Submits an array with these words; its job's number.
pub fn sbatch(arguments: &[String]) -> anyhow::Result<String> {
    let told = run("sbatch", arguments)?;
    // "17" or, of one of several clusters, "17;name".
    Ok(told.trim().to_string())
}

/// What Slurm knows of a submission's jobs.
pub fn squeue(submission: &Submission) -> anyhow::Result<Queue> {
    // Later versions leave out jobs that are over, or in partitions that are hidden, unless they are asked for.
    Queue::parse(&run("squeue", &["--json", "--all", "--states=all"].map(str::to_string))?, submission)
}

/// Cancels all jobs of these arrays, none of which need exist. What could not be is returned, with the reason.
pub fn scancel(submission: &Submission, arrays: impl IntoIterator<Item = usize>) -> Vec<(usize, anyhow::Error)> {
    let one = |array: usize| {
        let words = ["--quiet".to_string(), format!("--name={}", submission.job_name(array))];
        run("scancel", &words).err().map(|error| (array, error))
    };
    arrays.into_iter().filter_map(one).collect()
}

fn run(program: &str, arguments: &[String]) -> anyhow::Result<String> {
    let mut command = Command::new(program);
    // Ctrl-C is for sealbench: an sbatch that dies of it may have submitted.
    command.args(arguments).process_group(0);
    for (name, _) in env::vars_os() {
        let text = name.to_string_lossy();
        if OURS.iter().any(|start| text.starts_with(start)) && !KEPT.contains(&&*text) {
            command.env_remove(&name);
        }
    }
    let ended = command.output().map_err(|e| match e.kind() {
        ErrorKind::NotFound => Stop::Refused.error(format!(
            "{program} is not on this machine: install Slurm's commands (Debian: slurm-client), or write the scripts with --emit DIR and \
             submit them where they are"
        )),
        _ => anyhow::Error::new(e).context(format!("cannot start {program}: see that it runs from a shell here")),
    })?;
    if ended.status.success() {
        return Ok(String::from_utf8_lossy(&ended.stdout).into_owned());
    }
    Err(refusal(program, &String::from_utf8_lossy(&ended.stderr)))
}

/// What a command says when it fails, and what to do about the usual causes.
fn refusal(program: &str, stderr: &str) -> anyhow::Error {
    let said = stderr.lines().map(str::trim).rfind(|line| !line.is_empty()).unwrap_or("it says nothing");
    let said = said.strip_prefix(&format!("{program}: ")).unwrap_or(said).escape_debug();
    let any = |words: &[&str]| words.iter().any(|word| stderr.to_ascii_lowercase().contains(word));
    let advice = if any(&["munge", "auth_g_pack", "invalid authentication"]) {
        "munged does not run here, or its key is not the cluster's: see systemctl status munge"
    } else if any(&["configuration file", "slurm.conf", "fetch_config"]) {
        "this machine knows no cluster: it needs the cluster's slurm.conf, or SLURM_CONF with its place"
    } else if any(&["unable to contact", "connection refused", "connection timed out"]) {
        "slurmctld does not answer: see scontrol ping"
    } else if any(&["invalid feature"]) {
        "no node has a feature that --constraint names: sinfo -o '%N %f' lists those there are"
    } else if any(&["invalid job array"]) {
        "the cluster's arrays are shorter (scontrol show config: MaxArraySize): raise --trials-per-element"
    } else if any(&["node configuration is not available", "can not be satisfied"]) {
        "no node has as many cores and as much memory as the largest point asks for: shorten the layouts"
    } else if any(&["json"]) {
        "it cannot print JSON here: that takes Slurm 21.08 or later with its JSON plugin"
    } else {
        "Slurm gives no other reason: see its manual page, and whether --partition and the words after -- are what this cluster takes"
    };
    Stop::Refused.error(format!("{program} failed ({said}): {advice}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::exit_code;

    #[test]
    fn the_usual_refusals_come_with_advice() {
        let munge = "sbatch: error: If munged is up, restart with --num-threads=10\nsbatch: error: Munge encode failed: Failed to \
                     access \"/run/munge/munge.socket.2\"\nsbatch: error: Batch job submission failed: Protocol authentication error";
        let silent = "squeue: error: Unable to contact slurm controller (connect failure)\nslurm_load_jobs error: Unable to contact slurm";
        for (stderr, part) in [
            (munge, "munged does not run here"),
            (silent, "slurmctld does not answer"),
            ("squeue: fatal: Unable to process configuration file", "knows no cluster"),
            ("sbatch: error: Batch job submission failed: Invalid feature specification", "no node has a feature"),
            ("sbatch: error: Memory specification can not be satisfied\n", "no node has as many cores"),
        ] {
            let error = refusal("sbatch", stderr);
            assert!(error.to_string().contains(part), "{error}");
            assert_eq!(exit_code(&error), 3);
        }
        let other = refusal("sbatch", "sbatch: error: Batch job submission failed: Invalid account\u{1b}[2J\n");
        let part = "sbatch failed (error: Batch job submission failed: Invalid account\\u{1b}[2J): ";
        assert!(other.to_string().starts_with(part), "{other}");
    }
}
