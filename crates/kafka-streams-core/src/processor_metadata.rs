//! Values that processors keep in the metadata of the task's committed offsets, so that they survive without a store.

use std::collections::BTreeMap;

/// Values of a task's processors by their keys (`ProcessorMetadata` of the JVM): the last window that was emitted on
/// close, for one. They are committed with the task's input offsets, and are as old as those after an abort.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProcessorMetadata {
    values: BTreeMap<String, i64>,
    changed: bool,
}

impl ProcessorMetadata {
    /// The value of `key`.
    pub fn get(&self, key: &str) -> Option<i64> {
        self.values.get(key).copied()
    }

    /// Sets a value; the next commit carries it.
    pub fn put(&mut self, key: &str, value: i64) {
        match self.values.get_mut(key) {
            Some(present) => *present = value,
            None => drop(self.values.insert(key.to_owned(), value)),
        }
        self.changed = true;
    }

    /// Takes in what was committed with one input partition. Of two values of a key the greater one counts: the
    /// partitions of a task are committed at different moments.
    pub fn merge(&mut self, committed: &BTreeMap<String, i64>) {
        for (key, value) in committed {
            let present = self.values.entry(key.clone()).or_insert(*value);
            *present = (*present).max(*value);
        }
    }

    /// All values.
    pub fn values(&self) -> &BTreeMap<String, i64> {
        &self.values
    }

    /// Whether a value was set since the last commit: then the positions of all input partitions are committed anew.
    pub fn is_changed(&self) -> bool {
        self.changed
    }

    /// Notes that the values are committed.
    pub fn committed(&mut self) {
        self.changed = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_two_committed_values_the_greater_one_counts_and_only_a_put_is_a_change() {
        let mut metadata = ProcessorMetadata::default();
        metadata.merge(&BTreeMap::from([("a".to_owned(), 5), ("b".to_owned(), 1)]));
        metadata.merge(&BTreeMap::from([("a".to_owned(), 3), ("b".to_owned(), 2)]));
        assert_eq!((metadata.get("a"), metadata.get("b"), metadata.get("c")), (Some(5), Some(2), None));
        assert!(!metadata.is_changed());
        metadata.put("a", 4);
        assert_eq!((metadata.get("a"), metadata.is_changed()), (Some(4), true));
        metadata.committed();
        assert!(!metadata.is_changed());
    }
}
