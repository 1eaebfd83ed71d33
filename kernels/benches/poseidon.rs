//! Nanoseconds per hash of each Poseidon backend, beside neptune in the same run.
fn main() {}
