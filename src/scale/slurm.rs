//! A sweep as job arrays of a Slurm cluster. Slurm places, queues and starts again what a dead node lost; sealbench submits, waits, collects.
//!
//! `options` (what users may tell sbatch) and `prepare` (what is asked of the sweep and the cluster, in elements and arrays) -> `submission`
//! (the shared directory) -> `script` (what sbatch gets) -> `client` (sbatch, squeue, scancel) -> `element` (on a node: trials of a point) ->
//! `delivery` (its record, in a file) -> `queue` and `wait` (what Slurm says) -> `acceptance` (whether a record is what was asked for) ->
//! `collect` (one of each element, into the store) -> `verdict` (the SKUs compared).

pub mod acceptance;
pub mod client;
pub mod collect;
pub mod delivery;
pub mod element;
pub mod options;
pub mod prepare;
pub mod queue;
pub mod script;
pub mod submission;
pub mod verdict;
pub mod wait;
