//! The scenario file: TOML. Every quantity is a text with its unit; every error names the table and the key.

use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{Minimise, Needs, Precommit, Prices, ProvingPlace, Rules, Scenario, Shared, Sku, Stored, Volume};
use crate::error::Stop;
use crate::keys::{check_keys, keys};
use crate::phase::Phase;
use crate::plan::quantity::{self, DAY_S, GIB, Units};
use crate::plan::rates::{Entry, from_entry};
use crate::trial::record::{Interval, Origin};

/// No scenario is larger.
const MAX_BYTES: u64 = 4 << 20;

/// Most models, rates and volumes of a scenario.
const MAX_SKUS: usize = 64;
const MAX_RATES: usize = 512;
const MAX_VOLUMES: u32 = 64;

/// Most times of all rates together: their intervals are resampled.
const MAX_TIMES: usize = 10_000;

/// Most machines, instances and the like: far above what exists.
const MAX_COUNT: u32 = 100_000;

/// Most cores of a machine.
const MAX_CORES: u32 = 4096;

#[derive(Debug, Default, Serialize, Deserialize)]
struct File {
    title: Option<String>,
    sector_size: Option<String>,
    target: Option<String>,
    month: Option<String>,
    minimise: Option<Minimise>,
    phases: Option<Vec<String>>,
    rules: RulesTable,
    sector: SectorTable,
    prices: PricesTable,
    shared: SharedTable,
    #[serde(rename = "sku")]
    skus: Vec<SkuTable>,
    #[serde(rename = "rate")]
    rates: Vec<RateTable>,
    #[serde(rename = "stored")]
    stored: Vec<StoredTable>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct RulesTable {
    precommit: Option<String>,
    p4: Option<String>,
    split_l3: Option<bool>,
    wait_seed: Option<String>,
    availability: Option<f64>,
    repair: Option<String>,
    failed_sectors: Option<f64>,
    headroom: Option<f64>,
    spares: Option<u32>,
    sectors_per_p4_process: Option<f64>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct SectorTable {
    p1_memory: Option<String>,
    p2_memory: Option<String>,
    p4_parameters: Option<String>,
    p4_partition: Option<String>,
    scratch: Option<String>,
    p1_reads: Option<String>,
    p1_writes: Option<String>,
    p2_reads: Option<String>,
    p2_writes: Option<String>,
    finished: Option<String>,
    c1_output: Option<String>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct PricesTable {
    currency: Option<String>,
    kwh: Option<f64>,
    pue: Option<f64>,
    period: Option<String>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct SharedTable {
    write: Option<String>,
    read: Option<String>,
    holds_parameters: Option<bool>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct SkuTable {
    name: Option<String>,
    cores: Option<u32>,
    l3_groups: Option<u32>,
    numa_nodes: Option<u32>,
    memory: Option<String>,
    reserved_memory: Option<String>,
    huge_pages: Option<String>,
    #[serde(rename = "volume")]
    volumes: Vec<VolumeTable>,
    network: Option<String>,
    price: Option<f64>,
    power: Option<String>,
    rack_units: Option<f64>,
    owned: Option<u32>,
    available: Option<u32>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct VolumeTable {
    mount: Option<String>,
    count: Option<u32>,
    size: Option<String>,
    read: Option<String>,
    write: Option<String>,
    instances: Option<u32>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct RateTable {
    phase: Option<String>,
    skus: Vec<String>,
    cores: Option<u32>,
    instances: Option<u32>,
    time: Option<String>,
    times: Vec<String>,
    sectors_per_h: Option<f64>,
    interval: Option<[String; 2]>,
    cv: Option<f64>,
    batch: Option<u32>,
    partitions_at_once: Option<u32>,
    memory: Option<String>,
    variant: Option<String>,
    origin: Option<Origin>,
    source: Vec<String>,
    concurrent: Option<bool>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct StoredTable {
    skus: Vec<String>,
    runs: Vec<String>,
    sweeps: Vec<String>,
    cores: Option<u32>,
}

impl Scenario {
    /// Reads a scenario file; what is wrong with it is named with its place (exit code 2).
    pub fn read(path: &Path) -> anyhow::Result<Scenario> {
        let cannot = |e: std::io::Error| Stop::Usage.error(format!("cannot read {}: {e}", path.display()));
        let size = fs::metadata(path).map_err(cannot)?.len();
        if size > MAX_BYTES {
            return Err(Stop::Usage.error(format!("{} is no scenario: it has {size} bytes", path.display())));
        }
        Scenario::parse(&fs::read_to_string(path).map_err(cannot)?)
            .map_err(|e| Stop::Usage.error(format!("{}: {e}", path.display())))
    }

    /// Reads the text of a scenario file.
    pub fn parse(text: &str) -> Result<Scenario, String> {
        let table: toml::Table = text.parse().map_err(|e: toml::de::Error| e.to_string().trim_end().to_string())?;
        check_all_keys(&table)?;
        let complete = with_tables(table);
        let file: File = complete.try_into().map_err(|e: toml::de::Error| e.to_string().trim_end().to_string())?;
        scenario(file)
    }
}

/// Every key of every table, so that an unknown one is named with the nearest.
fn check_all_keys(table: &toml::Table) -> Result<(), String> {
    check_keys(table, &keys(&File::default()), "")?;
    let tables = [
        ("rules", keys(&RulesTable::default())),
        ("sector", keys(&SectorTable::default())),
        ("prices", keys(&PricesTable::default())),
        ("shared", keys(&SharedTable::default())),
    ];
    for (name, valid) in tables {
        if let Some(value) = table.get(name) {
            let inner = value.as_table().ok_or_else(|| format!("{name} is a table: write [{name}]"))?;
            check_keys(inner, &valid, &format!(" of [{name}]"))?;
        }
    }
    let lists = [
        ("sku", keys(&SkuTable::default())),
        ("rate", keys(&RateTable::default())),
        ("stored", keys(&StoredTable::default())),
    ];
    for (name, valid) in lists {
        for (number, entry) in list(table, name)?.into_iter().enumerate() {
            check_keys(entry, &valid, &format!(" of {name} {}", number + 1))?;
            for (volume, inner) in list(entry, "volume")?.into_iter().enumerate() {
                let of = format!(" of volume {} of {name} {}", volume + 1, number + 1);
                check_keys(inner, &keys(&VolumeTable::default()), &of)?;
            }
        }
    }
    Ok(())
}

fn list<'a>(table: &'a toml::Table, name: &str) -> Result<Vec<&'a toml::Table>, String> {
    let wrong = || format!("{name} is a list of tables: write [[{name}]]");
    let Some(value) = table.get(name) else { return Ok(Vec::new()) };
    value.as_array().ok_or_else(wrong)?.iter().map(|entry| entry.as_table().ok_or_else(wrong)).collect()
}

/// The table with those that may be left out.
fn with_tables(mut table: toml::Table) -> toml::Table {
    for name in ["rules", "sector", "prices", "shared"] {
        table.entry(name).or_insert_with(|| toml::Value::Table(toml::Table::new()));
    }
    for name in ["sku", "rate", "stored"] {
        table.entry(name).or_insert_with(|| toml::Value::Array(Vec::new()));
    }
    table
}

/// Says where an error is.
trait At<T> {
    fn at(self, place: &str) -> Result<T, String>;
}

impl<T> At<T> for Result<T, String> {
    fn at(self, place: &str) -> Result<T, String> {
        self.map_err(|e| format!("{place}: {e}"))
    }
}

fn within(value: f64, low: f64, high: f64, place: &str) -> Result<f64, String> {
    if (low..=high).contains(&value) {
        Ok(value)
    } else {
        Err(format!("{place}: {value} is out of range: {low} to {high}"))
    }
}

fn count(value: Option<u32>, default: u32, least: u32, most: u32, place: &str) -> Result<u32, String> {
    let value = value.unwrap_or(default);
    within(f64::from(value), f64::from(least), f64::from(most), place).map(|_| value)
}

/// An amount above zero.
fn some(value: Result<f64, String>, place: &str) -> Result<f64, String> {
    match value {
        Ok(0.0) => Err(format!("{place}: it is zero")),
        other => other.at(place),
    }
}

fn scenario(file: File) -> Result<Scenario, String> {
    let month_s = match &file.month {
        Some(text) => {
            within(quantity::duration(text, 30.0 * DAY_S).at("month")?, 28.0 * DAY_S, 31.0 * DAY_S, "month, seconds")?
        }
        None => 30.0 * DAY_S,
    };
    let sector_bytes =
        some(quantity::size(file.sector_size.as_deref().unwrap_or("32 GiB"), Units::Binary), "sector_size")?;
    within(sector_bytes, 2048.0, 64.0 * GIB, "sector_size, bytes")?;
    if sector_bytes.log2().fract() != 0.0 {
        return Err("sector_size: sectors have a power of two of bytes: 32 GiB or 64 GiB on the network".into());
    }
    let target = file.target.ok_or("there is no target: write for example target = \"1 PiB per 30 days\"")?;
    let target_per_h = quantity::target(&target, sector_bytes, month_s).at("target")?;
    within(target_per_h, 1e-6, 1e6, "target, sectors per hour")?;
    let scenario = Scenario {
        title: file.title.unwrap_or_default(),
        sector_bytes,
        target,
        target_per_h,
        month_s,
        minimise: file.minimise.unwrap_or(Minimise::Cost),
        phases: phases(file.phases)?,
        rules: rules(file.rules, month_s)?,
        needs: needs(file.sector, sector_bytes)?,
        prices: prices(file.prices, month_s)?,
        shared: shared(file.shared)?,
        skus: skus(file.skus)?,
        rates: rates(file.rates, month_s)?,
        stored: (1..).zip(file.stored).map(|(number, table)| stored(number, table)).collect::<Result<_, _>>()?,
    };
    check(&scenario)?;
    Ok(scenario)
}

fn phases(names: Option<Vec<String>>) -> Result<Vec<Phase>, String> {
    let Some(names) = names else { return Ok(Phase::ALL.to_vec()) };
    let mut phases: Vec<Phase> = names.iter().map(|name| name.parse()).collect::<Result<_, _>>().at("phases")?;
    phases.sort_unstable();
    phases.dedup();
    match phases.as_slice() {
        [] => Err("phases: there is none".into()),
        [.., Phase::C1] | [.., Phase::C1, Phase::P4] if !phases.contains(&Phase::P2) => {
            Err("phases: c1 runs in the instances of p2: name p2 too".into())
        }
        _ => Ok(phases),
    }
}

fn rules(table: RulesTable, month_s: f64) -> Result<Rules, String> {
    let time = |text: Option<&String>, default: f64, place: &str| {
        text.map_or(Ok(default), |text| quantity::duration(text, month_s).at(place))
    };
    Ok(Rules {
        precommit: match table.precommit.as_deref() {
            None | Some("side by side") => Precommit::SideBySide,
            Some("in turn") => Precommit::InTurn,
            Some("either") => Precommit::Either,
            Some(other) => return Err(choice("rules: precommit", other, "'side by side', 'in turn' or 'either'")),
        },
        p4: match table.p4.as_deref() {
            None | Some("anywhere") => ProvingPlace::Anywhere,
            Some("elsewhere") => ProvingPlace::Elsewhere,
            Some("same machine") => ProvingPlace::SameMachine,
            Some(other) => return Err(choice("rules: p4", other, "'anywhere', 'elsewhere' or 'same machine'")),
        },
        split_l3: table.split_l3.unwrap_or(false),
        wait_seed_s: within(
            time(table.wait_seed.as_ref(), 4500.0, "rules: wait_seed")?,
            0.0,
            30.0 * DAY_S,
            "rules: wait_seed, seconds",
        )?,
        availability: within(table.availability.unwrap_or(1.0), 0.01, 1.0, "rules: availability")?,
        repair_s: within(
            time(table.repair.as_ref(), 4.0 * 3600.0, "rules: repair")?,
            1.0,
            365.0 * DAY_S,
            "rules: repair, seconds",
        )?,
        failed_sectors: within(table.failed_sectors.unwrap_or(0.0), 0.0, 0.99, "rules: failed_sectors")?,
        headroom: within(table.headroom.unwrap_or(0.0), 0.0, 10.0, "rules: headroom")?,
        spares: count(table.spares, 0, 0, 1000, "rules: spares")?,
        sectors_per_p4_process: within(
            table.sectors_per_p4_process.unwrap_or(1.0),
            1.0,
            1e9,
            "rules: sectors_per_p4_process",
        )?,
    })
}

fn choice(place: &str, other: &str, valid: &str) -> String {
    format!("{place}: '{}' is none of {valid}", other.escape_debug())
}

/// What a sector takes; the defaults are those of 32 GiB sectors, in proportion to the size where the phase works on the data.
fn needs(table: SectorTable, sector: f64) -> Result<Needs, String> {
    let size = |text: Option<String>, default: f64, key: &str| {
        let place = format!("sector: {key}");
        text.map_or(Ok(default), |text| quantity::size(&text, Units::Binary).at(&place))
    };
    Ok(Needs {
        p1_memory: size(table.p1_memory, 2.0 * sector, "p1_memory")?,
        p2_memory: size(table.p2_memory, 2.0 * sector, "p2_memory")?,
        p4_parameters: size(table.p4_parameters, 45.0 * GIB, "p4_parameters")?,
        p4_partition: size(table.p4_partition, 30.0 * GIB, "p4_partition")?,
        scratch: some(size(table.scratch, 12.0 * sector, "scratch"), "sector: scratch")?,
        // The staged data; it is copied, tree_d has twice its size, and there are 11 layers.
        p1_reads: size(table.p1_reads, sector, "p1_reads")?,
        p1_writes: size(table.p1_writes, 14.0 * sector, "p1_writes")?,
        // The layers and the data, and the sealed sector when it is taken away.
        p2_reads: size(table.p2_reads, 13.0 * sector, "p2_reads")?,
        // tree_c has 8/7 of the size, and the sealed sector.
        p2_writes: size(table.p2_writes, (1.0 + 8.0 / 7.0) * sector, "p2_writes")?,
        finished: size(table.finished, sector, "finished")?,
        c1_output: size(table.c1_output, 16.0 * 1024.0 * 1024.0, "c1_output")?,
    })
}

fn prices(table: PricesTable, month_s: f64) -> Result<Prices, String> {
    let period = table
        .period
        .as_ref()
        .map_or(Ok(3.0 * 365.0 * DAY_S), |text| quantity::duration(text, month_s).at("prices: period"))?;
    Ok(Prices {
        currency: table.currency.unwrap_or_else(|| "USD".into()),
        kwh: within(table.kwh.unwrap_or(0.0), 0.0, 1e6, "prices: kwh")?,
        pue: within(table.pue.unwrap_or(1.0), 1.0, 10.0, "prices: pue")?,
        period_s: within(period, 3600.0, 100.0 * 365.0 * DAY_S, "prices: period, seconds")?,
    })
}

fn shared(table: SharedTable) -> Result<Shared, String> {
    let rate = |text: Option<String>, place: &str| text.map(|text| some(quantity::byte_rate(&text), place)).transpose();
    Ok(Shared {
        write: rate(table.write, "shared: write")?,
        read: rate(table.read, "shared: read")?,
        holds_parameters: table.holds_parameters.unwrap_or(false),
    })
}

fn skus(tables: Vec<SkuTable>) -> Result<Vec<Sku>, String> {
    match tables.len() {
        0 => return Err("there is no [[sku]]: name a model of machine".into()),
        n if n > MAX_SKUS => return Err(format!("{n} models are more than {MAX_SKUS}")),
        _ => {}
    }
    let mut skus: Vec<Sku> = Vec::new();
    for (number, table) in (1..).zip(tables) {
        let name = table.name.clone().filter(|name| !name.trim().is_empty());
        let name = name.ok_or_else(|| format!("sku {number}: it has no name"))?;
        let place = format!("sku {number} '{}'", name.escape_debug());
        if name.chars().count() > 100 || name.chars().any(char::is_control) {
            return Err(format!("sku {number}: a name has at most 100 printable characters"));
        }
        if skus.iter().any(|other| other.name == name) {
            return Err(format!("{place}: there is another one of this name"));
        }
        skus.push(sku(name, table, &place)?);
    }
    Ok(skus)
}

fn sku(name: String, table: SkuTable, place: &str) -> Result<Sku, String> {
    let at = |key: &str| format!("{place}: {key}");
    let memory = table.memory.ok_or_else(|| format!("{place}: say how much memory it has (memory = \"512 GiB\")"))?;
    let cores = table.cores.ok_or_else(|| format!("{place}: say how many cores it has"))?;
    let cores = count(Some(cores), 0, 1, MAX_CORES, &at("cores"))?;
    let parts = |value: Option<u32>, key: &str| match value {
        Some(parts) if parts == 0 || cores % parts != 0 => {
            Err(format!("{}: {cores} cores are not a whole number of {parts} parts", at(key)))
        }
        other => Ok(other),
    };
    let binary = |text: &str, key: &str| quantity::size(text, Units::Binary).at(&at(key));
    let numa_nodes = parts(table.numa_nodes, "numa_nodes")?.unwrap_or(1);
    let l3_groups = parts(table.l3_groups, "l3_groups")?;
    if l3_groups.is_some_and(|groups| groups % numa_nodes != 0) {
        return Err(format!(
            "{}: {numa_nodes} NUMA nodes do not hold a whole number of L3 groups each",
            at("l3_groups")
        ));
    }
    let amount = |value: Option<f64>, most: f64, key: &str| value.map(|v| within(v, 0.0, most, &at(key))).transpose();
    let owned = count(table.owned, 0, 0, MAX_COUNT, &at("owned"))?;
    let available = table.available.map(|n| count(Some(n), 0, owned, MAX_COUNT, &at("available"))).transpose()?;
    let memory = some(binary(&memory, "memory"), &at("memory"))?;
    let huge_pages = table.huge_pages.map(|text| binary(&text, "huge_pages")).transpose()?;
    let reserved_memory = table.reserved_memory.map_or(Ok(8.0 * GIB), |text| binary(&text, "reserved_memory"))?;
    if huge_pages.unwrap_or(0.0) > memory {
        return Err(format!("{}: more than its memory", at("huge_pages")));
    }
    Ok(Sku {
        cores,
        l3_groups,
        numa_nodes,
        memory,
        reserved_memory,
        huge_pages,
        volumes: volumes(table.volumes, place)?,
        network: table.network.map(|text| some(quantity::byte_rate(&text), &at("network"))).transpose()?,
        price: amount(table.price, 1e9, "price")?,
        power: table
            .power
            .map(|text| quantity::power(&text).at(&at("power")).and_then(|w| within(w, 0.0, 1e6, &at("power, watts"))))
            .transpose()?,
        rack_units: amount(table.rack_units, 1000.0, "rack_units")?,
        owned,
        available,
        name,
    })
}

fn volumes(tables: Vec<VolumeTable>, sku: &str) -> Result<Vec<Volume>, String> {
    let mut volumes = Vec::new();
    for (number, table) in (1..).zip(tables) {
        let place = format!("{sku}: volume {number}");
        let at = |key: &str| format!("{place}: {key}");
        let size = table.size.ok_or_else(|| format!("{place}: say how large it is (size = \"2 TiB\")"))?;
        let rate =
            |text: Option<String>, key: &str| text.map(|text| some(quantity::byte_rate(&text), &at(key))).transpose();
        let volume = Volume {
            mount: table.mount,
            size: some(quantity::size(&size, Units::Either), &at("size"))?,
            read: rate(table.read, "read")?,
            write: rate(table.write, "write")?,
            instances: table.instances.map(|n| count(Some(n), 0, 1, MAX_COUNT, &at("instances"))).transpose()?,
        };
        let copies = count(table.count, 1, 1, MAX_VOLUMES, &at("count"))?;
        volumes.extend(std::iter::repeat_n(volume, copies as usize));
    }
    if volumes.len() > MAX_VOLUMES as usize {
        return Err(format!("{sku}: {} volumes are more than {MAX_VOLUMES}", volumes.len()));
    }
    Ok(volumes)
}

fn stored(number: u32, table: StoredTable) -> Result<Stored, String> {
    let StoredTable { skus, runs, sweeps, cores } = table;
    let cores = cores.map(|n| count(Some(n), 0, 1, MAX_COUNT, &format!("stored {number}: cores"))).transpose()?;
    Ok(Stored { skus, runs, sweeps, cores })
}

fn rates(tables: Vec<RateTable>, month_s: f64) -> Result<Vec<Entry>, String> {
    if tables.len() > MAX_RATES {
        return Err(format!("{} rates are more than {MAX_RATES}", tables.len()));
    }
    let times: usize = tables.iter().map(|table| table.times.len()).sum();
    if times > MAX_TIMES {
        return Err(format!(
            "the rates have {times} times, more than {MAX_TIMES}: import their logs and name the runs in [[stored]], or give time, interval and cv"
        ));
    }
    (1..).zip(tables).map(|(number, table)| rate(format!("rate {number}"), table, month_s)).collect()
}

fn rate(place: String, table: RateTable, month_s: f64) -> Result<Entry, String> {
    let at = |key: &str| format!("{place}: {key}");
    let phase: Phase =
        table.phase.ok_or_else(|| format!("{place}: say of which phase it is"))?.parse().at(&at("phase"))?;
    let time = |text: &String, key: &str| {
        let seconds = some(quantity::duration(text, month_s), &at(key))?;
        within(seconds, 1e-3, 1e9, &at(&format!("{key}, seconds")))
    };
    if table.time.is_some() && !table.times.is_empty() {
        return Err(format!("{place}: time and times say the same: leave one out"));
    }
    let key = if table.time.is_some() { "time" } else { "times" };
    let times = table.time.iter().chain(&table.times).map(|text| time(text, key)).collect::<Result<Vec<_>, _>>()?;
    let batch = count(table.batch, 1, 1, 1024, &at("batch"))?;
    let per_h = |seconds: f64| 3600.0 * f64::from(batch) / seconds;
    let interval = match &table.interval {
        Some([short, long]) => {
            let (short, long) = (time(short, "interval")?, time(long, "interval")?);
            if short > long {
                return Err(format!("{}: the shorter time comes first", at("interval")));
            }
            Some(Interval { low: per_h(long), high: per_h(short) })
        }
        None => None,
    };
    Ok(Entry {
        phase,
        skus: table.skus,
        cores: table.cores.map(|n| count(Some(n), 0, 1, MAX_COUNT, &at("cores"))).transpose()?,
        instances: count(table.instances, 1, 1, MAX_COUNT, &at("instances"))?,
        times,
        sectors_per_h: table.sectors_per_h.map(|v| within(v, 1e-6, 1e9, &at("sectors_per_h"))).transpose()?,
        interval,
        cv: table.cv.map(|v| within(v, 0.0, 2.0, &at("cv"))).transpose()?,
        batch,
        partitions_at_once: table
            .partitions_at_once
            .map(|n| count(Some(n), 0, 1, 1000, &at("partitions_at_once")))
            .transpose()?,
        memory: table.memory.map(|text| quantity::size(&text, Units::Binary).at(&at("memory"))).transpose()?,
        variant: table.variant,
        origin: table.origin,
        source: table.source,
        concurrent: table.concurrent,
        place,
    })
}

/// What only all tables together show, and rates that say nothing.
fn check(scenario: &Scenario) -> Result<(), String> {
    for entry in &scenario.rates {
        from_entry(entry)?;
    }
    let names: Vec<&str> = scenario.skus.iter().map(|sku| sku.name.as_str()).collect();
    let rates = scenario.rates.iter().map(|rate| (rate.place.clone(), &rate.skus));
    let stored = (1..).zip(&scenario.stored).map(|(number, stored)| (format!("stored {number}"), &stored.skus));
    for (place, skus) in rates.chain(stored) {
        let Some(name) = skus.iter().find(|name| !names.contains(&name.as_str())) else { continue };
        let likeness = |other: &&&str| strsim::jaro_winkler(name, other);
        let nearest = names.iter().max_by(|a, b| likeness(a).total_cmp(&likeness(b))).copied().unwrap_or_default();
        return Err(format!("{place}: there is no sku '{}': did you mean '{nearest}'?", name.escape_debug()));
    }
    Ok(())
}

/// Whether every model has the figure that is to be made small.
pub fn check_objective(scenario: &Scenario) -> Result<(), String> {
    let (key, lacks): (_, fn(&Sku) -> bool) = match scenario.minimise {
        Minimise::Cost => ("price", |sku| sku.price.is_none()),
        Minimise::Power => ("power", |sku| sku.power.is_none()),
        Minimise::Machines => return Ok(()),
    };
    let Some(sku) = scenario.skus.iter().find(|sku| lacks(sku)) else { return Ok(()) };
    let name = sku.name.escape_debug();
    Err(format!("sku '{name}' has no {key}: add it, or minimise something else (minimise = \"machines\")"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LEAST: &str = "
        target = '1 PiB per 30 days'
        minimise = 'machines'
        [rules]
        [[sku]]
        name = 'box'
        cores = 32
        memory = '512 GiB'
        [[sku.volume]]
        size = '2 TB'
        [[rate]]
        phase = 'p1'
        cores = 2
        time = '3 h'
    ";

    #[test]
    fn what_is_not_said_has_a_default() {
        let scenario = Scenario::parse(LEAST).unwrap();
        assert_eq!((scenario.sector_bytes, scenario.month_s), (32.0 * GIB, 30.0 * DAY_S));
        assert_eq!(scenario.phases, Phase::ALL);
        assert_eq!((scenario.rules.wait_seed_s, scenario.rules.availability, scenario.rules.spares), (4500.0, 1.0, 0));
        let needs = &scenario.needs;
        assert_eq!([needs.p1_memory, needs.scratch, needs.p1_writes].map(|bytes| bytes / GIB), [64.0, 384.0, 448.0]);
        let sku = &scenario.skus[0];
        assert_eq!((sku.reserved_memory, sku.numa_nodes, sku.l3_groups, sku.owned), (8.0 * GIB, 1, None, 0));
        assert_eq!((sku.volumes.len(), sku.volumes[0].size), (1, 2e12));
        assert_eq!(scenario.rates[0].times, [10800.0]);
    }

    #[test]
    fn what_is_wrong_is_named_with_its_place() {
        for (from, to, expected) in [
            ("cores = 32", "core = 32", "unknown key 'core' of sku 1: did you mean 'cores'?"),
            ("size = '2 TB'", "sise = '2 TB'", "unknown key 'sise' of volume 1 of sku 1: did you mean 'size'?"),
            ("[rules]", "[rules]\nspare = 1", "unknown key 'spare' of [rules]: did you mean 'spares'?"),
            ("target =", "goal =", "unknown key 'goal': valid are"),
            ("'512 GiB'", "'512 GB'", "sku 1 'box': memory: '512 GB': GB is decimal"),
            ("'512 GiB'", "'512G'", "'G' does not say whether it is binary or decimal"),
            ("'2 TB'", "'2T'", "volume 1: size: '2T': 'T' does not say"),
            ("1 PiB per 30 days", "0 PiB per 30 days", "target: '0 PiB per 30 days': a target of 0"),
            ("1 PiB per 30 days", "1 PB per 30 days", "PB is decimal"),
            ("cores = 32", "cores = 0", "sku 1 'box': cores: 0 is out of range"),
            ("cores = 32", "cores = -1", "invalid value"),
            ("cores = 32", "cores = 32\nl3_groups = 5", "l3_groups: 32 cores are not a whole number of 5 parts"),
            ("cores = 32", "cores = 32\nnuma_nodes = 4\nl3_groups = 2", "4 NUMA nodes do not hold a whole number"),
            ("[rules]", "[rules]\navailability = 1.5", "rules: availability: 1.5 is out of range: 0.01 to 1"),
            ("[rules]", "[rules]\navailability = nan", "rules: availability: NaN is out of range"),
            ("[rules]", "[rules]\nfailed_sectors = 1.0", "rules: failed_sectors: 1 is out of range"),
            (
                "[rules]",
                "[rules]\np4 = 'here'",
                "rules: p4: 'here' is none of 'anywhere', 'elsewhere' or 'same machine'",
            ),
            ("'3 h'", "'3'", "rate 1: time: '3': it has no unit"),
            ("'3 h'", "'0 h'", "rate 1: time: it is zero"),
            ("time = '3 h'", "time = '3 h'\nskus = ['bix']", "rate 1: there is no sku 'bix': did you mean 'box'?"),
            ("time = '3 h'", "time = '3 h'\ntimes = ['3 h']", "rate 1: time and times say the same"),
            ("minimise = 'machines'", "phases = ['p1', 'c1']", "c1 runs in the instances of p2"),
            ("minimise = 'machines'", "month = '1 day'", "month, seconds: 86400 is out of range"),
            ("minimise = 'machines'", "sector_size = '33 GiB'", "power of two"),
            ("phase = 'p1'", "phase = 'p3'", "rate 1: phase: 'p3' is not a phase"),
            ("[[sku]]", "[sku]", "sku is a list of tables: write [[sku]]"),
        ] {
            assert!(LEAST.contains(from), "{from}");
            let error = Scenario::parse(&LEAST.replacen(from, to, 1)).unwrap_err();
            assert!(error.contains(expected), "{to}: {error}");
        }
    }

    #[test]
    fn more_times_than_anyone_types_are_refused() {
        let with = |times: usize| {
            let times = vec!["'3 h'"; times].join(",");
            Scenario::parse(&LEAST.replace("time = '3 h'", &format!("times = [{times}]")))
        };
        assert_eq!(with(MAX_TIMES).unwrap().rates[0].times.len(), MAX_TIMES);
        let error = with(MAX_TIMES + 1).unwrap_err();
        assert!(error.contains("10001 times, more than 10000") && error.contains("[[stored]]"), "{error}");
    }

    #[test]
    fn the_example_is_the_notes_plan() {
        let scenario = Scenario::parse(include_str!("../../../params/scenarios/field-notes-2020.toml")).unwrap();
        assert!((scenario.target_per_h - 32768.0 / 504.0).abs() < 1e-12);
        assert_eq!((scenario.skus.len(), scenario.skus[0].volumes.len(), scenario.rates.len()), (2, 4, 5));
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in ".{0,200}", place in 0usize..400, cut in 0usize..40) {
            let _ = Scenario::parse(&text);
            let start = place.min(LEAST.len());
            let broken = format!("{}{text}{}", &LEAST[..start], &LEAST[(start + cut).min(LEAST.len())..]);
            let _ = Scenario::parse(&broken);
        }
    }
}
