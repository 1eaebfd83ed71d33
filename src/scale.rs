//! The same instances elsewhere: as containers of an engine, here or by Compose files, and as jobs of a cluster.

pub mod compose;
pub mod docker;
pub mod slurm;
