//! What users may add to sbatch's options: words of the form --name or --name=value, but for what a submission says itself.

/// Options that say what an array is, where it goes and what it gets; sbatch takes the start of a name for the whole.
const OWN: [&str; 32] = [
    "array",
    "chdir",
    "clusters",
    "constraint",
    "cpus-per-task",
    "error",
    "exclusive",
    "extra-node-info",
    "help",
    "hint",
    "input",
    "job-name",
    "no-kill",
    "no-requeue",
    "nodes",
    "ntasks",
    "ntasks-per-core",
    "ntasks-per-node",
    "ntasks-per-socket",
    "output",
    "overcommit",
    "oversubscribe",
    "parsable",
    "partition",
    "quiet",
    "requeue",
    "test-only",
    "threads-per-core",
    "usage",
    "version",
    "wait",
    "wrap",
];

/// What is wrong with the words, in a sentence.
pub fn check(words: &[String]) -> Result<(), String> {
    words.iter().try_for_each(|word| {
        let shown = word.escape_debug();
        let name = word.strip_prefix("--").and_then(|rest| rest.split('=').next()).unwrap_or_default();
        if !name.starts_with(|c: char| c.is_ascii_alphabetic()) || word.contains('\0') {
            return Err(format!("'{shown}' after -- is no option for sbatch: write each as one word, --name or --name=value"));
        }
        match OWN.iter().find(|own| own.starts_with(name)) {
            Some(own) => Err(format!(
                "'{shown}' after -- is sealbench's affair (--{own}): drop it, or see sealbench scale slurm --help for its own option"
            )),
            None => Ok(()),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_for_sbatch_are_whole_options_that_a_submission_does_not_set() {
        let check = |word: &str| check(&[word.to_string()]);
        for good in [
            "--account=lab",
            "--qos=night",
            "--mem=99T",
            "--time=10",
            "--comment=a 'b' $(c)",
            "--nice",
            "--exclude=n1",
            "--hold",
            "--nodelist=n1",
        ] {
            assert_eq!(check(good), Ok(()));
        }
        for bad in ["lab", "", "-", "--", "-a0-3", "-Alab", "--=x", "---x", "script.sh", "--account=a\0b"] {
            assert!(check(bad).unwrap_err().contains("is no option for sbatch"), "{bad}");
        }
        for own in [
            "--array=0-3",
            "--arr=1",
            "--output=/x",
            "--out",
            "--chdir=/",
            "--wrap=id",
            "--constraint=a",
            "--exclusive",
            "--requeue",
        ] {
            assert!(check(own).unwrap_err().contains("sealbench's affair"), "{own}");
        }
    }
}
