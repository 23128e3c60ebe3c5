//! A stream written to topics that are chosen for each record.

use std::sync::Arc;

use kafka_streams_core::DefaultSerde;
use kafka_streams_topology::{DynamicSinkSpec, TopicNameExtractor};

use crate::graph::Body;
use crate::option::Produced;
use crate::stream::SAME;
use crate::{KStream, lower, prefix};

impl<K: Clone + 'static, V: Clone + 'static> KStream<K, V> {
    /// Writes each record to the topic that `extractor` chooses, with the serdes that the stream came with, else those of
    /// its types. The topics must exist: none is created.
    ///
    /// ```
    /// use kafka_streams_core::RecordContext;
    /// # let orders = kafka_streams_dsl::StreamsBuilder::new().stream::<String, i64>("orders");
    /// orders.to_dynamic(|_customer: &String, amount: &i64, _from: &RecordContext| {
    ///     if *amount < 0 { "refunds" } else { "sales" }
    /// });
    /// ```
    #[track_caller]
    pub fn to_dynamic(&self, extractor: impl TopicNameExtractor<K, V> + 'static)
    where
        K: DefaultSerde,
        V: DefaultSerde,
    {
        self.to_dynamic_with(extractor, Produced::default());
    }

    /// [`to_dynamic`](KStream::to_dynamic), as `produced` says.
    ///
    /// ```
    /// # use kafka_streams_core::RecordContext;
    /// # use kafka_streams_dsl::Produced;
    /// # let orders = kafka_streams_dsl::StreamsBuilder::new().stream::<String, i64>("orders");
    /// let by_source = |_: &String, _: &i64, from: &RecordContext| format!("copy-of-{}", from.topic.as_deref().unwrap_or("none"));
    /// orders.to_dynamic_with(by_source, Produced::named("copies"));
    /// ```
    #[track_caller]
    pub fn to_dynamic_with(&self, extractor: impl TopicNameExtractor<K, V> + 'static, produced: Produced<K, V>) {
        let Produced { name, keys, values, partitioner, key_hash } = produced;
        let keys = keys.or_inherited(self.keys.as_ref());
        let values = values.or_inherited(self.values.as_ref());
        let key_hash = key_hash.or(self.key_hash);
        let spec = DynamicSinkSpec { extractor: Arc::new(extractor), keys, values, partitioner, key_hash };
        let mut graph = self.graph.lock();
        let name = graph.node_name(name, prefix::SINK);
        graph.add(&[self.node], name, SAME, Body::Node(lower::dynamic_sink(spec)));
    }
}
