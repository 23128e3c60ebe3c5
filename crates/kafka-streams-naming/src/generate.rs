//! Makes the names of what the user did not name: an operator's prefix and a number of ten digits.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::grammar::{DIGITS, STATE_STORE};

/// How the unnamed operators, stores and topics of a topology are numbered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Naming {
    /// A counter for each class of operators: a new `map` never renumbers a `filter`.
    #[default]
    PerClass,
    /// One counter for everything, drawn from in the order of the JVM (`InternalStreamsBuilder.newProcessorName`): the
    /// names that a JVM application of the same topology has.
    Jvm,
}

/// Draws numbers for one topology. Each draw moves its counter on, whether the name is used or not.
///
/// ```
/// use kafka_streams_naming::{NameGenerator, Naming};
/// let mut names = NameGenerator::new(Naming::Jvm);
/// assert_eq!(names.next_node("KSTREAM-SOURCE-"), "KSTREAM-SOURCE-0000000000");
/// assert_eq!(names.next_store("KSTREAM-AGGREGATE-"), "KSTREAM-AGGREGATE-STATE-STORE-0000000001");
/// ```
#[derive(Clone, Debug)]
pub struct NameGenerator {
    naming: Naming,
    /// By prefix; the one counter of [`Naming::Jvm`] stands under the empty prefix.
    counters: BTreeMap<String, u64>,
}

impl NameGenerator {
    /// A generator whose counters stand at 0.
    pub fn new(naming: Naming) -> Self {
        NameGenerator { naming, counters: BTreeMap::new() }
    }

    /// How this generator numbers.
    pub fn naming(&self) -> Naming {
        self.naming
    }

    /// The next name of a node: `prefix` (which ends in a dash) and a number.
    pub fn next_node(&mut self, prefix: &str) -> String {
        format!("{prefix}{:0DIGITS$}", self.draw(prefix))
    }

    /// The next name of a store: `prefix` (which ends in a dash), `STATE-STORE-` and a number.
    pub fn next_store(&mut self, prefix: &str) -> String {
        self.next_node(&format!("{prefix}{STATE_STORE}"))
    }

    /// Draws a node's number and throws it away: the operator has a name, and naming it must not renumber others.
    pub fn burn(&mut self, prefix: &str) {
        self.draw(prefix);
    }

    /// Draws a number that only the JVM's order of draws asks for; nothing happens under [`Naming::PerClass`].
    pub fn burn_jvm(&mut self) {
        if self.naming == Naming::Jvm {
            self.draw("");
        }
    }

    fn draw(&mut self, prefix: &str) -> u64 {
        let class = match self.naming {
            Naming::PerClass => prefix,
            Naming::Jvm => "",
        };
        let counter = match self.counters.get_mut(class) {
            Some(counter) => counter,
            None => self.counters.entry(class.to_owned()).or_default(),
        };
        let drawn = *counter;
        *counter += 1;
        drawn
    }
}

impl From<Naming> for NameGenerator {
    fn from(naming: Naming) -> Self {
        NameGenerator::new(naming)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_jvms_generator_has_one_counter_for_nodes_and_stores() {
        let mut names = NameGenerator::new(Naming::Jvm);
        assert_eq!(names.next_node("KSTREAM-SOURCE-"), "KSTREAM-SOURCE-0000000000");
        names.burn("KSTREAM-MAP-");
        assert_eq!(names.next_store("KSTREAM-AGGREGATE-"), "KSTREAM-AGGREGATE-STATE-STORE-0000000002");
        names.burn_jvm();
        assert_eq!(names.next_node("KSTREAM-AGGREGATE-"), "KSTREAM-AGGREGATE-0000000004");
    }

    #[test]
    fn one_class_does_not_renumber_another() {
        let mut names = NameGenerator::from(Naming::default());
        assert_eq!(names.next_node("KSTREAM-MAP-"), "KSTREAM-MAP-0000000000");
        assert_eq!(names.next_node("KSTREAM-FILTER-"), "KSTREAM-FILTER-0000000000");
        assert_eq!(names.next_store("KSTREAM-MAP-"), "KSTREAM-MAP-STATE-STORE-0000000000");
        names.burn("KSTREAM-MAP-");
        names.burn_jvm();
        assert_eq!(names.next_node("KSTREAM-MAP-"), "KSTREAM-MAP-0000000002");
        assert_eq!(names.next_node("KSTREAM-FILTER-"), "KSTREAM-FILTER-0000000001");
    }
}
