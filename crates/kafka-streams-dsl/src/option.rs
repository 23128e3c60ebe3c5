//! What can be said about an operator besides its function: serdes, names, stores.
//!
//! An option is made by `named`, by `with` (serdes) or by `default`, and refined by `with_…`. Those that name no serde
//! need types that have one ([`DefaultSerde`](kafka_streams_core::DefaultSerde)): a missing serde does not compile.

mod branched;
mod consumed;
mod grouped;
mod joined;
mod materialized;
mod printed;
mod produced;
mod repartitioned;
mod serdes;
mod stream_joined;
mod suppressed;
mod table_joined;
mod window_store_supplier;

pub use branched::Branched;
pub use consumed::Consumed;
pub(crate) use consumed::of_rows;
pub use grouped::Grouped;
pub use joined::Joined;
pub use materialized::Materialized;
pub use printed::Printed;
pub use produced::Produced;
pub use repartitioned::Repartitioned;
pub use stream_joined::StreamJoined;
pub use suppressed::{BufferConfig, EagerBufferConfig, StrictBufferConfig, Suppressed};
pub use table_joined::TableJoined;
pub use window_store_supplier::WindowStoreSupplier;
