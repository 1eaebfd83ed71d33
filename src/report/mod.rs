//! What people and other programs read: terminal tables and charts, reports, exports, and how figures are written in them.

pub mod bars;
pub mod chart;
pub mod compare;
pub mod document;
pub mod export;
pub mod group;
pub mod html;
pub mod imported;
pub mod machines;
pub mod markdown;
pub mod ranking;
pub mod sections;
pub mod statistics;
pub mod table;
pub mod unfinished;
pub mod units;
