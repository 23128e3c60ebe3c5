//! Which unit of a topology is which one of its earlier version: by name where the user gave one, else by structure.
//!
//! Units are compared in several ways. One that finds as many units of a kind before as after pairs them, so that their
//! surroundings differ least, and in their order where that is equal; where the numbers differ another way decides, and
//! at last an alignment in order that loses least. Units that share no outer topic are never paired: a store must not be
//! given the state of something else.
//!
//! The first way looks through everything that is stateless. What is put in or taken out there adds the same to the
//! surroundings of all that it touches, and then the order among equals is the nearest pairing.

use std::collections::{BTreeMap, BTreeSet};

use crate::StoreEntry;
use crate::grammar::split_generated;
use crate::shape::{Likeness, Shape, Unit, mix};

/// Pairs of units, nodes, stores and topics, by what is new.
#[derive(Debug, Default)]
pub(crate) struct Matching<'m> {
    /// New unit to old unit.
    pub(crate) units: BTreeMap<usize, usize>,
    /// Names of nodes: new to old.
    pub(crate) nodes: BTreeMap<&'m str, &'m str>,
    /// Names of stores: new to old.
    pub(crate) stores: BTreeMap<&'m str, &'m str>,
    /// Repartition topics without the application id: new to old.
    pub(crate) topics: BTreeMap<&'m str, &'m str>,
}

impl<'m> Matching<'m> {
    pub(crate) fn of(old: &Shape<'m>, new: &Shape<'m>) -> Self {
        let mut search = Search { old, new, to_old: BTreeMap::new(), taken: BTreeSet::new() };
        search.run();
        let mut matching = Matching { units: search.to_old, ..Matching::default() };
        matching.names(old, new);
        matching
    }

    fn names(&mut self, old: &Shape<'m>, new: &Shape<'m>) {
        let mut taken: BTreeSet<&str> = BTreeSet::new();
        let (old_stores, new_stores) = (store_names(old), store_names(new));
        for (after, before) in &self.units {
            let (Some(after), Some(before)) = (new.units.get(*after), old.units.get(*before)) else { continue };
            for (after, before) in after.nodes.iter().zip(&before.nodes) {
                self.nodes.extend(after.iter().copied().zip(before.iter().copied()));
            }
            if let (Some(after), Some(before)) = (after.topic, before.topic) {
                self.topics.insert(after, before);
            }
            for rule in STORE_RULES {
                for store in &after.stores {
                    let elsewhere = |known: &StoreEntry| {
                        let other = known.name != store.name;
                        other && is_given(known) && new_stores.contains(known.name.as_str())
                            || other && is_given(store) && old_stores.contains(store.name.as_str())
                    };
                    let fits = |known: &&&'m StoreEntry| {
                        !taken.contains(known.name.as_str()) && !elsewhere(known) && rule(store, known)
                    };
                    if self.stores.contains_key(store.name.as_str()) {
                        continue;
                    }
                    if let Some(known) = before.stores.iter().find(fits) {
                        taken.insert(&known.name);
                        self.stores.insert(&store.name, &known.name);
                    }
                }
            }
        }
    }
}

/// When a store of a unit is a store of the unit's earlier version, the strictest first.
const STORE_RULES: [fn(&StoreEntry, &StoreEntry) -> bool; 3] = [
    |new, old| new.name == old.name && is_given(new),
    |new, old| {
        let parts = |name| split_generated(name).map(|parts| (parts.prefix, parts.suffix));
        parts(&new.name).is_some() && parts(&new.name) == parts(&old.name)
    },
    |new, old| new.kind == old.kind && (is_given(new) || is_given(old)),
];

/// Whether the user named the store.
fn is_given(store: &StoreEntry) -> bool {
    split_generated(&store.name).is_none()
}

fn store_names<'m>(shape: &Shape<'m>) -> BTreeSet<&'m str> {
    shape.units.iter().flat_map(|unit| &unit.stores).map(|store| store.name.as_str()).collect()
}

struct Search<'s, 'm> {
    old: &'s Shape<'m>,
    new: &'s Shape<'m>,
    /// New unit to old unit.
    to_old: BTreeMap<usize, usize>,
    /// The old units of `to_old`.
    taken: BTreeSet<usize>,
}

/// One way to say that two units are alike.
type Signature = fn(&Likeness) -> u64;

/// In the order of trial.
const SIGNATURES: [Signature; 8] = [
    |like| mix(like.own, mix(like.stores.0, like.stores.1)),
    |like| mix(like.stores.0, like.stores.1),
    |like| mix(like.own, mix(like.resources.0, like.resources.1)),
    |like| mix(like.own, mix(like.full.0, like.full.1)),
    |like| mix(like.own, like.resources.0),
    |like| mix(like.own, like.resources.1),
    |like| mix(like.own, like.stores.0),
    |like| mix(like.own, like.stores.1),
];

