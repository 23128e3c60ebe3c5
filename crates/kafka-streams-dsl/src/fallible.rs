//! Functions that can fail: what on the JVM is an exception thrown by a mapper is a `Result` here.

use std::sync::Arc;

use kafka_streams_core::{Children, Failure, Record, TaskContext};

use crate::stream::{NEW_KEY, NEW_VALUE};
use crate::{KStream, prefix};

impl<K: Clone + 'static, V: Clone + 'static> KStream<K, V> {
    /// [`map_values`](KStream::map_values) by a function that can fail. What becomes of a record for which it does is
    /// decided by the processing exception handler, as for an exception of a mapper on the JVM.
    ///
    /// ```
    /// # let lines = kafka_streams_dsl::StreamsBuilder::new().stream::<String, String>("lines");
    /// let numbers = lines.try_map_values(|line| line.parse::<i64>());
    /// # let _: kafka_streams_dsl::KStream<String, i64> = numbers;
    /// ```
    pub fn try_map_values<V2, E, F>(&self, f: F) -> KStream<K, V2>
    where
        V2: Clone + 'static,
        E: Into<Failure>,
        F: Fn(V) -> Result<V2, E> + Send + Sync + 'static,
    {
        self.do_try_map_values(None, move |_, value| f(value))
    }

    /// [`try_map_values`](KStream::try_map_values) by a node of this name.
    pub fn try_map_values_named<V2, E, F>(&self, name: impl Into<String>, f: F) -> KStream<K, V2>
    where
        V2: Clone + 'static,
        E: Into<Failure>,
        F: Fn(V) -> Result<V2, E> + Send + Sync + 'static,
    {
        self.do_try_map_values(Some(name.into()), move |_, value| f(value))
    }

    /// [`try_map_values`](KStream::try_map_values) by a function that sees the key.
    ///
    /// ```
    /// # let lines = kafka_streams_dsl::StreamsBuilder::new().stream::<String, String>("lines");
    /// let numbers = lines.try_map_values_with_key(|_file, line| line.parse::<i64>());
    /// # let _: kafka_streams_dsl::KStream<String, i64> = numbers;
    /// ```
    pub fn try_map_values_with_key<V2, E, F>(&self, f: F) -> KStream<K, V2>
    where
        V2: Clone + 'static,
        E: Into<Failure>,
        F: Fn(&K, V) -> Result<V2, E> + Send + Sync + 'static,
    {
        self.do_try_map_values(None, f)
    }

    /// [`try_map_values_with_key`](KStream::try_map_values_with_key) by a node of this name.
    pub fn try_map_values_with_key_named<V2, E, F>(&self, name: impl Into<String>, f: F) -> KStream<K, V2>
    where
        V2: Clone + 'static,
        E: Into<Failure>,
        F: Fn(&K, V) -> Result<V2, E> + Send + Sync + 'static,
    {
        self.do_try_map_values(Some(name.into()), f)
    }

    /// [`map`](KStream::map) by a function that can fail; see [`try_map_values`](KStream::try_map_values).
    ///
    /// ```
    /// # use std::num::ParseIntError;
    /// # let lines = kafka_streams_dsl::StreamsBuilder::new().stream::<String, String>("lines");
    /// let by_number = lines.try_map(|file, line| Ok::<_, ParseIntError>((line.parse::<i64>()?, file)));
    /// # let _: kafka_streams_dsl::KStream<i64, String> = by_number;
    /// ```
    pub fn try_map<K2, V2, E, F>(&self, f: F) -> KStream<K2, V2>
    where
        K2: Clone + 'static,
        V2: Clone + 'static,
        E: Into<Failure>,
        F: Fn(K, V) -> Result<(K2, V2), E> + Send + Sync + 'static,
    {
        self.do_try_map(None, f)
    }

    /// [`try_map`](KStream::try_map) by a node of this name.
    pub fn try_map_named<K2, V2, E, F>(&self, name: impl Into<String>, f: F) -> KStream<K2, V2>
    where
        K2: Clone + 'static,
        V2: Clone + 'static,
        E: Into<Failure>,
        F: Fn(K, V) -> Result<(K2, V2), E> + Send + Sync + 'static,
    {
        self.do_try_map(Some(name.into()), f)
    }

    fn do_try_map_values<V2, E, F>(&self, name: Option<String>, f: F) -> KStream<K, V2>
    where
        V2: Clone + 'static,
        E: Into<Failure>,
        F: Fn(&K, V) -> Result<V2, E> + Send + Sync + 'static,
    {
        let f = Arc::new(f);
        let node = self.attach(name, prefix::MAP_VALUES, NEW_VALUE, move |out: Children<K, V2>| {
            let f = f.clone();
            move |cx: &mut TaskContext, record: Record<K, V>| {
                let Record { key, value, timestamp, headers } = record;
                let value = f(&key, value).map_err(Into::into)?;
                out.forward(cx, Record { key, value, timestamp, headers })
            }
        });
        self.with_new_value(node)
    }

    fn do_try_map<K2, V2, E, F>(&self, name: Option<String>, f: F) -> KStream<K2, V2>
    where
        K2: Clone + 'static,
        V2: Clone + 'static,
        E: Into<Failure>,
        F: Fn(K, V) -> Result<(K2, V2), E> + Send + Sync + 'static,
    {
        let f = Arc::new(f);
        let node = self.attach(name, prefix::MAP, NEW_KEY, move |out: Children<K2, V2>| {
            let f = f.clone();
            move |cx: &mut TaskContext, record: Record<K, V>| {
                let Record { key, value, timestamp, headers } = record;
                let (key, value) = f(key, value).map_err(Into::into)?;
                out.forward(cx, Record { key, value, timestamp, headers })
            }
        });
        self.with_new_key(node, None)
    }
}
