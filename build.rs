//! Records how this binary is built, for the disclosure in each record.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What the binary is built from: "dirty" asks for changes here, and a change here asks again.
const INPUTS: [&str; 7] = ["src", "kernels", "params", "build.rs", "Cargo.toml", "Cargo.lock", ".cargo"];

fn main() {
    let root = PathBuf::from(variable("CARGO_MANIFEST_DIR"));
    for input in INPUTS.map(|input| root.join(input)) {
        rerun_if_changed(&input);
    }
    for name in ["CARGO_ENCODED_RUSTFLAGS", "RUSTC"] {
        println!("cargo::rerun-if-env-changed={name}");
    }

    let repository = Repository::at(&root);
    repository.iter().for_each(Repository::rerun_if_moved);
    let git = |ask: fn(&Repository) -> Option<String>| repository.as_ref().and_then(ask).unwrap_or_default();
    record("GIT_REVISION", &git(|repository| repository.git(&["rev-parse", "HEAD"])));
    record("GIT_DIRTY", &git(Repository::dirty));

    record("RUSTC", &output(Command::new(variable("RUSTC")).arg("--version")).unwrap_or_default());
    record("RUSTFLAGS", &variable("CARGO_ENCODED_RUSTFLAGS"));
    record("TARGET", &variable("TARGET"));
    record("TARGET_FEATURES", &variable("CARGO_CFG_TARGET_FEATURE"));
    record("PROFILE", &variable("PROFILE"));
    record("OPT_LEVEL", &variable("OPT_LEVEL"));
    record("BLST", blst());
}

/// Hands a value to the crate, which reads it with `env!`. Empty where it is not known.
fn record(name: &str, value: &str) {
    println!("cargo::rustc-env=SEALBENCH_{name}={}", value.trim());
}

fn variable(name: &str) -> String {
    env::var(name).unwrap_or_default()
}

/// cargo asks again at every build for a path that does not exist, so those are left out.
fn rerun_if_changed(path: &Path) {
    if path.exists() {
        println!("cargo::rerun-if-changed={}", path.display());
    }
}

fn output(command: &mut Command) -> Option<String> {
    let output = command.output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8_lossy(&output.stdout).trim().to_string())
}

/// The git repository whose root is this package.
struct Repository {
    root: PathBuf,
}

impl Repository {
    /// `None` without git, outside a repository, or if the package lies somewhere inside another project's.
    fn at(root: &Path) -> Option<Repository> {
        let repository = Repository { root: root.to_path_buf() };
        let top = PathBuf::from(repository.git(&["rev-parse", "--show-toplevel"])?);
        (top.canonicalize().ok()? == root.canonicalize().ok()?).then_some(repository)
    }

    fn git(&self, arguments: &[&str]) -> Option<String> {
        let mut command = Command::new("git");
        // Without optional locks git leaves its index alone. A hook's variables would lead to another repository.
        command.arg("--no-optional-locks").arg("-C").arg(&self.root).args(arguments);
        for name in ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"] {
            command.env_remove(name);
        }
        output(&mut command)
    }

    /// "true" if something the binary is built from differs from the revision.
    fn dirty(&self) -> Option<String> {
        let inputs = INPUTS.iter().copied().filter(|input| self.root.join(input).exists());
        let arguments: Vec<&str> = ["status", "--porcelain", "--"].into_iter().chain(inputs).collect();
        self.git(&arguments).map(|changes| (!changes.is_empty()).to_string())
    }

    /// A commit or a checkout changes HEAD or the branch it names. Not the index: looking at the state may rewrite that.
    fn rerun_if_moved(&self) {
        let path = |name: &str| Some(self.root.join(self.git(&["rev-parse", "--git-path", name])?));
        path("HEAD").iter().for_each(|head| rerun_if_changed(head));
        let branch = self.git(&["symbolic-ref", "--quiet", "HEAD"]).and_then(|name| path(&name));
        // A packed branch has no file yet; its first commit puts one into this directory.
        let existing = branch.as_ref().and_then(|branch| branch.ancestors().find(|path| path.exists()));
        existing.iter().for_each(|path| rerun_if_changed(path));
    }
}

/// What blst's build script decided on the same facts: which multiplication its assembly uses, and by what.
fn blst() -> &'static str {
    let features = variable("CARGO_CFG_TARGET_FEATURE");
    let has = |name| features.split(',').any(|feature| feature == name);
    if variable("CARGO_CFG_TARGET_ARCH") != "x86_64" {
        return "";
    }
    if variable("CARGO_ENCODED_RUSTFLAGS").contains("target-cpu=") {
        return match (has("ssse3"), has("adx")) {
            (false, _) => "portable target-cpu",
            (true, true) => "adx target-cpu",
            (true, false) => "mulq target-cpu",
        };
    }
    if build_host_has_adx() { "adx build-host" } else { "mulq build-host" }
}

#[cfg(target_arch = "x86_64")]
fn build_host_has_adx() -> bool {
    std::is_x86_feature_detected!("adx")
}

#[cfg(not(target_arch = "x86_64"))]
fn build_host_has_adx() -> bool {
    false
}
