//! What this CPU can execute, and whether that is enough for this binary.

#[cfg(target_arch = "x86_64")]
use super::sys;
use crate::error::Stop;

/// A compile-time feature of rustc that CPUID reports: where its bit is and which state the operating system must save for it.
struct Feature {
    name: &'static str,
    compiled: bool,
    leaf: u32,
    subleaf: u32,
    register: Register,
    bit: u32,
    state: u64,
}

#[derive(Clone, Copy)]
enum Register {
    Eax,
    Ebx,
    Ecx,
    Edx,
}
use Register::{Eax, Ebx, Ecx, Edx};

/// States of XCR0: none beyond SSE; XMM and YMM; these and the mask and ZMM registers.
const SSE: u64 = 0;
const AVX: u64 = 0x06;
const ZMM: u64 = 0xe6;

macro_rules! features {
    ($($name:literal $leaf:literal/$subleaf:literal $register:ident $bit:literal $state:ident;)*) => {
        &[$(Feature {
            name: $name,
            compiled: cfg!(target_feature = $name),
            leaf: $leaf,
            subleaf: $subleaf,
            register: $register,
            bit: $bit,
            state: $state,
        }),*]
    };
}

/// The features beyond the x86-64 baseline (FXSR, SSE, SSE2). Bits: Intel's and AMD's manuals of CPUID.
const FEATURES: &[Feature] = features! {
    "sse3" 1/0 Ecx 0 SSE;
    "pclmulqdq" 1/0 Ecx 1 SSE;
    "ssse3" 1/0 Ecx 9 SSE;
    "fma" 1/0 Ecx 12 AVX;
    "cmpxchg16b" 1/0 Ecx 13 SSE;
    "sse4.1" 1/0 Ecx 19 SSE;
    "sse4.2" 1/0 Ecx 20 SSE;
    "movbe" 1/0 Ecx 22 SSE;
    "popcnt" 1/0 Ecx 23 SSE;
    "aes" 1/0 Ecx 25 SSE;
    "xsave" 1/0 Ecx 26 SSE;
    "avx" 1/0 Ecx 28 AVX;
    "f16c" 1/0 Ecx 29 AVX;
    "rdrand" 1/0 Ecx 30 SSE;
    "bmi1" 7/0 Ebx 3 SSE;
    "avx2" 7/0 Ebx 5 AVX;
    "bmi2" 7/0 Ebx 8 SSE;
    "avx512f" 7/0 Ebx 16 ZMM;
    "avx512dq" 7/0 Ebx 17 ZMM;
    "rdseed" 7/0 Ebx 18 SSE;
    "adx" 7/0 Ebx 19 SSE;
    "avx512ifma" 7/0 Ebx 21 ZMM;
    "avx512cd" 7/0 Ebx 28 ZMM;
    "sha" 7/0 Ebx 29 SSE;
    "avx512bw" 7/0 Ebx 30 ZMM;
    "avx512vl" 7/0 Ebx 31 ZMM;
    "avx512vbmi" 7/0 Ecx 1 ZMM;
    "avx512vbmi2" 7/0 Ecx 6 ZMM;
    "gfni" 7/0 Ecx 8 SSE;
    "vaes" 7/0 Ecx 9 AVX;
    "vpclmulqdq" 7/0 Ecx 10 AVX;
    "avx512vnni" 7/0 Ecx 11 ZMM;
    "avx512bitalg" 7/0 Ecx 12 ZMM;
    "avx512vpopcntdq" 7/0 Ecx 14 ZMM;
    "kl" 7/0 Ecx 23 SSE;
    "avx512vp2intersect" 7/0 Edx 8 ZMM;
    "avx512fp16" 7/0 Edx 23 ZMM;
    "sha512" 7/1 Eax 0 AVX;
    "sm3" 7/1 Eax 1 AVX;
    "sm4" 7/1 Eax 2 AVX;
    "avxvnni" 7/1 Eax 4 AVX;
    "avx512bf16" 7/1 Eax 5 ZMM;
    "avxifma" 7/1 Eax 23 AVX;
    "avxvnniint8" 7/1 Edx 4 AVX;
    "avxneconvert" 7/1 Edx 5 AVX;
    "avxvnniint16" 7/1 Edx 10 AVX;
    "xsaveopt" 0xd/1 Eax 0 SSE;
    "xsavec" 0xd/1 Eax 1 SSE;
    "xsaves" 0xd/1 Eax 3 SSE;
    "widekl" 0x19/0 Ebx 2 SSE;
    "lzcnt" 0x8000_0001/0 Ecx 5 SSE;
    "sse4a" 0x8000_0001/0 Ecx 6 SSE;
    "tbm" 0x8000_0001/0 Ecx 21 SSE;
};

