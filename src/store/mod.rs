//! The results store: runs and their records in one SQLite file, and bundles that carry runs between stores.

pub mod baseline;
pub mod bundle;
pub mod criterion;
mod db;
mod kernel;
mod migrate;
mod pages;
mod query;
mod reference;
pub mod rescue;
mod sweep;

pub use baseline::Baseline;
pub use db::{FILE, RunRow, RunStart, Store};
pub use kernel::{KernelBench, KernelQuery, Throughput};
pub use query::Query;

/// Whether a text can be a run's id: 1 to 64 letters, digits, `.`, `_` or `-`, the first one a letter or digit.
///
/// An id becomes the name of a directory, so nothing else gets into the store.
pub fn is_id(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
}

#[cfg(test)]
pub(crate) mod sample {
    //! A record to test with.

    use crate::trial::record::Record;

    /// The document that every test starts from.
    pub const TEXT: &str = include_str!("../../tests/data/record.json");

    /// The sample under another id.
    pub fn record(id: &str) -> Record {
        changed(|document| document["id"] = id.into())
    }

    /// The sample after a change to its document.
    pub fn changed(change: impl FnOnce(&mut serde_json::Value)) -> Record {
        let mut document = serde_json::from_str(TEXT).unwrap();
        change(&mut document);
        serde_json::from_value(document).unwrap()
    }
}

#[cfg(test)]
mod tests {
    use super::is_id;

    #[test]
    fn an_id_is_a_plain_directory_name() {
        for good in ["a", "20261124T081932Z-5f3a", "a..b", &"x".repeat(64)] {
            assert!(is_id(good), "{good}");
        }
        for bad in ["", ".", "..", ".a", "-rf", "a/b", "a b", "ä", "a\0", &"x".repeat(65)] {
            assert!(!is_id(bad), "{bad}");
        }
    }
}
