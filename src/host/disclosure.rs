//! What the machine is, captured and never typed.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::files::{Files, field};
use super::memory::{meminfo, thp};
use super::topology::Topology;
use super::{cgroup, cpu, sys};

/// The flags of /proc/cpuinfo that decide how fast sealing can be, or what a figure from this machine means.
const FLAGS: &[&str] = &[
    "adx",
    "aes",
    "avx",
    "avx2",
    "avx512_bitalg",
    "avx512_vbmi2",
    "avx512_vnni",
    "avx512_vpopcntdq",
    "avx512bw",
    "avx512cd",
    "avx512dq",
    "avx512f",
    "avx512ifma",
    "avx512vbmi",
    "avx512vl",
    "avx_ifma",
    "bmi1",
    "bmi2",
    "constant_tsc",
    "gfni",
    "hypervisor",
    "nonstop_tsc",
    "pdpe1gb",
    "sha512",
    "sha_ni",
    "sse4_1",
    "ssse3",
    "vaes",
    "vpclmulqdq",
];

/// The machine, as a run found it. What cannot be read is null.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct HostInfo {
    /// The machine's name.
    pub hostname: Option<String>,
    /// The CPU.
    pub cpu: CpuInfo,
    /// How the CPUs are put together.
    pub topology: Topology,
    /// CPUs that this process may use (taskset, cpuset).
    pub allowed_cores: Option<Vec<usize>>,
    /// Clock speeds and what governs them.
    pub frequency: Frequency,
    /// Memory, swap and huge pages.
    pub memory: MemoryInfo,
    /// The kernel.
    pub kernel: KernelInfo,
    /// The kernel's answer to each CPU vulnerability, e.g. {"spectre_v2": "Mitigation; Retpolines"}.
    pub mitigations: Option<BTreeMap<String, String>>,
    /// What the machine runs in.
    pub virtualisation: VirtualisationInfo,
    /// The limits of this process's control groups.
    pub cgroup: CgroupLimits,
}

/// The CPU. All sockets are taken to hold the same.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CpuInfo {
    /// The name it gives itself.
    pub model: Option<String>,
    /// "GenuineIntel", "AuthenticAMD".
    pub vendor: Option<String>,
    /// CPUID family, decimal.
    pub family: Option<u32>,
    /// CPUID model, decimal.
    pub model_number: Option<u32>,
    /// CPUID stepping, decimal.
    pub stepping: Option<u32>,
    /// Revision of the microcode in force, hexadecimal.
    pub microcode: Option<String>,
    /// Those of the kernel's CPU flags that matter to sealing or to measuring, sorted.
    pub flags: Option<Vec<String>>,
}

/// Clock speeds and what governs them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Frequency {
    /// Guaranteed speed of the first CPU, MHz.
    pub base_mhz: Option<u32>,
    /// Highest speed of the first CPU, MHz.
    pub max_mhz: Option<u32>,
    /// Frequency governor; several, joined by ", ", if the CPUs differ.
    pub governor: Option<String>,
    /// Energy performance preference of the governor, where it has one; several if the CPUs differ.
    pub energy_preference: Option<String>,
    /// The kernel's frequency driver.
    pub driver: Option<String>,
    /// Whether speeds above the base are allowed.
    pub boost: Option<bool>,
}

/// Memory, swap and huge pages.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MemoryInfo {
    /// All memory of the machine, bytes.
    pub total_bytes: Option<u64>,
    /// Memory that could be taken without swapping (MemAvailable), bytes.
    pub available_bytes: Option<u64>,
    /// Swap space, bytes.
    pub swap_total_bytes: Option<u64>,
    /// Unused swap space, bytes.
    pub swap_free_bytes: Option<u64>,
    /// Reserved huge pages of each size.
    pub huge_pages: Option<Vec<HugePages>>,
    /// Transparent huge pages: "always", "madvise" or "never".
    pub thp: Option<String>,
}

/// Reserved huge pages of one size.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HugePages {
    /// Size of one page, bytes.
    pub page_bytes: u64,
    /// Pages reserved.
    pub total: Option<u64>,
    /// Reserved pages that nobody uses.
    pub free: Option<u64>,
}