/// The features beyond the x86-64 baseline that this binary was compiled with and uses without asking.
pub fn compiled_features() -> Vec<&'static str> {
    FEATURES.iter().filter(|feature| feature.compiled).map(|feature| feature.name).collect()
}

/// The features this binary needs and this CPU or its operating system does not offer; blst's ADX counts.
pub fn missing_compiled_features() -> Vec<&'static str> {
    let mut needed = compiled_features();
    if super::build_info::blst_needs_adx() && !needed.contains(&"adx") {
        needed.push("adx");
    }
    missing(&needed, &present_features())
}

/// Refuses (exit code 3) to run on a CPU that lacks what the binary was built for. Call it before anything else: code of this
/// crate may be vectorised anywhere.
pub fn require_compiled_features() -> anyhow::Result<()> {
    refuse(&missing_compiled_features())
}

fn missing(needed: &[&'static str], present: &[&str]) -> Vec<&'static str> {
    needed.iter().copied().filter(|name| !present.contains(name)).collect()
}

fn refuse(missing: &[&str]) -> anyhow::Result<()> {
    if missing.is_empty() {
        return Ok(());
    }
    Err(Stop::Refused.error(format!(
        "this binary was built for {}, which this CPU or its operating system does not offer; build it on this machine with \
         cargo build --release, or for the oldest CPU that must run it, e.g. RUSTFLAGS=\"-C target-cpu=x86-64-v3\"",
        missing.join(", ")
    )))
}

/// The features of [`FEATURES`] that the CPU has and the operating system lets it use.
#[cfg(target_arch = "x86_64")]
fn present_features() -> Vec<&'static str> {
    let osxsave = bit(cpuid(1, 0), Ecx, 27);
    present(cpuid, sys::xcr0(osxsave))
}

/// CPUID is x86's: elsewhere rustc's names are not in [`FEATURES`], and nothing is needed.
#[cfg(not(target_arch = "x86_64"))]
fn present_features() -> Vec<&'static str> {
    Vec::new()
}

/// One leaf of CPUID as EAX, EBX, ECX, EDX.
type Leaf = [u32; 4];

#[cfg(target_arch = "x86_64")]
fn cpuid(leaf: u32, subleaf: u32) -> Leaf {
    let result = raw_cpuid::cpuid!(leaf, subleaf);
    [result.eax, result.ebx, result.ecx, result.edx]
}

#[cfg_attr(not(target_arch = "x86_64"), expect(dead_code, reason = "CPUID is x86's"))]
fn present(cpuid: impl Fn(u32, u32) -> Leaf, xcr0: u64) -> Vec<&'static str> {
    let has = |feature: &Feature| {
        // A CPU answers a leaf it does not have with the data of another.
        cpuid(feature.leaf & 0x8000_0000, 0)[0] >= feature.leaf
            && (feature.leaf != 7 || cpuid(7, 0)[0] >= feature.subleaf)
            && bit(cpuid(feature.leaf, feature.subleaf), feature.register, feature.bit)
            && xcr0 & feature.state == feature.state
    };
    FEATURES.iter().filter(|feature| has(feature)).map(|feature| feature.name).collect()
}

fn bit(leaf: Leaf, register: Register, bit: u32) -> bool {
    leaf[register as usize] >> bit & 1 == 1
}

/// The hypervisor by its CPUID signature (leaf 0x40000000), by its usual name where it has one. `None` on bare metal.
#[cfg(target_arch = "x86_64")]
pub(super) fn hypervisor() -> Option<String> {
    if !bit(cpuid(1, 0), Ecx, 31) {
        return None;
    }
    let [_, ebx, ecx, edx] = cpuid(0x4000_0000, 0);
    let signature = [ebx, ecx, edx].map(u32::to_le_bytes).concat();
    hypervisor_name(&String::from_utf8_lossy(&signature))
}

/// Only x86 has such a signature.
#[cfg(not(target_arch = "x86_64"))]
pub(super) fn hypervisor() -> Option<String> {
    None
}

