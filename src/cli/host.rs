//! `sealbench host`: what this machine and this binary are.

use std::io::{self, Write};

use anyhow::Context;
use clap::{Args, Subcommand};
use comfy_table::{ContentArrangement, Table, presets};
use serde::Serialize;

use crate::host::cores::format_list;
use crate::host::{BuildInfo, Cache, HostInfo, NumaNode};
use crate::phase::native::kernels::{self, Kernel};
use crate::report::units::bytes as size;

/// What this machine and this binary are.
#[derive(Args, Debug)]
pub struct HostArgs {
    #[command(subcommand)]
    command: HostCommand,
}

#[derive(Debug, Subcommand)]
enum HostCommand {
    /// Show what every record discloses about this machine and this binary.
    Show {
        /// Print JSON instead of tables.
        #[arg(long)]
        json: bool,
    },
}

/// Runs `sealbench host`. A reader that has gone away (a closed pipe) is not an error.
pub fn run(args: HostArgs) -> anyhow::Result<()> {
    let HostCommand::Show { json } = args.command;
    let disclosure = Disclosure { host: HostInfo::capture(), build: BuildInfo::capture(), kernels: kernels::all() };
    let text = if json { serde_json::to_string_pretty(&disclosure)? } else { disclosure.tables() };
    let mut out = io::stdout().lock();
    match writeln!(out, "{text}").and_then(|()| out.flush()) {
        Err(e) if e.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written.context("cannot write to standard output"),
    }
}

#[derive(Serialize)]
struct Disclosure {
    host: HostInfo,
    build: BuildInfo,
    kernels: Vec<Kernel>,
}

impl Disclosure {
    fn tables(&self) -> String {
        let sections = [
            table("Machine", machine(&self.host)),
            table("Memory", memory(&self.host)),
            table("System", system(&self.host)),
            table("Kernels", kernel_rows(&self.kernels)),
            table("Binary", binary(&self.build)),
        ];
        sections.join("\n\n")
    }
}

/// Width of the tables where there is no terminal to fit, columns.
const REDIRECTED_WIDTH: u16 = 110;

/// A row: what it is, and its value where it is known.
type Row = (&'static str, Option<String>);

fn table(title: &str, rows: Vec<Row>) -> String {
    let mut table = Table::new();
    table.load_style(presets::UTF8_BORDERS_ONLY).set_content_arrangement(ContentArrangement::Dynamic);
    if !table.is_tty() {
        table.set_width(REDIRECTED_WIDTH);
    }
    table.set_header([title, ""]);
    for (name, value) in rows {
        table.add_row([name, value.as_deref().unwrap_or("unknown")]);
    }
    table.to_string()
}

fn machine(host: &HostInfo) -> Vec<Row> {
    let (cpu, topology, frequency) = (&host.cpu, &host.topology, &host.frequency);
    let number = |value: Option<u32>| value.map(|value| value.to_string());
    let revision = [("family", cpu.family), ("model", cpu.model_number), ("stepping", cpu.stepping)];
    let revision = revision.iter().filter_map(|(name, value)| Some(format!("{name} {}", (*value)?)));
    vec![
        ("Name", host.hostname.clone()),
        ("CPU", cpu.model.clone()),
        ("Vendor", cpu.vendor.clone()),
        ("Revision", joined(revision, ", ")),
        ("Microcode", cpu.microcode.clone()),
        ("Flags", cpu.flags.as_deref().and_then(words)),
        ("Sockets", number(topology.sockets)),
        ("Cores", number(topology.cores)),
        ("Threads", number(topology.threads)),
        ("SMT", topology.smt.map(on_off)),
        ("L3 groups", topology.l3_groups.as_ref().map(|groups| core_lists(groups))),
        ("Caches", topology.caches.as_ref().and_then(|caches| listed(caches.iter().map(cache)))),
        ("NUMA nodes", topology.numa_nodes.as_ref().and_then(|nodes| listed(nodes.iter().map(numa_node)))),
        ("Allowed CPUs", host.allowed_cores.as_ref().map(|cores| format_list(cores))),
        ("Base speed", frequency.base_mhz.map(|mhz| format!("{mhz} MHz"))),
        ("Highest speed", frequency.max_mhz.map(|mhz| format!("{mhz} MHz"))),
        ("Governor", frequency.governor.clone()),
        ("Energy preference", frequency.energy_preference.clone()),
        ("Frequency driver", frequency.driver.clone()),
        ("Boost", frequency.boost.map(on_off)),
    ]
}

fn memory(host: &HostInfo) -> Vec<Row> {
    let memory = &host.memory;
    let pools = memory.huge_pages.iter().flatten().map(|pool| {
        let pages = |count: Option<u64>| count.map_or_else(|| "unknown".to_string(), |count| count.to_string());
        format!("{} of {}, {} free", pages(pool.total), size(pool.page_bytes), pages(pool.free))
    });
    vec![
        ("Total", memory.total_bytes.map(size)),
        ("Available", memory.available_bytes.map(size)),
        ("Swap", memory.swap_total_bytes.map(size)),
        ("Huge pages", listed(pools)),
        ("Transparent huge pages", memory.thp.clone()),
        ("Limit of the control group", limit(host, host.cgroup.memory_max_bytes.map(size))),
    ]
}

fn system(host: &HostInfo) -> Vec<Row> {
    let virtualisation = &host.virtualisation;
    let mitigations = host.mitigations.iter().flatten();
    let active =
        mitigations.filter(|(_, answer)| *answer != "Not affected").map(|(name, answer)| format!("{name}: {answer}"));
    let machine = match (virtualisation.virtual_machine, &virtualisation.hypervisor) {
        (Some(false), _) => Some("none".to_string()),
        (_, hypervisor) => hypervisor.clone().or(virtualisation.virtual_machine.map(|_| "yes".to_string())),
    };
    vec![
        ("Kernel", host.kernel.release.clone()),
        ("Kernel version", host.kernel.version.clone()),
        ("Clock source", host.kernel.clocksource.clone()),
        ("Mitigations", listed(active).or(host.mitigations.as_ref().map(|_| "none in force".to_string()))),
        ("Virtual machine", machine),
        ("System", listed([&virtualisation.system_vendor, &virtualisation.product].into_iter().flatten().cloned())),
        ("Container", Some(virtualisation.container.clone().unwrap_or_else(|| "none seen".to_string()))),
        ("Control groups", host.cgroup.version.clone()),
        ("CPU quota", limit(host, host.cgroup.cpu_quota_cores.map(|cores| format!("{cores} cores")))),
        ("CPU set", host.cgroup.cpuset.as_ref().map(|cores| format_list(cores))),
    ]
}

/// The kernels of each primitive, those that this CPU lacks the instructions for told apart.
fn kernel_rows(kernels: &[Kernel]) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    for primitive in kernels.chunk_by(|a, b| a.primitive == b.primitive) {
        let name = |kernel: &Kernel| {
            if kernel.runs { kernel.name.to_string() } else { format!("{} (not on this CPU)", kernel.name) }
        };
        rows.push((primitive[0].primitive, listed(primitive.iter().map(name))));
    }
    rows
}

