//! Operators whose functions may fail: the error goes to the processing exception handler, which skips the record or stops.

use std::sync::Arc;

use kafka_streams_core::{Children, Record, SharedSerde, Step, TaskContext};

use crate::stream::{NEW_KEY, NEW_VALUE, SAME};
use crate::{KStream, lower, prefix};

/// Operators whose functions return a [`Step`]: any error by `?`. The failed record has no result.
///
/// ```
/// # let lines = kafka_streams_dsl::StreamsBuilder::new().stream::<String, String>("lines");
/// let numbers = lines.try_map_values(|line| Ok(line.trim().parse::<i64>()?));
/// # let _: kafka_streams_dsl::KStream<String, i64> = numbers;
/// ```
impl<K: Clone + 'static, V: Clone + 'static> KStream<K, V> {
    /// [`filter`](KStream::filter) by a predicate that may fail.
    ///
    /// ```
    /// # let lines = kafka_streams_dsl::StreamsBuilder::new().stream::<String, String>("lines");
    /// let positive = lines.try_filter(|_, line| Ok(line.parse::<i64>()? > 0));
    /// ```
    pub fn try_filter<F>(&self, predicate: F) -> KStream<K, V>
    where
        F: Fn(&K, &V) -> Step<bool> + Send + Sync + 'static,
    {
        self.do_try_filter(None, predicate)
    }

    /// [`try_filter`](KStream::try_filter) by a node of this name.
    pub fn try_filter_named<F>(&self, name: impl Into<String>, predicate: F) -> KStream<K, V>
    where
        F: Fn(&K, &V) -> Step<bool> + Send + Sync + 'static,
    {
        self.do_try_filter(Some(name.into()), predicate)
    }

    /// [`map`](KStream::map) by a function that may fail.
    ///
    /// ```
    /// # let lines = kafka_streams_dsl::StreamsBuilder::new().stream::<String, String>("lines");
    /// let by_number = lines.try_map(|key, line| Ok((line.parse::<i64>()?, key)));
    /// ```
    pub fn try_map<K2, V2, F>(&self, f: F) -> KStream<K2, V2>
    where
        K2: Clone + 'static,
        V2: Clone + 'static,
        F: Fn(K, V) -> Step<(K2, V2)> + Send + Sync + 'static,
    {
        self.do_try_map(None, f)
    }

    /// [`try_map`](KStream::try_map) by a node of this name.
    pub fn try_map_named<K2, V2, F>(&self, name: impl Into<String>, f: F) -> KStream<K2, V2>
    where
        K2: Clone + 'static,
        V2: Clone + 'static,
        F: Fn(K, V) -> Step<(K2, V2)> + Send + Sync + 'static,
    {
        self.do_try_map(Some(name.into()), f)
    }

    /// [`map_values`](KStream::map_values) by a function that may fail.
    ///
    /// ```
    /// # let lines = kafka_streams_dsl::StreamsBuilder::new().stream::<String, String>("lines");
    /// let numbers = lines.try_map_values(|line| Ok(line.parse::<i64>()?));
    /// ```
    pub fn try_map_values<V2, F>(&self, f: F) -> KStream<K, V2>
    where
        V2: Clone + 'static,
        F: Fn(V) -> Step<V2> + Send + Sync + 'static,
    {
        self.do_try_map_values(None, move |_, value| f(value))
    }

    /// [`try_map_values`](KStream::try_map_values) by a node of this name.
    pub fn try_map_values_named<V2, F>(&self, name: impl Into<String>, f: F) -> KStream<K, V2>
    where
        V2: Clone + 'static,
        F: Fn(V) -> Step<V2> + Send + Sync + 'static,
    {
        self.do_try_map_values(Some(name.into()), move |_, value| f(value))
    }

