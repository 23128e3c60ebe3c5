//! The stores that a processor asks for, as types: what it names when it is declared is what its constructor gets.

use std::any::Any;
use std::rc::Rc;

use kafka_streams_core::Step;
use kafka_streams_state::StateStore;

use crate::{StoreIndex, StoreRef, Wiring};

/// One store reference, or a tuple of up to six, or `()`.
pub trait StoreRefs: Copy + Send + Sync + 'static {
    /// The stores of a task, in the same shape.
    type Stores;

    /// The indexes of the stores.
    fn indexes(&self) -> Vec<StoreIndex>;

    /// The task's instances.
    ///
    /// # Errors
    /// As [`Wiring::store`].
    fn resolve(&self, wiring: &Wiring<'_>) -> Step<Self::Stores>;
}

impl<S: StateStore + Any> StoreRefs for StoreRef<S> {
    type Stores = Rc<S>;

    fn indexes(&self) -> Vec<StoreIndex> {
        vec![self.index()]
    }

    fn resolve(&self, wiring: &Wiring<'_>) -> Step<Rc<S>> {
        wiring.store(*self)
    }
}

macro_rules! tuple {
    ($($store:ident $at:tt),*) => {
        impl<$($store: StateStore + Any),*> StoreRefs for ($(StoreRef<$store>,)*) {
            type Stores = ($(Rc<$store>,)*);

            fn indexes(&self) -> Vec<StoreIndex> {
                vec![$(self.$at.index()),*]
            }

            #[allow(clippy::unused_unit, unused_variables, reason = "the empty tuple")]
            fn resolve(&self, wiring: &Wiring<'_>) -> Step<Self::Stores> {
                Ok(($(wiring.store(self.$at)?,)*))
            }
        }
    };
}

tuple!();
tuple!(A 0);
tuple!(A 0, B 1);
tuple!(A 0, B 1, C 2);
tuple!(A 0, B 1, C 2, D 3);
tuple!(A 0, B 1, C 2, D 3, E 4);
tuple!(A 0, B 1, C 2, D 3, E 4, F 5);
