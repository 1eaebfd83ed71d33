//! The commands: one file each, thin.

mod baseline;
pub mod host;
pub mod import;
pub mod params;
pub mod plan;
mod plan_verify;
pub mod report;
pub mod results;
pub mod run;
pub mod scale;
pub mod sweep;

use clap::{Parser, Subcommand};

use crate::host::cores;
use crate::scale::docker::container;
use crate::trial::worker;

/// How fast a machine seals, why, and whether the output is right.
#[derive(Debug, Parser)]
#[command(name = "sealbench", version, propagate_version = true, max_term_width = 120)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Run(run::RunArgs),
    Sweep(sweep::SweepArgs),
    Plan(plan::PlanArgs),
    Params(params::ParamsArgs),
    Results(results::ResultsArgs),
    Report(report::ReportArgs),
    Host(host::HostArgs),
    Import(import::ImportArgs),
    Scale(scale::ScaleArgs),
    /// Keeps a container until stdin closes (started by scale docker)
    #[command(hide = true)]
    Hold,
    /// One trial on stdin, one report on stdout (started by run)
    #[command(hide = true)]
    Worker,
}

/// `--cores`: a list, or all that are allowed.
#[derive(Clone, Debug)]
pub struct CoresArg(pub Option<Vec<usize>>);

impl std::str::FromStr for CoresArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "auto" { Ok(CoresArg(None)) } else { cores::parse_list(text).map(|list| CoresArg(Some(list))) }
    }
}

/// Runs the command line.
pub fn run(cli: Cli) -> anyhow::Result<()> {
    match cli.command {
        Command::Run(args) => run::run(args),
        Command::Sweep(args) => sweep::run(args),
        Command::Plan(args) => plan::run(args),
        Command::Params(args) => params::run(args),
        Command::Results(args) => results::run(args),
        Command::Report(args) => report::run(args),
        Command::Host(args) => host::run(args),
        Command::Import(args) => import::run(args),
        Command::Scale(args) => scale::run(args),
        Command::Hold => container::hold(),
        Command::Worker => worker::main(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
