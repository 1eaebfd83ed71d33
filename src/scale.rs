//! The same instances elsewhere: as containers of an engine, here or by Compose files.

pub mod compose;
pub mod docker;
