//! Which declarations of a store can use each other's rows.

use std::time::Duration;

use kafka_streams_core::serde::StringSerde;
use kafka_streams_state::{StoreBuilder, Stores};

#[test]
fn rows_fit_if_nothing_has_changed_that_they_are_made_of() {
    let (minute, hour) = (Duration::from_secs(60), Duration::from_secs(3_600));
    let window = |retention, size| {
        Stores::persistent_timestamped_window_store("s", retention, size, false, StringSerde, StringSerde)
    };
    let layout = window(hour, minute).spec().row_layout();
    assert_eq!(layout, "window in segments of 1800000 ms, timestamp");
    assert_eq!(window(hour, 2 * minute).with_caching_enabled().spec().row_layout(), layout);
    assert_ne!(window(2 * hour, minute).spec().row_layout(), layout, "other segments");
    assert_eq!(window(minute, minute).spec().row_layout(), window(2 * minute, minute).spec().row_layout());
    assert_ne!(window(hour, minute).with_time_index().spec().row_layout(), layout);
    let key_value = Stores::persistent_timestamped_key_value_store_with_headers("s", StringSerde, StringSerde);
    assert_eq!(key_value.spec().row_layout(), "key-value, headers, timestamp");
    let session = Stores::persistent_session_store_with_headers("s", hour, StringSerde, StringSerde);
    assert_eq!(session.spec().row_layout(), "session in segments of 1800000 ms, headers");
    let day = Duration::from_secs(86_400);
    let versioned = Stores::persistent_versioned_key_value_store("s", day, StringSerde, StringSerde);
    assert_eq!(versioned.spec().row_layout(), "versioned in segments of 3600000 ms");
}
