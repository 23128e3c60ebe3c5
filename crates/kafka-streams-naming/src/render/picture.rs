//! What is to be drawn: shapes with labels, and arrows between them.

use std::collections::BTreeMap;

use crate::{Manifest, TopicRef};

/// Shapes in sub-topologies, and arrows by the shapes' indexes.
#[derive(Debug, Default)]
pub(super) struct Picture {
    pub(super) shapes: Vec<Shape>,
    /// The arrows along which records go.
    pub(super) arrows: Vec<(usize, usize)>,
    /// Lines between nodes and the stores that they use.
    pub(super) uses: Vec<(usize, usize)>,
    /// The ids of the sub-topologies, in order.
    pub(super) parts: Vec<i32>,
}

#[derive(Debug)]
pub(super) struct Shape {
    pub(super) kind: Kind,
    pub(super) label: String,
    /// The sub-topology in, above or below whose box it is drawn, by its index in [`Picture::parts`].
    pub(super) part: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A topic that is read.
    Input,
    /// A topic that is written.
    Output,
    /// A topic of the application's own.
    Internal,
    Source,
    Processor,
    Sink,
    Store,
}

impl Kind {
    /// Whether it is drawn inside the box of its sub-topology.
    pub(super) fn is_inside(self) -> bool {
        matches!(self, Kind::Source | Kind::Processor | Kind::Sink | Kind::Store)
    }
}

impl Picture {
    pub(super) fn of(manifest: &Manifest) -> Self {
        let mut drawing = Drawing::of(manifest);
        drawing.sinks(manifest);
        drawing.sources(manifest);
        drawing.processors(manifest);
        drawing.picture
    }
}

struct Drawing<'m> {
    picture: Picture,
    part_of: BTreeMap<&'m str, usize>,
    /// Indexes of the nodes' shapes by name.
    nodes: BTreeMap<&'m str, usize>,
    /// Indexes of the internal topics' shapes.
    topics: BTreeMap<&'m TopicRef, usize>,
    stores: BTreeMap<&'m str, usize>,
}

impl<'m> Drawing<'m> {
    fn of(manifest: &'m Manifest) -> Self {
        let parts = manifest.subtopologies.iter().enumerate();
        let part_of: BTreeMap<&str, usize> =
            parts.flat_map(|(at, part)| part.nodes.iter().map(move |node| (node.as_str(), at))).collect();
        let picture =
            Picture { parts: manifest.subtopologies.iter().map(|part| part.id).collect(), ..Picture::default() };
        let mut drawing =
            Drawing { picture, part_of, nodes: BTreeMap::new(), topics: BTreeMap::new(), stores: BTreeMap::new() };
        for source in &manifest.sources {
            drawing.node(&source.name, Kind::Source);
        }
        for processor in &manifest.processors {
            drawing.node(&processor.name, Kind::Processor);
        }
        for sink in &manifest.sinks {
            drawing.node(&sink.name, Kind::Sink);
        }
        drawing
    }

    fn node(&mut self, name: &'m str, kind: Kind) {
        let part = self.part_of.get(name).copied().unwrap_or_default();
        let at = self.add(kind, name.to_owned(), part);
        self.nodes.insert(name, at);
    }

    fn add(&mut self, kind: Kind, label: String, part: usize) -> usize {
        self.picture.shapes.push(Shape { kind, label, part });
        self.picture.shapes.len() - 1
    }

    /// An internal topic is drawn once, where it is written.
    fn internal(&mut self, topic: &'m TopicRef, part: usize) -> usize {
        if let Some(known) = self.topics.get(topic) {
            return *known;
        }
        let at = self.add(Kind::Internal, topic.name.clone(), part);
        self.topics.insert(topic, at);
        at
    }

    fn sinks(&mut self, manifest: &'m Manifest) {
        for sink in &manifest.sinks {
            let Some(node) = self.nodes.get(sink.name.as_str()).copied() else { continue };
            let part = self.part_of.get(sink.name.as_str()).copied().unwrap_or_default();
            let topic = match &sink.topic {
                Some(topic) if topic.internal => self.internal(topic, part),
                Some(topic) => self.add(Kind::Output, topic.name.clone(), part),
                None => self.add(Kind::Output, "a topic for each record".to_owned(), part),
            };
            self.picture.arrows.push((node, topic));
            self.parents(node, &sink.parents);
        }
    }

    fn sources(&mut self, manifest: &'m Manifest) {
        for source in &manifest.sources {
            let Some(node) = self.nodes.get(source.name.as_str()).copied() else { continue };
            let part = self.part_of.get(source.name.as_str()).copied().unwrap_or_default();
            for topic in &source.topics {
                let topic = match topic.internal {
                    true => self.internal(topic, part),
                    false => self.add(Kind::Input, topic.name.clone(), part),
                };
                self.picture.arrows.push((topic, node));
            }
            if let Some(pattern) = &source.pattern {
                let topic = self.add(Kind::Input, format!("/{pattern}/"), part);
                self.picture.arrows.push((topic, node));
            }
        }
    }

    fn processors(&mut self, manifest: &'m Manifest) {
        for processor in &manifest.processors {
            let Some(node) = self.nodes.get(processor.name.as_str()).copied() else { continue };
            let part = self.part_of.get(processor.name.as_str()).copied().unwrap_or_default();
            self.parents(node, &processor.parents);
            for store in &processor.stores {
                let at = match self.stores.get(store.as_str()) {
                    Some(known) => *known,
                    None => {
                        let at = self.add(Kind::Store, store.clone(), part);
                        self.stores.insert(store, at);
                        at
                    }
                };
                self.picture.uses.push((node, at));
            }
        }
    }

    fn parents(&mut self, node: usize, parents: &[String]) {
        let parents = parents.iter().filter_map(|parent| self.nodes.get(parent.as_str()).copied());
        self.picture.arrows.extend(parents.map(|parent| (parent, node)));
    }
}
