//! What sbatch gets: a script that starts the payload, and options as words of their own. Nothing of the user's is interpreted by a shell.

use std::path::Path;

use crate::error::Stop;
use crate::shell;

use super::client::{KEPT, OURS};
use super::submission::{Array, LOGS, Submission};

/// The name of an array's script.
pub fn name(array: usize) -> String {
    format!("array-{array}.sh")
}

/// The script of an array: the payload takes the job's place, so that Slurm's signals reach it. What it prints goes to the log here, since Slurm
/// would replace parts of the directory's name (`%a`, a backslash) if it had to open it.
pub fn of_array(submission: &Submission, dir: &Path, array: usize) -> anyhow::Result<String> {
    let (program, dir) = (text(&submission.program)?, text(dir)?);
    let words = [program, "scale", "element", "--into", dir, "--submission", &submission.id];
    let words: Vec<String> = words.iter().map(|word| shell::word(word)).collect();
    let log = shell::word(&format!("{dir}/{LOGS}/{array}-"));
    Ok(format!(
        "#!/bin/sh\n# Array {array} of sealbench's submission {}.\nexec {} --array {array} >>{log}\"$SLURM_ARRAY_TASK_ID.log\" 2>&1\n",
        submission.id,
        words.join(" ")
    ))
}

/// The words after sbatch for an array.
pub fn arguments(submission: &Submission, dir: &Path, array: usize) -> anyhow::Result<Vec<String>> {
    let Array { constraint, ask, elements } = &submission.arrays[array];
    let dir = text(dir)?;
    let mut words = vec![
        "--parsable".to_string(),
        format!("--job-name={}", submission.job_name(array)),
        format!("--array=0-{}", elements.len() - 1),
        "--nodes=1".to_string(),
        "--ntasks=1".to_string(),
        format!("--cpus-per-task={}", ask.cpus),
        format!("--time={}", ask.minutes),
        // Whatever the cluster's default is: an element of a dead node starts again.
        "--requeue".to_string(),
        // A directory that every node has.
        "--chdir=/".to_string(),
        "--output=/dev/null".to_string(),
    ];
    if ask.exclusive {
        words.extend(["--exclusive".to_string(), "--mem=0".to_string()]);
    } else {
        words.push(format!("--mem={}M", ask.memory_mib));
    }
    if !ask.smt {
        // CPUs are cores: the second hardware thread of a core is nobody else's.
        words.push("--hint=nomultithread".to_string());
    }
    words.extend(constraint.iter().map(|constraint| format!("--constraint={constraint}")));
    words.extend(submission.options.iter().cloned());
    // An option that lacks its value takes the "--" for it, not the script.
    words.extend(["--".to_string(), format!("{dir}/{}", name(array))]);
    Ok(words)
}

/// A script for people: it submits every array.
pub fn submit(submission: &Submission, dir: &Path) -> anyhow::Result<String> {
    let mut script = format!(
        "#!/bin/sh\n# Submits the arrays of sealbench's submission {}. Afterwards, as often as you like: sealbench scale slurm --collect DIR\n\
         set -e\n{}",
        submission.id,
        forget()
    );
    for array in 0..submission.arrays.len() {
        let words: Vec<String> = arguments(submission, dir, array)?.iter().map(|word| shell::word(word)).collect();
        script.push_str(&format!("sbatch {}\n", words.join(" ")));
    }
    Ok(script)
}

/// Shell that removes what sealbench removes when it submits, see [`KEPT`].
fn forget() -> String {
    let kept = KEPT.join(" | ");
    let ours = OURS.map(|start| format!("{start}*")).join(" | ");
    format!(
        "for name in $(env | sed -n 's/^\\(S[A-Z]*_[A-Za-z0-9_]*\\)=.*/\\1/p'); do\n    case $name in\n        {kept}) ;;\n        \
         {ours}) unset \"$name\" ;;\n    esac\ndone\n"
    )
}

