//! The same instances elsewhere: as containers of an engine, as jobs of a cluster.

pub mod docker;
pub mod slurm;
