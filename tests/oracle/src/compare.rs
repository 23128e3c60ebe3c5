//! The comparison of a case's outcome with what the JVM did, field by field. It allows for nothing but this: within a
//! node of `describe()` the lists of successors and predecessors are compared as sets (section 4 of `SPEC.md`).

use std::fmt;

use serde_json::Value as Json;

use crate::outcome::Outcome;

/// A field of a result, in the order in which they are compared: a difference in an early one explains the later ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Field {
    /// The error's phase, step and class, and of a `TopologyException` the message.
    Error,
    /// The text of `describe()`.
    Describe,
    /// Internal topics with their configuration.
    InternalTopics,
    /// Sets of co-partitioned topics.
    Copartition,
    /// The records of the user's topics.
    Topics,
    /// The records of changelogs and repartition topics.
    AppTopics,
}

/// A field that differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The field.
    pub field: Field,
    /// The first thing in it that differs, ours beside the JVM's.
    pub text: String,
}

/// The fields that differ.
pub fn compare(ours: &Outcome, expected: &Json) -> Vec<Difference> {
    let topics = |ours: &Outcome, app: bool| topics(ours, expected, app);
    let found = [
        (Field::Error, error(ours, expected)),
        (Field::Describe, describe(ours.describe.as_deref(), expected.get("describe").and_then(Json::as_str))),
        (Field::InternalTopics, json(ours.internal_topics.as_ref(), expected.get("internalTopics"))),
        (Field::Copartition, json(ours.copartition.as_ref(), expected.get("copartition"))),
        (Field::Topics, topics(ours, false)),
        (Field::AppTopics, topics(ours, true)),
    ];
    found.into_iter().filter_map(|(field, text)| Some(Difference { field, text: text? })).collect()
}

fn error(ours: &Outcome, expected: &Json) -> Option<String> {
    let theirs = expected.get("error");
    let text = |field: &str| theirs.and_then(|error| error.get(field)).and_then(Json::as_str);
    let Some(error) = &ours.error else {
        return theirs.map(|theirs| format!("no error, the JVM has {theirs}"));
    };
    let Some(theirs) = theirs else { return Some(format!("{} in {}: {}", error.error.class, error.phase, error.own)) };
    let step = theirs.get("step").and_then(Json::as_u64).map(|step| step as usize);
    let message = error.error.class.ends_with("TopologyException").then_some(error.error.message.as_deref()).flatten();
    let same = text("phase") == Some(error.phase)
        && step == error.step
        && text("class") == Some(error.error.class)
        && (message.is_none() || message == text("message"));
    (!same).then(|| format!("{error:?}, the JVM has {theirs}"))
}

fn describe(ours: Option<&str>, theirs: Option<&str>) -> Option<String> {
    let (ours_sorted, theirs_sorted) = (ours.map(with_sorted_lists), theirs.map(with_sorted_lists));
    if ours_sorted == theirs_sorted {
        return None;
    }
    let (Some(ours), Some(theirs)) = (ours_sorted, theirs_sorted) else {
        return Some(format!("{ours:?}, the JVM has {theirs:?}"));
    };
    let differing = ours.lines().zip(theirs.lines()).find(|(a, b)| a != b);
    Some(match differing {
        Some((a, b)) => format!("`{}`, the JVM has `{}`", a.trim(), b.trim()),
        None => format!("{} lines, the JVM has {}", ours.lines().count(), theirs.lines().count()),
    })
}

fn with_sorted_lists(text: &str) -> String {
    let line = |line: &str| match line
        .split_once("--> ")
        .map(|s| (s, "--> "))
        .or(line.split_once("<-- ").map(|s| (s, "<-- ")))
    {
        Some(((indent, list), arrow)) => {
            let mut names: Vec<&str> = list.split(", ").collect();
            names.sort_unstable();
            format!("{indent}{arrow}{}\n", names.join(", "))
        }
        None => format!("{line}\n"),
    };
    text.lines().map(line).collect()
}

