//! The cases of this repository: nothing that is built differs from the JVM but by intent.

use std::path::Path;

use kafka_streams_oracle::suite::{self, Verdict};

#[test]
fn no_case_differs_from_the_jvm() {
    let samples = suite::load(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/cases"))).unwrap();
    assert!(samples.len() > 300, "only {} cases were found", samples.len());
    let wrong = |verdict: &Verdict| !matches!(verdict, Verdict::Passed | Verdict::NotBuilt(_));
    let judged = samples.iter().map(|sample| (sample.name(), sample.judge()));
    let failed: Vec<_> = judged.filter(|(_, verdict)| wrong(verdict)).collect();
    assert!(failed.is_empty(), "{} cases differ: {failed:#?}", failed.len());
}
