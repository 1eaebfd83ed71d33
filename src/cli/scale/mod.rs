//! `sealbench scale`: the instances of a run elsewhere.

mod docker;
mod slurm;
mod status;

use clap::{Args, Subcommand};

/// Run instances as containers, or a sweep as jobs of a cluster.
#[derive(Debug, Args)]
pub struct ScaleArgs {
    #[command(subcommand)]
    command: ScaleCommand,
}

#[derive(Debug, Subcommand)]
enum ScaleCommand {
    Docker(Box<docker::DockerArgs>),
    Slurm(Box<slurm::SlurmArgs>),
    Element(slurm::ElementArgs),
    Status(status::StatusArgs),
}

/// Runs the command.
pub fn run(args: ScaleArgs) -> anyhow::Result<()> {
    match args.command {
        ScaleCommand::Docker(args) => docker::run(*args),
        ScaleCommand::Slurm(args) => slurm::run(&args),
        ScaleCommand::Element(args) => slurm::element(args),
        ScaleCommand::Status(args) => status::run(&args),
    }
}
