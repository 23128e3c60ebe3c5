//! The commands of a workspace's xtask, from arguments to exit code.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that panics has failed")]

use std::path::Path;

use kafka_streams_dsl::{BuildError, Grouped, Materialized, Naming, StreamsBuilder};
use kafka_streams_golden::{Golden, GoldenError};
use kafka_streams_naming::Manifest;
use kafka_streams_topology::Topology;

#[derive(Clone, Copy)]
struct Version {
    peek: bool,
    store: Option<&'static str>,
    second: bool,
    text: bool,
}

const FIRST: Version = Version { peek: false, store: Some("counts"), second: false, text: false };
const UNNAMED: Version = Version { store: None, ..FIRST };

fn topology(version: Version, previous: Option<&Manifest>) -> Result<Topology, BuildError> {
    let mut builder = StreamsBuilder::with_naming(Naming::Jvm);
    if let Some(previous) = previous {
        builder = builder.with_pinned_names(previous.clone());
    }
    let mut words = builder.stream::<String, String>("words");
    if version.peek {
        words = words.peek(|_, _| {});
    }
    let grouped = words.group_by_key(Grouped::default());
    match (version.store, version.text) {
        (Some(name), false) => drop(grouped.count(Materialized::named(name))),
        (None, false) => drop(grouped.count(Materialized::default())),
        (name, true) => {
            drop(grouped.aggregate(String::new, |_, v, a| a + &v, Materialized::named(name.unwrap_or("counts"))));
        }
    }
    if version.second {
        grouped.count(Materialized::named("second"));
    }
    words.to("copy");
    builder.build()
}

fn golden(directory: &Path, version: Version) -> Golden {
    Golden::new(directory).topology("words", move || topology(version, None))
}

fn run(golden: &Golden, arguments: &[&str]) -> (u8, String) {
    let mut output = Vec::new();
    let code = golden.run(arguments, &mut output).unwrap();
    (code, String::from_utf8(output).unwrap())
}

#[test]
fn a_difference_fails_by_its_class_until_it_is_blessed() {
    let directory = tempfile::tempdir().unwrap();
    let at = |version| golden(directory.path(), version);
    let (code, text) = run(&at(FIRST), &["golden"]);
    assert!(code == 2 && text.contains("--bless"), "{text}");
    assert_eq!(run(&at(FIRST), &["golden", "--bless"]).0, 0);
    assert_eq!(run(&at(FIRST), &["golden"]).0, 0);
    for (version, expected, class) in [
        (Version { peek: true, ..FIRST }, 1, "stateless"),
        (Version { second: true, ..FIRST }, 2, "added"),
        (Version { store: Some("totals"), ..FIRST }, 3, "renamed"),
        (Version { text: true, ..FIRST }, 3, "changed"),
    ] {
        let (code, text) = run(&at(version), &["golden", "words"]);
        assert_eq!(code, expected, "{text}");
        assert!(text.contains(class), "{text}");
    }
    let two = Version { second: true, ..FIRST };
    assert_eq!(run(&at(two), &["golden", "--bless"]).0, 0);
    let (code, text) = run(&at(FIRST), &["golden"]);
    assert!(code == 3 && text.contains("removed") && text.contains("{app}-second-changelog"), "{text}");
}

#[test]
fn pinned_names_keep_an_unnamed_store() {
    let directory = tempfile::tempdir().unwrap();
    let pinned =
        |version| Golden::new(directory.path()).pinned_topology("words", move |previous| topology(version, previous));
    assert_eq!(run(&pinned(UNNAMED), &["golden", "--bless"]).0, 0);
    let changed = Version { peek: true, ..UNNAMED };
    assert_eq!(run(&golden(directory.path(), changed), &["golden"]).0, 3, "not pinned");
    assert_eq!(run(&pinned(changed), &["golden"]).0, 1);
    assert_eq!(run(&pinned(changed), &["golden", "--bless"]).0, 0);
    assert_eq!(run(&pinned(changed), &["golden"]).0, 0);
}

