//! From a spec to a finished record.

pub mod aggregate;
mod bounds;
mod crew;
pub mod estimate;
pub mod gate;
pub mod job;
mod lane;
pub mod launch;
pub mod layout;
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
pub mod station;
pub mod status;
pub mod verify;
pub mod voice;
pub mod worker;
