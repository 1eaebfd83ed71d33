//! The ratio plan: from rates to layouts of machines, to machines for a target, and to a simulation that confirms or refutes it. It knows rates
//! and never how a phase works.

pub mod flows;
pub mod layout;
pub mod measured;
pub mod ops;
pub mod outlook;
pub mod page;
pub mod planner;
pub mod purchase;
pub mod quantity;
pub mod rates;
pub mod report;
pub mod scenario;
pub mod simulate;
pub mod solve;
pub mod verify;
pub mod workbook;
