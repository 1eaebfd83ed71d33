//! What this CPU can execute, and whether that is enough for this binary.

use std::io::{self, Write};
use std::process;

#[cfg(target_arch = "x86_64")]
use super::sys;

/// A compile-time feature of rustc that CPUID reports: where its bit is and which state the operating system must save for it.
struct Feature {
    name: &'static str,
    compiled: bool,
    leaf: u32,
    subleaf: u32,
    register: Register,
    mask: u32,
    state: State,
}

enum Register {
    Eax,
    Ebx,
    Ecx,
    Edx,
}
use Register::{Eax, Ebx, Ecx, Edx};

/// The registers an instruction works on, which the operating system must save: no more than SSE's, YMM, or ZMM and masks too.
enum State {
    Sse,
    Avx,
    Zmm,
}
use State::{Avx, Sse, Zmm};

macro_rules! features {
    ($($name:literal $leaf:literal/$subleaf:literal $register:ident $bit:literal $state:ident;)*) => {
        &[$(Feature {
            name: $name,
            compiled: cfg!(target_feature = $name),
            leaf: $leaf,
            subleaf: $subleaf,
            register: $register,
            mask: 1 << $bit,
            state: $state,
        }),*]
    };
}

/// The features beyond the x86-64 baseline (FXSR, SSE, SSE2). Bits: Intel's and AMD's manuals of CPUID.
const FEATURES: &[Feature] = features! {
    "sse3" 1/0 Ecx 0 Sse;
    "pclmulqdq" 1/0 Ecx 1 Sse;
    "ssse3" 1/0 Ecx 9 Sse;
    "fma" 1/0 Ecx 12 Avx;
    "cmpxchg16b" 1/0 Ecx 13 Sse;
    "sse4.1" 1/0 Ecx 19 Sse;
    "sse4.2" 1/0 Ecx 20 Sse;
    "movbe" 1/0 Ecx 22 Sse;
    "popcnt" 1/0 Ecx 23 Sse;
    "aes" 1/0 Ecx 25 Sse;
    "xsave" 1/0 Ecx 26 Sse;
    "avx" 1/0 Ecx 28 Avx;
    "f16c" 1/0 Ecx 29 Avx;
    "rdrand" 1/0 Ecx 30 Sse;
    "bmi1" 7/0 Ebx 3 Sse;
    "avx2" 7/0 Ebx 5 Avx;
    "bmi2" 7/0 Ebx 8 Sse;
    "avx512f" 7/0 Ebx 16 Zmm;
    "avx512dq" 7/0 Ebx 17 Zmm;
    "rdseed" 7/0 Ebx 18 Sse;
    "adx" 7/0 Ebx 19 Sse;
    "avx512ifma" 7/0 Ebx 21 Zmm;
    "avx512cd" 7/0 Ebx 28 Zmm;
    "sha" 7/0 Ebx 29 Sse;
    "avx512bw" 7/0 Ebx 30 Zmm;
    "avx512vl" 7/0 Ebx 31 Zmm;
    "avx512vbmi" 7/0 Ecx 1 Zmm;
    "avx512vbmi2" 7/0 Ecx 6 Zmm;
    "gfni" 7/0 Ecx 8 Sse;
    "vaes" 7/0 Ecx 9 Avx;
    "vpclmulqdq" 7/0 Ecx 10 Avx;
    "avx512vnni" 7/0 Ecx 11 Zmm;
    "avx512bitalg" 7/0 Ecx 12 Zmm;
    "avx512vpopcntdq" 7/0 Ecx 14 Zmm;
    "kl" 7/0 Ecx 23 Sse;
    "avx512vp2intersect" 7/0 Edx 8 Zmm;
    "avx512fp16" 7/0 Edx 23 Zmm;
    "sha512" 7/1 Eax 0 Avx;
    "sm3" 7/1 Eax 1 Avx;
    "sm4" 7/1 Eax 2 Avx;
    "avxvnni" 7/1 Eax 4 Avx;
    "avx512bf16" 7/1 Eax 5 Zmm;
    "avxifma" 7/1 Eax 23 Avx;
    "avxvnniint8" 7/1 Edx 4 Avx;
    "avxneconvert" 7/1 Edx 5 Avx;
    "avxvnniint16" 7/1 Edx 10 Avx;
    "xsaveopt" 0xd/1 Eax 0 Sse;
    "xsavec" 0xd/1 Eax 1 Sse;
    "xsaves" 0xd/1 Eax 3 Sse;
    "widekl" 0x19/0 Ebx 2 Sse;
    "lzcnt" 0x8000_0001/0 Ecx 5 Sse;
    "sse4a" 0x8000_0001/0 Ecx 6 Sse;
    "tbm" 0x8000_0001/0 Ecx 21 Sse;
};

