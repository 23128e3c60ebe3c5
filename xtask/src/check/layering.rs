//! The layers of `docs/architecture.md` as one table, and the dependencies that cargo reports held against it.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::process;
use crate::workspace::Workspace;

/// The layers from the top down. A crate depends only on crates in lines below its own, so crates of one line do not know each other.
/// A name ending in `*` is a prefix.
const LAYERS: &[Layer] = &[
    Layer { name: "programs", crates: &["golden"] },
    Layer {
        name: "programs",
        crates: &[
            "xtask",
            "kafka-streams-tests",
            "kafka-streams-oracle",
            "kafka-streams-sim",
            "bench",
            "word-count",
            "smoke-test",
        ],
    },
    Layer { name: "tools", crates: &["kafka-streams-testing", "kafka-streams-golden"] },
    Layer { name: "facade", crates: &["kafka-streams"] },
    Layer { name: "extensions", crates: &["riffle-*"] },
    Layer {
        name: "adapters",
        crates: &[
            "kafka-streams-client",
            "kafka-streams-rocksdb",
            "kafka-streams-serde-*",
            "kafka-streams-embedded",
            "kafka-streams-observability",
        ],
    },
    Layer { name: "runtime", crates: &["kafka-streams-runtime"] },
    Layer { name: CORE, crates: &["kafka-streams-engine"] },
    Layer { name: CORE, crates: &["kafka-streams-group"] },
    Layer { name: CORE, crates: &["kafka-streams-dsl"] },
    Layer { name: CORE, crates: &["kafka-streams-topology"] },
    Layer { name: CORE, crates: &["kafka-streams-state"] },
    Layer { name: CORE, crates: &["kafka-streams-naming"] },
    Layer { name: CORE, crates: &["kafka-streams-core"] },
];

/// The layers below the line: no async, no I/O, no clock, no threads, no randomness.
const CORE: &str = "core";

/// What no crate below the line may reach by any chain of normal dependencies.
const IMPURE: [&str; 9] =
    ["tokio", "async-std", "smol", "mio", "rdkafka", "rdkafka-sys", "rocksdb", "librocksdb-sys", "rand"];

/// Crates above the line that must not reach these either: a test of a topology compiles no C and no C++.
const LIGHT: [(&str, [&str; 4]); 1] =
    [("kafka-streams-testing", ["rdkafka", "rdkafka-sys", "rocksdb", "librocksdb-sys"])];

/// Of our own crates, what an extension may see: contracts only. If it needs more, an extension point is missing.
const SEEN_BY_EXTENSIONS: [&str; 4] =
    ["kafka-streams-core", "kafka-streams-state", "kafka-streams-dsl", "kafka-streams-topology"];

struct Layer {
    name: &'static str,
    crates: &'static [&'static str],
}

/// The crates of the workspace that must stay pure.
pub(crate) fn pure_crates() -> impl Iterator<Item = &'static str> {
    LAYERS.iter().filter(|layer| layer.name == CORE).flat_map(|layer| layer.crates.iter().copied())
}

/// Everything that breaks a rule, one sentence each.
pub(crate) fn check(graph: &Graph) -> Vec<String> {
    let mut found = Vec::new();
    for (member, direct) in &graph.members {
        let Some(height) = height(member) else {
            found.push(format!("{member} is in no layer: put it into the table in xtask/src/check/layering.rs"));
            continue;
        };
        let layer = layer_name(height);
        for dependency in direct.normal.iter().filter(|dependency| graph.members.contains_key(*dependency)) {
            let Some(other) = self::height(dependency) else { continue };
            if other >= height {
                let other = layer_name(other);
                found.push(format!("{member} ({layer}) depends on {dependency} ({other}): arrows point down only"));
            } else if member.starts_with("riffle-") && !SEEN_BY_EXTENSIONS.contains(&dependency.as_str()) {
                found.push(format!(
                    "{member} sees {dependency}: an extension sees only {}",
                    SEEN_BY_EXTENSIONS.join(", ")
                ));
            }
        }
        if layer == "runtime" {
            for dependency in direct.any.iter().filter(|dependency| dependency.starts_with("riffle-")) {
                found.push(format!(
                    "{member} names {dependency}: the runtime knows no extension, not even in its tests"
                ));
            }
        }
        for (_, heavy) in LIGHT.iter().filter(|(light, _)| light == member) {
            for chain in heavy.iter().filter_map(|heavy| graph.chain(member, heavy)) {
                found.push(format!("{member} must compile no C, but reaches {}", chain.join(" -> ")));
            }
        }
        if layer == CORE {
            for chain in IMPURE.iter().filter_map(|impure| graph.chain(member, impure)) {
                found.push(format!("{member} is below the line but reaches {}", chain.join(" -> ")));
            }
        }
    }
    found
}

