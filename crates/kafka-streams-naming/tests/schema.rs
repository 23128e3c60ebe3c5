//! The JSON of a manifest is what its schema says, and the schema lets nothing else pass.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that panics has failed")]

use std::collections::BTreeMap;

use kafka_streams_naming::{
    ChangelogEntry, Manifest, Naming, PartitionRule, ProcessorEntry, RepartitionEntry, SinkEntry, SourceEntry,
    StoreEntry, SubtopologyEntry, TopicRef,
};
use serde_json::{Value, json};

fn schema() -> Value {
    serde_json::from_str(include_str!("../schema/manifest-1.schema.json")).unwrap()
}

/// A manifest in which every field is written.
fn full() -> Manifest {
    let text = |text: &str| Some(text.to_owned());
    let config = BTreeMap::from([("cleanup.policy".to_owned(), "compact".to_owned())]);
    let mut manifest = Manifest::new(Some(Naming::PerClass)).with_extension("riffle-x", json!({"a": [1, null]}));
    manifest.sources.push(SourceEntry {
        name: "s".to_owned(),
        topics: vec![TopicRef::external("in"), TopicRef::internal("by-word-repartition")],
        pattern: text("a.*"),
        key_serde: text("string?"),
        value_serde: text("i64"),
        timestamp_extractor: text("WallclockTimestampExtractor"),
        offset_reset: text("latest"),
    });
    manifest.processors.push(ProcessorEntry {
        name: "p".to_owned(),
        operator: text("KSTREAM-AGGREGATE-"),
        parents: vec!["s".to_owned()],
        stores: vec!["counts".to_owned()],
    });
    manifest.sinks.push(SinkEntry {
        name: "k".to_owned(),
        topic: Some(TopicRef::external("out")),
        key_serde: text("string"),
        value_serde: text("i64"),
        partition_by: PartitionRule::WindowedKey,
        parents: vec!["p".to_owned()],
    });
    manifest.stores.push(StoreEntry {
        name: "counts".to_owned(),
        kind: "window".to_owned(),
        key_serde: text("string"),
        value_serde: text("i64"),
        timestamped: true,
        headers: true,
        window_size_ms: Some(1),
        retention_ms: Some(2),
        grace_ms: Some(3),
        history_retention_ms: Some(4),
        retain_duplicates: true,
        global: true,
        persistent: true,
        caching: true,
        changelog: Some(ChangelogEntry { topic: TopicRef::internal("counts-changelog"), config: config.clone() }),
    });
    manifest.repartition_topics.push(RepartitionEntry {
        topic: TopicRef::internal("by-word-repartition"),
        partitions: Some(3),
        partition_by: PartitionRule::Custom,
        config,
    });
    manifest
        .subtopologies
        .push(SubtopologyEntry { id: 0, nodes: vec!["s".to_owned(), "p".to_owned(), "k".to_owned()] });
    manifest.copartitioned.push(vec![TopicRef::external("in")]);
    manifest.retired.insert("KSTREAM-REDUCE-STATE-STORE-0000000001".to_owned());
    manifest
}

#[test]
fn full_and_empty_manifests_are_what_the_schema_says() {
    for manifest in [full(), Manifest::new(None)] {
        let value: Value = serde_json::from_str(&manifest.to_json()).unwrap();
        assert_eq!(faults(&value), Vec::<String>::new());
    }
}

#[test]
fn every_property_of_the_schema_is_written_by_the_full_manifest() {
    let (schema, manifest) = (schema(), serde_json::to_value(full()).unwrap());
    let written = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    let known = |schema: &Value| written(&schema["properties"]);
    assert_eq!(known(&schema), written(&manifest));
    for (kind, list) in [
        ("source", "sources"),
        ("processor", "processors"),
        ("sink", "sinks"),
        ("store", "stores"),
        ("repartition", "repartition_topics"),
        ("subtopology", "subtopologies"),
    ] {
        assert_eq!(known(&schema["$defs"][kind]), written(&manifest[list][0]), "{kind}");
    }
}

#[test]
fn what_is_wrong_is_found() {
    let good: Value = serde_json::to_value(full()).unwrap();
    let broken = |change: &dyn Fn(&mut Value)| {
        let mut value = good.clone();
        change(&mut value);
        faults(&value).len()
    };
    assert_eq!(broken(&|value| value["format"] = json!(2)), 1);
    assert_eq!(broken(&|value| value["colour"] = json!("red")), 1);
    assert_eq!(broken(&|value| value["stores"][0]["window_size_ms"] = json!("1")), 1);
    assert_eq!(broken(&|value| drop(value.as_object_mut().unwrap().remove("sinks"))), 1);
    assert_eq!(broken(&|value| value["sinks"][0]["partition_by"] = json!("luck")), 1);
    assert_eq!(broken(&|value| value["repartition_topics"][0]["partitions"] = json!(0)), 1);
}

fn faults(value: &Value) -> Vec<String> {
    let schema = schema();
    let mut found = Vec::new();
    check(&schema, &schema, value, "$", &mut found);
    found
}

/// Knows the keywords of JSON Schema that the file uses; another one fails the test, so that none is passed over.
fn check(root: &Value, schema: &Value, value: &Value, at: &str, found: &mut Vec<String>) {
    for (keyword, rule) in schema.as_object().unwrap() {
        let holds = match keyword.as_str() {
            "$schema" | "$defs" | "title" | "description" => true,
            "$ref" => {
                let target = rule.as_str().unwrap().strip_prefix("#/$defs/").unwrap();
                check(root, &root["$defs"][target], value, at, found);
                true
            }
            "const" => value == rule,
            "enum" => rule.as_array().unwrap().contains(value),
            "type" => match rule.as_str().unwrap() {
                "object" => value.is_object(),
                "array" => value.is_array(),
                "string" => value.is_string(),
                "boolean" => value.is_boolean(),
                "integer" => value.is_i64() || value.is_u64(),
                other => panic!("type {other}"),
            },
            "minLength" => value.as_str().is_none_or(|text| text.len() as u64 >= rule.as_u64().unwrap()),
            "minimum" => value.as_i64().is_none_or(|number| number >= rule.as_i64().unwrap()),
            "required" => {
                let mut names = rule.as_array().unwrap().iter().map(|name| name.as_str().unwrap());
                value.as_object().is_none_or(|object| names.all(|name| object.contains_key(name)))
            }
            "items" => {
                for (index, item) in value.as_array().into_iter().flatten().enumerate() {
                    check(root, rule, item, &format!("{at}[{index}]"), found);
                }
                true
            }
            "properties" => {
                for (name, rule) in rule.as_object().unwrap() {
                    if let Some(value) = value.get(name) {
                        check(root, rule, value, &format!("{at}.{name}"), found);
                    }
                }
                true
            }
            "additionalProperties" => {
                let known = |name: &String| schema.get("properties").and_then(|known| known.get(name)).is_some();
                let mut others = value.as_object().into_iter().flatten().filter(|(name, _)| !known(name));
                match rule {
                    Value::Bool(allowed) => *allowed || others.next().is_none(),
                    rule => {
                        others.for_each(|(name, value)| check(root, rule, value, &format!("{at}.{name}"), found));
                        true
                    }
                }
            }
            other => panic!("the test does not know the keyword {other}"),
        };
        if !holds {
            found.push(format!("{at}: {keyword} {rule}"));
        }
    }
}