    /// [`map_values_with_key`](KStream::map_values_with_key) by a function that may fail.
    ///
    /// ```
    /// # let lines = kafka_streams_dsl::StreamsBuilder::new().stream::<String, String>("lines");
    /// let numbers = lines.try_map_values_with_key(|key, line| Ok((key.len(), line.parse::<i64>()?)));
    /// ```
    pub fn try_map_values_with_key<V2, F>(&self, f: F) -> KStream<K, V2>
    where
        V2: Clone + 'static,
        F: Fn(&K, V) -> Step<V2> + Send + Sync + 'static,
    {
        self.do_try_map_values(None, f)
    }

    /// [`try_map_values_with_key`](KStream::try_map_values_with_key) by a node of this name.
    pub fn try_map_values_with_key_named<V2, F>(&self, name: impl Into<String>, f: F) -> KStream<K, V2>
    where
        V2: Clone + 'static,
        F: Fn(&K, V) -> Step<V2> + Send + Sync + 'static,
    {
        self.do_try_map_values(Some(name.into()), f)
    }

    /// [`flat_map`](KStream::flat_map) by a function that may fail, with all results or with none.
    ///
    /// ```
    /// # let lines = kafka_streams_dsl::StreamsBuilder::new().stream::<String, String>("lines");
    /// let twice = lines.try_flat_map(|key, line| {
    ///     let number = line.parse::<i64>()?;
    ///     Ok([(key.clone(), number), (key, -number)])
    /// });
    /// ```
    pub fn try_flat_map<K2, V2, I, F>(&self, f: F) -> KStream<K2, V2>
    where
        K2: Clone + 'static,
        V2: Clone + 'static,
        I: IntoIterator<Item = (K2, V2)>,
        F: Fn(K, V) -> Step<I> + Send + Sync + 'static,
    {
        self.do_try_flat_map(None, f)
    }

    /// [`try_flat_map`](KStream::try_flat_map) by a node of this name.
    pub fn try_flat_map_named<K2, V2, I, F>(&self, name: impl Into<String>, f: F) -> KStream<K2, V2>
    where
        K2: Clone + 'static,
        V2: Clone + 'static,
        I: IntoIterator<Item = (K2, V2)>,
        F: Fn(K, V) -> Step<I> + Send + Sync + 'static,
    {
        self.do_try_flat_map(Some(name.into()), f)
    }

    /// [`flat_map_values`](KStream::flat_map_values) by a function that may fail, with all results or with none.
    ///
    /// ```
    /// # let lines = kafka_streams_dsl::StreamsBuilder::new().stream::<String, String>("lines");
    /// let numbers = lines.try_flat_map_values(|line| {
    ///     let numbers: Result<Vec<i64>, _> = line.split(' ').map(str::parse).collect();
    ///     Ok(numbers?)
    /// });
    /// ```
    pub fn try_flat_map_values<I, F>(&self, f: F) -> KStream<K, I::Item>
    where
        I: IntoIterator<Item: Clone + 'static>,
        F: Fn(V) -> Step<I> + Send + Sync + 'static,
    {
        self.do_try_flat_map_values(None, move |_, value| f(value))
    }

    /// [`try_flat_map_values`](KStream::try_flat_map_values) by a node of this name.
    pub fn try_flat_map_values_named<I, F>(&self, name: impl Into<String>, f: F) -> KStream<K, I::Item>
    where
        I: IntoIterator<Item: Clone + 'static>,
        F: Fn(V) -> Step<I> + Send + Sync + 'static,
    {
        self.do_try_flat_map_values(Some(name.into()), move |_, value| f(value))
    }

    /// [`flat_map_values_with_key`](KStream::flat_map_values_with_key) by a function that may fail, with all results or
    /// with none.
    pub fn try_flat_map_values_with_key<I, F>(&self, f: F) -> KStream<K, I::Item>
    where
        I: IntoIterator<Item: Clone + 'static>,
        F: Fn(&K, V) -> Step<I> + Send + Sync + 'static,
    {
        self.do_try_flat_map_values(None, f)
    }

