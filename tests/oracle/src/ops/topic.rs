//! Topics that are chosen for each record.

use kafka_streams_core::RecordContext;
use kafka_streams_dsl::TopicNameExtractor;

use crate::fault::Fault;
use crate::menu::{self, TopicFn};
use crate::spec::Function;
use crate::value::{KeyText, Value};

/// A topic function of the menu, which prints as its name.
pub struct ChosenTopic {
    name: String,
    f: TopicFn,
}

impl ChosenTopic {
    /// The function of this name.
    ///
    /// # Errors
    /// There is none.
    pub fn of(function: &Function) -> Result<Self, Fault> {
        Ok(ChosenTopic { name: function.name().to_owned(), f: menu::topic_fn(function)? })
    }
}

impl<K: KeyText> TopicNameExtractor<K, Value> for ChosenTopic {
    fn extract(&self, key: &K, value: &Value, context: &RecordContext) -> String {
        (self.f)(key, value, context.topic.as_deref().unwrap_or_default())
    }

    fn name(&self) -> &str {
        &self.name
    }
}
