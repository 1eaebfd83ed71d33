//! From a spec to a finished record.

mod bounds;
pub mod estimate;
pub mod job;
pub mod launch;
pub mod monitor;
pub mod parents;
pub mod plan;
pub mod prepare;
pub mod record;
pub mod request;
pub mod run;
pub mod session;
pub mod signals;
pub mod spec;
pub mod status;
pub mod verify;
pub mod voice;
pub mod worker;
