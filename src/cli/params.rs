//! `sealbench params`: which parameter files a shape needs, what is there, and making them.

use std::fmt::Write as _;
use std::io::{self, ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::{Args, Subcommand, ValueEnum};
use comfy_table::{CellAlignment, Table, presets};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use crate::cli::CoresArg;
use crate::error::Stop;
use crate::home;
use crate::params::estimate::Estimate;
use crate::params::name::Names;
use crate::params::search::{self, Candidate, FoundFile, Located, SearchDir, SearchPath};
use crate::sector::{SectorSize, Shape};
use crate::trial::prepare;

/// Groth16 parameter files: what is needed, what is there, and generating development parameters.
#[derive(Debug, Args)]
pub struct ParamsArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Which files a shape needs, what they are, and where they are looked for (exit 4 if p4 cannot run on them).
    Status(StatusArgs),
    /// Make random development parameters for a shape, unless they are there.
    Generate(GenerateArgs),
    /// Hash every parameter file found, of all shapes (exit 4 if one is damaged or unknown).
    Verify,
}

#[derive(Debug, Args)]
struct ShapeArgs {
    /// Sector size, e.g. 2KiB, 8MiB, 32GiB.
    #[arg(long, value_name = "SIZE", default_value = "8MiB")]
    sector_size: SectorSize,
    /// SDR layers: 2 or 11 (default: the network's for the size).
    #[arg(long, value_name = "2|11")]
    layers: Option<u32>,
    /// Groth16 partitions (default: the network's for the size).
    #[arg(long, value_name = "N")]
    partitions: Option<u32>,
}

impl ShapeArgs {
    fn shape(&self) -> Result<Shape> {
        Shape::new(self.sector_size, self.layers, self.partitions, false)
    }
}

#[derive(Debug, Args)]
struct StatusArgs {
    #[command(flatten)]
    shape: ShapeArgs,
    /// Which phases' needs to list.
    #[arg(long = "for", value_enum, default_value_t = For::P4)]
    needs: For,
    /// Hash the files again instead of trusting cached digests.
    #[arg(long)]
    verify: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum For {
    P4,
    All,
}

#[derive(Debug, Args)]
struct GenerateArgs {
    #[command(flatten)]
    shape: ShapeArgs,
    /// Cores to run on, e.g. 0-3,8; or auto: all that are allowed.
    #[arg(long, value_name = "LIST|auto", default_value = "auto")]
    cores: CoresArg,
    /// Worker threads (default: number of cores).
    #[arg(long, value_name = "N")]
    threads: Option<u32>,
    /// Directory to write to (default: params in SEALBENCH_HOME).
    #[arg(long, value_name = "DIR")]
    into: Option<PathBuf>,
    /// Replace files that are there; the network's are never replaced.
    #[arg(long)]
    replace: bool,
    /// For tests only: the same files from the same 64 hexadecimal digits, known to whoever knows these.
    #[arg(long, value_name = "HEX", value_parser = seed)]
    deterministic_seed: Option<Key>,
}

/// A deterministic seed.
type Key = [u8; 32];

fn seed(digits: &str) -> Result<Key, String> {
    let mut key = Key::default();
    hex::decode_to_slice(digits, &mut key).map_err(|_| "a seed is 64 hexadecimal digits".to_string())?;
    Ok(key)
}

/// Runs the command.
pub fn run(args: ParamsArgs) -> Result<()> {
    match args.command {
        Command::Status(args) => status(&args, SearchPath::from_env()?),
        Command::Generate(args) => generate(args),
        Command::Verify => verify(&SearchPath::from_env()?),
    }
}

fn generate(args: GenerateArgs) -> Result<()> {
    let shape = args.shape.shape()?;
    let into = match args.into {
        Some(dir) => dir,
        None => search::params_dir(&home::home()?),
    };
    let order =
        prepare::ParamsOrder { shape, into: &into, replace: args.replace, deterministic: args.deterministic_seed };
    let generated = prepare::generate_for(&order, args.cores.0.as_deref(), args.threads)?;
    let what = if generated.reused { "There already" } else { "Generated" };
    print(&format!(
        "{what}: development parameters of {shape}\n  {}\n  {}\n",
        generated.params.display(),
        generated.vk.display()
    ))
}

fn status(args: &StatusArgs, mut search: SearchPath) -> Result<()> {
    let shape = args.shape.shape()?;
    if args.verify {
        search.digests = search.digests.recomputed();
    }
    let located = with_bar(|progress| search::locate(&shape, &search, progress));
    let report = StatusReport::new(&shape, &search, located);
    let text = if args.json { report.json()? } else { report.text(args.needs) };
    print(&text)?;
    report.verdict()
}

/// What `params status` says; with `--json` as it stands here.
#[derive(Serialize)]
struct StatusReport {
    schema: &'static str,
    shape: Shape,
    identifier: String,
    /// p4 can prove and verify with the files in `dir`.
    usable: bool,
    /// The directory that p4 uses.
    dir: Option<PathBuf>,
    files: Vec<FileReport>,
    /// Searched in this order, up to the first usable.
    searched: Vec<SearchDir>,
    /// What each directory looked at holds.
    candidates: Vec<Candidate>,
}

/// A needed file: the usable one, else the first found, else where it would be.
#[derive(Serialize)]
struct FileReport {
    file: String,
    needed_by: &'static str,
    role: &'static str,
    expected_bytes: u64,
    #[serde(flatten)]
    found: FoundFile,
}

impl StatusReport {
    fn new(shape: &Shape, search: &SearchPath, located: Located) -> StatusReport {
        let Names { identifier, params, vk, .. } = Names::of(shape);
        let expected = Estimate::of(shape).structure;
        let files = located.shown().into_iter().flat_map(|shown| {
            let params =
                (params.clone(), "proving key: p4 makes the proofs with it", expected.params_bytes(), &shown.params);
            let vk = (vk.clone(), "verifying key: p4's proofs are checked with it", expected.vk_bytes(), &shown.vk);
            [params, vk].map(|(file, role, expected_bytes, found)| FileReport {
                file,
                needed_by: "p4",
                role,
                expected_bytes,
                found: found.clone(),
            })
        });
        StatusReport {
            schema: "sealbench/params-status/1",
            shape: *shape,
            identifier,
            usable: located.usable().is_some(),
            dir: located.usable().map(|candidate| candidate.dir.clone()),
            files: files.collect(),
            searched: search.dirs.clone(),
            candidates: located.candidates,
        }
    }

