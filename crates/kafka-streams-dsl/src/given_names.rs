//! The names that the user gave, and where: so that a name that is given twice is reported with both places.

use std::collections::BTreeMap;
use std::panic::Location;

/// Names of nodes, stores and repartition topics, each with the line that gave it.
#[derive(Debug, Default)]
pub(crate) struct GivenNames(BTreeMap<(&'static str, String), &'static Location<'static>>);

impl GivenNames {
    /// Notes that the caller has given a name to a thing of the kind `what`; the first and this place, if it has been
    /// given before.
    #[track_caller]
    pub(crate) fn give(
        &mut self,
        what: &'static str,
        name: &str,
    ) -> Option<(&'static Location<'static>, &'static Location<'static>)> {
        let here = Location::caller();
        match self.0.get(&(what, name.to_owned())) {
            Some(first) => Some((first, here)),
            None => {
                self.0.insert((what, name.to_owned()), here);
                None
            }
        }
    }
}
