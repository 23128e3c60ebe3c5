//! Pinned names: what a new version of a topology shares with the earlier one keeps its names.

use std::collections::{BTreeMap, BTreeSet};

use crate::grammar::{Generated, split_generated};
use crate::matching::Matching;
use crate::shape::Shape;
use crate::{Manifest, Naming};

/// From the names that a topology would have by itself to those that it is to have. A name that is not in here stays.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PinnedNames {
    /// Of nodes.
    pub nodes: BTreeMap<String, String>,
    /// Of stores.
    pub stores: BTreeMap<String, String>,
    /// Of repartition topics, without the application id.
    pub topics: BTreeMap<String, String>,
    /// Generated names of stores and repartition topics that are no longer in use: [`Manifest::retired`].
    pub retired: BTreeSet<String>,
}

/// The names that `current` is to have if it follows `previous`.
///
/// Nodes are found again by what they are and by what is above and below them, in their order among equals; so that
/// putting in, taking out or moving a node renames nothing else. Only generated names change: what the user named is
/// called so. What is new gets a number that no earlier version has used.
///
/// ```
/// use kafka_streams_naming::{Manifest, pin_names};
/// # let previous = Manifest::new(None);
/// # let current = Manifest::new(None);
/// assert!(pin_names(&previous, &current).stores.is_empty());
/// ```
pub fn pin_names(previous: &Manifest, current: &Manifest) -> PinnedNames {
    let (old, new) = (Shape::of(previous), Shape::of(current));
    let matching = Matching::of(&old, &new);
    let mut fresh = Numbers::new(previous, current.naming);
    let earlier = Spaces::of(previous);
    let now = Spaces::of(current);
    let spaces = [
        (&now.nodes, &matching.nodes, &earlier.nodes),
        (&now.stores, &matching.stores, &earlier.stores),
        (&now.topics, &matching.topics, &earlier.topics),
    ];
    let mut names: [BTreeMap<String, String>; 3] = Default::default();
    // What is kept decides the numbers of what is named after it, so it comes first.
    for ((now, matched, _), names) in spaces.iter().zip(&mut names) {
        for name in now.iter().filter(|name| split_generated(name).is_some()) {
            if let Some(before) = matched.get(name).filter(|before| !is_given(now, before)) {
                names.insert((*name).to_owned(), (*before).to_owned());
                fresh.follow(name, before);
            }
        }
    }
    for ((now, _, earlier), names) in spaces.iter().zip(&mut names) {
        for name in now.iter().copied() {
            if let (Some(parts), false) = (split_generated(name), names.contains_key(name)) {
                let taken = |candidate: &str| {
                    earlier.contains(&candidate)
                        || is_given(now, candidate)
                        || previous.retired.contains(candidate)
                        || names.values().any(|used| used == candidate)
                };
                let chosen = fresh.name(&parts, &taken);
                names.insert(name.to_owned(), chosen);
            }
        }
    }
    let [nodes, stores, topics] = names;
    let mut retired = previous.retired.clone();
    let in_use: BTreeSet<&str> = stores.values().chain(topics.values()).map(String::as_str).collect();
    let generated = earlier.stores.iter().chain(&earlier.topics).filter(|name| split_generated(name).is_some());
    retired.extend(generated.filter(|name| !in_use.contains(*name)).map(|name| (*name).to_owned()));
    PinnedNames { nodes, stores, topics, retired }
}

/// Whether the user gave this name.
fn is_given(now: &[&str], name: &str) -> bool {
    split_generated(name).is_none() && now.contains(&name)
}

/// The names of a manifest, in the topology's order.
struct Spaces<'m> {
    nodes: Vec<&'m str>,
    stores: Vec<&'m str>,
    topics: Vec<&'m str>,
}

impl<'m> Spaces<'m> {
    fn of(manifest: &'m Manifest) -> Self {
        let sources = manifest.sources.iter().map(|node| node.name.as_str());
        let processors = manifest.processors.iter().map(|node| node.name.as_str());
        let sinks = manifest.sinks.iter().map(|node| node.name.as_str());
        Spaces {
            nodes: sources.chain(processors).chain(sinks).collect(),
            stores: manifest.stores.iter().map(|store| store.name.as_str()).collect(),
            topics: manifest.repartition_topics.iter().map(|entry| entry.topic.name.as_str()).collect(),
        }
    }
}

/// The numbers of what is new.
struct Numbers {
    naming: Naming,
    /// The next number by prefix; under the empty prefix for [`Naming::Jvm`].
    next: BTreeMap<String, u64>,
    /// What became of a number that several names share, as a store's and its repartition topic's: by prefix and number.
    moved: BTreeMap<(String, u64), u64>,
}

impl Numbers {
    fn new(previous: &Manifest, naming: Option<Naming>) -> Self {
        let mut numbers = Numbers { naming: naming.unwrap_or_default(), next: BTreeMap::new(), moved: BTreeMap::new() };
        let Spaces { nodes, stores, topics } = Spaces::of(previous);
        let retired = previous.retired.iter().map(String::as_str);
        for parts in nodes.into_iter().chain(stores).chain(topics).chain(retired).filter_map(split_generated) {
            let class = numbers.class(parts.prefix).to_owned();
            let next = numbers.next.entry(class).or_default();
            *next = (*next).max(parts.number.saturating_add(1));
        }
        numbers
    }

    fn class<'p>(&self, prefix: &'p str) -> &'p str {
        match self.naming {
            Naming::PerClass => prefix,
            Naming::Jvm => "",
        }
    }

    fn follow(&mut self, name: &str, before: &str) {
        if let (Some(now), Some(before)) = (split_generated(name), split_generated(before))
            && now.prefix == before.prefix
        {
            self.moved.insert((now.prefix.to_owned(), now.number), before.number);
        }
    }

    /// A name with the number of what it is named after, else with a new one.
    fn name(&mut self, parts: &Generated<'_>, taken: &dyn Fn(&str) -> bool) -> String {
        let key = (parts.prefix.to_owned(), parts.number);
        if let Some(name) = self.moved.get(&key).map(|number| parts.with_number(*number)).filter(|name| !taken(name)) {
            return name;
        }
        loop {
            let class = self.class(parts.prefix).to_owned();
            let next = self.next.entry(class).or_default();
            let number = *next;
            *next = next.saturating_add(1);
            let name = parts.with_number(number);
            if !taken(&name) || number == u64::MAX {
                self.moved.insert(key, number);
                return name;
            }
        }
    }
}
