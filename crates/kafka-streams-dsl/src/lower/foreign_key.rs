//! Writes joins of tables on a foreign key, in three parts, each of which ends where a topic is read or a table begins.

use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use kafka_streams_core::{Change, Partitions, SharedSerde, TimestampExtractor};
use kafka_streams_state::TimestampedKeyValueStoreBuilder;
use kafka_streams_topology::{HashedKeyPart, SinkSpec, SourceSpec, StreamPartitioner, TopicName};

use super::{Lowered, Lowering, TableStore, add_table_node};
use crate::node::foreign_key::PseudoTopics;
use crate::node::foreign_key::receive::{ForeignTableJoin, SubscriptionJoin, SubscriptionKeys, SubscriptionReceive};
use crate::node::foreign_key::resolve::{Resolving, ResponseResolve};
use crate::node::foreign_key::send::{Sending, SubscriptionSend};
use crate::node::foreign_key::subscription::{Response, ResponseSerde, Subscription, SubscriptionSerde};
use crate::node::table_source::TableSource;
use crate::nullable_serde::NullableSerde;
use crate::view::View;

/// Names, serdes and partitioners of a join.
pub(crate) struct ForeignKeyJoin<K, V, KO, VO> {
    pub(crate) names: Names,
    pub(crate) left: bool,
    pub(crate) topics: Arc<PseudoTopics>,
    pub(crate) keys: SharedSerde<K>,
    pub(crate) values: SharedSerde<V>,
    pub(crate) foreign_keys: SharedSerde<KO>,
    pub(crate) foreign_values: SharedSerde<VO>,
    pub(crate) key_hash: Option<HashedKeyPart>,
    pub(crate) foreign_key_hash: Option<HashedKeyPart>,
    pub(crate) partitioner: Option<Arc<dyn StreamPartitioner<K, ()>>>,
    pub(crate) other_partitioner: Option<Arc<dyn StreamPartitioner<KO, ()>>>,
}

/// The names of its nodes, topics and store.
pub(crate) struct Names {
    pub(crate) registration_topic: String,
    pub(crate) send: String,
    pub(crate) registration_sink: String,
    pub(crate) registration_source: String,
    pub(crate) store: String,
    pub(crate) receive: String,
    pub(crate) subscription_join: String,
    pub(crate) foreign_join: String,
    pub(crate) response_topic: String,
    pub(crate) response_sink: String,
    pub(crate) response_source: String,
    pub(crate) resolve: String,
    pub(crate) result: String,
}

/// Below the left table: subscriptions go out, and come in at the right side.
pub(crate) fn registration<K, V, KO, VO, F>(join: Arc<ForeignKeyJoin<K, V, KO, VO>>, extract: F) -> Lowering
where
    K: Clone + 'static,
    V: Clone + 'static,
    KO: Clone + 'static,
    VO: Clone + 'static,
    F: Fn(&K, &V) -> Option<KO> + Send + Sync + 'static,
{
    Box::new(move |site| {
        let names = &join.names;
        let sending = Arc::new(Sending {
            left: join.left,
            drops_out_of_order: site.parents_versioned.first().copied().unwrap_or(false),
            topics: join.topics.clone(),
            values: join.values.clone(),
            foreign_keys: join.foreign_keys.clone(),
            extract,
        });
        let send = site.draft.add_processor::<(K, Change<V>), (Option<KO>, Subscription<K>)>(
            &names.send,
            site.parents,
            &[],
            move |wiring, id| {
                sending.topics.tell(wiring.application_id());
                let of = sending.clone();
                let node = SubscriptionSend { of, name: wiring.name(id), out: wiring.children(id)? };
                wiring.install::<K, Change<V>>(id, Rc::new(node));
                Ok(())
            },
        )?;
        let topic = TopicName::internal(names.registration_topic.as_str());
        site.draft.add_repartition_topic(&names.registration_topic, None)?;
        let keys = NullableSerde::around(&join.foreign_keys);
        let serde = SubscriptionSerde { topics: join.topics.clone(), keys: join.keys.clone() };
        let values: SharedSerde<Subscription<K>> = Arc::new(serde);
        let sink = SinkSpec {
            topic: topic.clone(),
            keys: keys.clone(),
            values: values.clone(),
            partitioner: join.other_partitioner.clone().map(by_foreign_key),
            key_hash: join.foreign_key_hash,
        };
        site.draft.add_sink(&names.registration_sink, &[send], sink)?;
        let mut source = SourceSpec::new([topic], keys, values);
        source.timestamp_extractor = Some(TimestampExtractor::FailOnInvalidTimestamp);
        Ok(Lowered::source(site.draft.add_source(&names.registration_source, source)?))
    })
}

