//! A large store of small records.

use sealbench::store::Store;
use sealbench::trial::record::Record;

/// Records of one transaction.
const BATCH: u32 = 1000;

/// Fills a store with runs of one phase: run N on `host-(N % 10)`, 100 runs in each sweep over ten points. Ids are `bulk-N`, six digits.
pub fn fill(store: &Store, count: u32) {
    let mut record = small();
    let start: jiff::Timestamp = record.started_at.parse().unwrap();
    for batch in (0..count).step_by(BATCH as usize) {
        let records: Vec<(Record, String)> = (batch..count.min(batch + BATCH))
            .map(|n| {
                record.id = format!("bulk-{n:06}");
                record.started_at = start.checked_add(jiff::SignedDuration::from_secs(n.into())).unwrap().to_string();
                record.host.hostname = Some(format!("host-{}", n % 10));
                let sweep = record.sweep.as_mut().unwrap();
                sweep.sweep = format!("sweep-{}", n / 100);
                sweep.point = format!("point-{}", n % 10);
                record.phases[0].wall_s = 1.0 + f64::from(n % 97) / 10_000.0;
                (record.clone(), serde_json::to_string(&record).unwrap())
            })
            .collect();
        let rows: Vec<_> = records.iter().map(|(record, text)| (record, text.as_str(), None)).collect();
        store.import(&rows, || Ok(())).unwrap();
    }
}

/// The sample record with its first phase alone.
fn small() -> Record {
    let mut document: serde_json::Value = serde_json::from_str(include_str!("../../tests/data/record.json")).unwrap();
    document["phases"].as_array_mut().unwrap().truncate(1);
    document["phases"][0]["spans"] = serde_json::json!([]);
    document["summary"] = serde_json::json!([]);
    document["sweep"] = serde_json::json!({"sweep": "s", "point": "p", "round": 0});
    serde_json::from_value(document).unwrap()
}
