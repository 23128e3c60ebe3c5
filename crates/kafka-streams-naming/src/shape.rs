//! A manifest as a graph of units to be compared: a node, or a repartition topic with the nodes around it.
//!
//! What a unit is like is said by hashes of different strictness: of everything above or below it; of the stores and
//! topics above or below only, so that a new `map` changes nothing; of the stores and outer topics only, so that a new
//! repartition topic changes nothing.

use std::collections::{BTreeMap, BTreeSet};

use crate::grammar::split_generated;
use crate::{Manifest, StoreEntry};

/// The units of a manifest; parents mostly come before their children.
pub(crate) struct Shape<'m> {
    pub(crate) units: Vec<Unit<'m>>,
    pub(crate) likeness: Vec<Likeness>,
}

/// A node, or a repartition topic with its filter, sinks and sources.
#[derive(Debug, Default)]
pub(crate) struct Unit<'m> {
    /// What it does: equal for what may be the same unit of two versions.
    pub(crate) class: String,
    /// Names of its nodes: one, or those around the topic in the order filters, sinks, sources.
    pub(crate) nodes: [Vec<&'m str>; 3],
    /// The repartition topic, without the application id.
    pub(crate) topic: Option<&'m str>,
    pub(crate) stores: Vec<&'m StoreEntry>,
    pub(crate) parents: Vec<usize>,
    pub(crate) children: Vec<usize>,
    /// The outer topics that it reads or writes.
    pub(crate) outer: Vec<String>,
}

/// How a unit is told from others of its class, the strictest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Likeness {
    /// Its own facts: stores with their types, topics.
    pub(crate) own: u64,
    /// Everything above, everything below.
    pub(crate) full: (u64, u64),
    /// The stores and topics above and below.
    pub(crate) resources: (u64, u64),
    /// The stores and outer topics above and below.
    pub(crate) stores: (u64, u64),
    /// What is above.
    pub(crate) above: Surroundings,
    /// What is below.
    pub(crate) below: Surroundings,
}

/// All units on one side of a unit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Surroundings {
    /// How many there are of each class.
    pub(crate) classes: BTreeMap<String, u32>,
    /// The outer topics that are read, or written, there.
    pub(crate) topics: BTreeSet<String>,
}

impl Surroundings {
    /// In how many units and topics two of them differ; a topic counts more than a unit.
    pub(crate) fn distance(&self, other: &Surroundings) -> u32 {
        let count = |of: &Surroundings, class: &str| of.classes.get(class).copied().unwrap_or(0);
        let known = self.classes.keys().map(|class| count(self, class).abs_diff(count(other, class)));
        let unknown = other.classes.iter().filter(|(class, _)| !self.classes.contains_key(*class));
        let units = known.sum::<u32>() + unknown.map(|(_, units)| units).sum::<u32>();
        let topics = self.topics.symmetric_difference(&other.topics).count();
        units.saturating_add(u32::try_from(topics).unwrap_or(u32::MAX).saturating_mul(4))
    }
}

const SOURCE: &str = "source";
const SINK: &str = "sink";
const REPARTITION: &str = "repartition";

impl<'m> Shape<'m> {
    pub(crate) fn of(manifest: &'m Manifest) -> Self {
        let mut units = Units::default();
        units.add_repartitions(manifest);
        units.add_nodes(manifest);
        units.connect(manifest);
        let likeness = likeness(&units.units);
        Shape { units: units.units, likeness }
    }
}

impl Unit<'_> {
    /// The name by which a person knows it.
    pub(crate) fn name(&self) -> &str {
        self.topic.or_else(|| self.nodes.iter().flatten().next().copied()).unwrap_or_default()
    }

    /// Whether the user named it.
    pub(crate) fn is_named(&self) -> bool {
        split_generated(self.name()).is_none()
    }

    pub(crate) fn is_repartition(&self) -> bool {
        self.topic.is_some()
    }

    /// Whether a change of it touches nothing that outlives a deploy.
    pub(crate) fn is_stateless(&self) -> bool {
        self.topic.is_none() && self.stores.is_empty() && self.class != SOURCE && self.class != SINK
    }
}

#[derive(Default)]
struct Units<'m> {
    units: Vec<Unit<'m>>,
    by_node: BTreeMap<&'m str, usize>,
    by_topic: BTreeMap<&'m str, usize>,
}