    fn json(&self) -> Result<String> {
        Ok(serde_json::to_string_pretty(self)? + "\n")
    }

    fn text(&self, needs: For) -> String {
        let mut text = format!("Parameters of {}\n\n", self.shape);
        let mut table = table(["file", "phase", "role", "bytes", "expected", "status", "found in"]);
        for file in &self.files {
            table.add_row([
                short(&file.found.path),
                file.needed_by.into(),
                file.role.into(),
                file.found.bytes.map_or("-".into(), |bytes| bytes.to_string()),
                file.expected_bytes.to_string(),
                file.found.status.word().into(),
                if file.found.bytes.is_some() { dir_of(&file.found.path) } else { "-".into() },
            ]);
        }
        if needs == For::All {
            for phase in ["p1", "p2", "c1"] {
                table.add_row(["-", phase, "needs no parameter files", "-", "-", "-", "-"]);
            }
        }
        let _ = writeln!(text, "{table}\n\nFile names: v28-{}.params and .vk", self.identifier);
        let _ = writeln!(text, "Looked in, first usable directory wins:");
        for (index, dir) in self.searched.iter().enumerate() {
            let outcome = self.candidates.get(index).map_or("not needed".into(), Candidate::to_string);
            let _ = writeln!(text, "  {} ({}): {outcome}", dir.path.display(), dir.origin.name());
        }
        text
    }

