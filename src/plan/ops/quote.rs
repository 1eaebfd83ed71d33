//! Foreign words in files that programs read: quoted so that they are words and nothing else.

use crate::plan::layout::MachineLayout;

/// A name for a directory: its number, and the letters and digits of the model's name. It is never empty, hidden, `..` or a path.
pub fn directory(number: usize, layout: &MachineLayout) -> String {
    let mut name = number.to_string();
    for word in layout.sku.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty()) {
        let word = word.to_ascii_lowercase();
        if name.len() + word.len() < 60 {
            name.push('-');
            name.push_str(&word);
        }
    }
    name
}

/// A path on a machine, as a scenario names it. The error is a sentence.
pub fn host_path(path: &str) -> Result<&str, String> {
    let shown = path.escape_debug();
    if !path.starts_with('/') || path.chars().any(char::is_control) {
        return Err(format!("mount '{shown}' is no absolute path of printable characters"));
    }
    if path.split('/').any(|part| part == ".." || part == ".") || path.trim_matches('/').is_empty() {
        return Err(format!(
            "mount '{shown}' is not the path of a volume: name where it is mounted, without '.' or '..'"
        ));
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(sku: &str) -> MachineLayout {
        MachineLayout {
            sku: sku.to_string(),
            lanes: Vec::new(),
            per_h: Vec::new(),
            bounds: Vec::new(),
            cores: 0,
            memory: 0.0,
            huge_memory: 0.0,
            sectors_in_flight: 0.0,
            volume_load: 0.0,
            groups: Vec::new(),
            core_sets: Vec::new(),
        }
    }

    #[test]
    fn a_directory_is_named_by_letters_and_digits() {
        for (sku, name) in [
            ("128 cores", "1-128-cores"),
            ("../../etc/passwd", "1-etc-passwd"),
            ("..", "1"),
            ("$(reboot)\n`x`", "1-reboot-x"),
            ("机器", "1"),
            ("EPYC 7742", "1-epyc-7742"),
        ] {
            assert_eq!(directory(1, &layout(sku)), name);
        }
        assert!(directory(1, &layout(&"word ".repeat(100))).len() < 60);
    }

    #[test]
    fn a_mount_is_an_absolute_path_inside_the_machine() {
        for good in ["/mnt/cache", "/mnt/with space/$(x)'\"", "/a/..b"] {
            assert_eq!(host_path(good), Ok(good));
        }
        for bad in ["mnt", "", "/", "//", "/.", "/./", "/mnt/../etc", "/mnt/..", "/mnt/a\nb", "/mnt/\0"] {
            assert!(host_path(bad).unwrap_err().contains("mount"), "{bad:?}");
        }
    }
}
