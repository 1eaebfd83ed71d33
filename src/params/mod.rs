//! Groth16 parameter files: what they are called, whether they are whole and whose they are, where they lie, and making them.
//!
//! A shape needs two files to prove: the proving key (`.params`) and the verifying key (`.vk`), in one directory and from one
//! setup. The network's and locally generated (development) files of a shape carry the same names, so provenance is decided by
//! digest alone: [`manifest`] lists the network's digests, and [`sidecar`] marks what this program generated.

pub mod digest;
pub mod estimate;
pub mod format;
#[cfg(feature = "reference")]
pub mod generate;
#[cfg(feature = "reference")]
pub mod groth16;
pub mod install;
pub mod manifest;
pub mod name;
#[cfg(feature = "reference")]
mod points;
#[cfg(feature = "reference")]
mod qap;
#[cfg(feature = "reference")]
pub mod r1cs;
pub mod search;
#[cfg(feature = "reference")]
pub mod setup;
pub mod sidecar;
#[cfg(feature = "reference")]
mod stages;

/// Called with what is being done (a stage, or the file being hashed), how much is done, and of how much.
pub type Progress<'a> = dyn FnMut(&str, u64, u64) + Send + 'a;
