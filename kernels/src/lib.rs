//! The arithmetic of sealing, and nothing else: no I/O, no threads, no environment.
//!
//! One folder per primitive, one file per instruction set in it. A caller detects the CPU once ([`cpu::Features::detect`]),
//! picks a backend and passes that `Copy` value down. Every backend is tested against the portable one through one shared
//! body, and the portable one against a public crate.

#[cfg(not(target_arch = "x86_64"))]
compile_error!("sealbench measures x86-64 machines; this target is another architecture");

mod backend;
pub mod chain;
pub mod cpu;
pub mod fixed_base;
pub mod fr;
pub mod graph;
pub mod label;
pub mod poseidon;
pub mod sha256;
pub mod wipe;

#[cfg(test)]
#[path = "../../tests/support/absent.rs"]
mod absent;
