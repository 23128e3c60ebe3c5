//! Tables derived by functions that may fail: the error goes to the processing exception handler, which skips the change or
//! stops.

use kafka_streams_core::Step;

use crate::{KTable, Materialized, prefix};

/// Operators whose functions return a [`Step`]: any error by `?`. A change that fails is not sent on. A table without a store
/// calls them again for the row before, and for every reader; those meet the error, too.
///
/// ```
/// # let inputs = kafka_streams_dsl::StreamsBuilder::new().table::<String, String>("inputs");
/// let numbers = inputs.try_map_values(|text| Ok(text.trim().parse::<i64>()?));
/// # let _: kafka_streams_dsl::KTable<String, i64> = numbers;
/// ```
impl<K: Clone + 'static, V: Clone + 'static> KTable<K, V> {
    /// [`filter`](KTable::filter) by a predicate that may fail.
    ///
    /// ```
    /// # let inputs = kafka_streams_dsl::StreamsBuilder::new().table::<String, String>("inputs");
    /// let positive = inputs.try_filter(|_, text| Ok(text.parse::<i64>()? > 0));
    /// ```
    #[track_caller]
    pub fn try_filter<F>(&self, predicate: F) -> KTable<K, V>
    where
        F: Fn(&K, &V) -> Step<bool> + Send + Sync + 'static,
    {
        self.do_try_filter(None, predicate, None)
    }

    /// [`try_filter`](KTable::try_filter) by a node of this name.
    #[track_caller]
    pub fn try_filter_named<F>(&self, name: impl Into<String>, predicate: F) -> KTable<K, V>
    where
        F: Fn(&K, &V) -> Step<bool> + Send + Sync + 'static,
    {
        self.do_try_filter(Some(name.into()), predicate, None)
    }

    /// [`try_filter`](KTable::try_filter), stored as `materialized` says if that names a store.
    ///
    /// ```
    /// # use kafka_streams_dsl::Materialized;
    /// # let inputs = kafka_streams_dsl::StreamsBuilder::new().table::<String, String>("inputs");
    /// let positive = inputs.try_filter_with(|_, text| Ok(text.parse::<i64>()? > 0), Materialized::named("positive"));
    /// ```
    #[track_caller]
    pub fn try_filter_with<F>(&self, predicate: F, materialized: Materialized<K, V>) -> KTable<K, V>
    where
        F: Fn(&K, &V) -> Step<bool> + Send + Sync + 'static,
    {
        self.do_try_filter(None, predicate, Some(materialized))
    }

    /// [`map_values`](KTable::map_values) by a function that may fail.
    ///
    /// ```
    /// # let inputs = kafka_streams_dsl::StreamsBuilder::new().table::<String, String>("inputs");
    /// let numbers = inputs.try_map_values(|text| Ok(text.parse::<i64>()?));
    /// ```
    #[track_caller]
    pub fn try_map_values<V2, F>(&self, f: F) -> KTable<K, V2>
    where
        V2: Clone + 'static,
        F: Fn(V) -> Step<V2> + Send + Sync + 'static,
    {
        self.do_try_map_values(None, prefix::TABLE_MAP_VALUES, move |_, value| f(value).map(Some), None)
    }

    /// [`try_map_values`](KTable::try_map_values) by a node of this name.
    #[track_caller]
    pub fn try_map_values_named<V2, F>(&self, name: impl Into<String>, f: F) -> KTable<K, V2>
    where
        V2: Clone + 'static,
        F: Fn(V) -> Step<V2> + Send + Sync + 'static,
    {
        self.do_try_map_values(Some(name.into()), prefix::TABLE_MAP_VALUES, move |_, value| f(value).map(Some), None)
    }

    /// [`try_map_values`](KTable::try_map_values) of key and value, stored as `materialized` says if that names a store.
    ///
    /// ```
    /// # use kafka_streams_dsl::Materialized;
    /// # let inputs = kafka_streams_dsl::StreamsBuilder::new().table::<String, String>("inputs");
    /// let stored = Materialized::named("numbers");
    /// let numbers = inputs.try_map_values_with(|_name, text| Ok(text.parse::<i64>()?), stored);
    /// ```
    #[track_caller]
    pub fn try_map_values_with<V2, F>(&self, f: F, materialized: Materialized<K, V2>) -> KTable<K, V2>
    where
        V2: Clone + 'static,
        F: Fn(&K, V) -> Step<V2> + Send + Sync + 'static,
    {
        let f = move |key: &K, value| f(key, value).map(Some);
        self.do_try_map_values(None, prefix::TABLE_MAP_VALUES, f, Some(materialized))
    }
    /// [`filter_map_values`](KTable::filter_map_values) by a function that may fail.
    ///
    /// ```
    /// # let inputs = kafka_streams_dsl::StreamsBuilder::new().table::<String, String>("inputs");
    /// let numbers = inputs.try_filter_map_values(|_name, text| match text.as_str() {
    ///     "" => Ok(None),
    ///     text => Ok(Some(text.parse::<i64>()?)),
    /// });
    /// ```
    #[track_caller]
    pub fn try_filter_map_values<V2, F>(&self, f: F) -> KTable<K, V2>
    where
        V2: Clone + 'static,
        F: Fn(&K, V) -> Step<Option<V2>> + Send + Sync + 'static,
    {
        self.do_try_map_values(None, prefix::TABLE_MAP_VALUES, f, None)
    }

    /// [`try_filter_map_values`](KTable::try_filter_map_values) by a node of this name.
    #[track_caller]
    pub fn try_filter_map_values_named<V2, F>(&self, name: impl Into<String>, f: F) -> KTable<K, V2>
    where
        V2: Clone + 'static,
        F: Fn(&K, V) -> Step<Option<V2>> + Send + Sync + 'static,
    {
        self.do_try_map_values(Some(name.into()), prefix::TABLE_MAP_VALUES, f, None)
    }

    /// [`try_filter_map_values`](KTable::try_filter_map_values), stored as `materialized` says if that names a store.
    #[track_caller]
    pub fn try_filter_map_values_with<V2, F>(&self, f: F, materialized: Materialized<K, V2>) -> KTable<K, V2>
    where
        V2: Clone + 'static,
        F: Fn(&K, V) -> Step<Option<V2>> + Send + Sync + 'static,
    {
        self.do_try_map_values(None, prefix::TABLE_MAP_VALUES, f, Some(materialized))
    }

    /// [`try_filter_map_values_with`](KTable::try_filter_map_values_with) by a node of this name.
    #[track_caller]
    pub fn try_filter_map_values_with_named<V2, F>(
        &self,
        name: impl Into<String>,
        f: F,
        materialized: Materialized<K, V2>,
    ) -> KTable<K, V2>
    where
        V2: Clone + 'static,
        F: Fn(&K, V) -> Step<Option<V2>> + Send + Sync + 'static,
    {
        self.do_try_map_values(Some(name.into()), prefix::TABLE_MAP_VALUES, f, Some(materialized))
    }
}
