//! Writes stream-stream joins: two window nodes, two join nodes and a merge; or, of a stream with itself, one of each.

use std::any::Any;
use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;

use kafka_streams_core::{Children, NodeId, Record, SharedSerde, TaskContext};
use kafka_streams_state::{ListValueStoreBuilder, WindowStore, WindowStoreBuilder};
use kafka_streams_topology::{StoreRef, TopologyError};

use super::{Lowered, Lowering, Site, StoreSlot};
use crate::node::stream_self_join::{SelfJoin, StreamSelfJoin};
use crate::node::stream_stream_join::{JoinClock, JoinWindow, StreamJoin, StreamStreamJoin};
use crate::node::waiting_record::{LeftOrRight, Side, WaitingKey};
use crate::{BuildError, JoinWindows};

/// Writes a join; told whether it is one of a stream with itself that is to use one store.
pub(crate) type StreamJoinLowering = Box<dyn FnOnce(&mut Site<'_>, bool) -> Result<Lowered, BuildError> + Send>;

/// Builds the store of records that wait for a partner.
pub(crate) type WaitingStoreBuilder<K, L, R> = ListValueStoreBuilder<WaitingKey<K>, LeftOrRight<L, R>>;

/// A join as it is to be written.
pub(crate) struct StreamJoinSpec<K: 'static, L: 'static, R: 'static, F> {
    pub(crate) windows: JoinWindows,
    pub(crate) keys: SharedSerde<K>,
    pub(crate) left: JoinSide<K, L>,
    pub(crate) right: JoinSide<K, R>,
    /// Of left and outer joins.
    pub(crate) waiting: Option<WaitingStoreBuilder<K, L, R>>,
    pub(crate) f: F,
}

/// One side of a join.
pub(crate) struct JoinSide<K, V> {
    /// The name of the node that keeps the records.
    pub(crate) windowed: String,
    /// The name of the node that joins them.
    pub(crate) join: String,
    /// Whether its records are sent on without a partner.
    pub(crate) outer: bool,
    pub(crate) values: SharedSerde<V>,
    pub(crate) store: StoreSlot<WindowStore<K, V>>,
}

/// The node that keeps the records of one side, with their store.
pub(crate) fn join_window<K: Clone + 'static, V: Clone + 'static>(
    keys: SharedSerde<K>,
    builder: WindowStoreBuilder<K, V>,
    slot: StoreSlot<WindowStore<K, V>>,
) -> Lowering {
    Box::new(move |site| {
        let store = site.draft.add_store(builder)?;
        let _ = slot.set(store);
        let node = site.draft.add_processor::<(K, V), (K, V)>(
            site.name,
            site.parents,
            &[store.index()],
            move |wiring, id| {
                let node = JoinWindow { keys: keys.clone(), store: wiring.store(store)?, out: wiring.children(id)? };
                wiring.install::<K, V>(id, Rc::new(node));
                Ok(())
            },
        )?;
        Ok(Lowered::node(node))
    })
}

/// The nodes that join.
pub(crate) fn stream_join<K, L, R, VO, F>(spec: StreamJoinSpec<K, L, R, F>) -> StreamJoinLowering
where
    K: Clone + 'static,
    L: Clone + 'static,
    R: Clone + 'static,
    VO: Clone + 'static,
    F: Fn(&K, Option<L>, Option<R>) -> Option<VO> + Send + Sync + 'static,
{
    Box::new(move |site, self_join| if self_join { one_store(site, spec) } else { two_stores(site, spec) })
}

