//! From a spec to a finished record.

pub mod record;
pub mod spec;
pub mod status;
