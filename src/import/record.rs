//! From a run in a log to a record. What a log cannot say is null, empty or left out; what was assumed is a finding.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::run::{Format, Key, Log, Machine, PhaseTime, Run};
use crate::host::{BuildInfo, Counters, HostInfo};
use crate::measure::stats;
use crate::phase::{Engine, Phase};
use crate::sector::{Identity, SectorSize, Shape};
use crate::trial::record::{
    Finding, Origin, Output, PhaseRecord, Record, RunState, SCHEMA, Severity, SpecRecord, Timer, Validity, Verified,
};
use crate::trial::spec::{Native, ParamsMode, Spec};

/// How the id of every imported record begins.
pub const ID_START: &str = "log-";

/// Setting: the log's path.
pub const LOG: &str = "import.log";
/// Setting: cores of each instance.
pub const CORES: &str = "import.cores";
/// Setting: instances that ran side by side, as the user said.
pub const INSTANCES: &str = "import.instances";
/// Setting: what the log was read as.
pub const FORMAT: &str = "import.format";
/// Setting: what tells each phase from all others, so that none is imported twice.
pub const KEYS: &str = "import.keys";

/// What a log does not say and the user may.
#[derive(Clone, Debug, Default)]
pub struct Told {
    /// Cores of each instance.
    pub cores: Option<u32>,
    /// Instances side by side.
    pub instances: Option<u32>,
    /// Sector size.
    pub sector_size: Option<SectorSize>,
    /// The machine's name.
    pub host: Option<String>,
}

/// The record of a run that [`sector_size`] has a size for; `build` is the binary that imports.
pub fn record(run: &Run, log: &Log, told: &Told, sector_size: SectorSize, build: &BuildInfo) -> Record {
    let mut findings = vec![imported(run, log)];
    if run.sector_bytes.is_none() && told.sector_size.is_none() {
        let text = "the log does not say the sector size: 32GiB is assumed (--sector-size says another)";
        findings.push(Finding::new("sector-size-assumed", Severity::Warning, text));
    }
    findings.extend(run.findings.iter().cloned());
    let shape = shape(run, sector_size);
    let keys: Vec<String> = run.keys().iter().map(Key::to_string).collect();
    let started = started(run, log);
    if run.format.has_times() {
        findings.extend(too_short(run));
    } else {
        let text = "the report does not say when it ran: whether it ran beside others is unknown";
        findings.push(Finding::new("no-times", Severity::Info, text));
    }
    let phases: Vec<PhaseRecord> = run.phases.iter().map(|phase| phase_record(run, phase, told, started)).collect();
    Record {
        schema: SCHEMA.to_string(),
        id: id(run, started, &keys),
        started_at: started.to_string(),
        state: if run.unfinished { RunState::Interrupted } else { RunState::Complete },
        host: host(run.machine.as_deref(), told),
        build: build.clone(),
        spec: SpecRecord {
            given: vec!["sealbench".to_string(), "import".to_string(), log.path.display().to_string()],
            resolved: spec(run, shape, log.named.or(told.cores)),
            settings: settings(run, log, told, &keys),
        },
        seed: None,
        timer: Timer { precision_ns: run.precision_ns, read_ns: 0.0, span_ns: 0.0 },
        sweep: None,
        containers: None,
        cluster: None,
        summary: stats::summarize(&phases),
        phases,
        aggregates: Vec::new(),
        validity: Validity { reportable: false, rules: Vec::new(), findings },
    }
}

/// When a run began, or was logged if its log has no times.
pub fn started(run: &Run, log: &Log) -> Timestamp {
    run.phases.iter().filter_map(|phase| phase.begun).min().unwrap_or(log.logged)
}

/// Whether the times of a record's phases are those of its log.
pub fn has_times(record: &Record) -> bool {
    let format = record.spec.settings.get(FORMAT).map(String::as_str);
    [Format::BenchyLog, Format::ProofsLog].iter().any(|timed| format == Some(timed.name()))
}

/// The keys of a record's phases.
pub fn keys(record: &Record) -> Vec<Key> {
    keys_in(record.spec.settings.get(KEYS).map_or("", String::as_str)).collect()
}

/// The keys in the text of the setting [`KEYS`].
pub fn keys_in(text: &str) -> impl Iterator<Item = Key> {
    text.split(',').filter_map(|key| key.parse().ok())
}

/// The same phases give the same id, whatever the file is called.
fn id(run: &Run, started: Timestamp, keys: &[String]) -> String {
    let time = if run.format.has_times() { started.strftime("%Y%m%dT%H%M%SZ-").to_string() } else { String::new() };
    id_of(&format!("{ID_START}{time}"), keys)
}

/// The id with these keys in place of its own.
pub fn id_of(id: &str, keys: &[String]) -> String {
    let hash = &blake3::hash(keys.join(",").as_bytes()).to_hex()[..12];
    let start = id.rfind('-').map_or(ID_START, |end| &id[..=end]);
    format!("{start}{hash}")
}

fn imported(run: &Run, log: &Log) -> Finding {
    let text = format!(
        "imported from {} ({}): not measured by sealbench; `build` is the sealbench that imported it",
        log.path.display(),
        run.format.name()
    );
    Finding::new("imported", Severity::Info, text)
}