impl<'m> Units<'m> {
    fn add_repartitions(&mut self, manifest: &'m Manifest) {
        // In the order of the nodes and not of the topics' names, which is another one once names were pinned.
        let written = manifest.sinks.iter().filter_map(|sink| sink.topic.as_ref());
        let read = manifest.sources.iter().flat_map(|source| &source.topics);
        for topic in written.chain(read).filter(|topic| topic.internal) {
            let topic = topic.name.as_str();
            if self.by_topic.contains_key(topic) {
                continue;
            }
            self.by_topic.insert(topic, self.units.len());
            self.units.push(Unit { class: REPARTITION.to_owned(), topic: Some(topic), ..Unit::default() });
        }
        let mut above_sinks = BTreeSet::new();
        for sink in &manifest.sinks {
            let topic = sink.topic.as_ref().filter(|topic| topic.internal);
            if let Some(unit) = topic.and_then(|topic| self.by_topic.get(topic.name.as_str()).copied()) {
                self.join(unit, &sink.name, 1);
                above_sinks.extend(sink.parents.iter().map(|parent| (parent.as_str(), unit)));
            }
        }
        for processor in &manifest.processors {
            let unit = above_sinks.iter().find(|(name, _)| *name == processor.name).map(|(_, unit)| *unit);
            let filter = processor.stores.is_empty()
                && (class_of(&processor.name, None) == "KSTREAM-FILTER-"
                    || processor.name.ends_with("-repartition-filter"));
            if let (Some(unit), true) = (unit, filter) {
                self.join(unit, &processor.name, 0);
            }
        }
        for source in &manifest.sources {
            let topic = source.topics.first().filter(|topic| topic.internal && source.topics.len() == 1);
            if let Some(unit) = topic.and_then(|topic| self.by_topic.get(topic.name.as_str()).copied()) {
                self.join(unit, &source.name, 2);
            }
        }
    }

    fn join(&mut self, unit: usize, node: &'m str, role: usize) {
        self.by_node.insert(node, unit);
        if let Some(names) = self.units.get_mut(unit).and_then(|unit| unit.nodes.get_mut(role)) {
            names.push(node);
        }
    }

    fn add_nodes(&mut self, manifest: &'m Manifest) {
        for source in &manifest.sources {
            let mut outer: Vec<String> = source.topics.iter().map(ToString::to_string).collect();
            outer.extend(source.pattern.iter().map(|pattern| format!("/{pattern}/")));
            self.add(&source.name, SOURCE.to_owned(), outer, Vec::new());
        }
        for processor in &manifest.processors {
            let class = class_of(&processor.name, processor.operator.as_deref()).to_owned();
            let stores = processor.stores.iter().filter_map(|name| manifest.store(name)).collect();
            self.add(&processor.name, class, Vec::new(), stores);
        }
        for sink in &manifest.sinks {
            let outer = sink.topic.iter().map(ToString::to_string).collect();
            self.add(&sink.name, SINK.to_owned(), outer, Vec::new());
        }
    }

    fn add(&mut self, node: &'m str, class: String, outer: Vec<String>, stores: Vec<&'m StoreEntry>) {
        if self.by_node.contains_key(node) {
            return;
        }
        self.by_node.insert(node, self.units.len());
        let nodes = [vec![node], Vec::new(), Vec::new()];
        self.units.push(Unit { class, nodes, stores, outer, ..Unit::default() });
    }

    fn connect(&mut self, manifest: &Manifest) {
        let below = manifest.processors.iter().map(|node| (&node.name, &node.parents));
        for (child, parents) in below.chain(manifest.sinks.iter().map(|node| (&node.name, &node.parents))) {
            let Some(child) = self.by_node.get(child.as_str()).copied() else { continue };
            for parent in parents.iter().filter_map(|parent| self.by_node.get(parent.as_str()).copied()) {
                // The filter and the sink of a repartition topic are one unit.
                if parent != child {
                    push_new(self.units.get_mut(child).map(|unit| &mut unit.parents), parent);
                    push_new(self.units.get_mut(parent).map(|unit| &mut unit.children), child);
                }
            }
        }
    }
}

fn push_new(list: Option<&mut Vec<usize>>, item: usize) {
    if let Some(list) = list
        && !list.contains(&item)
    {
        list.push(item);
    }
}

/// The class of a processor: its operator, or what its generated name begins with; empty if neither tells.
pub(crate) fn class_of<'n>(name: &'n str, operator: Option<&'n str>) -> &'n str {
    operator.or_else(|| split_generated(name).map(|parts| parts.prefix)).unwrap_or_default()
}

