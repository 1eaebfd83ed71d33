//! The sealbench command.

fn main() {}
