//! Memory: how much there is for a phase, how much this process holds, and which pages back it.

use bytesize::ByteSize;

use super::cgroup;
use super::files::{Files, bytes_of, field};
use super::sys;

/// Memory a phase can take without swapping or being killed, bytes: the machine's available memory or what the control group's
/// limit leaves, whichever is less. Page cache counts as available, as it can be reclaimed.
pub fn available_bytes() -> Option<u64> {
    available(&Files::machine())
}

fn available(files: &Files) -> Option<u64> {
    let machine = meminfo(files, "MemAvailable");
    [machine, cgroup::memory_available(files)].into_iter().flatten().min()
}

/// Peak resident memory of this process so far (VmHWM), bytes. Reserved huge pages are not in it.
pub fn max_rss_bytes() -> Option<u64> {
    own_status(&Files::machine(), "VmHWM")
}

fn own_status(files: &Files, key: &str) -> Option<u64> {
    bytes_of(&files.field("/proc/self/status", key)?)
}

/// The setting of transparent huge pages: "always", "madvise" or "never".
pub(super) fn thp(files: &Files) -> Option<String> {
    let text = files.text("/sys/kernel/mm/transparent_hugepage/enabled")?;
    let (_, chosen) = text.split_once('[')?;
    Some(chosen.split_once(']')?.0.to_string())
}

/// A value of /proc/meminfo, bytes.
pub(super) fn meminfo(files: &Files, key: &str) -> Option<u64> {
    bytes_of(&files.field("/proc/meminfo", key)?)
}

/// What backs most of this process's own memory now: "1GiB" or "2MiB" (reserved huge pages), "thp" (transparent huge pages), or
/// the base page, "4KiB".
pub fn pages_backing() -> String {
    backing(&Files::machine())
}

fn backing(files: &Files) -> String {
    let totals = files.text("/proc/self/smaps_rollup").unwrap_or_default();
    let bytes = |key| field(&totals, key).and_then(bytes_of).unwrap_or(0);
    let anonymous = bytes("Anonymous");
    let reserved = bytes("Private_Hugetlb") + bytes("Shared_Hugetlb");
    if reserved > anonymous
        && let Some(size) = reserved_page_size(files)
    {
        return page_name(size);
    }
    if bytes("AnonHugePages") * 2 > anonymous { "thp".to_string() } else { page_name(sys::page_size() as u64) }
}

/// Size of the reserved huge pages that hold most of this process's memory, bytes.
fn reserved_page_size(files: &Files) -> Option<u64> {
    let maps = files.text("/proc/self/smaps")?;
    let mut page = 0;
    let mut held: Vec<(u64, u64)> = Vec::new();
    for line in maps.lines() {
        let Some((key, value)) = line.split_once(':') else { continue };
        match (key, bytes_of(value.trim())) {
            // Precedes the other two in each mapping.
            ("KernelPageSize", Some(size)) => page = size,
            ("Shared_Hugetlb" | "Private_Hugetlb", Some(bytes)) if bytes > 0 => held.push((page, bytes)),
            _ => {}
        }
    }
    let total = |size| held.iter().filter(|(page, _)| *page == size).map(|(_, bytes)| bytes).sum::<u64>();
    held.iter().map(|&(page, _)| page).max_by_key(|&size| total(size))
}

/// The size of a page as the record writes it: "1GiB", "2MiB", "4KiB".
fn page_name(bytes: u64) -> String {
    ByteSize::b(bytes).display().iec().to_string().replace(".0 ", "").replace(' ', "")
}

#[cfg(test)]
mod tests {
    use super::super::files::fixture::Fixture;
    use super::*;

    #[test]
    fn the_tighter_of_machine_and_control_group() {
        let tree = Fixture::new().put("/proc/meminfo", "MemTotal: 4096 kB\nMemAvailable:    2048 kB\n");
        assert_eq!(available(&tree.files()), Some(2 << 20));
        let tree = tree
            .put("/proc/self/cgroup", "0::/")
            .put("/proc/self/mountinfo", "1 0 0:1 / /sys/fs/cgroup rw - cgroup2 c rw")
            .put("/sys/fs/cgroup/memory.max", "1048576")
            .put("/sys/fs/cgroup/memory.current", "48576");
        assert_eq!(available(&tree.files()), Some(1_000_000));
        assert_eq!(available(&Fixture::new().files()), None);
    }

    #[test]
    fn this_process_has_a_peak_at_least_its_present_memory() {
        let now = own_status(&Files::machine(), "VmRSS").unwrap();
        assert!(max_rss_bytes().unwrap() >= now && now > 0);
        assert!(available_bytes().unwrap() > 0);
    }

    #[test]
    fn the_chosen_thp_setting() {
        let path = "/sys/kernel/mm/transparent_hugepage/enabled";
        assert_eq!(thp(&Fixture::new().put(path, "always [madvise] never\n").files()).as_deref(), Some("madvise"));
        assert_eq!(thp(&Fixture::new().put(path, "odd").files()), None);
    }

    fn rollup(anonymous: u64, huge: u64, reserved: u64) -> Fixture {
        let text = format!(
            "5568-7ffc ---p 00000000 00:00 0 [rollup]\nRss: 9 kB\nAnonymous: {anonymous} kB\nAnonHugePages: {huge} kB\n\
             Shared_Hugetlb: 0 kB\nPrivate_Hugetlb: {reserved} kB\n"
        );
        Fixture::new().put("/proc/self/smaps_rollup", &text)
    }

    #[test]
    fn the_kind_of_page_that_backs_most() {
        assert_eq!(backing(&rollup(1000, 400, 0).files()), "4KiB");
        assert_eq!(backing(&rollup(1000, 600, 0).files()), "thp");
        assert_eq!(backing(&Fixture::new().files()), "4KiB");
    }

    #[test]
    fn reserved_huge_pages_by_their_size() {
        let mapping = |page: u64, held: u64| {
            format!("7f00-7f10 rw-p 0 00:0f 1 /anon_hugepage\nKernelPageSize: {page} kB\nPrivate_Hugetlb: {held} kB\n")
        };
        let maps = |parts: &[String]| rollup(1000, 900, 5 << 20).put("/proc/self/smaps", &parts.concat());
        let gib = mapping(1 << 20, 4 << 20);
        let mib = mapping(2048, 1 << 20);
        assert_eq!(backing(&maps(&[mib.clone(), gib.clone(), mapping(4, 0)]).files()), "1GiB");
        assert_eq!(backing(&maps(&[mib, mapping(4, 0)]).files()), "2MiB");
        assert_eq!(backing(&rollup(1000, 900, 5 << 20).files()), "thp", "the size is unknown");
    }

    #[test]
    fn page_names() {
        assert_eq!([1 << 30, 2 << 20, 4096, 65536].map(page_name), ["1GiB", "2MiB", "4KiB", "64KiB"]);
    }
}
