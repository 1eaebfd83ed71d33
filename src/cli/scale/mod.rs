//! `sealbench scale`: the instances of a run elsewhere.

mod docker;
mod status;

use clap::{Args, Subcommand};

/// Run instances as containers.
#[derive(Debug, Args)]
pub struct ScaleArgs {
    #[command(subcommand)]
    command: ScaleCommand,
}

#[derive(Debug, Subcommand)]
enum ScaleCommand {
    Docker(Box<docker::DockerArgs>),
    Status(status::StatusArgs),
}

/// Runs the command.
pub fn run(args: ScaleArgs) -> anyhow::Result<()> {
    match args.command {
        ScaleCommand::Docker(args) => docker::run(*args),
        ScaleCommand::Status(args) => status::run(&args),
    }
}
