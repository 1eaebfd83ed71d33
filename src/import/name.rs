//! Cores per instance from a log's file name, for those who name their logs so.

use std::path::Path;

/// The number in a part of the file's name like `23cpu`, `cpu30`, `23cores` or `cores23`; the parts are separated by anything but letters
/// and digits. `benchy-p2-23cpu-1.log` and `benchy-p2-cpu30-3.log` have one, `benchy-p2-7742-task-1.log` has none.
pub fn cores(file: &Path) -> Option<u32> {
    let name = file.file_name()?.to_str()?.to_ascii_lowercase();
    name.split(|c: char| !c.is_ascii_alphanumeric()).find_map(of_part)
}

fn of_part(part: &str) -> Option<u32> {
    let digits = |text: &str| {
        let plain = !text.is_empty() && text.len() <= 4 && text.bytes().all(|b| b.is_ascii_digit());
        plain.then(|| text.parse().ok()).flatten().filter(|&cores| cores > 0)
    };
    ["cpus", "cpu", "cores", "core"].iter().find_map(|word| {
        let number = part.strip_suffix(word).or_else(|| part.strip_prefix(word))?;
        digits(number)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_the_notes() {
        for (name, expected) in [
            ("benchy-p2-23cpu-1.log", Some(23)),
            ("logs/benchy-p2-cpu30-3.log", Some(30)),
            ("benchy-p34-32cpu-4bench-1.log", Some(32)),
            ("p2-23cores-1.log", Some(23)),
            ("P1_Cores8.log", Some(8)),
            ("benchy-p2-7742-task-1.log", None),
            ("cpu.log", None),
            ("p2-0cpu.log", None),
            ("23cpu/benchy.log", None),
            ("p2-99999cpu.log", None),
            ("..", None),
        ] {
            assert_eq!(cores(Path::new(name)), expected, "{name}");
        }
    }
}
