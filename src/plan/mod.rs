//! The ratio plan.

pub mod layout;
pub mod quantity;
pub mod rates;
pub mod scenario;
pub mod solve;
