//! Topologies of the Processor API (section 10 of `SPEC.md`).

use std::collections::BTreeMap;
use std::sync::Arc;

use kafka_streams_topology::{SinkSpec, SourceSpec, TopicName, Topology, TopologyBuilder};

use crate::build::timestamp_extractor;
use crate::fault::Fault;
use crate::ops::processors::{Menu, MenuProcessor};
use crate::ops::stores::{AnyStore, AnyStoreBuilder};
use crate::spec::StoreKind;
use crate::spec::{PapiStep, Store};
use crate::value::{Key, KeySerde, ValueSerde};

/// The topology of these steps.
///
/// # Errors
/// See [`Fault`].
pub fn topology(steps: &[PapiStep]) -> Result<Topology, Fault> {
    let mut builder = TopologyBuilder::new();
    let kinds: BTreeMap<String, StoreKind> = steps.iter().flat_map(stores).map(|s| (s.name.clone(), s.kind)).collect();
    for step in steps {
        add(&mut builder, step, &kinds)?;
    }
    Ok(builder.build()?)
}

fn add(builder: &mut TopologyBuilder, step: &PapiStep, kinds: &BTreeMap<String, StoreKind>) -> Result<(), Fault> {
    match step {
        PapiStep::Source { name, topics, pattern, value, timestamp_extractor: extractor } => {
            if pattern.is_some() {
                return Fault::not_built("source of a pattern");
            }
            let topics = topics.iter().flatten().map(|topic| TopicName::external(topic.as_str()));
            let mut source = SourceSpec::new(topics, Arc::new(KeySerde), Arc::new(ValueSerde(*value)));
            source.timestamp_extractor = extractor.as_deref().map(timestamp_extractor).transpose()?;
            builder.add_source_with(name, source)?;
        }
        PapiStep::Processor { name, processor, parents, value, own_stores } => {
            let menu = Menu::of(processor, *value)?;
            let store = menu.store.clone().map(|store| (kinds.get(&store).copied(), store));
            let what = menu.what;
            builder.add_processor(
                name,
                move |stores| {
                    let store = match &store {
                        Some((Some(StoreKind::TimestampedKeyValue), name)) => {
                            Some(AnyStore::Timestamped(stores.named(name)?))
                        }
                        Some((Some(StoreKind::Window), name)) => Some(AnyStore::Window(stores.named(name)?)),
                        Some((_, name)) => Some(AnyStore::KeyValue(stores.named(name)?)),
                        None => None,
                    };
                    Ok(MenuProcessor::<Key>::new(what.clone(), store))
                },
                &names(parents),
            )?;
            for store in own_stores {
                AnyStoreBuilder::of(store)?.add_to_topology(builder, &[name])?;
            }
        }
        PapiStep::StateStore { store, processors } => {
            AnyStoreBuilder::of(store)?.add_to_topology(builder, &names(processors))?;
        }
        PapiStep::Connect { processor, stores } => {
            builder.connect_processor_and_state_stores(processor, &names(stores));
        }
        PapiStep::GlobalStore { .. } => return Fault::not_built("globalStore"),
        PapiStep::Sink { name, topic, topic_fn, parents, value } => {
            if topic_fn.is_some() {
                return Fault::not_built("sink with a topic function");
            }
            let topic = TopicName::external(topic.as_deref().unwrap_or_default());
            let sink = SinkSpec::new(topic, Arc::new(KeySerde), Arc::new(ValueSerde(*value)));
            builder.add_sink_with(name, sink, &names(parents))?;
        }
    }
    Ok(())
}

fn stores(step: &PapiStep) -> Vec<&Store> {
    match step {
        PapiStep::Processor { own_stores, .. } => own_stores.iter().collect(),
        PapiStep::StateStore { store, .. } | PapiStep::GlobalStore { store, .. } => vec![store],
        _ => Vec::new(),
    }
}

fn names(names: &[String]) -> Vec<&str> {
    names.iter().map(String::as_str).collect()
}