/// The sector size of a run: the log's, or what was told, or 32 GiB. The error is the sentence about a run that no record can hold.
pub fn sector_size(run: &Run, told: &Told) -> Result<SectorSize, String> {
    match (run.sector_bytes, told.sector_size) {
        (Some(bytes), told) => {
            let size = SectorSize::try_from(bytes)
                .map_err(|error| format!("the log says that {error}: no record can hold it"))?;
            if let Some(told) = told.filter(|&told| told != size) {
                return Err(format!(
                    "the log says {size} sectors, --sector-size says {told}: leave it out, or name the right logs"
                ));
            }
            Ok(size)
        }
        (None, Some(told)) => Ok(told),
        (None, None) => SectorSize::try_from(32 << 30),
    }
}

fn shape(run: &Run, sector_size: SectorSize) -> Shape {
    let network = Shape::network(sector_size);
    let within =
        |value: Option<u32>, most, otherwise| value.filter(|value| (1..=most).contains(value)).unwrap_or(otherwise);
    Shape {
        sector_size,
        layers: within(run.layers, 11, network.layers),
        partitions: within(run.partitions, Shape::MAX_PARTITIONS, network.partitions),
    }
}

/// A phase that begins and ends within one step of the log's clock.
fn too_short(run: &Run) -> Option<Finding> {
    let short = run.phases.iter().find(|phase| phase.wall_s * 1e9 < 10.0 * run.precision_ns)?;
    let text = format!(
        "{} took {} s by a clock that counts {} s: the time is coarse",
        short.phase,
        short.wall_s,
        run.precision_ns / 1e9
    );
    Some(Finding::new("coarse-clock", Severity::Warning, text))
}

fn host(machine: Option<&Machine>, told: &Told) -> HostInfo {
    let mut host = HostInfo { hostname: told.host.clone(), ..HostInfo::default() };
    let Some(machine) = machine else { return host };
    host.cpu.model.clone_from(&machine.cpu);
    host.frequency.base_mhz = machine.base_mhz;
    host.frequency.max_mhz = machine.max_mhz;
    host.topology.cores = machine.cores;
    host.topology.threads = machine.threads;
    host.memory.total_bytes = machine.memory_bytes;
    host.kernel.release.clone_from(&machine.kernel);
    host
}

fn spec(run: &Run, shape: Shape, cores: Option<u32>) -> Spec {
    let mut phases: Vec<Phase> = run.phases.iter().map(|phase| phase.phase).collect();
    phases.sort_unstable();
    phases.dedup();
    // benchy seals with a fixed identity; of the others no log has more than the sector's number.
    let identity = match run.format {
        Format::BenchyJson => Identity::benchy(),
        _ => Identity {
            porep_id: Default::default(),
            prover_id: Default::default(),
            sector_id: run.sector.unwrap_or(0),
            ticket: Default::default(),
            c1_seed: Default::default(),
        },
    };
    Spec {
        shape,
        network_shape: shape.is_network(),
        identity,
        phases,
        engines: vec![Engine::Reference],
        cores: Vec::new(),
        threads: cores.unwrap_or(0),
        first_repeat: 0,
        repeats: run.phases.iter().map(|phase| phase.repeat + 1).max().unwrap_or(1),
        p4_partitions_at_once: shape.partitions,
        params: ParamsMode::Mapped,
        fallback: false,
        sectors: 1,
        sector: 0,
        native: Native::default(),
        instances: Vec::new(),
        placement: Default::default(),
        containers: false,
        alone: false,
        reportable: false,
        mock: None,
    }
}

fn settings(run: &Run, log: &Log, told: &Told, keys: &[String]) -> BTreeMap<String, String> {
    let lines = |phase: &PhaseTime| format!("{} {}-{}", phase.phase, phase.lines.0, phase.lines.1);
    let settings = [
        (LOG, Some(log.path.display().to_string())),
        (FORMAT, Some(run.format.name().to_string())),
        (KEYS, Some(keys.join(","))),
        (CORES, log.named.or(told.cores).map(|cores| cores.to_string())),
        (INSTANCES, told.instances.map(|instances| instances.to_string())),
        ("import.lines", Some(run.phases.iter().map(lines).collect::<Vec<_>>().join(", "))),
        ("import.thread", run.thread.clone()),
        ("import.process", run.process.clone()),
        ("import.sector", run.sector.map(|sector| sector.to_string())),
        ("import.cache_dir", run.cache_dir.clone()),
        ("import.sealed_file", run.sealed_file.clone()),
        ("import.revision", run.revision.clone()),
    ];
    settings.into_iter().filter_map(|(name, value)| Some((name.to_string(), value?))).collect()
}

fn phase_record(run: &Run, phase: &PhaseTime, told: &Told, started: Timestamp) -> PhaseRecord {
    PhaseRecord {
        phase: phase.phase,
        engine: Engine::Reference,
        variant: Some(format!("imported {}", run.format.name())),
        kernel: BTreeMap::new(),
        instance: 0,
        concurrent: if run.format.has_times() { 1 } else { told.instances.unwrap_or(1) },
        repeat: phase.repeat,
        cores: Vec::new(),
        cores_seen: Vec::new(),
        threads: None,
        threads_peak: None,
        runnable_peak: None,
        pages: None,
        sectors: 1,
        started_at: phase.begun.unwrap_or(started).to_string(),
        wall_s: phase.wall_s,
        cpu_s: phase.cpu_s,
        spans: Vec::new(),
        max_rss_bytes: run.max_rss_bytes,
        estimated_rss_bytes: None,
        read_bytes: None,
        written_bytes: None,
        counters: Counters::default(),
        clock: None,
        work: None,
        calibration: Vec::new(),
        limit: None,
        other_limits: Vec::new(),
        output: Output::default(),
        verified: Verified { against: "none".to_string(), ok: None },
        origin: Origin::Imported,
    }
}
