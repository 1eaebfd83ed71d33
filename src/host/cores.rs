//! Lists of CPUs: their text form and which of them a run may use.

use std::collections::BTreeSet;

use crate::error::Stop;

/// The highest CPU number accepted plus one: the most that Linux can be configured for.
const MAX_CPUS: usize = 8192;

/// Reads a CPU list like "0-3,8" (the kernel's form); the result is ascending and without duplicates.
pub fn parse_list(text: &str) -> Result<Vec<usize>, String> {
    let mut cores = BTreeSet::new();
    for part in text.trim().split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (parse_core(first, text)?, parse_core(last, text)?);
        if first > last {
            return Err(format!("'{part}' runs backwards; write {last}-{first}"));
        }
        cores.extend(first..=last);
    }
    Ok(cores.into_iter().collect())
}

fn parse_core(word: &str, text: &str) -> Result<usize, String> {
    let digits = !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit());
    match word.parse() {
        Ok(core) if digits && core < MAX_CPUS => Ok(core),
        _ if digits => Err(format!("there is no CPU {word}: CPUs are numbered 0 to {}", MAX_CPUS - 1)),
        _ => Err(format!("'{text}' is not a CPU list; write it like 0-3,8")),
    }
}

/// The list in its shortest form, e.g. "0-3,8". `cores` must be ascending.
pub fn format_list(cores: &[usize]) -> String {
    let runs = cores.chunk_by(|a, b| a + 1 == *b).map(|run| match run {
        [first, .., last] => format!("{first}-{last}"),
        _ => run[0].to_string(),
    });
    runs.collect::<Vec<_>>().join(",")
}

/// The CPUs to use: those requested, or all allowed ones where none are. A CPU that is not allowed (taskset, cpuset, absent)
/// is a usage error that lists those that are.
pub fn resolve(requested: Option<&[usize]>, allowed: &[usize]) -> anyhow::Result<Vec<usize>> {
    let Some(requested) = requested else {
        return Ok(allowed.to_vec());
    };
    let cores: Vec<usize> = requested.iter().copied().collect::<BTreeSet<_>>().into_iter().collect();
    let refused: Vec<usize> = cores.iter().copied().filter(|core| !allowed.contains(core)).collect();
    if refused.is_empty() && !cores.is_empty() {
        return Ok(cores);
    }
    let allowed = format_list(allowed);
    Err(Stop::Usage.error(match refused.as_slice() {
        [] => format!("no CPU was given; this process may use {allowed}"),
        [one] => format!("CPU {one} is not allowed here; this process may use {allowed}"),
        _ => format!("CPUs {} are not allowed here; this process may use {allowed}", format_list(&refused)),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::stop_of;
    use proptest::prelude::*;

    #[test]
    fn lists_are_sorted_and_deduplicated() {
        assert_eq!(parse_list("0-3,8").unwrap(), [0, 1, 2, 3, 8]);
        assert_eq!(parse_list("8,2-3,3,2\n").unwrap(), [2, 3, 8]);
        assert_eq!(parse_list("8191").unwrap(), [8191]);
    }

    #[test]
    fn nonsense_is_refused_with_a_sentence() {
        for text in ["", ",", "a", "1,", "-1", "1-", "1-2-3", "0x1", "+1", "1 2", "0-3:1/2", "1.5"] {
            assert!(parse_list(text).unwrap_err().contains("write it like 0-3,8"), "{text}");
        }
        assert_eq!(parse_list("5-2").unwrap_err(), "'5-2' runs backwards; write 2-5");
        for text in ["8192", "0-99999999999", "99999999999999999999999999"] {
            assert!(parse_list(text).unwrap_err().contains("CPUs are numbered 0 to 8191"), "{text}");
        }
    }

    #[test]
    fn the_shortest_form() {
        assert_eq!(format_list(&[0, 1, 2, 3, 8]), "0-3,8");
        assert_eq!(format_list(&[0, 2, 3]), "0,2-3");
        assert_eq!(format_list(&[]), "");
    }

    proptest! {
        #[test]
        fn text_and_list_agree(cores in prop::collection::btree_set(0..MAX_CPUS, 1..40)) {
            let cores: Vec<usize> = cores.into_iter().collect();
            prop_assert_eq!(parse_list(&format_list(&cores)).unwrap(), cores);
        }

        #[test]
        fn no_text_panics(text in "[0-9,\\- a]{0,40}") {
            let _ = parse_list(&text);
        }
    }

    #[test]
    fn auto_means_all_allowed_cores() {
        assert_eq!(resolve(None, &[1, 5]).unwrap(), [1, 5]);
        assert_eq!(resolve(Some(&[5, 1, 5]), &[1, 2, 5]).unwrap(), [1, 5]);
    }

    #[test]
    fn a_core_that_is_not_allowed_is_named_with_those_that_are() {
        let error = resolve(Some(&[0, 9]), &[0, 1, 2, 3]).unwrap_err();
        assert_eq!(stop_of(&error), Some(Stop::Usage));
        assert_eq!(error.to_string(), "CPU 9 is not allowed here; this process may use 0-3");
        let error = resolve(Some(&[7, 8, 0]), &[0]).unwrap_err();
        assert_eq!(error.to_string(), "CPUs 7-8 are not allowed here; this process may use 0");
        assert_eq!(stop_of(&resolve(Some(&[]), &[0]).unwrap_err()), Some(Stop::Usage));
    }
}