impl<'s, 'm> Search<'s, 'm> {
    fn run(&mut self) {
        self.pair_by_name();
        for signature in SIGNATURES {
            self.pair_equal_groups(signature);
        }
        while self.align() {}
    }

    fn like_old(&self, at: usize) -> Option<&'s Likeness> {
        self.old.likeness.get(at)
    }

    fn like_new(&self, at: usize) -> Option<&'s Likeness> {
        self.new.likeness.get(at)
    }

    fn open_old(&self) -> impl Iterator<Item = (usize, &'s Unit<'m>)> {
        self.old.units.iter().enumerate().filter(|(at, _)| !self.taken.contains(at))
    }

    fn open_new(&self) -> impl Iterator<Item = (usize, &'s Unit<'m>)> {
        self.new.units.iter().enumerate().filter(|(at, _)| !self.to_old.contains_key(at))
    }

    fn pair(&mut self, new: usize, old: usize) {
        self.to_old.insert(new, old);
        self.taken.insert(old);
    }

    /// Names that the user gave, of nodes, topics, and of the stores of a node.
    fn pair_by_name(&mut self) {
        let named = |unit: &Unit<'m>| unit.is_named().then(|| unit.name().to_owned());
        let stores = |unit: &Unit<'m>| {
            let given = unit.stores.iter().filter(|store| split_generated(&store.name).is_none());
            let names: Vec<&str> = given.map(|store| store.name.as_str()).collect();
            (!names.is_empty()).then(|| format!("{} {}", unit.class, names.join(" ")))
        };
        self.pair_by_text(named);
        self.pair_by_text(stores);
    }

    fn pair_by_text(&mut self, text: impl Fn(&Unit<'m>) -> Option<String>) {
        let mut old: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        for (at, unit) in self.open_old() {
            if let Some(text) = text(unit) {
                old.entry(text).or_default().push(at);
            }
        }
        let new: Vec<(usize, String)> = self.open_new().filter_map(|(at, unit)| Some((at, text(unit)?))).collect();
        for (at, text) in new {
            if let Some([known]) = old.remove(&text).as_deref() {
                self.pair(at, *known);
            }
        }
    }

    /// Pairs, in order, the units that are alike by `signature`, where there are as many before as after.
    fn pair_equal_groups(&mut self, signature: Signature) {
        let mut groups: BTreeMap<(&str, bool, u64), [Vec<usize>; 2]> = BTreeMap::new();
        for (at, unit) in self.open_old() {
            let key = (unit.class.as_str(), unit.is_named(), self.like_old(at).map_or(0, signature));
            groups.entry(key).or_default()[0].push(at);
        }
        for (at, unit) in self.open_new() {
            let key = (unit.class.as_str(), unit.is_named(), self.like_new(at).map_or(0, signature));
            groups.entry(key).or_default()[1].push(at);
        }
        let equal = groups.into_values().filter(|[old, new]| old.len() == new.len());
        let pairs: Vec<(usize, usize)> = equal.flat_map(|[old, new]| self.nearest_pairs(old, new)).collect();
        for (old, new) in pairs {
            if self.may_be_one(old, new) {
                self.pair(new, old);
            }
        }
    }

    /// Pairs two lists of one length: in order, but for exchanges that bring likes together.
    fn nearest_pairs(&self, old: Vec<usize>, mut new: Vec<usize>) -> Vec<(usize, usize)> {
        // Each exchange lowers the sum of distances, so this ends; the bound is for topologies beyond reason.
        for _ in 0..old.len().min(100) {
            let mut exchanged = false;
            for i in 0..old.len() {
                for j in i + 1..old.len() {
                    let (Some(a), Some(b)) = (old.get(i), old.get(j)) else { continue };
                    let (Some(x), Some(y)) = (new.get(i), new.get(j)) else { continue };
                    let straight = self.distance(*a, *x).saturating_add(self.distance(*b, *y));
                    if self.distance(*a, *y).saturating_add(self.distance(*b, *x)) < straight {
                        new.swap(i, j);
                        exchanged = true;
                    }
                }
            }
            if !exchanged {
                break;
            }
        }
        old.into_iter().zip(new).collect()
    }

    fn distance(&self, old: usize, new: usize) -> u32 {
        let (Some(before), Some(after)) = (self.like_old(old), self.like_new(new)) else { return u32::MAX };
        before.above.distance(&after.above).saturating_add(before.below.distance(&after.below))
    }

    fn may_be_one(&self, old: usize, new: usize) -> bool {
        let (Some(before), Some(after)) = (self.like_old(old), self.like_new(new)) else { return false };
        let (above, below) = ((&before.above.topics, &after.above.topics), (&before.below.topics, &after.below.topics));
        let same_below = !below.0.is_empty() && below.0 == below.1;
        !above.0.is_disjoint(above.1) || same_below || (above.0.is_empty() && above.1.is_empty())
    }

    /// Pairs what is left of each class in order, so that likeness is greatest; whether anything was paired. What has
    /// been moved past others is left for the next call.
    fn align(&mut self) -> bool {
        let mut classes: BTreeMap<&str, [Vec<usize>; 2]> = BTreeMap::new();
        for (at, unit) in self.open_old() {
            classes.entry(&unit.class).or_default()[0].push(at);
        }
        for (at, unit) in self.open_new() {
            classes.entry(&unit.class).or_default()[1].push(at);
        }
        let mut progress = false;
        for (class, [old, new]) in classes {
            // What has no class was named by the user: another name is another thing.
            if class.is_empty() {
                continue;
            }
            for (old, new) in self.best_alignment(&old, &new) {
                self.pair(new, old);
                progress = true;
            }
        }
        progress
    }

    /// The pairs of an alignment in order of the highest sum of scores.
    fn best_alignment(&self, old: &[usize], new: &[usize]) -> Vec<(usize, usize)> {
        let width = new.len() + 1;
        let mut best = vec![0_u32; (old.len() + 1) * width];
        let score = |i: usize, j: usize| match (old.get(i), new.get(j)) {
            (Some(old), Some(new)) => self.score(*old, *new),
            _ => 0,
        };
        let at = |best: &[u32], i: usize, j: usize| best.get(i * width + j).copied().unwrap_or(0);
        for i in (0..old.len()).rev() {
            for j in (0..new.len()).rev() {
                let paired = match score(i, j) {
                    0 => 0,
                    score => score + at(&best, i + 1, j + 1),
                };
                let value = paired.max(at(&best, i + 1, j)).max(at(&best, i, j + 1));
                if let Some(slot) = best.get_mut(i * width + j) {
                    *slot = value;
                }
            }
        }
        let (mut i, mut j, mut pairs) = (0, 0, Vec::new());
        while let (Some(before), Some(after)) = (old.get(i), new.get(j)) {
            let score = score(i, j);
            if score > 0 && at(&best, i, j) == score + at(&best, i + 1, j + 1) {
                pairs.push((*before, *after));
                (i, j) = (i + 1, j + 1);
            } else if at(&best, i, j) == at(&best, i + 1, j) {
                i += 1;
            } else {
                j += 1;
            }
        }
        pairs
    }

    /// How much two units of one class are alike; 0 if they are not to be taken for one.
    fn score(&self, old: usize, new: usize) -> u32 {
        let (Some(before), Some(after)) = (self.like_old(old), self.like_new(new)) else { return 0 };
        if !self.may_be_one(old, new) {
            return 0;
        }
        let named = |shape: &Shape<'m>, at: usize| shape.units.get(at).map(Unit::is_named);
        let signs = [
            (before.own == after.own, 3),
            (named(self.old, old) == named(self.new, new), 3),
            (before.full.0 == after.full.0, 2),
            (before.full.1 == after.full.1, 2),
            (before.resources.0 == after.resources.0, 3),
            (before.resources.1 == after.resources.1, 3),
            (before.stores.0 == after.stores.0, 3),
            (before.stores.1 == after.stores.1, 3),
            (before.above.topics == after.above.topics, 2),
            (before.below.topics == after.below.topics, 2),
            (self.same_neighbours(old, new, |unit| &unit.parents), 4),
            (self.same_neighbours(old, new, |unit| &unit.children), 4),
        ];
        1 + signs.iter().filter(|(holds, _)| *holds).map(|(_, points)| points).sum::<u32>()
    }

    /// Whether the nearest paired units on one side are the same ones.
    fn same_neighbours(&self, old: usize, new: usize, next: for<'u> fn(&'u Unit<'m>) -> &'u Vec<usize>) -> bool {
        let nearest = |units: &[Unit<'m>], start: usize, paired: &dyn Fn(usize) -> Option<usize>| {
            let (mut open, mut seen, mut found) = (vec![start], BTreeSet::from([start]), BTreeSet::new());
            while let Some(unit) = open.pop().and_then(|at| units.get(at)) {
                for at in next(unit) {
                    match paired(*at) {
                        Some(pair) => drop(found.insert(pair)),
                        None if seen.insert(*at) => open.push(*at),
                        None => {}
                    }
                }
            }
            found
        };
        let before = nearest(&self.old.units, old, &|at| self.taken.contains(&at).then_some(at));
        let after = nearest(&self.new.units, new, &|at| self.to_old.get(&at).copied());
        !before.is_empty() && before == after
    }
}
