//! The machines that records come from: what each discloses, and in what they differ.

use std::collections::BTreeMap;

use super::units;
use crate::host::{BuildInfo, HostInfo};
use crate::trial::record::Record;

/// A machine as it was while some of the records were made: hardware, system and binary. Another microcode makes another machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Machine {
    /// What it discloses: name and value, the same names for every machine. What could not be read is empty.
    pub fields: Vec<(&'static str, String)>,
    /// Its processor and its name, as far as they are known.
    pub name: String,
    /// How many of the records are of it.
    pub records: usize,
}

/// The machines of records, and for each record which of them it is of.
pub fn of(records: &[Record]) -> (Vec<Machine>, Vec<usize>) {
    let mut machines: Vec<Machine> = Vec::new();
    let mut of_records = Vec::new();
    for record in records {
        let fields = fields(&record.host, &record.build);
        let known = machines.iter().position(|machine| machine.fields == fields);
        let machine = known.unwrap_or_else(|| {
            machines.push(Machine { fields, name: name(&record.host), records: 0 });
            machines.len() - 1
        });
        machines[machine].records += 1;
        of_records.push(machine);
    }
    (machines, of_records)
}

/// "A" for the first machine, "Z" for the 26th, then "AA".
pub fn letter(machine: usize) -> String {
    let last = char::from(b'A' + (machine % 26) as u8);
    if machine < 26 { last.to_string() } else { format!("{}{last}", letter(machine / 26 - 1)) }
}

fn name(host: &HostInfo) -> String {
    let parts = [host.cpu.model.as_deref().map(short_model), host.hostname.clone()];
    let known: Vec<String> = parts.into_iter().flatten().collect();
    if known.is_empty() { "unknown machine".to_string() } else { known.join(", ") }
}

/// A processor's name for itself without what tells nothing: "AMD EPYC 7F32", "Intel Xeon Platinum 8480+".
pub fn short_model(model: &str) -> String {
    let plain = model.replace("(R)", "").replace("(TM)", "").replace("(tm)", "");
    let telling = |word: &&str| !word.ends_with("-Core") && !matches!(*word, "Processor" | "CPU");
    let words: Vec<&str> = plain.split_whitespace().filter(telling).collect();
    if words.is_empty() { model.to_string() } else { words.join(" ") }
}

/// Everything that a record tells of its machine and binary, except what changes from minute to minute.
fn fields(host: &HostInfo, build: &BuildInfo) -> Vec<(&'static str, String)> {
    [hardware(host), system(host), binary(build)].concat()
}

fn hardware(host: &HostInfo) -> Vec<(&'static str, String)> {
    let (cpu, topology, frequency) = (&host.cpu, &host.topology, &host.frequency);
    let signature = [cpu.family, cpu.model_number, cpu.stepping].map(|n| n.map_or("?".to_string(), |n| n.to_string()));
    let caches = topology.caches.iter().flatten().map(|cache| {
        let size = cache.size_bytes.map_or("? B".to_string(), units::bytes);
        let shared = cache.shared_by.map_or_else(String::new, |n| format!(" shared by {n}"));
        format!("L{} {} {size}{shared}", cache.level, cache.kind)
    });
    let nodes = topology.numa_nodes.iter().flatten().map(|node| {
        let memory = node.memory_bytes.map_or_else(String::new, |bytes| format!(" ({})", units::bytes(bytes)));
        format!("node {}: {}{memory}", node.id, units::ranges(&node.cores))
    });
    vec![
        ("host name", text(&host.hostname)),
        ("CPU", text(&cpu.model)),
        ("family, model, stepping", if cpu.family.is_some() { signature.join(", ") } else { String::new() }),
        ("microcode", text(&cpu.microcode)),
        ("CPU flags", list(&cpu.flags)),
        ("sockets", number(topology.sockets)),
        ("cores", number(topology.cores)),
        ("hardware threads", number(topology.threads)),
        ("SMT", yes(topology.smt)),
        ("caches", join(caches)),
        ("L3 groups", groups(&topology.l3_groups)),
        ("NUMA", join(nodes)),
        ("cores allowed", host.allowed_cores.as_deref().map_or_else(String::new, units::ranges)),
        ("base clock", mhz(frequency.base_mhz)),
        ("highest clock", mhz(frequency.max_mhz)),
        ("governor", text(&frequency.governor)),
        ("energy preference", text(&frequency.energy_preference)),
        ("frequency driver", text(&frequency.driver)),
        ("boost", yes(frequency.boost)),
        ("memory", size(host.memory.total_bytes)),
    ]
}

fn system(host: &HostInfo) -> Vec<(&'static str, String)> {
    let (memory, kernel, virtualisation, cgroup) = (&host.memory, &host.kernel, &host.virtualisation, &host.cgroup);
    let pools = memory.huge_pages.iter().flatten().map(|pool| {
        let total = pool.total.map_or("?".to_string(), |total| total.to_string());
        format!("{total} x {}", units::bytes(pool.page_bytes))
    });
    let quota = cgroup.cpu_quota_cores.map_or_else(String::new, |cores| format!("{} cores", units::rate(cores)));
    vec![
        ("swap", size(memory.swap_total_bytes)),
        ("huge pages reserved", join(pools)),
        ("transparent huge pages", text(&memory.thp)),
        ("kernel", text(&kernel.release)),
        ("kernel version", text(&kernel.version)),
        ("kernel command line", text(&kernel.command_line)),
        ("clock source", text(&kernel.clocksource)),
        ("mitigations", host.mitigations.as_ref().map_or_else(String::new, pairs)),
        ("virtual machine", yes(virtualisation.virtual_machine)),
        ("hypervisor", text(&virtualisation.hypervisor)),
        ("vendor", text(&virtualisation.system_vendor)),
        ("product", text(&virtualisation.product)),
        ("container", text(&virtualisation.container)),
        ("control groups", text(&cgroup.version)),
        ("memory limit", size(cgroup.memory_max_bytes)),
        ("CPU quota", quota),
        ("cpuset", cgroup.cpuset.as_deref().map_or_else(String::new, units::ranges)),
    ]
}