fn two_stores<K, L, R, VO, F>(site: &mut Site<'_>, spec: StreamJoinSpec<K, L, R, F>) -> Result<Lowered, BuildError>
where
    K: Clone + 'static,
    L: Clone + 'static,
    R: Clone + 'static,
    VO: Clone + 'static,
    F: Fn(&K, Option<L>, Option<R>) -> Option<VO> + Send + Sync + 'static,
{
    let StreamJoinSpec { windows, keys, left, right, waiting, f } = spec;
    let f = Arc::new(f);
    let waiting = waiting.map(|builder| site.draft.add_store(builder)).transpose()?;
    let this = Arc::new(StreamJoin::<K, L, R, L, R, F> {
        side: Side::Left,
        windows,
        outer: left.outer,
        keys: keys.clone(),
        values: left.values.clone(),
        f: f.clone(),
        places: |left, right| (left, right),
        waits: LeftOrRight::Left,
    });
    let other = Arc::new(StreamJoin::<K, R, L, L, R, F> {
        side: Side::Right,
        windows,
        outer: right.outer,
        keys,
        values: right.values.clone(),
        f,
        places: |right, left| (left, right),
        waits: LeftOrRight::Right,
    });
    let parents = [join_node(site, &left, &right, this, waiting)?, join_node(site, &right, &left, other, waiting)?];
    let merge = site.draft.add_processor::<(K, VO), (K, VO)>(site.name, &parents, &[], |wiring, id| {
        let out: Children<K, VO> = wiring.children(id)?;
        let node = move |cx: &mut TaskContext, record: Record<K, VO>| out.forward(cx, record);
        wiring.install::<K, VO>(id, Rc::new(node));
        Ok(())
    })?;
    Ok(Lowered::node(merge))
}

type Waiting<K, L, R> = Option<StoreRef<crate::node::stream_stream_join::WaitingStore<K, L, R>>>;

fn join_node<K, V, V2, L, R, VO, F>(
    site: &mut Site<'_>,
    this: &JoinSide<K, V>,
    other: &JoinSide<K, V2>,
    join: Arc<StreamJoin<K, V, V2, L, R, F>>,
    waiting: Waiting<K, L, R>,
) -> Result<NodeId, TopologyError>
where
    K: Clone + 'static,
    V: Clone + 'static,
    V2: Clone + 'static,
    L: Clone + 'static,
    R: Clone + 'static,
    VO: Clone + 'static,
    F: Fn(&K, Option<L>, Option<R>) -> Option<VO> + Send + Sync + 'static,
{
    let (name, parents) = (&this.join, windowed(site, this));
    let store = written(&other.store, name)?;
    let stores: Vec<_> = std::iter::once(store.index()).chain(waiting.iter().map(|waiting| waiting.index())).collect();
    let operator: Arc<str> = site.name.into();
    site.draft.add_processor::<(K, V), (K, VO)>(name, &parents, &stores, move |wiring, id| {
        let node = StreamStreamJoin {
            of: join.clone(),
            name: wiring.name(id),
            out: wiring.children(id)?,
            other: wiring.store(store)?,
            waiting: waiting.map(|waiting| wiring.store(waiting)).transpose()?,
            clock: wiring.shared::<JoinClock>(&operator)?,
        };
        wiring.install::<K, V>(id, Rc::new(node));
        Ok(())
    })
}

/// The join of a stream with itself, whose records are kept once (`single.store.self.join` of the JVM).
fn one_store<K, L, R, VO, F>(site: &mut Site<'_>, spec: StreamJoinSpec<K, L, R, F>) -> Result<Lowered, BuildError>
where
    K: Clone + 'static,
    L: Clone + 'static,
    R: Clone + 'static,
    VO: Clone + 'static,
    F: Fn(&K, Option<L>, Option<R>) -> Option<VO> + Send + Sync + 'static,
{
    let StreamJoinSpec { windows, keys, left, f, .. } = spec;
    let store = written(&left.store, site.name)?;
    let parents = windowed(site, &left);
    let join = SelfJoin { windows, keys, values: left.values, f: Arc::new(f), as_other: same_type::<L, R> };
    let join = Arc::new(join);
    let node =
        site.draft.add_processor::<(K, L), (K, VO)>(site.name, &parents, &[store.index()], move |wiring, id| {
            let node = StreamSelfJoin {
                of: join.clone(),
                name: wiring.name(id),
                out: wiring.children(id)?,
                store: wiring.store(store)?,
                stream_time: Cell::new(-1),
            };
            wiring.install::<K, L>(id, Rc::new(node));
            Ok(())
        })?;
    Ok(Lowered::node(node))
}

/// The node that keeps the records of a side; it is written before the join.
fn windowed<K, V>(site: &Site<'_>, side: &JoinSide<K, V>) -> Vec<NodeId> {
    site.draft.node(&side.windowed).into_iter().collect()
}

fn written<S>(slot: &StoreSlot<S>, by: &str) -> Result<StoreRef<S>, TopologyError> {
    let missing = || TopologyError::UnknownStore { store: "of a join".to_owned(), by: by.into() };
    slot.get().copied().ok_or_else(missing)
}

/// The value as what it is: one node sends its records to both sides of such a join, so the types are the same. The
/// compiler knows for each pair of types what this comes to.
fn same_type<A: 'static, B: 'static>(value: A) -> Option<B> {
    let mut value = Some(value);
    (&mut value as &mut dyn Any).downcast_mut::<Option<B>>().and_then(Option::take)
}