#[test]
fn two_manifests_are_compared_in_three_formats() {
    let directory = tempfile::tempdir().unwrap();
    let mut files = Vec::new();
    for (name, version) in [("old.json", FIRST), ("new.json", Version { store: Some("totals"), ..FIRST })] {
        let (_, text) = run(&golden(directory.path(), version), &["manifest"]);
        let path = directory.path().join(name);
        std::fs::write(&path, text).unwrap();
        files.push(path.to_str().unwrap().to_owned());
    }
    let golden = golden(directory.path(), FIRST);
    for (format, begins) in [("text", "1 change, verdict: loses state"), ("json", "{\n"), ("github", "::error file=")] {
        let (code, text) = run(&golden, &["diff", &files[0], &files[1], "--format", format]);
        assert_eq!(code, 3);
        assert!(text.starts_with(begins), "{text}");
    }
    assert_eq!(run(&golden, &["diff", &files[0], &files[0]]), (0, "no difference\n".to_owned()));
}

#[test]
fn all_topologies_are_one_document_for_programs() {
    let directory = tempfile::tempdir().unwrap();
    assert_eq!(run(&golden(directory.path(), FIRST), &["golden", "--bless"]).0, 0);
    // A program that includes its golden file begins with an empty one.
    std::fs::write(directory.path().join("new.json"), "").unwrap();
    let renamed = Version { store: Some("totals"), ..FIRST };
    let both = golden(directory.path(), renamed).topology("new", || topology(FIRST, None));
    let (code, text) = run(&both, &["golden", "--format", "json"]);
    let report: serde_json::Value = serde_json::from_str(&text).unwrap();
    let at = |pointer: &str| report.pointer(pointer).and_then(|value| value.as_str()).unwrap_or_default().to_owned();
    assert_eq!(code, 3);
    assert_eq!((at("/verdict"), at("/topologies/0/changes/0/class")), ("loses-state".into(), "renamed".into()));
    assert_eq!((at("/topologies/1/name"), at("/topologies/1/finding")), ("new".into(), "no-golden-file".into()));
    let (code, text) = run(&both, &["golden", "--format", "github"]);
    assert_eq!((code, text.lines().count()), (3, 2), "{text}");
    assert!(text.starts_with("::error file=") && text.contains("\n::warning title=no golden file::"), "{text}");
    assert_eq!(run(&both, &["golden", "new", "--bless", "--format", "json"]).0, 0);
    assert_eq!(run(&both, &["golden", "new"]), (0, "new: no difference\n".to_owned()));
    assert!(matches!(both.run(["graph"], &mut Vec::new()), Err(GoldenError::WhichTopology { .. })));
}

#[test]
fn topologies_are_described_and_drawn() {
    let directory = tempfile::tempdir().unwrap();
    let golden = golden(directory.path(), FIRST);
    assert!(run(&golden, &["describe"]).1.starts_with("Topologies:\n"));
    for (flag, begins) in [("--svg", "<svg "), ("--mermaid", "flowchart TD\n"), ("--dot", "digraph topology {\n")] {
        assert!(run(&golden, &["graph", "words", flag]).1.starts_with(begins));
    }
    let file = directory.path().join("drawings/words.svg");
    run(&golden, &["graph", "--output", file.to_str().unwrap()]);
    assert!(std::fs::read_to_string(file).unwrap().ends_with("</svg>\n"));
}

#[test]
fn what_cannot_be_done_is_an_error() {
    let directory = tempfile::tempdir().unwrap();
    let golden = golden(directory.path(), FIRST);
    let fails = |arguments: &[&str]| golden.run(arguments, &mut Vec::new()).unwrap_err();
    assert!(matches!(fails(&["golden", "worms"]), GoldenError::UnknownTopology { .. }));
    assert!(matches!(fails(&["diff", "/nowhere/a", "/nowhere/b"]), GoldenError::File { .. }));
    assert!(matches!(fails(&["dance"]), GoldenError::Arguments(_)));
    std::fs::write(directory.path().join("words.json"), "{\"format\": 99}").unwrap();
    assert!(matches!(fails(&["golden"]), GoldenError::Manifest { .. }));
    let broken = Golden::new(directory.path()).topology("broken", || {
        let builder = StreamsBuilder::new();
        builder.stream::<String, String>("not a topic");
        builder.build()
    });
    assert!(matches!(broken.run(["describe"], &mut Vec::new()), Err(GoldenError::Topology { .. })));
}
