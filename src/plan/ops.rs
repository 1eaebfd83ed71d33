//! What operations start from: for each model of machine its containers, core map, mounts, huge pages and a sheet to read.

pub mod instance;