    /// Exit code 4 and what to do, unless p4 can run.
    fn verdict(&self) -> Result<()> {
        if self.usable {
            return Ok(());
        }
        let found = self.candidates.iter().find(|candidate| !candidate.is_empty());
        let problem = match found {
            None => "are not there".into(),
            Some(candidate) => format!("in {} are not usable ({})", candidate.dir.display(), candidate),
        };
        let Shape { sector_size, layers, partitions } = self.shape;
        Err(Stop::Check.error(format!(
            "the parameters of {} {problem}: generate them with `sealbench params generate --sector-size {sector_size} \
             --layers {layers} --partitions {partitions}`, or set FIL_PROOFS_PARAMETER_CACHE to a directory that has them",
            self.shape
        )))
    }
}

fn verify(search: &SearchPath) -> Result<()> {
    let digests = search.digests.recomputed();
    let mut table = table(["shape", "file", "bytes", "status", "found in"]);
    let mut bad = Vec::new();
    let mut dirs = search.dirs.clone();
    dirs.retain(|dir| match dir.path.read_dir() {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            bad.push(format!("{} cannot be read: {error}", dir.path.display()));
            false
        }
        _ => true,
    });
    for shape in shapes() {
        for dir in &dirs {
            let candidate = with_bar(|progress| search::examine(&dir.path, &shape, &digests, progress));
            for file in candidate.files().into_iter().filter(|_| !candidate.is_empty()) {
                let bytes = file.bytes.map_or("-".into(), |bytes| bytes.to_string());
                table.add_row([
                    circuit(&shape),
                    short(&file.path),
                    bytes,
                    file.status.word().into(),
                    dir_of(&file.path),
                ]);
            }
            if !candidate.is_empty() && !candidate.is_usable() {
                bad.push(format!("{} in {}: {}", circuit(&shape), dir.path.display(), candidate));
            }
        }
    }
    if table.row_count() == 0 && bad.is_empty() {
        let dirs: Vec<String> = search.dirs.iter().map(|dir| dir.path.display().to_string()).collect();
        return print(&format!("No parameter files in {}\n", dirs.join(", ")));
    }
    print(&format!("{table}\n"))?;
    match bad.is_empty() {
        true => Ok(()),
        false => Err(Stop::Check.error(format!("these parameters cannot be used: {}", bad.join("; ")))),
    }
}

/// One shape for each parameter file there can be: sizes, layers, and challenges per partition.
fn shapes() -> Vec<Shape> {
    let mut shapes: Vec<Shape> = Vec::new();
    for size in SectorSize::ALL {
        for layers in [2, 11] {
            let all = (1..=Shape::MAX_PARTITIONS).filter_map(|n| Shape::new(size, Some(layers), Some(n), false).ok());
            let mut distinct: Vec<Shape> = all.collect();
            distinct.dedup_by_key(|shape| shape.challenges_per_partition());
            shapes.extend(distinct);
        }
    }
    shapes
}

fn circuit(shape: &Shape) -> String {
    format!("{}, {} layers, {} challenges", shape.sector_size, shape.layers, shape.challenges_per_partition())
}