    /// [`select_key`](KStream::select_key) by a function that may fail.
    ///
    /// ```
    /// # let lines = kafka_streams_dsl::StreamsBuilder::new().stream::<String, String>("lines");
    /// let by_number = lines.try_select_key(|_, line| Ok(line.parse::<i64>()?));
    /// ```
    pub fn try_select_key<K2, F>(&self, f: F) -> KStream<K2, V>
    where
        K2: Clone + 'static,
        F: Fn(&K, &V) -> Step<K2> + Send + Sync + 'static,
    {
        self.do_try_select_key(None, f)
    }

    /// [`try_select_key`](KStream::try_select_key) by a node of this name.
    pub fn try_select_key_named<K2, F>(&self, name: impl Into<String>, f: F) -> KStream<K2, V>
    where
        K2: Clone + 'static,
        F: Fn(&K, &V) -> Step<K2> + Send + Sync + 'static,
    {
        self.do_try_select_key(Some(name.into()), f)
    }

    /// [`peek`](KStream::peek) by a function that may fail; a record that it fails for goes no further.
    ///
    /// ```
    /// # let lines = kafka_streams_dsl::StreamsBuilder::new().stream::<String, String>("lines");
    /// let checked = lines.try_peek(|_, line| {
    ///     line.parse::<i64>()?;
    ///     Ok(())
    /// });
    /// ```
    pub fn try_peek<F>(&self, f: F) -> KStream<K, V>
    where
        F: Fn(&K, &V) -> Step + Send + Sync + 'static,
    {
        self.do_try_peek(None, f)
    }

    /// [`try_peek`](KStream::try_peek) by a node of this name.
    pub fn try_peek_named<F>(&self, name: impl Into<String>, f: F) -> KStream<K, V>
    where
        F: Fn(&K, &V) -> Step + Send + Sync + 'static,
    {
        self.do_try_peek(Some(name.into()), f)
    }

    /// [`for_each`](KStream::for_each) by a function that may fail.
    ///
    /// ```
    /// # let lines = kafka_streams_dsl::StreamsBuilder::new().stream::<String, String>("lines");
    /// lines.try_for_each(|_, line| {
    ///     line.parse::<i64>()?;
    ///     Ok(())
    /// });
    /// ```
    pub fn try_for_each<F>(&self, f: F)
    where
        F: Fn(K, V) -> Step + Send + Sync + 'static,
    {
        self.do_try_for_each(None, f);
    }

    /// [`try_for_each`](KStream::try_for_each) by a node of this name.
    pub fn try_for_each_named<F>(&self, name: impl Into<String>, f: F)
    where
        F: Fn(K, V) -> Step + Send + Sync + 'static,
    {
        self.do_try_for_each(Some(name.into()), f);
    }
}

impl<K: Clone + 'static, V: Clone + 'static> KStream<K, V> {
    fn do_try_filter<F>(&self, name: Option<String>, predicate: F) -> KStream<K, V>
    where
        F: Fn(&K, &V) -> Step<bool> + Send + Sync + 'static,
    {
        let predicate = Arc::new(predicate);
        let node = self.attach(name, prefix::FILTER, SAME, move |out: Children<K, V>| {
            let predicate = predicate.clone();
            move |cx: &mut TaskContext, record: Record<K, V>| match predicate(&record.key, &record.value)? {
                true => out.forward(cx, record),
                false => Ok(()),
            }
        });
        KStream { node, ..self.clone() }
    }

    fn do_try_map<K2, V2, F>(&self, name: Option<String>, f: F) -> KStream<K2, V2>
    where
        K2: Clone + 'static,
        V2: Clone + 'static,
        F: Fn(K, V) -> Step<(K2, V2)> + Send + Sync + 'static,
    {
        let f = Arc::new(f);
        let node = self.attach(name, prefix::MAP, NEW_KEY, move |out: Children<K2, V2>| {
            let f = f.clone();
            move |cx: &mut TaskContext, record: Record<K, V>| {
                let Record { key, value, timestamp, headers } = record;
                let (key, value) = f(key, value)?;
                out.forward(cx, Record { key, value, timestamp, headers })
            }
        });
        self.with_new_key(node, None)
    }