/// Who depends on whom: the workspace's members with their direct dependencies, and the whole graph of normal ones.
#[derive(Debug, Default)]
pub(crate) struct Graph {
    members: BTreeMap<String, Direct>,
    normal: BTreeMap<String, BTreeSet<String>>,
}

/// A member's direct dependencies by name.
#[derive(Debug, Default)]
struct Direct {
    /// Normal and build dependencies.
    normal: BTreeSet<String>,
    /// Those and the ones of tests.
    any: BTreeSet<String>,
}

impl Graph {
    /// Asks cargo.
    pub(crate) fn read(workspace: &Workspace) -> Result<Self> {
        let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        command.args(["metadata", "--format-version", "1", "--all-features"]).current_dir(workspace.root());
        let text = process::capture(&mut command, "cargo metadata")?;
        let metadata: Metadata = serde_json::from_str(&text).context("cargo metadata printed something unknown")?;
        Ok(Graph::from(metadata))
    }

    /// The shortest chain of normal dependencies from one crate to another, without the first.
    fn chain(&self, from: &str, to: &str) -> Option<Vec<String>> {
        let mut reached: BTreeMap<&str, &str> = BTreeMap::new();
        let mut edge = vec![from];
        while !edge.is_empty() && !reached.contains_key(to) {
            let mut next = Vec::new();
            for at in edge {
                for dependency in self.normal.get(at).into_iter().flatten() {
                    if dependency != from && !reached.contains_key(dependency.as_str()) {
                        reached.insert(dependency, at);
                        next.push(dependency.as_str());
                    }
                }
            }
            edge = next;
        }
        let mut chain = vec![to.to_owned()];
        let mut at = *reached.get(to)?;
        while at != from {
            chain.push(at.to_owned());
            at = reached.get(at)?;
        }
        chain.reverse();
        Some(chain)
    }
}

impl From<Metadata> for Graph {
    fn from(metadata: Metadata) -> Self {
        let names: BTreeMap<String, String> =
            metadata.packages.iter().map(|package| (package.id.clone(), package.name.clone())).collect();
        let mut graph = Graph::default();
        for package in metadata.packages.iter().filter(|package| metadata.workspace_members.contains(&package.id)) {
            let direct = graph.members.entry(package.name.clone()).or_default();
            for dependency in &package.dependencies {
                if dependency.kind.as_deref() != Some("dev") {
                    direct.normal.insert(dependency.name.clone());
                }
                direct.any.insert(dependency.name.clone());
            }
        }
        for node in metadata.resolve.map(|resolve| resolve.nodes).unwrap_or_default() {
            let Some(from) = names.get(&node.id) else { continue };
            let targets = graph.normal.entry(from.clone()).or_default();
            for dependency in node.deps {
                if dependency.dep_kinds.iter().any(|kind| kind.kind.is_none()) {
                    targets.extend(names.get(&dependency.pkg).cloned());
                }
            }
        }
        graph
    }
}

/// The part of `cargo metadata` that is looked at; a kind is none for a normal dependency, else "dev" or "build".
#[derive(Debug, Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    workspace_members: Vec<String>,
    resolve: Option<Resolve>,
}

#[derive(Debug, Deserialize)]
struct Package {
    id: String,
    name: String,
    dependencies: Vec<Dependency>,
}

