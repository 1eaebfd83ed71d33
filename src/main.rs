//! The sealbench command.

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;
use sealbench::cli::{self, Cli};
use sealbench::error::exit_code;
use sealbench::host::cpu;

fn main() -> ExitCode {
    cpu::require_compiled_features();
    match cli::run(Cli::parse) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "Error: {error:#}");
            ExitCode::from(exit_code(&error))
        }
    }
}
