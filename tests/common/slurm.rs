//! A Slurm cluster of its own for a test: real daemons on this machine, two nodes of a CPU each.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/slurm.sh");

/// What the tests need of Debian.
const PROGRAMS: [&str; 4] = ["sbatch", "slurmctld", "slurmd", "munged"];

/// Ports and names of one test's cluster are no other's.
static NEXT: AtomicU32 = AtomicU32::new(0);

/// A cluster that runs until it is dropped.
pub struct Cluster {
    root: tempfile::TempDir,
    /// The nodes: the first has the features sku_a and any, the second sku_b and any.
    pub nodes: [String; 2],
}

impl Cluster {
    /// A cluster, or why there can be none here.
    pub fn start() -> Result<Cluster, String> {
        Cluster::with("task/affinity")
    }

    /// A cluster that does not bind jobs to their cores.
    pub fn unbound() -> Result<Cluster, String> {
        Cluster::with("task/none")
    }

    fn with(plugin: &str) -> Result<Cluster, String> {
        let missing = PROGRAMS.iter().find(|name| !is_installed(name));
        if let Some(name) = missing {
            return Err(format!("{name} is not installed"));
        }
        if std::thread::available_parallelism().map_or(1, usize::from) < 2 {
            return Err("two nodes need two CPUs".into());
        }
        let number = NEXT.fetch_add(1, Ordering::SeqCst);
        let root = tempfile::Builder::new().prefix("slurm-").tempdir().map_err(|e| e.to_string())?;
        // munged refuses a socket in a directory that others cannot pass.
        fs::set_permissions(root.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755))
            .map_err(|e| e.to_string())?;
        // Unlike those of another test process: a node's processes are known by its name.
        let nodes = [1, 2].map(|n| format!("s{}c{number}n{n}", std::process::id()));
        let cluster = Cluster { root, nodes };
        let port = 10_000 + std::process::id() % 200 * 100 + number * 5;
        let [a, b] = &cluster.nodes;
        cluster.script("up", &[&port.to_string(), plugin, &format!("{a}:sku_a,any:0"), &format!("{b}:sku_b,any:1")])?;
        Ok(cluster)
    }

    /// Where its configuration is: SLURM_CONF.
    pub fn conf(&self) -> PathBuf {
        self.root.path().join("etc/slurm.conf")
    }

    /// A node dies with all that runs on it, and the controller hears of it.
    pub fn kill(&self, node: &str) {
        self.script("kill", &[node]).unwrap();
    }

    /// A node's daemon dies, what runs on it goes on, and the controller takes the node for dead.
    pub fn orphan(&self, node: &str) {
        self.script("orphan", &[node]).unwrap();
    }

    /// A dead node comes back.
    pub fn revive(&self, node: &str) {
        self.script("start", &[node]).unwrap();
    }

    /// A node starts anew, and does not see what is in a directory.
    pub fn hide(&self, node: &str, dir: &Path) {
        self.script("hide", &[node, dir.to_str().unwrap()]).unwrap();
    }

    /// A daemon ends.
    pub fn stop(&self, daemon: &str) {
        let file = self.root.path().join(format!("run/{daemon}.pid"));
        let pid = fs::read_to_string(&file).unwrap().trim().parse().unwrap();
        super::common::signal(pid, 15);
        super::common::wait_for("the daemon to end", || !file.exists());
    }

    /// The controller comes back.
    pub fn control(&self) {
        self.script("control", &[]).unwrap();
    }

    /// One of Slurm's commands.
    pub fn slurm(&self, words: &[&str]) -> String {
        let ended = Command::new(words[0]).args(&words[1..]).env("SLURM_CONF", self.conf()).output().unwrap();
        String::from_utf8_lossy(&ended.stdout).into_owned() + &String::from_utf8_lossy(&ended.stderr)
    }

    fn script(&self, command: &str, words: &[&str]) -> Result<(), String> {
        let log = self.root.path().join("script.log");
        // Daemons keep what they inherit open: a pipe would never end.
        let out = fs::File::create(&log).map_err(|e| e.to_string())?;
        let err = out.try_clone().map_err(|e| e.to_string())?;
        let mut started = Command::new(SCRIPT);
        started.arg(command).arg(self.root.path()).args(words).stdout(out).stderr(err);
        match started.status() {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => {
                Err(format!("slurm.sh {command}: {status}: {}", fs::read_to_string(&log).unwrap_or_default()))
            }
            Err(e) => Err(e.to_string()),
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if let Err(why) = self.script("down", &[]) {
            eprintln!("{why}");
        }
    }
}

fn is_installed(name: &str) -> bool {
    ["/usr/bin", "/usr/sbin", "/usr/local/bin", "/usr/local/sbin"].iter().any(|dir| Path::new(dir).join(name).exists())
}
