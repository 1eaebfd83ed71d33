//! Small file systems for tests of full and read-only disks.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A small file system of its own; gone at the end.
pub struct Mount(pub PathBuf);

impl Mount {
    /// Mounts a tmpfs; `None` where that needs a right this user lacks.
    pub fn tmpfs(path: &Path, options: &str) -> Option<Mount> {
        fs::create_dir_all(path).unwrap();
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(path).status();
        mounted.is_ok_and(|status| status.success()).then(|| Mount(path.to_path_buf()))
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

impl Mount {
    /// Takes all the room that is left.
    pub fn fill(&self) -> PathBuf {
        let hog = self.0.join("hog");
        let _ = Command::new("dd").args(["if=/dev/zero", "bs=64k"]).arg(format!("of={}", hog.display())).output();
        hog
    }
}
