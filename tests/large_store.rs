//! A store with a hundred thousand records: what it finds, and that it needs no search through all of them.

#[path = "../benches/support/store.rs"]
mod support;

use sealbench::store::Store;

#[test]
fn a_hundred_thousand_records_are_listed_and_found() {
    let home = tempfile::tempdir().unwrap();
    let store = Store::open(home.path()).unwrap();
    support::fill(&store, 100_000);
    drop(store);
    let store = Store::open(home.path()).unwrap();
    assert_eq!(store.count().unwrap(), 100_000);
    let newest: Vec<String> = store.list(Some(3)).unwrap().into_iter().map(|row| row.id).collect();
    assert_eq!(newest, ["bulk-099999", "bulk-099998", "bulk-099997"]);
    assert_eq!(store.run("bulk-0123").unwrap_err().to_string().matches("bulk-").count(), 11);
    let ids = |text: &str| -> Vec<String> {
        store.query(&text.parse().unwrap()).unwrap().into_iter().map(|row| row.id).collect()
    };
    assert_eq!(ids("sweep=sweep-123,point=point-3").len(), 10);
    assert_eq!(ids("sweep=sweep-123,limit=2"), ["bulk-012399", "bulk-012398"]);
    assert_eq!(ids("host=host-7,limit=1"), ["bulk-099997"]);
    assert_eq!(ids("host=host-7,phase=p4"), [""; 0]);
    assert_eq!(ids("cpu=7F32,engine=reference").len(), 100_000);
}
