//! Criterion's results of kernels, beside the runs.

use anyhow::Context;
use jiff::Timestamp;
use rusqlite::{Row, params};
use serde::{Deserialize, Serialize};

use super::Store;

/// A result of criterion.
#[derive(Clone, Debug, PartialEq)]
pub struct KernelBench {
    /// BLAKE3 of its name and files, hexadecimal: tells one result from another.
    pub digest: String,
    /// Criterion's id: group/function/parameter.
    pub bench: String,
    /// The name it was saved under; "new" for the latest.
    pub baseline: String,
    /// When criterion wrote it.
    pub measured_at: Timestamp,
    /// Name of the machine on which it was imported.
    pub host: Option<String>,
    /// Its CPU.
    pub cpu: Option<String>,
    /// The sealbench that imported it, as in a record.
    pub build: serde_json::Value,
    /// What one iteration processes.
    pub throughput: Option<Throughput>,
    /// Seconds per iteration, one for each of criterion's samples, in order.
    pub samples: Vec<f64>,
}

/// What one iteration processes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Throughput {
    /// "Bytes", "Elements", "Bits".
    pub unit: String,
    /// How many.
    pub count: u64,
}

/// Which of criterion's results a question is about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KernelQuery {
    /// The start of the id.
    pub prefix: String,
    /// The name it was saved under; any if none.
    pub baseline: Option<String>,
    /// The machine.
    pub host: Option<String>,
    /// How many results of each kernel to pass over, the newest first.
    pub back: u32,
}

const COLUMNS: &str = "digest, bench, baseline, measured_us, host, cpu, build, throughput, samples";

impl Store {
    /// Keeps results that are not there yet, all or none; returns how many are new.
    pub fn keep_kernel_benches(&self, benches: &[KernelBench]) -> anyhow::Result<usize> {
        let tx = self.begin_write()?;
        let mut new = 0;
        for bench in benches {
            let query = "SELECT EXISTS (SELECT 1 FROM kernel_benches WHERE digest = ?1)";
            if self.sql(|db| db.query_row(query, [&bench.digest], |row| row.get::<_, bool>(0)))? {
                continue;
            }
            let row = params![
                bench.digest,
                bench.bench,
                bench.baseline,
                bench.measured_at.as_microsecond(),
                Timestamp::now().as_microsecond(),
                bench.host,
                bench.cpu,
                bench.build.to_string(),
                bench.throughput.as_ref().map(serde_json::to_string).transpose()?,
                serde_json::to_string(&bench.samples)?,
            ];
            let insert = "INSERT INTO kernel_benches VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)";
            self.sql(|db| db.execute(insert, row))?;
            new += 1;
        }
        tx.commit().map_err(|e| self.explain(e))?;
        Ok(new)
    }

    /// The newest result of each kernel that a query is about (or the one before, and so on), by the kernels' names.
    pub fn kernel_benches(&self, query: &KernelQuery) -> anyhow::Result<Vec<KernelBench>> {
        // Ids sort below the prefix followed by the last character of all.
        let above = format!("{}\u{10ffff}", query.prefix);
        let text = format!(
            "SELECT {COLUMNS} FROM (
                SELECT *, row_number() OVER (PARTITION BY bench ORDER BY measured_us DESC, rowid DESC) AS age
                FROM kernel_benches WHERE bench >= ?1 AND bench < ?2 AND ?3 IN (baseline, '') AND ?4 IN (host, '')
             ) WHERE age = ?5 ORDER BY bench"
        );
        let (baseline, host) = (query.baseline.as_deref().unwrap_or(""), query.host.as_deref().unwrap_or(""));
        let values = params![query.prefix, above, baseline, host, i64::from(query.back) + 1];
        let rows: Vec<Stored> = self.sql(|db| db.prepare(&text)?.query_map(values, stored)?.collect())?;
        rows.into_iter().map(Stored::read).collect()
    }
}

/// A row as it is in the file.
struct Stored {
    bench: KernelBench,
    measured_us: i64,
    build: String,
    throughput: Option<String>,
    samples: String,
}

fn stored(row: &Row) -> rusqlite::Result<Stored> {
    Ok(Stored {
        bench: KernelBench {
            digest: row.get(0)?,
            bench: row.get(1)?,
            baseline: row.get(2)?,
            measured_at: Timestamp::UNIX_EPOCH,
            host: row.get(4)?,
            cpu: row.get(5)?,
            build: serde_json::Value::Null,
            throughput: None,
            samples: Vec::new(),
        },
        measured_us: row.get(3)?,
        build: row.get(6)?,
        throughput: row.get(7)?,
        samples: row.get(8)?,
    })
}

impl Stored {
    fn read(self) -> anyhow::Result<KernelBench> {
        let what = || format!("the result of {} in the store is damaged", self.bench.bench);
        Ok(KernelBench {
            measured_at: Timestamp::from_microsecond(self.measured_us).with_context(what)?,
            build: serde_json::from_str(&self.build).with_context(what)?,
            throughput: self.throughput.as_deref().map(serde_json::from_str).transpose().with_context(what)?,
            samples: serde_json::from_str(&self.samples).with_context(what)?,
            ..self.bench.clone()
        })
    }
}
