//! From the operations of a case to a topology: one module of `ops` for each group of operations.

use std::collections::{BTreeMap, BTreeSet};

use kafka_streams_core::TimestampExtractor;
use kafka_streams_dsl::{ConsumerRecord, Naming, StreamsBuilder};
use kafka_streams_topology::Topology;

use crate::config::Config;
use crate::fault::Fault;
use crate::node::{AnyStream, AnyTable, Node};
use crate::ops;
use crate::ops::stores::AnyStoreRef;
use crate::spec::{Case, Op};
use crate::value::{Key, Value};

/// A case in building.
pub struct Build {
    /// The builder of the DSL.
    pub builder: StreamsBuilder,
    /// The results by their ids.
    nodes: BTreeMap<String, Node>,
    /// The stores that were added for processors, by name.
    pub stores: BTreeMap<String, AnyStoreRef>,
    /// The names of stores of tables.
    pub table_stores: BTreeSet<String>,
    /// The names of the global stores, which processors read without being connected.
    pub global_stores: BTreeSet<String>,
}

/// The topology of a case.
///
/// # Errors
/// The case is refused, as the JVM's program may refuse it, too.
pub fn topology(case: &Case, config: &Config) -> Result<Topology, Fault> {
    if let Some(steps) = &case.processors {
        return ops::papi::topology(steps);
    }
    let builder = StreamsBuilder::with_naming(Naming::Jvm);
    let mut build = Build {
        builder: if config.explicit_names { builder.with_explicit_names() } else { builder },
        nodes: BTreeMap::new(),
        stores: BTreeMap::new(),
        table_stores: BTreeSet::new(),
        global_stores: BTreeSet::new(),
    };
    for op in &case.topology {
        build.add(op)?;
    }
    Ok(build.builder.build_optimized(&config.optimizations)?)
}

impl Build {
    fn add(&mut self, op: &Op) -> Result<(), Fault> {
        match op {
            Op::Stream { .. } | Op::Table(_) | Op::GlobalTable(_) | Op::AddGlobalStore { .. } => {
                ops::source::add(self, op)
            }
            Op::AddStateStore { store } => ops::stores::add(self, store),
            Op::Filter(_)
            | Op::FilterNot(_)
            | Op::MapValues(_)
            | Op::Map { .. }
            | Op::FlatMap(_)
            | Op::FlatMapValues(_)
            | Op::SelectKey(_)
            | Op::Peek { .. }
            | Op::Foreach { .. }
            | Op::Merge { .. }
            | Op::Split { .. }
            | Op::Repartition { .. }
            | Op::To { .. } => ops::stateless::add(self, op),
            Op::ToTable { .. } | Op::ToStream { .. } => ops::table::add(self, op),
            Op::GroupByKey { .. } | Op::GroupBy { .. } => ops::group::add(self, op),
            Op::Count(_) | Op::Reduce(_) | Op::Aggregate(_) => ops::aggregate::add(self, op),
            Op::WindowedBy { .. } | Op::Cogroup { .. } => ops::window::add(self, op),
            Op::Suppress(suppress) => ops::suppress::add(self, suppress),
            Op::JoinStream(_) | Op::JoinTable { .. } | Op::JoinGlobal { .. } | Op::JoinTables(_) | Op::FkJoin(_) => {
                ops::join::add(self, op)
            }
            Op::Process(process) => ops::process::process(self, process),
            Op::ProcessValues(process) => ops::process::process_values(self, process),
        }
    }

    /// Gives a result its id.
    pub fn put(&mut self, id: &str, node: Node) {
        self.nodes.insert(id.to_owned(), node);
    }

    /// The result of this id.
    ///
    /// # Errors
    /// There is none.
    pub fn node(&self, id: &str) -> Result<Node, Fault> {
        self.nodes.get(id).cloned().ok_or_else(|| Fault::BadCase(format!("unknown id {id}")))
    }

    /// The stream of this id.
    ///
    /// # Errors
    /// There is none.
    pub fn stream(&self, id: &str) -> Result<AnyStream, Fault> {
        match self.node(id)? {
            Node::Stream(stream) => Ok(stream),
            _ => Fault::bad_case(format!("{id} is no stream")),
        }
    }

    /// The table of this id.
    ///
    /// # Errors
    /// There is none.
    pub fn table(&self, id: &str) -> Result<AnyTable, Fault> {
        match self.node(id)? {
            Node::Table(table) => Ok(table),
            _ => Fault::bad_case(format!("{id} is no table")),
        }
    }
}

/// A timestamp extractor: one of Kafka Streams' own, or one of the language's.
pub enum Extractor {
    /// Kafka Streams' own.
    BuiltIn(TimestampExtractor),
    /// The language's.
    Custom(fn(&ConsumerRecord<'_, Key, Value>, i64) -> i64),
}

/// The timestamp extractor of this name.
///
/// # Errors
/// There is none.
pub fn timestamp_extractor(name: &str) -> Result<Extractor, Fault> {
    match name {
        "failOnInvalid" => Ok(Extractor::BuiltIn(TimestampExtractor::FailOnInvalidTimestamp)),
        "logAndSkip" => Ok(Extractor::BuiltIn(TimestampExtractor::LogAndSkipOnInvalidTimestamp)),
        "usePartitionTime" => Ok(Extractor::BuiltIn(TimestampExtractor::UsePartitionTimeOnInvalidTimestamp)),
        "fromValue" => Ok(Extractor::Custom(|record, _| match record.value {
            Some(Value::Long(time)) => *time,
            _ => record.timestamp,
        })),
        "fromValueLength" => {
            Ok(Extractor::Custom(|record, _| record.value.map_or_else(|| Value::Null.show(), Value::show).len() as i64))
        }
        _ => Fault::bad_case(format!("there is no timestamp extractor {name}")),
    }
}