/// The kernel.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct KernelInfo {
    /// Release, e.g. "6.1.0-18-amd64".
    pub release: Option<String>,
    /// Version: build number, kind and date.
    pub version: Option<String>,
    /// The command line it was booted with.
    pub command_line: Option<String>,
    /// What it takes the time from.
    pub clocksource: Option<String>,
}

/// What the machine runs in.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct VirtualisationInfo {
    /// Whether this is a virtual machine, by the CPU's hypervisor flag.
    pub virtual_machine: Option<bool>,
    /// The hypervisor, by its CPUID signature or the kernel.
    pub hypervisor: Option<String>,
    /// Vendor of the machine (DMI).
    pub system_vendor: Option<String>,
    /// Product name of the machine (DMI).
    pub product: Option<String>,
    /// The container engine, where it left its mark.
    pub container: Option<String>,
}

/// The limits of this process's control groups. null also where there is no limit.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CgroupLimits {
    /// "v1", "v2" or "hybrid".
    pub version: Option<String>,
    /// Most memory, bytes.
    pub memory_max_bytes: Option<u64>,
    /// Most CPU time, in cores.
    pub cpu_quota_cores: Option<f64>,
    /// The CPUs.
    pub cpuset: Option<Vec<usize>>,
}

impl HostInfo {
    /// Captures this machine as it is now.
    pub fn capture() -> HostInfo {
        HostInfo::read(&Files::machine(), sys::allowed_cores().ok(), cpu::hypervisor())
    }

    /// What the files say, with the two facts that no file holds.
    fn read(files: &Files, allowed_cores: Option<Vec<usize>>, hypervisor: Option<String>) -> HostInfo {
        // The first CPU's part only: on large machines the rest is slow to produce.
        let cpuinfo = files.head("/proc/cpuinfo", 8192).unwrap_or_default();
        HostInfo {
            hostname: files.text("/proc/sys/kernel/hostname"),
            cpu: cpu_info(&cpuinfo),
            topology: Topology::read(files),
            allowed_cores,
            frequency: frequency(files),
            memory: memory_info(files),
            kernel: kernel(files),
            mitigations: mitigations(files),
            virtualisation: virtualisation(files, &cpuinfo, hypervisor),
            cgroup: CgroupLimits {
                version: cgroup::version(files),
                memory_max_bytes: cgroup::memory_max(files),
                cpu_quota_cores: cgroup::cpu_quota(files),
                cpuset: cgroup::cpuset(files),
            },
        }
    }
}

fn cpu_info(cpuinfo: &str) -> CpuInfo {
    let text = |key| field(cpuinfo, key).map(str::to_string);
    let number = |key| field(cpuinfo, key)?.parse().ok();
    CpuInfo {
        model: text("model name"),
        vendor: text("vendor_id"),
        family: number("cpu family"),
        model_number: number("model"),
        stepping: number("stepping"),
        microcode: text("microcode"),
        flags: field(cpuinfo, "flags").map(|all| {
            let all: BTreeSet<&str> = all.split_ascii_whitespace().collect();
            FLAGS.iter().filter(|flag| all.contains(**flag)).map(ToString::to_string).collect()
        }),
    }
}

fn frequency(files: &Files) -> Frequency {
    let first = "/sys/devices/system/cpu/cpu0";
    let khz = |name| Some(files.number::<u32>(&format!("{first}/cpufreq/{name}"))? / 1000);
    let boost = match files.number::<u32>("/sys/devices/system/cpu/intel_pstate/no_turbo") {
        Some(no_turbo) => Some(no_turbo == 0),
        None => files.number("/sys/devices/system/cpu/cpufreq/boost").map(|boost: u32| boost != 0),
    };
    Frequency {
        base_mhz: khz("base_frequency").or_else(|| files.number(&format!("{first}/acpi_cppc/nominal_freq"))),
        max_mhz: khz("cpuinfo_max_freq"),
        governor: over_policies(files, "scaling_governor"),
        energy_preference: over_policies(files, "energy_performance_preference"),
        driver: over_policies(files, "scaling_driver"),
        boost,
    }
}

/// A setting of all frequency policies: one value, or all that occur.
fn over_policies(files: &Files, name: &str) -> Option<String> {
    let dir = "/sys/devices/system/cpu/cpufreq";
    let policies = files.names(dir).into_iter().filter(|policy| policy.starts_with("policy"));
    let values: BTreeSet<String> =
        policies.filter_map(|policy| files.text(&format!("{dir}/{policy}/{name}"))).collect();
    (!values.is_empty()).then(|| values.into_iter().collect::<Vec<_>>().join(", "))
}