/// A path as text: Slurm's client takes none that is no UTF-8.
fn text(path: &Path) -> anyhow::Result<&str> {
    let is_good = |text: &&str| !text.contains(['\0', '\r']);
    path.to_str().filter(is_good).ok_or_else(|| {
        Stop::Usage.error(format!(
            "{} is no path that sbatch takes: name one of UTF-8 without carriage returns",
            path.display()
        ))
    })
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::scale::slurm::submission::{Ask, Element};
    use crate::sector::Seed;

    fn submission(program: &str) -> Submission {
        let ask = Ask { cpus: 4, exclusive: false, smt: false, memory_mib: 512, minutes: 8 };
        let elements = vec![Element { point: 0, round: 0, repeats: 1 }; 3];
        let mut submission = Submission::new("s-1".into(), Vec::new(), Seed::default(), PathBuf::from(program));
        submission.arrays = vec![
            Array { constraint: Some("sku a;$(reboot)\n'x'".into()), ask, elements: elements.clone() },
            Array { constraint: None, ask: Ask { exclusive: true, smt: true, ..ask }, elements },
        ];
        submission.options = vec!["--partition=big one".into()];
        submission
    }

    /// What a shell makes of a script whose commands are replaced by one that prints its words, each in brackets.
    fn read_by_shell(script: &str, command: &str) -> String {
        let printer = format!("{command}() {{ printf '<%s>' \"$@\"; echo; }}\n");
        let ended = std::process::Command::new("sh").arg("-c").arg(printer + script).output().unwrap();
        assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
        String::from_utf8(ended.stdout).unwrap()
    }

    #[test]
    fn words_with_all_that_a_shell_acts_on_stay_words() {
        let dir = Path::new("/shared/it's \"$(touch /tmp/x)\" `id`\n%a \\ *");
        let submission = submission("/opt/seal bench/$HOME");
        let script = submit(&submission, dir).unwrap();
        let lines = read_by_shell(&script, "sbatch");
        for array in 0..2 {
            let words: String =
                arguments(&submission, dir, array).unwrap().iter().map(|word| format!("<{word}>")).collect();
            assert!(lines.contains(&format!("{words}\n")), "{words}\nnot in\n{lines}");
        }
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().join("it's $(id) \n%a \\");
        std::fs::create_dir_all(dir.join(LOGS)).unwrap();
        let payload = of_array(&submission, &dir, 1).unwrap().replace("exec ", "SLURM_ARRAY_TASK_ID=7; payload ");
        assert_eq!(read_by_shell(&payload, "payload"), "");
        let expected = format!(
            "</opt/seal bench/$HOME><scale><element><--into><{}><--submission><s-1><--array><1>\n",
            dir.display()
        );
        assert_eq!(std::fs::read_to_string(dir.join(LOGS).join("1-7.log")).unwrap(), expected);
    }

    #[test]
    fn the_script_forgets_what_the_submitting_job_and_the_user_have_set() {
        let script = submit(&submission("/p"), Path::new("/d")).unwrap();
        let set = "export SLURM_CONF=/c SLURM_RESTART_COUNT=3 SBATCH_WAIT=1 SLURMD_NODENAME=n; ODD='a\nSLURM_CONF=x'; export ODD\n";
        let printed = read_by_shell(&format!("{set}{script}env\n"), "sbatch");
        assert!(printed.contains("\nSLURM_CONF=/c\n") && printed.contains("SLURMD_NODENAME=n"), "{printed}");
        assert!(!printed.contains("SLURM_RESTART_COUNT") && !printed.contains("SBATCH_WAIT"), "{printed}");
    }

    #[test]
    fn an_array_asks_for_cores_or_for_the_node() {
        let submission = submission("/p");
        let [cores, node] = [0, 1].map(|array| arguments(&submission, Path::new("/d"), array).unwrap());
        for word in ["--array=0-2", "--cpus-per-task=4", "--mem=512M", "--time=8", "--constraint=sku a;$(reboot)\n'x'"]
        {
            assert!(cores.iter().any(|found| found == word), "{word} in {cores:?}");
        }
        assert!(node.contains(&"--exclusive".to_string()) && node.contains(&"--mem=0".to_string()), "{node:?}");
        assert!(!node.iter().any(|word| word.starts_with("--constraint")), "{node:?}");
        let hint = "--hint=nomultithread".to_string();
        assert!(cores.contains(&hint) && !node.contains(&hint), "hardware threads are asked for by smt only");
        assert!(arguments(&submission, Path::new("/d\r"), 0).is_err());
    }
}
