//! The same instances elsewhere: as containers of an engine.

pub mod docker;