fn likeness(units: &[Unit<'_>]) -> Vec<Likeness> {
    let own: Vec<u64> = units.iter().map(own_hash).collect();
    let part = |keep: &dyn Fn(&Unit<'_>) -> bool| {
        let up = Cone { units, own: &own, next: |unit| &unit.parents, keep };
        let down = Cone { units, own: &own, next: |unit| &unit.children, keep };
        up.hashes().into_iter().zip(down.hashes()).collect::<Vec<(u64, u64)>>()
    };
    let full = part(&|_| true);
    let resources = part(&|unit| !unit.is_stateless());
    let stores = part(&|unit| !unit.is_stateless() && !unit.is_repartition());
    let of = |at: usize| Likeness {
        own: own.get(at).copied().unwrap_or_default(),
        full: full.get(at).copied().unwrap_or_default(),
        resources: resources.get(at).copied().unwrap_or_default(),
        stores: stores.get(at).copied().unwrap_or_default(),
        above: surroundings(units, at, |unit| &unit.parents),
        below: surroundings(units, at, |unit| &unit.children),
    };
    (0..units.len()).map(of).collect()
}

/// The hash of what a unit is, without its neighbours and without generated names.
fn own_hash(unit: &Unit<'_>) -> u64 {
    let mut hash = Hash::new();
    hash.text(&unit.class);
    unit.outer.iter().for_each(|topic| hash.text(topic));
    if unit.is_named() {
        hash.text(unit.name());
    }
    for store in &unit.stores {
        hash.text(&store.kind);
        hash.text(store.key_serde.as_deref().unwrap_or_default());
        hash.text(store.value_serde.as_deref().unwrap_or_default());
        if split_generated(&store.name).is_none() {
            hash.text(&store.name);
        }
    }
    hash.0
}

/// The hashes of everything above, or below, each unit; what is not kept is looked through.
struct Cone<'s, 'm> {
    units: &'s [Unit<'m>],
    own: &'s [u64],
    next: fn(&'s Unit<'m>) -> &'s Vec<usize>,
    keep: &'s dyn Fn(&Unit<'_>) -> bool,
}

impl<'s, 'm> Cone<'s, 'm> {
    /// For each unit the hash of the set of its nearest kept neighbours, with everything behind them.
    fn hashes(&self) -> Vec<u64> {
        let mut sets: Vec<Option<BTreeSet<u64>>> = vec![None; self.units.len()];
        for start in 0..self.units.len() {
            self.settle(start, &mut sets);
        }
        sets.iter().map(|set| set.as_ref().map_or(0, hash_of_set)).collect()
    }

    /// Works the units out from the farthest to `start`, by a stack of its own: a topology may be a long chain.
    fn settle(&self, start: usize, sets: &mut [Option<BTreeSet<u64>>]) {
        let mut stack = vec![(start, false)];
        let mut open = BTreeSet::new();
        while let Some((at, visited)) = stack.pop() {
            if sets.get(at).is_none_or(Option::is_some) {
                continue;
            }
            let Some(unit) = self.units.get(at) else { continue };
            if visited {
                let mut set = BTreeSet::new();
                for neighbour in (self.next)(unit) {
                    // A unit that is still open closes a cycle, and tells nothing new.
                    let Some(Some(behind)) = sets.get(*neighbour) else { continue };
                    match self.units.get(*neighbour).is_some_and(|unit| (self.keep)(unit)) {
                        true => set.extend([self.own.get(*neighbour).map_or(0, |own| mix(*own, hash_of_set(behind)))]),
                        false => set.extend(behind.iter().copied()),
                    }
                }
                if let Some(slot) = sets.get_mut(at) {
                    *slot = Some(set);
                }
            } else if open.insert(at) {
                stack.push((at, true));
                stack.extend((self.next)(unit).iter().map(|neighbour| (*neighbour, false)));
            }
        }
    }
}

/// Everything on one side of a unit, and the outer topics of the unit itself.
fn surroundings<'s, 'm>(units: &'s [Unit<'m>], start: usize, next: fn(&'s Unit<'m>) -> &'s Vec<usize>) -> Surroundings {
    let (mut seen, mut open, mut found) = (BTreeSet::from([start]), vec![start], Surroundings::default());
    while let Some(at) = open.pop() {
        let Some(unit) = units.get(at) else { continue };
        found.topics.extend(unit.outer.iter().cloned());
        if at != start {
            *found.classes.entry(unit.class.clone()).or_default() += 1;
        }
        open.extend(next(unit).iter().copied().filter(|at| seen.insert(*at)));
    }
    found
}

fn hash_of_set(set: &BTreeSet<u64>) -> u64 {
    let mut hash = Hash::new();
    set.iter().for_each(|item| hash.bytes(&item.to_be_bytes()));
    hash.0
}

pub(crate) fn mix(a: u64, b: u64) -> u64 {
    let mut hash = Hash::new();
    hash.bytes(&a.to_be_bytes());
    hash.bytes(&b.to_be_bytes());
    hash.0
}

/// FNV-1a of 64 bits: the same on every machine and with every compiler.
struct Hash(u64);

impl Hash {
    fn new() -> Self {
        Hash(0xcbf2_9ce4_8422_2325)
    }

    fn bytes(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }

    fn text(&mut self, text: &str) {
        self.bytes(text.as_bytes());
        // No text holds this byte, so that two texts are not mistaken for another two.
        self.bytes(&[0xff]);
    }
}