/// The features beyond the x86-64 baseline that this binary was compiled with and uses without asking.
pub fn compiled_features() -> Vec<&'static str> {
    FEATURES.iter().filter(|feature| feature.compiled).map(|feature| feature.name).collect()
}

/// The features this binary needs and this CPU or its operating system does not offer; blst's ADX counts.
pub fn missing_compiled_features() -> Vec<&'static str> {
    missing().collect()
}

/// Ends the process (exit code 3) on a CPU that lacks what the binary was built for, and says so on stderr. Call it before
/// anything else: code of this crate and of its dependencies may use those features anywhere. So may this very check, which is
/// why it moves no structures (AVX), shifts by no variable (BMI2), and leaves writing and exit to the standard library, which
/// is compiled for every x86-64.
pub fn require_compiled_features() {
    if missing().next().is_some() {
        refuse_on(&mut io::stderr(), missing());
        process::exit(REFUSED);
    }
}

/// The exit code of [`crate::error::Stop::Refused`].
const REFUSED: i32 = 3;

/// Writes why the binary does not run here, piece by piece: formatting would be code of this crate.
fn refuse_on(out: &mut dyn Write, missing: impl Iterator<Item = &'static str>) {
    let mut say = |text: &str| drop(out.write_all(text.as_bytes()));
    say("Error: this binary was built for a CPU with ");
    for (position, name) in missing.enumerate() {
        say(if position == 0 { "" } else { ", " });
        say(name);
    }
    say(
        ", which this CPU or its operating system does not offer; build it on this machine with cargo build --release, or \
         for the oldest CPU that must run it, e.g. with RUSTFLAGS=\"-C target-cpu=x86-64-v2\"\n",
    );
}

#[cfg(target_arch = "x86_64")]
fn missing() -> impl Iterator<Item = &'static str> {
    let xcr0 = sys::xcr0(cpuid(1, 0).ecx & OSXSAVE != 0);
    lacking(|feature| feature.compiled || blst_needs(feature), move |feature| offered(feature, cpuid, xcr0))
}

/// CPUID is x86's: elsewhere rustc's names are not in [`FEATURES`], and nothing is needed.
#[cfg(not(target_arch = "x86_64"))]
fn missing() -> impl Iterator<Item = &'static str> {
    lacking(|feature| feature.compiled || blst_needs(feature), |_| false)
}

/// The features that are needed and not offered.
fn lacking(
    needed: impl Fn(&Feature) -> bool,
    offered: impl Fn(&Feature) -> bool,
) -> impl Iterator<Item = &'static str> {
    FEATURES.iter().filter(move |feature| needed(feature) && !offered(feature)).map(|feature| feature.name)
}

fn blst_needs(feature: &Feature) -> bool {
    feature.name == "adx" && super::build_info::blst_needs_adx()
}

/// Bits of leaf 1, ECX: the operating system has enabled XGETBV; a hypervisor is present.
const OSXSAVE: u32 = 1 << 27;
const HYPERVISOR: u32 = 1 << 31;

/// One leaf of CPUID.
#[derive(Clone, Copy)]
struct Leaf {
    eax: u32,
    ebx: u32,
    ecx: u32,
    edx: u32,
}

#[cfg(target_arch = "x86_64")]
fn cpuid(leaf: u32, subleaf: u32) -> Leaf {
    let raw_cpuid::CpuIdResult { eax, ebx, ecx, edx } = raw_cpuid::cpuid!(leaf, subleaf);
    Leaf { eax, ebx, ecx, edx }
}