    fn do_try_map_values<V2, F>(&self, name: Option<String>, f: F) -> KStream<K, V2>
    where
        V2: Clone + 'static,
        F: Fn(&K, V) -> Step<V2> + Send + Sync + 'static,
    {
        let f = Arc::new(f);
        let node = self.attach(name, prefix::MAP_VALUES, NEW_VALUE, move |out: Children<K, V2>| {
            let f = f.clone();
            move |cx: &mut TaskContext, record: Record<K, V>| {
                let Record { key, value, timestamp, headers } = record;
                let value = f(&key, value)?;
                out.forward(cx, Record { key, value, timestamp, headers })
            }
        });
        self.with_new_value(node)
    }

    fn do_try_flat_map<K2, V2, I, F>(&self, name: Option<String>, f: F) -> KStream<K2, V2>
    where
        K2: Clone + 'static,
        V2: Clone + 'static,
        I: IntoIterator<Item = (K2, V2)>,
        F: Fn(K, V) -> Step<I> + Send + Sync + 'static,
    {
        let f = Arc::new(f);
        let node = self.attach(name, prefix::FLAT_MAP, NEW_KEY, move |out: Children<K2, V2>| {
            let f = f.clone();
            move |cx: &mut TaskContext, record: Record<K, V>| {
                let Record { key, value, timestamp, headers } = record;
                f(key, value)?.into_iter().try_for_each(|(key, value)| {
                    out.forward(cx, Record { key, value, timestamp, headers: headers.clone() })
                })
            }
        });
        self.with_new_key(node, None)
    }

    fn do_try_flat_map_values<I, F>(&self, name: Option<String>, f: F) -> KStream<K, I::Item>
    where
        I: IntoIterator<Item: Clone + 'static>,
        F: Fn(&K, V) -> Step<I> + Send + Sync + 'static,
    {
        let f = Arc::new(f);
        let node = self.attach(name, prefix::FLAT_MAP_VALUES, NEW_VALUE, move |out: Children<K, I::Item>| {
            let f = f.clone();
            move |cx: &mut TaskContext, record: Record<K, V>| {
                let Record { key, value, timestamp, headers } = record;
                f(&key, value)?.into_iter().try_for_each(|value| {
                    out.forward(cx, Record { key: key.clone(), value, timestamp, headers: headers.clone() })
                })
            }
        });
        self.with_new_value(node)
    }

    fn do_try_select_key<K2, F>(&self, name: Option<String>, f: F) -> KStream<K2, V>
    where
        K2: Clone + 'static,
        F: Fn(&K, &V) -> Step<K2> + Send + Sync + 'static,
    {
        let f = Arc::new(f);
        let node = self.attach(name, prefix::SELECT_KEY, NEW_KEY, move |out: Children<K2, V>| {
            let f = f.clone();
            move |cx: &mut TaskContext, record: Record<K, V>| {
                let key = f(&record.key, &record.value)?;
                out.forward(cx, record.with_key(key))
            }
        });
        let values: Option<SharedSerde<V>> = self.values.clone();
        self.with_new_key(node, values)
    }

    fn do_try_peek<F>(&self, name: Option<String>, f: F) -> KStream<K, V>
    where
        F: Fn(&K, &V) -> Step + Send + Sync + 'static,
    {
        let f = Arc::new(f);
        let node = self.attach(name, prefix::PEEK, SAME, move |out: Children<K, V>| {
            let f = f.clone();
            move |cx: &mut TaskContext, record: Record<K, V>| {
                f(&record.key, &record.value)?;
                out.forward(cx, record)
            }
        });
        KStream { node, ..self.clone() }
    }

    fn do_try_for_each<F>(&self, name: Option<String>, f: F)
    where
        F: Fn(K, V) -> Step + Send + Sync + 'static,
    {
        let f = Arc::new(f);
        let lowering = lower::terminal(move || {
            let f = f.clone();
            move |_: &mut TaskContext, record: Record<K, V>| -> Step { f(record.key, record.value) }
        });
        self.add_below(name, prefix::FOR_EACH, SAME, lowering);
    }
}