fn memory_info(files: &Files) -> MemoryInfo {
    MemoryInfo {
        total_bytes: meminfo(files, "MemTotal"),
        available_bytes: meminfo(files, "MemAvailable"),
        swap_total_bytes: meminfo(files, "SwapTotal"),
        swap_free_bytes: meminfo(files, "SwapFree"),
        huge_pages: huge_pages(files),
        thp: thp(files),
    }
}

fn huge_pages(files: &Files) -> Option<Vec<HugePages>> {
    let dir = "/sys/kernel/mm/hugepages";
    let pool = |name: &String| {
        let kib: u64 = name.strip_prefix("hugepages-")?.strip_suffix("kB")?.parse().ok()?;
        let pages = |file| files.number(&format!("{dir}/{name}/{file}"));
        Some(HugePages {
            page_bytes: kib.checked_mul(1024)?,
            total: pages("nr_hugepages"),
            free: pages("free_hugepages"),
        })
    };
    let mut pools: Vec<HugePages> = files.names(dir).iter().filter_map(pool).collect();
    pools.sort_by_key(|pool| pool.page_bytes);
    (!pools.is_empty()).then_some(pools)
}

fn kernel(files: &Files) -> KernelInfo {
    KernelInfo {
        release: files.text("/proc/sys/kernel/osrelease"),
        version: files.text("/proc/sys/kernel/version"),
        command_line: files.text("/proc/cmdline"),
        clocksource: files.text("/sys/devices/system/clocksource/clocksource0/current_clocksource"),
    }
}

fn mitigations(files: &Files) -> Option<BTreeMap<String, String>> {
    let dir = "/sys/devices/system/cpu/vulnerabilities";
    let answers = files.names(dir).into_iter().filter_map(|name| {
        let answer = files.text(&format!("{dir}/{name}"))?;
        Some((name, answer))
    });
    let answers: BTreeMap<_, _> = answers.collect();
    (!answers.is_empty()).then_some(answers)
}

fn virtualisation(files: &Files, cpuinfo: &str, hypervisor: Option<String>) -> VirtualisationInfo {
    let dmi = |name| files.text(&format!("/sys/class/dmi/id/{name}"));
    VirtualisationInfo {
        virtual_machine: field(cpuinfo, "flags").map(|flags| flags.split(' ').any(|flag| flag == "hypervisor")),
        hypervisor: hypervisor.or_else(|| files.text("/sys/hypervisor/type")),
        system_vendor: dmi("sys_vendor"),
        product: dmi("product_name"),
        container: container(files),
    }
}

fn container(files: &Files) -> Option<String> {
    if let Some(name) = files.text("/run/systemd/container") {
        return Some(name);
    }
    let marks = [("/run/.containerenv", "podman"), ("/.dockerenv", "docker")];
    marks.iter().find(|(path, _)| files.has(path)).map(|(_, name)| name.to_string())
}

#[cfg(test)]
mod tests {
    use super::super::files::fixture::Fixture;
    use super::super::topology::tests::two_sockets;
    use super::*;

    const CPUINFO: &str = "processor\t: 0\nvendor_id\t: GenuineIntel\ncpu family\t: 6\nmodel\t\t: 143\n\
        model name\t: Intel(R) Xeon(R) Platinum 8480+\nstepping\t: 8\nmicrocode\t: 0x2b000571\n\
        flags\t\t: fpu sse4_1 avx2 avx512f avx512ifma sha_ni adx bmi2 vaes\n\nprocessor\t: 1\nflags\t: hypervisor\n";

