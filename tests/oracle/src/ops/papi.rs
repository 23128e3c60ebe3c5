//! Topologies of the Processor API (section 10 of `SPEC.md`).

use std::collections::BTreeMap;
use std::sync::Arc;

use kafka_streams_topology::{
    DynamicSinkSpec, SinkSpec, SourceSpec, TopicName, TopicPattern, TopicStore, Topology, TopologyBuilder,
};

use crate::build::{Extractor, timestamp_extractor};
use crate::fault::Fault;
use crate::ops::processors::{Menu, MenuProcessor, What};
use crate::ops::stores::{AnyStore, AnyStoreBuilder};
use crate::ops::topic::ChosenTopic;
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
            let topics = topics.iter().flatten().map(|topic| TopicName::external(topic.as_str()));
            let mut source = SourceSpec::new(topics, Arc::new(KeySerde), Arc::new(ValueSerde(*value)));
            source.pattern = pattern.as_deref().map(TopicPattern::new).transpose()?;
            match extractor.as_deref().map(timestamp_extractor).transpose()? {
                Some(Extractor::BuiltIn(extractor)) => source.timestamp_extractor = Some(extractor),
                Some(Extractor::Custom(extract)) => source.extract = Some(Arc::new(extract)),
                None => {}
            }
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
        PapiStep::GlobalStore { store, source, topic, name, value } => {
            let nodes = TopicStore { source, topic, processor: name };
            let put = |store: AnyStore| MenuProcessor::<Key>::new(What::KeepGlobal, Some(store));
            let values = ValueSerde(*value);
            match AnyStoreBuilder::of(store)? {
                AnyStoreBuilder::KeyValue(store) => {
                    builder.add_global_store(store, nodes, KeySerde, values, move |s| put(AnyStore::KeyValue(s)))?;
                }
                AnyStoreBuilder::Timestamped(store) => {
                    builder.add_global_store(store, nodes, KeySerde, values, move |s| put(AnyStore::Timestamped(s)))?;
                }
                AnyStoreBuilder::Versioned(store) => {
                    builder.add_global_store(store, nodes, KeySerde, values, move |s| put(AnyStore::Versioned(s)))?;
                }
                AnyStoreBuilder::Window(store) => {
                    builder.add_global_store(store, nodes, KeySerde, values, move |s| put(AnyStore::Window(s)))?;
                }
            }
        }
        PapiStep::Sink { name, topic, topic_fn, parents, value } => {
            if let Some(function) = topic_fn {
                let (keys, values) = (Arc::new(KeySerde), Arc::new(ValueSerde(*value)));
                let sink = DynamicSinkSpec::new(ChosenTopic::of(function)?, keys, values);
                builder.add_dynamic_sink_with(name, sink, &names(parents))?;
                return Ok(());
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
