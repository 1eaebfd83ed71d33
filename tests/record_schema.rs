//! The published schema of the record fits the type it is generated from, and the sample record fits the schema.

use std::path::Path;

use sealbench::trial::record::Record;
use serde_json::Value;

const SAMPLE: &str = include_str!("data/record.json");

fn schema() -> Value {
    serde_json::to_value(schemars::schema_for!(Record)).unwrap()
}

#[test]
fn the_committed_schema_is_the_types() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/record.schema.json");
    let text = format!("{:#}\n", schema());
    if std::env::var_os("SEALBENCH_BLESS").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == text,
        "docs/record.schema.json is stale: SEALBENCH_BLESS=1 cargo test --test record_schema writes it"
    );
}

#[test]
fn the_sample_and_what_is_written_of_it_are_valid() {
    let validator = jsonschema::validator_for(&schema()).unwrap();
    let sample: Value = serde_json::from_str(SAMPLE).unwrap();
    let record: Record = serde_json::from_str(SAMPLE).unwrap();
    for document in [&sample, &serde_json::to_value(&record).unwrap()] {
        let errors: Vec<String> =
            validator.iter_errors(document).map(|e| format!("{}: {e}", e.instance_path())).collect();
        assert!(errors.is_empty(), "{errors:#?}");
    }
}

#[test]
fn a_document_that_is_no_record_is_invalid() {
    let validator = jsonschema::validator_for(&schema()).unwrap();
    let sample: Value = serde_json::from_str(SAMPLE).unwrap();
    for (pointer, value) in [
        ("/schema", "sealbench/record/2".into()),
        ("/state", "running".into()),
        ("/phases/0/wall_s", "0.2 s".into()),
        ("/phases/0/phase", "p3".into()),
        ("/phases/0/threads", (-1).into()),
        ("/validity/findings/0/severity", Value::Null),
    ] {
        let mut document = sample.clone();
        *document.pointer_mut(pointer).unwrap() = value;
        assert!(!validator.is_valid(&document), "{pointer}");
    }
    let mut without = sample.clone();
    without.as_object_mut().unwrap().remove("phases");
    assert!(!validator.is_valid(&without));
}
