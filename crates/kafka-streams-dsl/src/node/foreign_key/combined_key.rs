//! Keys of subscriptions (`CombinedKeySchema` of the JVM): i32 size of the foreign key (big-endian) ‖ foreign key ‖ primary
//! key. All subscriptions to one foreign key begin with the same bytes.

use kafka_streams_core::{SerdeError, SharedSerde};

/// The beginning of the keys of all subscriptions to `foreign`.
pub(crate) fn prefix<KO: 'static>(topic: &str, keys: &SharedSerde<KO>, foreign: &KO) -> Result<Vec<u8>, SerdeError> {
    let mut bytes = vec![0; 4];
    keys.serialize(topic, foreign, &mut bytes)?;
    let size = i32::try_from(bytes.len() - 4).map_err(|_| SerdeError::invalid::<KO>("it has too many bytes"))?;
    if let Some(place) = bytes.first_chunk_mut::<4>() {
        *place = size.to_be_bytes();
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use kafka_streams_core::serde::StringSerde;

    use super::*;

    #[test]
    fn a_combined_key_has_the_jvms_bytes() {
        // The key of the subscription of primary key "K1" to foreign key "F", as Kafka Streams 4.3 logs it.
        let serde: SharedSerde<String> = Arc::new(StringSerde);
        let mut key = prefix("", &serde, &"F".to_owned()).unwrap();
        serde.serialize("", &"K1".to_owned(), &mut key).unwrap();
        assert_eq!(key, b"\0\0\0\x01FK1");
    }
}