fn binary(build: &BuildInfo) -> Vec<Row> {
    let revision = build.git_revision.as_ref().map(|revision| {
        let state = if build.git_dirty == Some(true) { " with changes" } else { "" };
        format!("{revision}{state}")
    });
    let crates = build.reference_crates.iter().flatten().map(|(name, version)| format!("{name} {version}"));
    let blst = build.blst.as_ref().map(|blst| format!("{} (decided by {})", blst.multiplication, blst.decided_by));
    let absent = || Some("not linked".to_string());
    vec![
        ("sealbench", Some(build.version.clone())),
        ("Revision", revision),
        ("Compiler", build.rustc.clone()),
        ("Target", Some(build.target.clone())),
        ("Profile", Some(format!("{}, optimisation level {}", build.profile, build.opt_level))),
        ("RUSTFLAGS", words(&build.rustflags)),
        ("Compiled for", words(&build.target_features)),
        ("Features", words(&build.cargo_features)),
        ("Reference engine", listed(crates).or_else(absent)),
        ("blst", blst.or_else(absent)),
        ("Cargo.lock", Some(format!("BLAKE3 {}", build.cargo_lock_blake3))),
    ]
}

/// The values one below the other; `None` if there are none.
fn listed(values: impl IntoIterator<Item = String>) -> Option<String> {
    joined(values, "\n")
}

fn joined(values: impl IntoIterator<Item = String>, separator: &str) -> Option<String> {
    let values: Vec<String> = values.into_iter().collect();
    (!values.is_empty()).then(|| values.join(separator))
}

/// The words of a known list, which may be empty.
fn words(list: &[String]) -> Option<String> {
    Some(if list.is_empty() { "none".to_string() } else { list.join(" ") })
}

/// A limit of the control groups, or that there is none.
fn limit(host: &HostInfo, limit: Option<String>) -> Option<String> {
    limit.or_else(|| host.cgroup.version.as_ref().map(|_| "none".to_string()))
}

fn on_off(on: bool) -> String {
    if on { "on" } else { "off" }.to_string()
}

fn core_lists(groups: &[Vec<usize>]) -> String {
    let lists: Vec<String> = groups.iter().map(|group| format_list(group)).collect();
    format!("{}: {}", groups.len(), lists.join(" | "))
}

fn cache(cache: &Cache) -> String {
    let bytes = cache.size_bytes.map_or_else(|| "size unknown".to_string(), size);
    let shared = cache.shared_by.map(|cpus| format!(", shared by {cpus}")).unwrap_or_default();
    format!("L{} {}: {bytes}{shared}", cache.level, cache.kind.to_lowercase())
}

fn numa_node(node: &NumaNode) -> String {
    let memory = node.memory_bytes.map_or_else(|| "memory unknown".to_string(), size);
    let cores = if node.cores.is_empty() { "none".to_string() } else { format_list(&node.cores) };
    format!("{}: CPUs {cores}, {memory}", node.id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tables_name_what_is_unknown() {
        let text = table("Machine", vec![("CPU", Some("EPYC".to_string())), ("Boost", None)]);
        assert!(text.contains("EPYC") && text.contains("unknown"), "{text}");
    }

    #[test]
    fn this_machines_disclosure_reads_well() {
        let disclosure = Disclosure { host: HostInfo::capture(), build: BuildInfo::capture(), kernels: kernels::all() };
        let text = disclosure.tables();
        for wanted in [
            disclosure.host.cpu.model.as_deref().unwrap(),
            env!("CARGO_PKG_VERSION"),
            "L3 groups",
            "Mitigations",
            "portable",
        ] {
            assert!(text.contains(wanted), "{wanted} is not in\n{text}");
        }
        let json = serde_json::to_value(&disclosure).unwrap();
        assert_eq!(json["build"]["version"], env!("CARGO_PKG_VERSION"));
        assert!(json["host"]["cpu"]["model"].is_string());
    }

    #[test]
    fn values_in_words() {
        assert_eq!(core_lists(&[vec![0, 1, 8], vec![2, 3]]), "2: 0-1,8 | 2-3");
        let l3 = Cache { level: 3, kind: "Unified".to_string(), size_bytes: Some(32 << 20), shared_by: Some(16) };
        assert_eq!(cache(&l3), "L3 unified: 32.0 MiB, shared by 16");
        assert_eq!(listed([]), None);
    }
}