#[cfg_attr(not(target_arch = "x86_64"), expect(dead_code, reason = "only x86 has the signature"))]
fn hypervisor_name(signature: &str) -> Option<String> {
    let name = match signature.trim_end_matches('\0').trim() {
        "" => return None,
        "KVMKVMKVM" => "KVM",
        "Microsoft Hv" => "Hyper-V",
        "VMwareVMware" => "VMware",
        "XenVMMXenVMM" => "Xen",
        "TCGTCGTCGTCG" => "QEMU TCG",
        "bhyve bhyve" => "bhyve",
        other => other,
    };
    Some(name.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{exit_code, stop_of};

    #[test]
    fn a_binary_built_here_runs_here() {
        assert_eq!(missing_compiled_features(), Vec::<&str>::new());
        assert!(require_compiled_features().is_ok());
    }

    #[test]
    fn every_feature_rustc_compiled_with_can_be_checked() {
        let baseline = ["fxsr", "sse", "sse2", "x87", "crt-static"];
        let unknown: Vec<&str> = env!("SEALBENCH_TARGET_FEATURES")
            .split(',')
            .filter(|name| !baseline.contains(name) && !FEATURES.iter().any(|feature| feature.name == *name))
            // Hints and instructions the compiler never chooses by itself, unstable as features: absent from `cfg!`.
            .filter(|name| !["lahfsahf", "prfchw", "ermsb"].contains(name))
            .collect();
        assert_eq!(unknown, Vec::<&str>::new());
    }

    #[test]
    fn what_the_cpu_lacks_is_named_and_refused() {
        let lacking = missing(&["avx2", "avx512f", "avx512ifma"], &["avx2", "sha"]);
        assert_eq!(lacking, ["avx512f", "avx512ifma"]);
        let error = refuse(&lacking).unwrap_err();
        assert_eq!((stop_of(&error), exit_code(&error)), (Some(Stop::Refused), 3));
        assert!(error.to_string().contains("built for avx512f, avx512ifma, which"), "{error}");
        assert!(refuse(&[]).is_ok());
    }

    /// A CPU whose every feature bit is set.
    fn full(leaf: u32, subleaf: u32) -> Leaf {
        match (leaf, subleaf) {
            (0, 0) => [0x20, 0, 0, 0],
            (0x8000_0000, 0) => [0x8000_0008, 0, 0, 0],
            (7, 0) => [2, !0, !0, !0],
            _ => [!0; 4],
        }
    }

    #[test]
    fn registers_the_system_does_not_save_are_not_offered() {
        let names = |xcr0| present(full, xcr0);
        assert_eq!(names(0xe7).len(), FEATURES.len());
        let avx = names(0x07);
        assert!(avx.contains(&"avx2") && avx.contains(&"vaes") && !avx.iter().any(|name| name.starts_with("avx512")));
        let sse = names(0);
        assert!(sse.contains(&"sha") && sse.contains(&"adx") && !sse.iter().any(|name| name.starts_with("avx")));
        assert!(!sse.contains(&"fma"), "FMA needs the YMM state");
    }

    #[test]
    fn leaves_the_cpu_does_not_have_are_not_believed() {
        let old = |leaf, subleaf| if (leaf, subleaf) == (0, 0) { [1, 0, 0, 0] } else { full(leaf, subleaf) };
        let names = present(old, 0xe7);
        assert!(names.contains(&"avx") && names.contains(&"lzcnt") && !names.contains(&"avx2"));
        let no_subleaf = |leaf, subleaf| if (leaf, subleaf) == (7, 0) { [0, !0, !0, !0] } else { full(leaf, subleaf) };
        assert!(!present(no_subleaf, 0xe7).contains(&"avxifma"));
    }

    #[cfg(target_arch = "x86_64")]
    #[test]
    fn cpuid_and_the_standard_library_agree() {
        let present = present_features();
        macro_rules! agree {
            ($($name:tt)*) => { $(assert_eq!(present.contains(&$name), is_x86_feature_detected!($name), $name);)* };
        }
        agree!("sse3" "ssse3" "sse4.1" "aes" "avx" "avx2" "fma" "bmi1" "bmi2" "adx" "sha" "vaes" "gfni" "lzcnt" "popcnt");
        agree!("avx512f" "avx512bw" "avx512dq" "avx512vl" "avx512ifma" "avx512vbmi" "avx512vbmi2" "xsave" "movbe" "sse4a");
    }

    #[test]
    fn hypervisors_have_names() {
        assert_eq!(hypervisor_name("KVMKVMKVM\0\0\0").as_deref(), Some("KVM"));
        assert_eq!(hypervisor_name("Microsoft Hv").as_deref(), Some("Hyper-V"));
        assert_eq!(hypervisor_name("ACRNACRNACRN").as_deref(), Some("ACRNACRNACRN"));
        assert_eq!(hypervisor_name("\0\0\0\0\0\0\0\0\0\0\0\0"), None);
    }
}