/// Whether the CPU has the feature and the operating system lets it be used.
#[cfg_attr(not(target_arch = "x86_64"), expect(dead_code, reason = "CPUID is x86's"))]
fn offered(feature: &Feature, cpuid: impl Fn(u32, u32) -> Leaf, xcr0: u64) -> bool {
    // A CPU answers a leaf it does not have with the data of another.
    let known = cpuid(feature.leaf & 0x8000_0000, 0).eax >= feature.leaf
        && (feature.leaf != 7 || cpuid(7, 0).eax >= feature.subleaf);
    let leaf = cpuid(feature.leaf, feature.subleaf);
    let register = match feature.register {
        Eax => leaf.eax,
        Ebx => leaf.ebx,
        Ecx => leaf.ecx,
        Edx => leaf.edx,
    };
    let saved = match feature.state {
        Sse => true,
        Avx => xcr0 & 0x06 == 0x06,
        Zmm => xcr0 & 0xe6 == 0xe6,
    };
    known && register & feature.mask != 0 && saved
}

/// The hypervisor by its CPUID signature (leaf 0x40000000), by its usual name where it has one. `None` on bare metal.
#[cfg(target_arch = "x86_64")]
pub(super) fn hypervisor() -> Option<String> {
    if cpuid(1, 0).ecx & HYPERVISOR == 0 {
        return None;
    }
    let Leaf { ebx, ecx, edx, .. } = cpuid(0x4000_0000, 0);
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
    use crate::error::{Stop, exit_code};

    #[test]
    fn a_binary_built_here_runs_here() {
        assert_eq!(missing_compiled_features(), Vec::<&str>::new());
        require_compiled_features();
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
    fn what_the_cpu_lacks_is_named() {
        let needed = ["avx2", "avx512f", "avx512ifma"];
        let offered = ["avx2", "sha"];
        let missing = || lacking(|f| needed.contains(&f.name), |f| offered.contains(&f.name));
        assert_eq!(missing().collect::<Vec<_>>(), ["avx512f", "avx512ifma"]);
        let mut out = Vec::new();
        refuse_on(&mut out, missing());
        let text = String::from_utf8(out).unwrap();
        assert!(text.starts_with("Error: this binary was built for a CPU with avx512f, avx512ifma, which"), "{text}");
        assert!(text.ends_with("\"\n") && text.lines().count() == 1, "{text}");
    }

    #[test]
    fn the_exit_code_is_that_of_a_refusal() {
        assert_eq!(REFUSED, i32::from(exit_code(&Stop::Refused.error("no"))));
    }

    fn leaf(eax: u32, others: u32) -> Leaf {
        Leaf { eax, ebx: others, ecx: others, edx: others }
    }

    /// A CPU whose every feature bit is set.
    fn full(number: u32, subleaf: u32) -> Leaf {
        match (number, subleaf) {
            (0, 0) => leaf(0x20, 0),
            (0x8000_0000, 0) => leaf(0x8000_0008, 0),
            (7, 0) => leaf(2, !0),
            _ => leaf(!0, !0),
        }
    }

    fn present(cpuid: impl Fn(u32, u32) -> Leaf, xcr0: u64) -> Vec<&'static str> {
        FEATURES.iter().filter(|feature| offered(feature, &cpuid, xcr0)).map(|feature| feature.name).collect()
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
        let old = |number, subleaf| if (number, subleaf) == (0, 0) { leaf(1, 0) } else { full(number, subleaf) };
        let names = present(old, 0xe7);
        assert!(names.contains(&"avx") && names.contains(&"lzcnt") && !names.contains(&"avx2"));
        let no_subleaf =
            |number, subleaf| if (number, subleaf) == (7, 0) { leaf(0, !0) } else { full(number, subleaf) };
        assert!(!present(no_subleaf, 0xe7).contains(&"avxifma"));
    }

    #[cfg(target_arch = "x86_64")]
    #[test]
    fn cpuid_and_the_standard_library_agree() {
        let present = present(cpuid, sys::xcr0(cpuid(1, 0).ecx & OSXSAVE != 0));
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
