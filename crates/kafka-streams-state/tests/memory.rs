//! The in-memory back-end by the suite, and typed stores over it beside a model.

use kafka_streams_state::InMemoryBackends;
use kafka_streams_state::conformance::{
    ModelConfig, join_buffer_model, key_value_model, session_model, suite, versioned_model, window_model,
    with_headers_model,
};
use proptest::prelude::*;

#[test]
fn memory_conforms() {
    suite(&mut || Box::new(InMemoryBackends));
}

fn script() -> impl Strategy<Value = Vec<(u8, u8, u8)>> {
    prop::collection::vec(any::<(u8, u8, u8)>(), 0..200)
}

proptest! {
    #[test]
    fn s1_a_key_value_store_answers_as_a_map_does(
        script in script(),
        cache_bytes in prop::sample::select(vec![0usize, 1, 200, 1_000, 100_000]),
        row_bytes in prop::sample::select(vec![0usize, 2_000, 1_000_000]),
        listens in any::<bool>(),
    ) {
        key_value_model(&InMemoryBackends, ModelConfig { cache_bytes, row_bytes, listens }, &script);
    }

    #[test]
    fn s2_a_window_store_answers_as_a_map_with_expiry_does(
        script in script(),
        cache_bytes in prop::sample::select(vec![0usize, 0, 300, 100_000]),
        row_bytes in prop::sample::select(vec![0usize, 2_000, 1_000_000]),
    ) {
        window_model(&InMemoryBackends, ModelConfig { cache_bytes, row_bytes, listens: false }, &script);
    }

    #[test]
    fn s2_a_session_store_answers_as_a_map_with_expiry_does(
        script in script(),
        cache_bytes in prop::sample::select(vec![0usize, 0, 300, 100_000]),
        row_bytes in prop::sample::select(vec![0usize, 2_000, 1_000_000]),
    ) {
        session_model(&InMemoryBackends, ModelConfig { cache_bytes, row_bytes, listens: false }, &script);
    }

    #[test]
    fn s2_a_versioned_store_answers_as_a_map_of_all_versions_does(
        script in script(),
        row_bytes in prop::sample::select(vec![0usize, 2_000, 1_000_000]),
    ) {
        versioned_model(&InMemoryBackends, ModelConfig { cache_bytes: 0, row_bytes, listens: false }, &script);
    }

    #[test]
    fn stores_with_headers_answer_as_maps_do_and_their_changelogs_bring_back_all(
        script in script(),
        cache_bytes in prop::sample::select(vec![0usize, 300, 100_000]),
        row_bytes in prop::sample::select(vec![0usize, 2_000, 1_000_000]),
    ) {
        with_headers_model(&InMemoryBackends, ModelConfig { cache_bytes, row_bytes, listens: false }, &script);
    }

    #[test]
    fn s9_the_buffer_of_a_join_answers_as_a_sorted_list_does(
        script in script(),
        row_bytes in prop::sample::select(vec![0usize, 2_000, 1_000_000]),
    ) {
        join_buffer_model(&InMemoryBackends, ModelConfig { cache_bytes: 0, row_bytes, listens: false }, &script);
    }
}
