//! Compose files: [`read()`] takes over those that were written by hand, [`compose()`] writes what a container run is.
//!
//! `check` names the characters that nobody sees and that make a file mean something else; `read` takes services with what confines them;
//! `judge` says what is wrong with them; `write` writes them confined.

mod check;
mod interpolate;
mod judge;
mod read;
mod write;

pub use check::{Malformed, Parser, Rejected, check};
pub use judge::judge;
pub use read::read;
pub use write::compose;

use crate::trial::record::Finding;

/// A Compose file that was read.
#[derive(Clone, Debug, PartialEq)]
pub struct Old {
    /// Its services, in the file's order.
    pub services: Vec<Service>,
    /// What its reader must know, in the same order.
    pub findings: Vec<Finding>,
}

/// A container: what it runs and what confines it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Service {
    /// Its name in the file.
    pub name: String,
    /// The image.
    pub image: Option<String>,
    /// The words of its command; empty for the image's own.
    pub command: Vec<String>,
    /// Its CPUs; `None` for all, or where what is written is not understood.
    pub cpus: Option<Vec<usize>>,
    /// Whether there is something in place of CPUs that is not understood.
    pub cpus_unclear: bool,
    /// NUMA nodes of its memory; `None` for all. Compose has no key for it.
    pub mems: Option<Vec<usize>>,
    /// Most memory, bytes.
    pub memory_bytes: Option<u64>,
    /// What is mounted in it.
    pub mounts: Vec<Mount>,
    /// Names and values, in the file's order.
    pub environment: Vec<(String, String)>,
    /// Labels, in the file's order.
    pub labels: Vec<(String, String)>,
    /// User, with or without a group.
    pub user: Option<String>,
    /// Its current directory.
    pub working_dir: Option<String>,
    /// Capabilities that it has besides none.
    pub capabilities: Vec<String>,
    /// Whether it may lock all of its memory.
    pub locks_memory: bool,
    /// Whether it may do everything on the machine.
    pub privileged: bool,
    /// How it is connected: "none", "host"; `None` for a network of its own.
    pub network_mode: Option<String>,
}

/// A place in a container that is not of its image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// What is there.
    pub source: Source,
    /// Its path in the container.
    pub target: String,
    /// Whether the container only reads.
    pub read_only: bool,
}

/// What is mounted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A path of the machine.
    Bind(String),
    /// A volume of the engine by name; without one it is made for the container.
    Volume(Option<String>),
    /// Memory.
    Tmpfs,
}