    fn xeon() -> Fixture {
        let policy = "/sys/devices/system/cpu/cpufreq/policy";
        two_sockets()
            .put("/proc/cpuinfo", CPUINFO)
            .put("/proc/meminfo", "MemTotal: 4 kB\nMemAvailable: 3 kB\nSwapTotal: 0 kB\nSwapFree: 0 kB\n")
            .put("/proc/sys/kernel/osrelease", "6.1.0-18-amd64\n")
            .put("/sys/devices/system/cpu/cpu0/cpufreq/base_frequency", "2000000")
            .put("/sys/devices/system/cpu/cpu0/cpufreq/cpuinfo_max_freq", "3800000")
            .put(&format!("{policy}0/scaling_governor"), "performance")
            .put(&format!("{policy}1/scaling_governor"), "powersave")
            .put(&format!("{policy}0/scaling_driver"), "intel_pstate")
            .put("/sys/devices/system/cpu/intel_pstate/no_turbo", "1")
            .put("/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages", "10")
            .put("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages", "4")
            .put("/sys/kernel/mm/hugepages/hugepages-1048576kB/nr_hugepages", "64")
            .put("/sys/devices/system/cpu/vulnerabilities/l1tf", "Not affected\n")
            .put("/.dockerenv", "")
    }

    #[test]
    fn another_machine_from_its_files() {
        let host = HostInfo::read(&xeon().files(), Some(vec![0, 1]), None);
        let cpu = &host.cpu;
        assert_eq!(cpu.model.as_deref(), Some("Intel(R) Xeon(R) Platinum 8480+"));
        assert_eq!((cpu.family, cpu.model_number, cpu.stepping), (Some(6), Some(143), Some(8)));
        assert_eq!(cpu.microcode.as_deref(), Some("0x2b000571"));
        let flags = ["adx", "avx2", "avx512f", "avx512ifma", "bmi2", "sha_ni", "sse4_1", "vaes"];
        assert_eq!(cpu.flags.as_deref().unwrap(), flags);
        assert_eq!((host.topology.sockets, host.topology.threads), (Some(2), Some(16)));
        assert_eq!((host.frequency.base_mhz, host.frequency.max_mhz), (Some(2000), Some(3800)));
        assert_eq!(host.frequency.governor.as_deref(), Some("performance, powersave"));
        assert_eq!((host.frequency.boost, host.frequency.driver.as_deref()), (Some(false), Some("intel_pstate")));
        assert_eq!((host.memory.total_bytes, host.memory.swap_total_bytes), (Some(4096), Some(0)));
        let pools = host.memory.huge_pages.unwrap();
        assert_eq!(pools[0], HugePages { page_bytes: 2 << 20, total: Some(10), free: Some(4) });
        assert_eq!(pools[1], HugePages { page_bytes: 1 << 30, total: Some(64), free: None });
        assert_eq!(host.mitigations.unwrap()["l1tf"], "Not affected");
        assert_eq!(host.virtualisation.virtual_machine, Some(false), "the first CPU's flags");
        assert_eq!(host.virtualisation.container.as_deref(), Some("docker"));
        assert_eq!(host.kernel.release.as_deref(), Some("6.1.0-18-amd64"));
    }

    #[test]
    fn amd_says_its_speeds_elsewhere() {
        let tree = Fixture::new()
            .put("/sys/devices/system/cpu/cpu0/acpi_cppc/nominal_freq", "2450")
            .put("/sys/devices/system/cpu/cpufreq/boost", "1");
        let frequency = frequency(&tree.files());
        assert_eq!((frequency.base_mhz, frequency.max_mhz, frequency.boost), (Some(2450), None, Some(true)));
    }

    #[test]
    fn what_cannot_be_read_is_null_and_never_zero_or_empty() {
        let host = HostInfo::read(&Fixture::new().files(), None, None);
        fn leaves<'a>(value: &'a serde_json::Value, found: &mut Vec<&'a serde_json::Value>) {
            match value {
                serde_json::Value::Object(fields) => fields.values().for_each(|value| leaves(value, found)),
                leaf => found.push(leaf),
            }
        }
        let json = serde_json::to_value(&host).unwrap();
        let mut found = Vec::new();
        leaves(&json, &mut found);
        assert!(found.len() > 30 && found.iter().all(|leaf| leaf.is_null()), "{json}");
        assert_eq!(serde_json::from_value::<HostInfo>(json).unwrap(), host);
    }

    #[test]
    fn this_machine() {
        let host = HostInfo::capture();
        assert!(host.cpu.model.is_some() && host.memory.total_bytes.unwrap() > 0);
        assert!(!host.allowed_cores.as_ref().unwrap().is_empty());
        let json = serde_json::to_string(&host).unwrap();
        assert_eq!(serde_json::from_str::<HostInfo>(&json).unwrap(), host);
    }
}