fn binary(build: &BuildInfo) -> Vec<(&'static str, String)> {
    let dirty = if build.git_dirty == Some(true) { ", changed" } else { "" };
    let blst = build.blst.as_ref().map(|blst| format!("{}, decided by {}", blst.multiplication, blst.decided_by));
    vec![
        ("sealbench", build.version.clone()),
        ("revision", build.git_revision.as_ref().map_or_else(String::new, |revision| format!("{revision}{dirty}"))),
        ("compiler", text(&build.rustc)),
        ("target", build.target.clone()),
        ("profile", format!("{}, optimisation {}", build.profile, build.opt_level)),
        ("debug assertions", yes(Some(build.debug_assertions))),
        ("compiler flags", build.rustflags.join(" ")),
        ("compiled for", build.target_features.join(" ")),
        ("features", build.cargo_features.join(" ")),
        ("reference crates", build.reference_crates.as_ref().map_or_else(String::new, pairs)),
        ("blst", blst.unwrap_or_default()),
        ("Cargo.lock (BLAKE3)", build.cargo_lock_blake3.clone()),
    ]
}

fn text(value: &Option<String>) -> String {
    value.clone().unwrap_or_default()
}

fn number(value: Option<u32>) -> String {
    value.map_or_else(String::new, |value| value.to_string())
}

fn size(value: Option<u64>) -> String {
    value.map_or_else(String::new, units::bytes)
}

fn mhz(value: Option<u32>) -> String {
    value.map_or_else(String::new, |value| format!("{value} MHz"))
}

fn yes(value: Option<bool>) -> String {
    value.map_or_else(String::new, |value| if value { "yes" } else { "no" }.to_string())
}

fn list(values: &Option<Vec<String>>) -> String {
    values.as_ref().map_or_else(String::new, |values| values.join(" "))
}

fn join(values: impl Iterator<Item = String>) -> String {
    values.collect::<Vec<_>>().join("; ")
}

fn pairs(values: &BTreeMap<String, String>) -> String {
    join(values.iter().map(|(name, value)| format!("{name} {value}")))
}

fn groups(groups: &Option<Vec<Vec<usize>>>) -> String {
    join(groups.iter().flatten().map(|group| units::ranges(group)))
}

/// A field with its values: one if all machines agree, else those there are, each with the letters of its machines.
pub fn compare(machines: &[Machine]) -> Vec<(&'static str, Vec<(String, String)>)> {
    let names = machines.first().into_iter().flat_map(|machine| machine.fields.iter().map(|(name, _)| *name));
    let row = |(n, name): (usize, &'static str)| {
        let mut values: Vec<(String, String)> = Vec::new();
        for (machine, found) in machines.iter().enumerate() {
            let (value, letter) = (&found.fields[n].1, letter(machine));
            match values.iter_mut().find(|(_, known)| known == value) {
                Some((whose, _)) => *whose = format!("{whose}, {letter}"),
                None => values.push((letter, value.clone())),
            }
        }
        (name, values)
    };
    names.enumerate().map(row).filter(|(_, values)| values.iter().any(|(_, value)| !value.is_empty())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::sample;

    #[test]
    fn letters_go_on_after_z() {
        assert_eq!([0, 25, 26, 51, 52, 701, 702].map(letter), ["A", "Z", "AA", "AZ", "BA", "ZZ", "AAA"]);
    }

    #[test]
    fn another_microcode_is_another_machine_and_free_memory_is_not() {
        let with = |microcode: &str, available: u64| {
            sample::changed(|r| {
                r["host"]["cpu"]["microcode"] = microcode.into();
                r["host"]["memory"]["available_bytes"] = available.into();
            })
        };
        let (machines, of_records) = of(&[with("0x1", 5), with("0x2", 5), with("0x1", 6)]);
        assert_eq!((of_records.as_slice(), machines[0].records), (&[0, 1, 0][..], 2));
        assert_eq!(machines[0].name, "AMD EPYC 7F32, bench-1");
        assert_eq!(short_model("Intel(R) Xeon(R) CPU E5-2680 v4 @ 2.40GHz"), "Intel Xeon E5-2680 v4 @ 2.40GHz");
        assert_eq!(short_model("Processor"), "Processor");
        let rows = compare(&machines);
        let value = |name| &rows.iter().find(|(found, _)| *found == name).unwrap().1;
        assert_eq!(value("microcode")[..], [("A".into(), "0x1".into()), ("B".into(), "0x2".into())]);
        assert_eq!(value("memory")[..], [("A, B".into(), "128 GiB".into())]);
        assert!(rows.iter().all(|(name, _)| *name != "hypervisor"), "what no machine tells has no row");
    }
}
