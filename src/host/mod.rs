//! This machine: what it is, what it allows, and what a phase may use of it.

#[allow(unsafe_code, reason = "memory on pages of a chosen size is mapped there")]
pub mod arena;
mod build_info;
mod cgroup;
pub mod core_lock;
pub mod core_sets;
pub mod cores;
mod counters;
pub mod cpu;
mod disclosure;
mod disturbance;
mod files;
pub mod inside;
#[allow(unsafe_code, reason = "mapping a file and reading it as words are wrapped there, once")]
pub mod map;
pub mod memory;
mod perf;
pub mod process;
#[allow(unsafe_code, reason = "every system call is wrapped there, once")]
pub mod sys;
mod topology;

pub use build_info::{Blst, BuildInfo};
pub use counters::{Counters, Meter};
pub use disclosure::{
    CgroupLimits, CpuInfo, Frequency, HostInfo, HugePages, KernelInfo, MemoryInfo, VirtualisationInfo,
};
pub use topology::{Cache, NumaNode, Topology};