fn json(ours: Option<&Json>, theirs: Option<&Json>) -> Option<String> {
    if ours == theirs {
        return None;
    }
    let (Some(ours), Some(theirs)) = (ours, theirs) else {
        return Some(format!("{ours:?}, the JVM has {theirs:?}"));
    };
    first_difference("", ours, theirs)
}

/// The first place at which two documents differ.
fn first_difference(path: &str, ours: &Json, theirs: &Json) -> Option<String> {
    if ours == theirs {
        return None;
    }
    match (ours, theirs) {
        (Json::Object(a), Json::Object(b)) => {
            let keys = a.keys().chain(b.keys().filter(|key| !a.contains_key(*key)));
            keys.into_iter().find_map(|key| {
                let (null, at) = (Json::Null, format!("{path}/{key}"));
                first_difference(&at, a.get(key).unwrap_or(&null), b.get(key).unwrap_or(&null))
            })
        }
        (Json::Array(a), Json::Array(b)) if a.len() == b.len() => {
            let mut pairs = a.iter().zip(b).enumerate();
            pairs.find_map(|(at, (a, b))| first_difference(&format!("{path}/{at}"), a, b))
        }
        _ => Some(format!("{path}: {ours}, the JVM has {theirs}")),
    }
}

fn topics(ours: &Outcome, expected: &Json, app: bool) -> Option<String> {
    let is_app = |topic: &str| topic.starts_with("app-") == app;
    let theirs = expected.get("topics").and_then(Json::as_object);
    let (ours, theirs) = match (&ours.topics, theirs) {
        (None, None) => return None,
        (Some(ours), Some(theirs)) => (ours, theirs),
        (ours, theirs) => {
            return (!app).then(|| format!("topics: {}, the JVM: {}", ours.is_some(), theirs.is_some()));
        }
    };
    let names = ours.keys().chain(theirs.keys().filter(|name| !ours.contains_key(*name)));
    let mut names = names.filter(|name| is_app(name));
    names.find_map(|name| topic(name, ours.get(name), theirs.get(name)))
}

fn topic(name: &str, ours: Option<&Json>, theirs: Option<&Json>) -> Option<String> {
    if ours == theirs {
        return None;
    }
    let list = |json: Option<&Json>| json.and_then(Json::as_array).cloned().unwrap_or_default();
    let (ours, theirs) = (list(ours), list(theirs));
    let at = ours.iter().zip(&theirs).position(|(a, b)| a != b).unwrap_or(ours.len().min(theirs.len()));
    let show = |records: &[Json]| records.get(at).map_or_else(|| "nothing".to_owned(), readable);
    let lengths = format!("{} records, the JVM has {}", ours.len(), theirs.len());
    Some(format!("topic {name}, record {at}: {}, the JVM has {} ({lengths})", show(&ours), show(&theirs)))
}

/// A record with text instead of hex where it is text.
fn readable(record: &Json) -> String {
    let part = |json: Option<&Json>| {
        let Some(hex) = json.and_then(Json::as_str) else { return "null".to_owned() };
        let digits: Vec<u8> = hex.bytes().collect();
        let (pairs, _) = digits.as_chunks::<2>();
        let text: String = pairs
            .iter()
            .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap_or("00"), 16).unwrap_or(0))
            .map(|byte| if byte.is_ascii_graphic() { (byte as char).to_string() } else { format!("\\x{byte:02x}") })
            .collect();
        text.replace("\\x00\\x00\\x00\\x00\\x00\\x00", "…")
    };
    let headers = record.get(3).map(|headers| format!(" {headers}")).unwrap_or_default();
    format!("{}={}@{}{headers}", part(record.get(0)), part(record.get(1)), record.get(2).unwrap_or(&Json::Null))
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Field::Error => "error",
            Field::Describe => "describe",
            Field::InternalTopics => "internalTopics",
            Field::Copartition => "copartition",
            Field::Topics => "topics",
            Field::AppTopics => "app topics",
        })
    }
}
