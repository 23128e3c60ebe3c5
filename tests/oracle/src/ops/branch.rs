//! `split`: each record goes to the first branch that takes it.

use std::sync::{Arc, Mutex, PoisonError};

use kafka_streams_dsl::{Branched, KStream};

use crate::build::Build;
use crate::each_stream;
use crate::fault::Fault;
use crate::menu;
use crate::node::{AnyKey, Node, Stream};
use crate::spec::{Branch, DefaultBranch};
use crate::value::Value;

/// Adds a split and its branches.
///
/// # Errors
/// See [`Fault`].
pub fn split(
    build: &mut Build,
    of: &str,
    branches: &[Branch],
    default: Option<&DefaultBranch>,
    name: Option<&str>,
) -> Result<(), Fault> {
    let nodes = each_stream!(build.stream(of)?, stream => split_stream(&stream, branches, default, name)?);
    nodes.into_iter().for_each(|(id, node)| build.put(&id, node));
    Ok(())
}

/// The branches by their ids.
type Taken<K> = Vec<(String, KStream<K, Value>)>;

fn split_stream<K: AnyKey>(
    stream: &Stream<K>,
    branches: &[Branch],
    default: Option<&DefaultBranch>,
    name: Option<&str>,
) -> Result<Vec<(String, Node)>, Fault> {
    let taken: Arc<Mutex<Taken<K>>> = Arc::default();
    let take = |id: &str, name: &Option<String>| {
        let (taken, id) = (taken.clone(), id.to_owned());
        let branched = Branched::with_consumer(move |branch| {
            taken.lock().unwrap_or_else(PoisonError::into_inner).push((id, branch));
        });
        match name {
            Some(name) => branched.with_name(name),
            None => branched,
        }
    };
    let mut split = match name {
        Some(name) => stream.stream.split_named(name),
        None => stream.stream.split(),
    };
    for branch in branches {
        let predicate = menu::predicate(&branch.r#fn, stream.values)?;
        split = split.branch_with(move |key: &K, value: &Value| predicate(key, value), take(&branch.id, &branch.name));
    }
    match default {
        Some(default) => split.default_branch_with(take(&default.id, &default.name)),
        None => split.no_default_branch(),
    };
    let taken = std::mem::take(&mut *taken.lock().unwrap_or_else(PoisonError::into_inner));
    let node =
        |(id, branch)| (id, K::stream(Stream { stream: branch, keys: stream.keys.clone(), values: stream.values }));
    Ok(taken.into_iter().map(node).collect())
}
