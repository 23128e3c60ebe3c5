//! Processors that bring their stores, or that are connected to stores by name.

use kafka_streams_core::{Processor, Step};
use kafka_streams_topology::{ProcessorStores, ProcessorSupplier, StoreBuilders, StoreRefs, TopologyError};

use super::{Lowered, Lowering};

/// The user's processor, with the stores that its supplier brings.
pub(crate) fn process_supplied<S: ProcessorSupplier>(supplier: S) -> Lowering
where
    S::Stores: 'static,
{
    Box::new(move |site| {
        let stores = supplier.stores().add_to(site.draft)?;
        type In<P> = (<P as Processor>::KIn, <P as Processor>::VIn);
        type Out<P> = (<P as Processor>::KOut, <P as Processor>::VOut);
        let node = site.draft.add_processor::<In<S::Processor>, Out<S::Processor>>(
            site.name,
            site.parents,
            &stores.indexes(),
            move |wiring, id| {
                let processor = supplier.get(stores.resolve(wiring)?);
                wiring.install_processor(id, processor)
            },
        )?;
        Ok(Lowered::node(node))
    })
}

/// The user's processor, connected to the stores of these names.
pub(crate) fn process_with_stores<P: Processor>(
    stores: &[&str],
    make: impl Fn(&ProcessorStores<'_>) -> Step<P> + Send + Sync + 'static,
) -> Lowering {
    let stores: Vec<String> = stores.iter().map(|name| (*name).to_owned()).collect();
    Box::new(move |site| {
        let unknown = |store: &String| TopologyError::UnknownStore { store: store.clone(), by: site.name.into() };
        let indexes: Result<Vec<_>, _> =
            stores.iter().map(|name| site.draft.store(name).ok_or_else(|| unknown(name))).collect();
        let node = site.draft.add_processor::<(P::KIn, P::VIn), (P::KOut, P::VOut)>(
            site.name,
            site.parents,
            &indexes?,
            move |wiring, id| {
                let processor = make(&wiring.processor_stores())?;
                wiring.install_processor(id, processor)
            },
        )?;
        Ok(Lowered::node(node))
    })
}