fn table<const N: usize>(header: [&str; N]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(header);
    for (index, name) in header.into_iter().enumerate() {
        if let Some(column) = table.column_mut(index).filter(|_| ["bytes", "expected"].contains(&name)) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

/// A long file name's telling end: the last digits of the identifier and the extension.
fn short(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let (stem, extension) = name.rsplit_once('.').unwrap_or((&name, ""));
    format!("..{}.{extension}", stem.get(stem.len().saturating_sub(8)..).unwrap_or(stem))
}

fn dir_of(path: &Path) -> String {
    path.parent().unwrap_or(path).display().to_string()
}

/// Shows hashing on stderr while `work` runs; nothing where stderr is no terminal, or for what is hashed at once.
fn with_bar<T>(work: impl FnOnce(&mut crate::params::Progress<'_>) -> T) -> T {
    let mut bar: Option<ProgressBar> = None;
    let result = work(&mut |file, done, total| {
        if total < 256 << 20 {
            return;
        }
        let bar = bar.get_or_insert_with(|| {
            let style = ProgressStyle::with_template("hashing {msg} {percent}% of {total_bytes}, {eta} left");
            let bar = ProgressBar::new(total).with_message(short(Path::new(file)));
            bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
        });
        bar.set_position(done);
    });
    if let Some(bar) = bar {
        bar.finish_and_clear();
    }
    result
}

/// Writes to stdout; a reader that went away is no failure.
fn print(text: &str) -> Result<()> {
    match io::stdout().lock().write_all(text.as_bytes()) {
        Err(e) if e.kind() != ErrorKind::BrokenPipe => Err(e).context("cannot write to stdout"),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::exit_code;
    use crate::params::digest::Digests;
    use crate::params::install::{Order, install};
    use crate::params::sidecar::SeedMode;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Cli {
        #[command(flatten)]
        params: ParamsArgs,
    }

    fn parse(line: &str) -> ParamsArgs {
        Cli::try_parse_from(["params"].into_iter().chain(line.split_whitespace())).unwrap().params
    }

    fn small() -> Shape {
        Shape::network("2KiB".parse().unwrap())
    }

    fn report(dirs: &[&Path]) -> StatusReport {
        let dirs = dirs.iter().map(|dir| SearchDir { path: dir.to_path_buf(), origin: search::Origin::Home }).collect();
        let search = SearchPath { dirs, digests: Digests::uncached() };
        let located = search::locate(&small(), &search, &mut |_, _, _| ());
        StatusReport::new(&small(), &search, located)
    }

    fn development() -> tempfile::TempDir {
        use crate::params::format::synthetic::{self, SMALL};
        let dir = tempfile::tempdir().unwrap();
        let order = Order { shape: small(), into: dir.path(), replace: false, free: None };
        let make = |params: &mut dyn io::Write, vk: &mut dyn io::Write, _: &mut crate::params::Progress<'_>| {
            params.write_all(&synthetic::params(&SMALL, 1))?;
            vk.write_all(&synthetic::vk(&SMALL, 1))?;
            Ok(String::new())
        };
        install(&order, "test", SeedMode::Os, make, &mut |_, _, _| ()).unwrap();
        dir
    }

    #[test]
    fn nothing_there_is_exit_4_and_says_what_to_do() {
        let dir = tempfile::tempdir().unwrap();
        let report = report(&[dir.path()]);
        let error = report.verdict().unwrap_err();
        assert_eq!(exit_code(&error), 4);
        assert!(error.to_string().contains("params generate --sector-size 2KiB --layers 2 --partitions 1"), "{error}");
        let text = report.text(For::P4);
        assert!(text.contains("missing") && text.contains("1114707768"), "{text}");
        assert!(text.contains(&dir.path().display().to_string()), "{text}");
    }

    #[test]
    fn a_damaged_directory_and_a_usable_one_are_both_told() {
        let (bad, good) = (development(), development());
        let name = Names::of(&small()).params;
        std::fs::File::options().write(true).open(bad.path().join(name)).unwrap().set_len(1000).unwrap();
        let both = report(&[bad.path(), good.path()]);
        both.verdict().unwrap();
        let text = both.text(For::All);
        for expected in ["truncated (1000 bytes", "development", "needs no parameter files", "p4"] {
            assert!(text.contains(expected), "{expected} in {text}");
        }
        let json: serde_json::Value = serde_json::from_str(&both.json().unwrap()).unwrap();
        assert_eq!(json["usable"], true);
        assert_eq!(json["dir"], good.path().to_str().unwrap());
        assert_eq!(json["files"][0]["status"], "development");
        assert_eq!(json["candidates"][0]["params"]["actual"], 1000);

        let error = report(&[bad.path()]).verdict().unwrap_err();
        assert!(exit_code(&error) == 4 && error.to_string().contains("truncated"), "{error}");
    }

    #[test]
    fn verify_tells_of_every_bad_file() {
        let (bad, good) = (development(), development());
        let search = |dirs: &[&Path]| SearchPath {
            dirs: dirs.iter().map(|dir| SearchDir { path: dir.to_path_buf(), origin: search::Origin::Home }).collect(),
            digests: Digests::uncached(),
        };
        verify(&search(&[good.path()])).unwrap();
        verify(&search(&[])).unwrap();
        std::fs::remove_file(bad.path().join(Names::of(&small()).sidecar)).unwrap();
        let unreadable = good.path().join(Names::of(&small()).vk);
        let error = verify(&search(&[good.path(), bad.path(), &unreadable])).unwrap_err();
        let sentence = error.to_string();
        assert!(exit_code(&error) == 4 && sentence.contains("unknown"), "{sentence}");
        assert_eq!(sentence.matches("cannot be read").count(), 1, "{sentence}");
    }

    #[test]
    fn every_parameter_file_has_one_shape() {
        let shapes = shapes();
        let names: std::collections::HashSet<_> = shapes.iter().map(|shape| Names::of(shape).params).collect();
        assert_eq!(names.len(), shapes.len());
        for published in crate::params::manifest::all().iter().filter(|file| file.name.ends_with(".params")) {
            assert!(names.contains(&published.name), "{}", published.name);
        }
    }

    #[test]
    fn a_shape_without_parameters_is_a_usage_error() {
        for line in ["generate --sector-size 2KiB --layers 3", "generate --sector-size 32GiB --partitions 1"] {
            let error = run(parse(line)).unwrap_err();
            assert_eq!(exit_code(&error), 2, "{error}");
        }
        assert!(Cli::try_parse_from(["params", "status", "--sector-size", "3KiB"]).is_err());
        for seed in ["", "00", &"0".repeat(63), &"0".repeat(66), &"g".repeat(64)] {
            assert!(Cli::try_parse_from(["params", "generate", "--deterministic-seed", seed]).is_err(), "{seed}");
        }
        parse(&format!("generate --deterministic-seed {}", "0f".repeat(32)));
    }
}
