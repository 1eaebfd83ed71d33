//! `sealbench run`.

use std::ffi::OsString;
use std::io::{Write, stdout};
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::{Args, ValueEnum};

use crate::cli::CoresArg;
use crate::cli::baseline::BaselineArgs;
use crate::error::Stop;
use crate::host::arena::Pages;
use crate::host::core_sets::{self, Placement};
use crate::phase::mock::Script;
use crate::phase::{Engine, Phase};
use crate::report::table::run_table;
use crate::sector::{SectorSize, Seed};
use crate::trial::layout::{Layout, MixPart};
use crate::trial::request::Request;
use crate::trial::run::{Finished, run as run_request};
use crate::trial::spec::{Io, Native, ParamsMode, ParentsMode};

const EXAMPLES: &str = "Examples:
  sealbench run                                     seal 8 MiB, all phases, on all cores
  sealbench run --sector-size 2KiB --json out.json  the smallest sector, the record in a file
  sealbench run --sector-size 512MiB --phases p1,p2 --cores 0-3 --run-dir /data/seal
  sealbench run --run-dir /data/seal --phases c1,p4 continue what that directory holds
  sealbench run --run-dir /data/seal --resume       continue an interrupted run
  sealbench run --sector-size 2KiB --partitions 4 --p4-partitions-at-once 2
  sealbench run --sector-size 512MiB --phases p1 --engine both   our kernels beside rust-fil-proofs
  sealbench run --sector-size 8MiB --phases p1 --sectors 8 --pages 2MiB   a batch, labelled together
  sealbench run --phases p1,p2 --instances 4 --cores-per-instance 8   four side by side, and one alone
  sealbench run --mix p1:4x1,p2:4x8                 different phases side by side
  sealbench run --sector-size 32GiB --dry-run       what it would need

Exit codes: 0 done and verified; 1 failed; 2 usage; 3 refused before starting (memory, disk, CPU); 4 a check failed; 130 interrupted.";

/// Seal a sector phase by phase: measured, verified, recorded.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct RunArgs {
    /// Sector size: 2KiB, 4KiB, 16KiB, 32KiB, 8MiB, 16MiB, 512MiB, 1GiB, 32GiB or 64GiB [default: 8MiB, or the run directory's]
    #[arg(long, value_name = "SIZE")]
    sector_size: Option<SectorSize>,
    /// Phases, a contiguous part of p1,p2,c1,p4; earlier outputs come from --run-dir [default: all that are missing]
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    phases: Option<Vec<Phase>>,
    /// Engine [default: native where the phase has it, else reference]
    #[arg(long, value_enum)]
    engine: Option<EngineArg>,
    /// SDR layers, 2 or 11; others with --phases p1 only [default: the network's for the size]
    #[arg(long, value_name = "N")]
    layers: Option<u32>,
    /// Groth16 partitions [default: the network's for the size]
    #[arg(long, value_name = "N")]
    partitions: Option<u32>,
    /// Cores that every thread of a phase is pinned to, e.g. 0-3,8; or auto: all that are allowed
    #[arg(long, value_name = "LIST|auto", default_value = "auto")]
    cores: CoresArg,
    /// Instances side by side, each on its own cores and in its own directory
    #[arg(long, value_name = "M")]
    instances: Option<u32>,
    /// Physical cores of each instance; whole L3 groups where it takes more than one
    #[arg(long, value_name = "K")]
    cores_per_instance: Option<u32>,
    /// The instances' cores one by one, e.g. "0-7;8-15"
    #[arg(long, value_name = "LIST;LIST")]
    core_sets: Option<CoreSetsArg>,
    /// Different phases side by side, each going on until every instance is done, e.g. p1:4x1,p2:4x23
    #[arg(long, value_name = "PHASE:MxK,...", value_delimiter = ',')]
    mix: Option<Vec<MixPart>>,
    /// Let the instances' cores overlap; never reportable
    #[arg(long)]
    share_cores: bool,
    /// Let an instance take a part of an L3 group or NUMA node that it shares with others
    #[arg(long)]
    split_l3: bool,
    /// Give an instance all hardware threads of its cores, not the first of each
    #[arg(long)]
    smt: bool,
    /// Do not measure one instance with the machine to itself
    #[arg(long)]
    without_alone: bool,
    /// Apply the run rules (docs/rules.md): repeats by cost, no disturbance, everything verified; exit code 4 if one is broken
    #[arg(long)]
    reportable: bool,
    /// Worker threads of each pool, of each instance [default: the number of cores]
    #[arg(long, value_name = "N")]
    threads: Option<u32>,
    /// Groth16 partitions in memory at once (the old BELLMAN_PROOF_THREADS) [default: all, at most 10]
    #[arg(long, value_name = "K")]
    p4_partitions_at_once: Option<u32>,
    /// How p4 holds its parameters
    #[arg(long, value_enum, default_value = "mapped")]
    params: ParamsMode,
    /// Sectors that p1 labels together, with consecutive numbers and the same data [default: 1]
    #[arg(long, value_name = "N")]
    sectors: Option<u32>,
    /// Sector of a batch in --run-dir to continue, counted from 0 [default: 0]
    #[arg(long, value_name = "I")]
    sector: Option<u32>,
    /// Kernel of the native engine, e.g. sha256=sha-ni-x1 (repeatable; `sealbench host show` lists them); auto: the fastest here
    #[arg(long, value_name = "PRIMITIVE=NAME|auto", default_value = "auto")]
    kernel: Vec<KernelArg>,
    /// Pages of the layers that the native p1 labels
    #[arg(long, value_enum, default_value = "auto")]
    pages: Pages,
    /// Where the native p1 takes the graph's parents from; auto: computed where another core or a batch makes that cheap, else the cache
    #[arg(long, value_enum, default_value = "auto")]
    parents: ParentsMode,
    /// How the native p2 reads the layers; direct: past the page cache, and what is written is brought to storage
    #[arg(long, value_enum, default_value = "cached")]
    io: Io,
    /// What the mock engine does, JSON
    #[arg(long, value_name = "FILE", hide = true)]
    pub(super) mock: Option<PathBuf>,
    /// Repetitions of every phase
    #[arg(long, value_name = "N")]
    repeats: Option<u32>,
    /// Everything random of the sector derives from this: 1 to 32 bytes in hexadecimal [default: 5ea1]
    #[arg(long, value_name = "HEX")]
    seed: Option<Seed>,
    /// Directory of the sector's files: new, or of an earlier run, or left by benchy [default: below SEALBENCH_HOME, removed at the end]
    #[arg(long, value_name = "DIR")]
    run_dir: Option<PathBuf>,
    /// Continue the interrupted run in --run-dir with its settings
    #[arg(long)]
    resume: bool,
    /// Keep the sector's files although no --run-dir was named
    #[arg(long)]
    keep: bool,
    /// Write the record to this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Say what would run and what it needs, and stop
    #[arg(long)]
    pub(super) dry_run: bool,
    #[command(flatten)]
    pub(super) baseline: BaselineArgs,
}