/// At the right side: subscriptions are kept and answered, and the answers come in at the left side. Its parents are the
/// source of the subscriptions and the right table.
pub(crate) fn responses<K, V, KO, VO>(join: Arc<ForeignKeyJoin<K, V, KO, VO>>, view: View<KO, VO>) -> Lowering
where
    K: Clone + 'static,
    V: Clone + 'static,
    KO: Clone + 'static,
    VO: Clone + 'static,
{
    Box::new(move |site| {
        let names = &join.names;
        let (registered, foreign) = site.parents.split_first().unzip();
        let (registered, foreign) = (registered.copied(), foreign.unwrap_or_default());
        let store = site.draft.add_store(subscription_store(&join))?;
        let (topics, keys, foreign_keys) = (join.topics.clone(), join.keys.clone(), join.foreign_keys.clone());
        let keys = Arc::new(SubscriptionKeys { topics, keys, foreign_keys });
        let of = keys.clone();
        let receive = site.draft.add_processor::<(Option<KO>, Subscription<K>), (Option<KO>, Subscription<K>)>(
            &names.receive,
            registered.as_slice(),
            &[store.index()],
            move |wiring, id| {
                of.topics.tell(wiring.application_id());
                let (of, name) = (of.clone(), wiring.name(id));
                let node = SubscriptionReceive { of, name, store: wiring.store(store)?, out: wiring.children(id)? };
                wiring.install::<Option<KO>, Subscription<K>>(id, Rc::new(node));
                Ok(())
            },
        )?;
        let stores = view.stores();
        let subscription_join = site.draft.add_processor::<(Option<KO>, Subscription<K>), (K, Response<VO>)>(
            &names.subscription_join,
            &[receive],
            &stores,
            move |wiring, id| {
                let node = SubscriptionJoin { rows: view.open(wiring)?, out: wiring.children::<K, Response<VO>>(id)? };
                wiring.install::<Option<KO>, Subscription<K>>(id, Rc::new(node));
                Ok(())
            },
        )?;
        let drops_out_of_order = site.parents_versioned.last().copied().unwrap_or(false);
        let foreign_join = site.draft.add_processor::<(KO, Change<VO>), (K, Response<VO>)>(
            &names.foreign_join,
            foreign,
            &[store.index()],
            move |wiring, id| {
                keys.topics.tell(wiring.application_id());
                let (of, name) = (keys.clone(), wiring.name(id));
                let (store, out) = (wiring.store(store)?, wiring.children::<K, Response<VO>>(id)?);
                let node = ForeignTableJoin { of, name, store, drops_out_of_order, out };
                wiring.install::<KO, Change<VO>>(id, Rc::new(node));
                Ok(())
            },
        )?;
        let topic = TopicName::internal(names.response_topic.as_str());
        site.draft.add_repartition_topic(&names.response_topic, None)?;
        let values: SharedSerde<Response<VO>> = Arc::new(ResponseSerde(join.foreign_values.clone()));
        let sink = SinkSpec {
            topic: topic.clone(),
            keys: join.keys.clone(),
            values: values.clone(),
            partitioner: Some(join.partitioner.clone().map_or_else(back, by_key)),
            key_hash: join.key_hash,
        };
        site.draft.add_sink(&names.response_sink, &[subscription_join, foreign_join], sink)?;
        let mut source = SourceSpec::new([topic], join.keys.clone(), values);
        source.timestamp_extractor = Some(TimestampExtractor::FailOnInvalidTimestamp);
        Ok(Lowered::source(site.draft.add_source(&names.response_source, source)?))
    })
}

