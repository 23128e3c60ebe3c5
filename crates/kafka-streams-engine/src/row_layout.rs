//! How the rows of a store lie in its back-end, kept with its position, so that a store whose declaration has changed is
//! told from one that can be read (rule S6).

use kafka_streams_state::{StorePosition, StoreSpec};

/// Name of the extension of a store's position that holds the layout of its rows.
const ROW_LAYOUT: &str = "row-layout";

/// What a position of this store holds of its rows.
pub(crate) fn extension(spec: &StoreSpec) -> (String, Vec<u8>) {
    (ROW_LAYOUT.to_owned(), spec.row_layout().into_bytes())
}

/// How the rows at this position lie; `None` if that was not noted.
pub(crate) fn noted(position: &StorePosition) -> Option<String> {
    let noted = position.extensions.iter().find(|(name, _)| name == ROW_LAYOUT);
    noted.map(|(_, layout)| String::from_utf8_lossy(layout).into_owned())
}

/// Whether the rows at this position lie as the store is declared now.
pub(crate) fn fits(position: &StorePosition, spec: &StoreSpec) -> bool {
    position.extensions.contains(&extension(spec))
}
