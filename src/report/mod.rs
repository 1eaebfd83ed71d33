//! What people and other programs read: terminal tables, exports, and how figures are written in them.

pub mod export;
pub mod imported;
pub mod ranking;
pub mod table;
pub mod unfinished;
pub mod units;