#[derive(Debug, Deserialize)]
struct Dependency {
    name: String,
    kind: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Resolve {
    nodes: Vec<Node>,
}

#[derive(Debug, Deserialize)]
struct Node {
    id: String,
    deps: Vec<NodeDependency>,
}

#[derive(Debug, Deserialize)]
struct NodeDependency {
    pkg: String,
    dep_kinds: Vec<DependencyKind>,
}

#[derive(Debug, Deserialize)]
struct DependencyKind {
    kind: Option<String>,
}

/// How high a crate stands: more is higher.
fn height(name: &str) -> Option<usize> {
    let fits = |pattern: &str| match pattern.strip_suffix('*') {
        Some(prefix) => name.starts_with(prefix),
        None => name == pattern,
    };
    LAYERS.iter().rev().position(|layer| layer.crates.iter().any(|pattern| fits(pattern)))
}

fn layer_name(height: usize) -> &'static str {
    LAYERS.iter().rev().nth(height).map_or("?", |layer| layer.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn graph(members: &[(&str, &[&str])], others: &[(&str, &[&str])]) -> Graph {
        let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
        Graph {
            members: members
                .iter()
                .map(|(name, to)| ((*name).to_owned(), Direct { normal: set(to), any: set(to) }))
                .collect(),
            normal: members.iter().chain(others).map(|(name, to)| ((*name).to_owned(), set(to))).collect(),
        }
    }

    #[test]
    fn arrows_that_point_down_are_fine() {
        let graph = graph(
            &[
                ("kafka-streams", &["kafka-streams-client", "kafka-streams-runtime"]),
                ("kafka-streams-client", &["kafka-streams-core", "tokio"]),
                ("kafka-streams-runtime", &["kafka-streams-core"]),
                ("kafka-streams-core", &[]),
            ],
            &[],
        );
        assert_eq!(check(&graph), Vec::<String>::new());
    }

    #[test]
    fn an_upward_arrow_is_found() {
        let found = check(&graph(
            &[("kafka-streams-state", &["kafka-streams-topology"]), ("kafka-streams-topology", &[])],
            &[],
        ));
        assert_eq!(found.len(), 1);
        assert!(found[0].contains("kafka-streams-state (core) depends on kafka-streams-topology"), "{found:?}");
    }

    #[test]
    fn the_runtime_may_not_see_an_adapter_nor_adapters_each_other() {
        let found = check(&graph(
            &[
                ("kafka-streams-runtime", &["kafka-streams-rocksdb"]),
                ("kafka-streams-rocksdb", &["kafka-streams-client"]),
                ("kafka-streams-client", &[]),
            ],
            &[],
        ));
        assert_eq!(found.len(), 2, "{found:?}");
    }

    #[test]
    fn tokio_below_the_line_is_found_through_any_chain() {
        let found =
            check(&graph(&[("kafka-streams-group", &["helper"])], &[("helper", &["deeper"]), ("deeper", &["tokio"])]));
        assert_eq!(found, ["kafka-streams-group is below the line but reaches helper -> deeper -> tokio"]);
    }

    #[test]
    fn the_test_driver_compiles_no_c() {
        let found = check(&graph(
            &[("kafka-streams-testing", &["kafka-streams"]), ("kafka-streams", &["rocksdb"])],
            &[("rocksdb", &[])],
        ));
        assert_eq!(found, ["kafka-streams-testing must compile no C, but reaches kafka-streams -> rocksdb"]);
    }

    #[test]
    fn a_crate_without_a_layer_is_found() {
        let found = check(&graph(&[("kafka-streams-mystery", &[])], &[]));
        assert!(found[0].contains("is in no layer"), "{found:?}");
    }

    #[test]
    fn the_runtime_names_no_extension_even_in_its_tests() {
        let mut graph = graph(&[("kafka-streams-runtime", &[])], &[]);
        graph.members.get_mut("kafka-streams-runtime").unwrap().any.insert("riffle-async-io".to_owned());
        assert!(check(&graph)[0].contains("names riffle-async-io"));
    }

    #[test]
    fn an_extension_sees_contracts_only() {
        let found = check(&graph(
            &[
                ("riffle-stores", &["kafka-streams-state", "kafka-streams-runtime"]),
                ("kafka-streams-state", &[]),
                ("kafka-streams-runtime", &[]),
            ],
            &[],
        ));
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].starts_with("riffle-stores sees kafka-streams-runtime"));
    }

    #[test]
    fn metadata_of_cargo_becomes_a_graph() {
        let text = r#"{
            "packages": [
                {"id": "a 1", "name": "kafka-streams-core", "dependencies": [
                    {"name": "uuid", "kind": null}, {"name": "proptest", "kind": "dev"}]},
                {"id": "u 1", "name": "uuid", "dependencies": []}],
            "workspace_members": ["a 1"],
            "resolve": {"nodes": [{"id": "a 1", "deps": [
                {"pkg": "u 1", "dep_kinds": [{"kind": null, "target": null}]}]}]}
        }"#;
        let graph = Graph::from(serde_json::from_str::<Metadata>(text).unwrap());
        assert_eq!(graph.chain("kafka-streams-core", "uuid").unwrap(), ["uuid"]);
        let direct = &graph.members["kafka-streams-core"];
        assert!(!direct.normal.contains("proptest") && direct.any.contains("proptest"));
    }
}
