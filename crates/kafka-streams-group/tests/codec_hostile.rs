//! Whatever the bytes, decoding neither panics nor believes a count that they cannot hold; and what was written is read back.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail anywhere")]

use std::collections::{BTreeMap, BTreeSet};

use kafka_streams_core::{TaskId, TopicPartition};
use kafka_streams_group::codec::{
    AssignmentInfo, ConsumerAssignment, ConsumerSubscription, DecodedSubscription, SubscriptionInfo,
};
use kafka_streams_group::leader::GroupView;
use kafka_streams_group::{HostInfo, ProcessId};
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;

fn decode_everything(bytes: &[u8]) {
    let _ = SubscriptionInfo::decode(bytes);
    let _ = AssignmentInfo::decode(bytes);
    let _ = ConsumerSubscription::decode(bytes);
    let _ = ConsumerAssignment::decode(bytes);
    let _ = GroupView::decode(&[("member".to_owned(), bytes.to_vec())]);
}

fn tasks() -> impl Strategy<Value = TaskId> {
    (0..5i32, 0..9i32).prop_map(|(subtopology, partition)| TaskId::new(subtopology, partition))
}

fn partitions() -> impl Strategy<Value = Vec<TopicPartition>> {
    let partition = ("[a-zA-Z._-]{1,12}", 0..100i32).prop_map(|(topic, n)| TopicPartition::new(topic, n));
    proptest::collection::btree_set(partition, 0..6).prop_map(|set| set.into_iter().collect())
}

fn hosts() -> impl Strategy<Value = BTreeMap<HostInfo, Vec<TopicPartition>>> {
    let host = (".{0,8}", any::<i32>()).prop_map(|(host, port)| HostInfo::new(host, port));
    btree_map(host, partitions(), 0..4)
}

fn subscriptions() -> impl Strategy<Value = SubscriptionInfo> {
    let sums = btree_map(tasks(), -3..1_000i64, 0..8);
    let tags = btree_map(".{0,5}", ".{0,5}", 0..4);
    (1..=11i32, any::<u128>(), option::of("[a-z]{1,9}:[0-9]{1,4}"), sums, any::<i8>(), any::<i32>(), tags).prop_map(
        |(version, id, user_endpoint, task_offset_sums, unique_field, error_code, client_tags)| SubscriptionInfo {
            version,
            latest_supported_version: if version < 3 { -1 } else { 11 },
            process_id: ProcessId::new(uuid::Uuid::from_u128(id)),
            user_endpoint,
            task_offset_sums,
            unique_field,
            error_code,
            client_tags,
        },
    )
}

fn assignments() -> impl Strategy<Value = AssignmentInfo> {
    let standby = btree_map(tasks(), partitions(), 0..5);
    (1..=11i32, vec(tasks(), 0..8), standby, hosts(), hosts(), any::<i32>(), any::<i64>()).prop_map(
        |(version, active_tasks, standby_tasks, by_host, standby_by_host, error_code, next_rebalance_ms)| {
            AssignmentInfo {
                version,
                commonly_supported_version: if version < 3 { -1 } else { 11 },
                active_tasks,
                standby_tasks,
                partitions_by_host: by_host,
                standby_partitions_by_host: standby_by_host,
                error_code,
                next_rebalance_ms,
            }
        },
    )
}

fn envelopes() -> impl Strategy<Value = ConsumerSubscription> {
    let topics = proptest::collection::btree_set("[a-z]{1,9}", 0..5);
    let generation = option::of(0..i32::MAX);
    (topics, option::of(vec(any::<u8>(), 0..40)), partitions(), generation, option::of(".{0,5}")).prop_map(
        |(topics, user_data, owned_partitions, generation, rack_id): (BTreeSet<String>, _, _, _, _)| {
            let topics = topics.into_iter().collect();
            ConsumerSubscription { topics, user_data, owned_partitions, generation, rack_id }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn random_bytes_are_survived(bytes in vec(any::<u8>(), 0..400)) {
        decode_everything(&bytes);
    }

    #[test]
    fn small_numbers_everywhere_are_survived(
        version in 0..13u8,
        words in vec(prop_oneof![Just(0u32), 0..4u32, Just(u32::MAX), Just(0x7fff_ffff), any::<u32>()], 0..60),
    ) {
        let mut bytes = vec![0, 0, 0, version];
        bytes.extend(words.iter().flat_map(|word| word.to_be_bytes()));
        decode_everything(&bytes);
        decode_everything(&bytes[2..]);
    }

    #[test]
    fn valid_messages_with_one_byte_changed_or_the_end_cut_off_are_survived(
        subscription in subscriptions(),
        assignment in assignments(),
        envelope in envelopes(),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        for mut bytes in [subscription.encode()?, assignment.encode()?, envelope.encode()?] {
            let at = at.index(bytes.len());
            decode_everything(&bytes[..at]);
            bytes[at] = byte;
            decode_everything(&bytes);
        }
    }

    #[test]
    fn an_encoding_is_never_a_prefix_of_another_reading(assignment in assignments(), subscription in subscriptions()) {
        let bytes = assignment.encode()?;
        for end in 0..bytes.len() {
            prop_assert!(AssignmentInfo::decode(&bytes[..end]).is_err(), "cut to {end} of {}", bytes.len());
        }
        let bytes = subscription.encode()?;
        for end in 0..bytes.len() {
            prop_assert!(SubscriptionInfo::decode(&bytes[..end]).is_err(), "cut to {end} of {}", bytes.len());
        }
    }

    #[test]
    fn the_latest_versions_are_read_back_as_written(
        mut subscription in subscriptions(),
        mut assignment in assignments(),
        envelope in envelopes(),
    ) {
        (subscription.version, subscription.latest_supported_version) = (11, 11);
        let decoded = SubscriptionInfo::decode(&subscription.encode()?)?;
        prop_assert_eq!(decoded, DecodedSubscription::Known(subscription));
        (assignment.version, assignment.commonly_supported_version) = (11, 11);
        prop_assert_eq!(AssignmentInfo::decode(&assignment.encode()?)?, assignment);
        prop_assert_eq!(ConsumerSubscription::decode(&envelope.encode()?)?, envelope);
    }
}

/// A count that were believed would ask for tens of gigabytes here, and the test would not survive.
#[test]
fn a_huge_count_in_a_small_message_is_not_believed() {
    for version in 1..=11u8 {
        for count in [0x7fff_ffffu32, 0x1000_0000, 1_000_000] {
            let mut bytes = vec![0, 0, 0, version, 0, 0, 0, 11];
            decode_everything(&[&bytes[..], &count.to_be_bytes()].concat());
            bytes.extend([0; 16]);
            bytes.extend(count.to_be_bytes().repeat(3));
            decode_everything(&bytes);
        }
        let counts = 0x7fff_ffffu32.to_be_bytes();
        decode_everything(&[&[0, version][..], &counts, &counts].concat());
    }
}