/// At the left side again: answers become the table of results.
pub(crate) fn result<K, V, KO, VO, VR, F>(
    join: Arc<ForeignKeyJoin<K, V, KO, VO>>,
    view: View<K, V>,
    store: TableStore<TimestampedKeyValueStoreBuilder<K, VR>>,
    results: SharedSerde<VR>,
    f: F,
) -> Lowering
where
    K: Clone + 'static,
    V: Clone + 'static,
    KO: Clone + 'static,
    VO: Clone + 'static,
    VR: Clone + 'static,
    F: Fn(V, Option<VO>) -> Option<VR> + Send + Sync + 'static,
{
    Box::new(move |site| {
        let resolving =
            Arc::new(Resolving { left: join.left, topics: join.topics.clone(), values: join.values.clone(), f });
        let stores = view.stores();
        let resolve = site.draft.add_processor::<(K, Response<VO>), (K, Option<VR>)>(
            &join.names.resolve,
            site.parents,
            &stores,
            move |wiring, id| {
                resolving.topics.tell(wiring.application_id());
                let (of, name) = (resolving.clone(), wiring.name(id));
                let node = ResponseResolve { of, name, rows: view.open(wiring)?, out: wiring.children(id)? };
                wiring.install::<K, Response<VO>>(id, Rc::new(node));
                Ok(())
            },
        )?;
        let (name, keys) = (site.name, join.keys.clone());
        let (node, _) = add_table_node::<K, Option<VR>, _, _, _, _>(site, name, &[resolve], store, move |parts| {
            Ok(TableSource::<K, Option<VR>, VR>::new(&keys, &results, parts))
        })?;
        Ok(Lowered::node(node))
    })
}

/// Logged with the headers of the subscriptions, as on the JVM, and never cached.
fn subscription_store<K: Clone + 'static, V, KO, VO>(
    join: &ForeignKeyJoin<K, V, KO, VO>,
) -> TimestampedKeyValueStoreBuilder<Bytes, Subscription<K>> {
    let values = SubscriptionSerde { topics: join.topics.clone(), keys: join.keys.clone() };
    kafka_streams_state::TypedStoreBuilder::new(
        join.names.store.as_str(),
        kafka_streams_state::StoreKind::KeyValue,
        true,
        Arc::new(kafka_streams_core::serde::BytesSerde),
        Arc::new(values),
    )
    .with_record_headers_logged()
}

/// A response goes back to where the subscription came from.
fn back<K: 'static, VO: 'static>() -> Arc<dyn StreamPartitioner<K, Response<VO>>> {
    Arc::new(|_: &str, _: &K, response: &Response<VO>, _: i32| response.primary_partition)
}

fn by_key<K: 'static, VO: 'static>(
    partitioner: Arc<dyn StreamPartitioner<K, ()>>,
) -> Arc<dyn StreamPartitioner<K, Response<VO>>> {
    Arc::new(move |topic: &str, key: &K, _: &Response<VO>, partitions: i32| {
        partitioner.partitions(topic, key, &(), partitions)
    })
}

fn by_foreign_key<K: 'static, KO: 'static>(
    partitioner: Arc<dyn StreamPartitioner<KO, ()>>,
) -> Arc<dyn StreamPartitioner<Option<KO>, Subscription<K>>> {
    Arc::new(move |topic: &str, key: &Option<KO>, _: &Subscription<K>, partitions: i32| match key {
        Some(key) => partitioner.partitions(topic, key, &(), partitions),
        None => Partitions::ByKey,
    })
}