/// `--kernel`: a primitive and the name of its kernel, or the choice of the engine.
#[derive(Clone, Debug)]
struct KernelArg(Option<(String, String)>);

impl std::str::FromStr for KernelArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            _ if text == "auto" => Ok(KernelArg(None)),
            Some((primitive, name)) => Ok(KernelArg(Some((primitive.into(), name.into())))),
            None => Err(format!("'{text}' is not auto or a primitive and its kernel, as in sha256=sha-ni-x1")),
        }
    }
}

/// `--core-sets`.
#[derive(Clone, Debug)]
struct CoreSetsArg(Vec<Vec<usize>>);

impl std::str::FromStr for CoreSetsArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        core_sets::parse_sets(text).map(CoreSetsArg)
    }
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum EngineArg {
    Native,
    Reference,
    Both,
    #[value(hide = true)]
    Mock,
}

/// Runs the command; the table goes to stdout.
pub fn run(mut args: RunArgs) -> anyhow::Result<()> {
    let afterwards = std::mem::take(&mut args.baseline).prepare()?;
    let Finished { record, error } = run_request(&request(args)?)?;
    if let Some(record) = &record {
        // A terminal that is gone is no failure: the record is in the store.
        let _ = write!(stdout(), "{}", run_table(record));
    }
    error.map_or(Ok(()), Err)?;
    record.map_or(Ok(()), |record| afterwards.finish(&record))
}

pub(super) fn request(args: RunArgs) -> anyhow::Result<Request> {
    Ok(Request {
        given: given(),
        scratch: None,
        sector_size: args.sector_size,
        phases: args.phases,
        engines: args.engine.map(|engine| match engine {
            EngineArg::Native => vec![Engine::Native],
            EngineArg::Reference => vec![Engine::Reference],
            EngineArg::Both => vec![Engine::Native, Engine::Reference],
            EngineArg::Mock => vec![Engine::Mock],
        }),
        layers: args.layers,
        partitions: args.partitions,
        cores: args.cores.0,
        threads: args.threads,
        at_once: args.p4_partitions_at_once,
        params: args.params,
        sectors: args.sectors,
        sector: args.sector,
        native: Native {
            kernels: args.kernel.into_iter().filter_map(|KernelArg(kernel)| kernel).collect(),
            pages: args.pages,
            parents: args.parents,
            io: args.io,
        },
        layout: Layout {
            instances: args.instances,
            cores_per_instance: args.cores_per_instance,
            core_sets: args.core_sets.map(|CoreSetsArg(sets)| sets),
            mix: args.mix,
            placement: Placement { split_l3: args.split_l3, smt: args.smt, share: args.share_cores },
        },
        without_alone: args.without_alone,
        reportable: args.reportable,
        sweep: None,
        cluster: None,
        discard: false,
        quiet: false,
        mock: args.mock.as_deref().map(script).transpose()?,
        repeats: args.repeats,
        seed: args.seed,
        run_dir: args.run_dir,
        resume: args.resume,
        keep: args.keep,
        json: args.json,
        dry_run: args.dry_run,
    })
}

/// The command line, word by word.
pub fn given() -> Vec<String> {
    let words = |word: OsString| word.to_string_lossy().into_owned();
    std::env::args_os().map(words).collect()
}

/// Reads what the mock engine is to do.
pub fn script(path: &Path) -> anyhow::Result<Script> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    serde_json::from_str(&text).map_err(|e| Stop::Usage.error(format!("{} is no script: {e}", path.display())))
}
