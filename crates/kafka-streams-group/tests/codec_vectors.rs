//! Bytes equal to those of the JVM: every vector here was made with the encoders of Apache Kafka Streams 4.3.0
//! (`SubscriptionInfo`, `AssignmentInfo`, `ConsumerProtocol`), or taken from a live group of JVM 4.3.0 members.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail anywhere")]

use std::collections::BTreeMap;

use kafka_streams_core::{TaskId, TopicPartition};
use kafka_streams_group::codec::{
    AssignmentInfo, ConsumerAssignment, ConsumerSubscription, DecodedSubscription, LATEST_OFFSET, NO_REBALANCE,
    SubscriptionInfo, UNKNOWN_OFFSET_SUM,
};
use kafka_streams_group::{Error, HostInfo, ProcessId};

/// Process 00112233-4455-6677-8899-aabbccddeeff, endpoint `h:9`, sums {0_1: -2, 1_2: 500}, unique field 1, error 0, tags {z: a}.
const SUBSCRIPTIONS: [(i32, &str); 9] = [
    (1, "0000000100112233445566778899aabbccddeeff000000010000000000000001000000010000000100000002"),
    (2, "0000000200112233445566778899aabbccddeeff00000001000000000000000100000001000000010000000200000003683a39"),
    (
        3,
        "000000030000000b00112233445566778899aabbccddeeff00000001000000000000000100000001000000010000000200000003\
         683a39",
    ),
    (
        6,
        "000000060000000b00112233445566778899aabbccddeeff00000001000000000000000100000001000000010000000200000003\
         683a39",
    ),
    (
        7,
        "000000070000000b00112233445566778899aabbccddeeff00000003683a3900000002000000000000000100000001ffffffffff\
         fffffe00000001000000010000000200000000000001f4",
    ),
    (
        8,
        "000000080000000b00112233445566778899aabbccddeeff00000003683a3900000002000000000000000100000001ffffffffff\
         fffffe00000001000000010000000200000000000001f401",
    ),
    (
        9,
        "000000090000000b00112233445566778899aabbccddeeff00000003683a3900000002000000000000000100000001ffffffffff\
         fffffe00000001000000010000000200000000000001f40100000000",
    ),
    (
        10,
        "0000000a0000000b00112233445566778899aabbccddeeff00000003683a39000000020000000000000001fffffffffffffffeff\
         ff000000010000000200000000000001f4ffff0100000000",
    ),
    (
        11,
        "0000000b0000000b00112233445566778899aabbccddeeff00000003683a39000000020000000000000001fffffffffffffffeff\
         ff000000010000000200000000000001f4ffff010000000000000001000000017a0000000161",
    ),
];

/// Active [0_1], standby {1_2: [t-2]}, host `h:9` with active t-1 and standby t-2, next rebalance 1,700,000,000,000.
const ASSIGNMENTS: [(i32, &str); 9] = [
    (1, "000000010000000100000000000000010000000100000001000000020000000100017400000002"),
    (
        2,
        "00000002000000010000000000000001000000010000000100000002000000010001740000000200000001000168000000090000\
         000100017400000001",
    ),
    (
        3,
        "000000030000000b0000000100000000000000010000000100000001000000020000000100017400000002000000010001680000\
         00090000000100017400000001",
    ),
    (
        4,
        "000000040000000b0000000100000000000000010000000100000001000000020000000100017400000002000000010001680000\
         0009000000010001740000000100000000",
    ),
    (
        5,
        "000000050000000b0000000100000000000000010000000100000001000000020000000100017400000002000000010000000000\
         0174000000010001680000000900000001000000000000000100000000",
    ),
    (
        6,
        "000000060000000b0000000100000000000000010000000100000001000000020000000100017400000002000000010000000000\
         01740000000100016800000009000000010000000000000001000000010001680000000900000001000000000000000200000000",
    ),
    (
        7,
        "000000070000000b0000000100000000000000010000000100000001000000020000000100017400000002000000010000000000\
         01740000000100016800000009000000010000000000000001000000010001680000000900000001000000000000000200000000\
         0000018bcfe56800",
    ),
    (
        10,
        "0000000a0000000b0000000100000000000000010000000000000001000000010000000200000000000000010001740000000200\
         00000100000000000174000000010001680000000900000001000000000000000100000001000168000000090000000100000000\
         00000002000000000000018bcfe56800",
    ),
    (
        11,
        "0000000b0000000b0000000100000000000000010000000000000001000000010000000200000000000000010001740000000200\
         00000100000000000174000000010001680000000900000001000000000000000100000001000168000000090000000100000000\
         00000002000000000000018bcfe56800",
    ),
];

/// Version 11, error 1, nothing else.
const ERROR_ASSIGNMENT: &str = "0000000b0000000b0000000000000000000000000000000000000000000000017fffffffffffffff";

/// JoinGroup metadata of the only member of a live group in its second generation.
const LIVE_SUBSCRIPTION: &str = "00030000000900026672000266740002696e00016c002a6c6976656170702d666b2d737562736372697074696f6e2d7265676973\
     74726174696f6e2d746f70696300266c6976656170702d666b2d737562736372697074696f6e2d726573706f6e73652d746f7069\
     6300176c6976656170702d6772702d7265706172746974696f6e00176c6976656170702d7265702d7265706172746974696f6e00\
     0174000000410000000b0000000ba7444a87087b42f2b03de1bf9835528f0000000a686f7374313a383038300000000003000000\
     0000000001000000047a6f6e65000000027a31000000090002667200000002000000000000000100026674000000020000000000\
     0000010002696e00000002000000000000000100016c000000020000000000000001002a6c6976656170702d666b2d7375627363\
     72697074696f6e2d726567697374726174696f6e2d746f70696300000002000000000000000100266c6976656170702d666b2d73\
     7562736372697074696f6e2d726573706f6e73652d746f70696300000002000000000000000100176c6976656170702d6772702d\
     7265706172746974696f6e00000002000000000000000100176c6976656170702d7265702d7265706172746974696f6e00000003\
     00000000000000010000000200017400000002000000000000000100000001ffff";

/// The assignment that the same member got: 19 active tasks' partitions, endpoint `host1:8080`.
const LIVE_ASSIGNMENT: &str = "00030000000900026672000000020000000000000001000266740000000200000000000000010002696e00000002000000000000\
     000100016c000000020000000000000001002a6c6976656170702d666b2d737562736372697074696f6e2d726567697374726174\
     696f6e2d746f70696300000002000000000000000100266c6976656170702d666b2d737562736372697074696f6e2d726573706f\
     6e73652d746f70696300000002000000000000000100176c6976656170702d6772702d7265706172746974696f6e000000020000\
     00000000000100176c6976656170702d7265702d7265706172746974696f6e000000030000000000000001000000020001740000\
     000200000000000000010000027e0000000b0000000b000000130000000400000000000000000000000400000001000000000000\
     00030000000000000000000000030000000100000000000000000000000000000000000000000000000100000000000000000000\
     00000000000000000000000000010000000000000004000000000000000000000004000000010000000000000003000000000000\
     00000000000300000001000000000000000100000000000000000000000100000001000000000000000600000000000000000000\
     00060000000100000000000000060000000200000000000000020000000000000000000000020000000100000000000000000000\
     000900000008000174000000010002696e00000007002a6c6976656170702d666b2d737562736372697074696f6e2d7265676973\
     74726174696f6e2d746f7069630000000200266c6976656170702d666b2d737562736372697074696f6e2d726573706f6e73652d\
     746f7069630000000300176c6976656170702d7265702d7265706172746974696f6e0000000400016c0000000500026672000000\
     0000176c6976656170702d6772702d7265706172746974696f6e0000000600026674000000010005686f73743100001f90000000\
     13000000000000000000000001000000010000000100000000000000020000000100000003000000010000000300000002000000\
     04000000010000000500000001000000040000000000000000000000010000000500000000000000060000000100000002000000\
     00000000060000000000000007000000000000000800000001000000080000000000000007000000010000000300000000000000\
     010005686f73743100001f9000000000000000007fffffffffffffff";

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u32> = hex.chars().map(|c| c.to_digit(16).unwrap()).collect();
    digits.chunks_exact(2).map(|pair| (pair[0] * 16 + pair[1]) as u8).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn task(subtopology: i32, partition: i32) -> TaskId {
    TaskId::new(subtopology, partition)
}

fn subscription(version: i32) -> SubscriptionInfo {
    SubscriptionInfo {
        version,
        latest_supported_version: if version < 3 { -1 } else { 11 },
        process_id: ProcessId::new(uuid::Uuid::from_u128(0x00112233_4455_6677_8899_aabbccddeeff)),
        user_endpoint: Some("h:9".to_owned()),
        task_offset_sums: BTreeMap::from([(task(0, 1), LATEST_OFFSET), (task(1, 2), 500)]),
        unique_field: 1,
        error_code: 0,
        client_tags: BTreeMap::from([("z".to_owned(), "a".to_owned())]),
    }
}

fn assignment(version: i32) -> AssignmentInfo {
    let host = |partition| BTreeMap::from([(HostInfo::new("h", 9), vec![TopicPartition::new("t", partition)])]);
    AssignmentInfo {
        version,
        commonly_supported_version: if version < 3 { -1 } else { 11 },
        active_tasks: vec![task(0, 1)],
        standby_tasks: BTreeMap::from([(task(1, 2), vec![TopicPartition::new("t", 2)])]),
        partitions_by_host: host(1),
        standby_partitions_by_host: host(2),
        error_code: 0,
        next_rebalance_ms: 1_700_000_000_000,
    }
}

#[test]
fn subscriptions_of_every_version_are_written_as_by_the_jvm() {
    for (version, expected) in SUBSCRIPTIONS {
        assert_eq!(hex(&subscription(version).encode().unwrap()), expected, "version {version}");
    }
}

#[test]
fn subscriptions_of_every_version_are_read_with_what_the_version_has() {
    for (version, vector) in SUBSCRIPTIONS {
        let mut expected = subscription(version);
        if version < 2 {
            expected.user_endpoint = None;
        }
        if version < 7 {
            expected.task_offset_sums.insert(task(1, 2), UNKNOWN_OFFSET_SUM);
        }
        if version < 8 {
            expected.unique_field = 0;
        }
        if version < 11 {
            expected.client_tags.clear();
        }
        let decoded = SubscriptionInfo::decode(&bytes(vector)).unwrap();
        assert_eq!(decoded, DecodedSubscription::Known(expected), "version {version}");
    }
}

#[test]
fn assignments_of_every_version_are_written_as_by_the_jvm() {
    for (version, expected) in ASSIGNMENTS {
        assert_eq!(hex(&assignment(version).encode().unwrap()), expected, "version {version}");
    }
    assert_eq!(hex(&AssignmentInfo::error(1).encode().unwrap()), ERROR_ASSIGNMENT);
}

#[test]
fn assignments_of_every_version_are_read_with_what_the_version_has() {
    for (version, vector) in ASSIGNMENTS {
        let mut expected = assignment(version);
        if version < 2 {
            expected.partitions_by_host.clear();
        }
        if version < 6 {
            expected.standby_partitions_by_host.clear();
        }
        if version < 7 {
            expected.next_rebalance_ms = NO_REBALANCE;
        }
        assert_eq!(AssignmentInfo::decode(&bytes(vector)).unwrap(), expected, "version {version}");
    }
}

#[test]
fn versions_8_and_9_of_an_assignment_look_like_version_7() {
    for version in [8, 9] {
        let mut as_seven = assignment(version).encode().unwrap();
        as_seven[3] = 7;
        assert_eq!(as_seven, assignment(7).encode().unwrap());
    }
}

#[test]
fn of_a_future_subscription_only_the_versions_are_read() {
    let decoded = SubscriptionInfo::decode(&bytes("0000000c0000000dffff")).unwrap();
    assert_eq!(decoded, DecodedSubscription::Future { version: 12, latest_supported_version: 13 });
    assert!(matches!(SubscriptionInfo::decode(&bytes("0000000c0000000b")), Err(Error::Version { .. })));
    assert!(matches!(SubscriptionInfo::decode(&bytes("00000000")), Err(Error::Version { .. })));
    assert!(matches!(AssignmentInfo::decode(&bytes("0000000c0000000c")), Err(Error::Version { .. })));
}

#[test]
fn tasks_of_named_topologies_are_refused() {
    let named = "0000000a0000000b0000000100000000000000010000000200610062";
    let error = AssignmentInfo::decode(&bytes(named)).unwrap_err();
    assert_eq!(error, Error::NamedTopology { task: task(0, 1), topology: "ab".to_owned() });
}

#[test]
fn the_consumer_subscription_of_a_live_jvm_member_is_read_and_written_alike() {
    let live = bytes(LIVE_SUBSCRIPTION);
    let subscription = ConsumerSubscription::decode(&live).unwrap();
    assert_eq!(subscription.topics.len(), 9);
    assert_eq!(subscription.owned_partitions.len(), 19);
    assert_eq!((subscription.generation, &subscription.rack_id), (Some(1), &None));
    assert_eq!(subscription.encode().unwrap(), live);

    let user_data = subscription.user_data.unwrap();
    let DecodedSubscription::Known(info) = SubscriptionInfo::decode(&user_data).unwrap() else {
        panic!("version 11 is known");
    };
    assert_eq!(info.user_endpoint.as_deref(), Some("host1:8080"));
    assert_eq!(info.client_tags, BTreeMap::from([("zone".to_owned(), "z1".to_owned())]));
    assert_eq!(info.encode().unwrap(), user_data);
}

#[test]
fn the_assignment_of_a_live_jvm_leader_is_read_and_nothing_of_it_is_lost() {
    let live = bytes(LIVE_ASSIGNMENT);
    let assignment = ConsumerAssignment::decode(&live).unwrap();
    assert_eq!(assignment.partitions.len(), 19);
    assert_eq!(assignment.encode().unwrap(), live);

    let user_data = assignment.user_data.unwrap();
    let info = AssignmentInfo::decode(&user_data).unwrap();
    assert_eq!(info.active_tasks.len(), 19);
    assert_eq!(info.partitions_by_host.keys().collect::<Vec<_>>(), [&HostInfo::new("host1", 8080)]);
    assert_eq!(info.partitions_by_host.values().map(Vec::len).sum::<usize>(), 19);
    assert_eq!((info.error_code, info.next_rebalance_ms), (0, NO_REBALANCE));
    // The JVM writes the dictionary and the maps in the order of a hash table, so only the content can be compared.
    let again = info.encode().unwrap();
    assert_eq!(again.len(), user_data.len());
    let mut sorted = info.clone();
    sorted.partitions_by_host.values_mut().for_each(|partitions| partitions.sort());
    let mut decoded = AssignmentInfo::decode(&again).unwrap();
    decoded.partitions_by_host.values_mut().for_each(|partitions| partitions.sort());
    assert_eq!(decoded, sorted);
}

#[test]
fn the_envelope_is_written_as_by_the_jvm() {
    let subscription = ConsumerSubscription {
        topics: vec!["in2".to_owned()],
        user_data: Some(bytes("0000000b7573657264617461")),
        ..Default::default()
    };
    let expected = "0003000000010003696e320000000c0000000b757365726461746100000000ffffffffffff";
    assert_eq!(hex(&subscription.encode().unwrap()), expected);
    let assignment = ConsumerAssignment {
        partitions: (0..4).map(|partition| TopicPartition::new("in2", partition)).collect(),
        user_data: Some(b"asg".to_vec()),
    };
    let expected = "0003000000010003696e320000000400000000000000010000000200000003";
    assert_eq!(hex(&assignment.encode().unwrap()), format!("{expected}00000003617367"));
}

#[test]
fn envelopes_of_older_and_newer_versions_are_read() {
    let topics = "0000000100017400000001ab";
    for (version, rest) in [
        (0, ""),
        (1, "00000001000174000000010000000500"),
        (2, "000000010001740000000100000005"),
        (9, "00000001000174000000010000000500000007ffffdeadbeef"),
    ] {
        let rest = if version == 2 { format!("{rest}00000007") } else { rest.to_owned() };
        let subscription = ConsumerSubscription::decode(&bytes(&format!("{version:04x}{topics}{rest}"))).unwrap();
        assert_eq!(subscription.topics, ["t"]);
        assert_eq!(subscription.user_data, Some(vec![0xab]));
        assert_eq!(subscription.owned_partitions.len(), usize::from(version >= 1));
        assert_eq!(subscription.generation, (version >= 2).then_some(7));
    }
    assert!(ConsumerSubscription::decode(&bytes("ffff")).is_err());
    assert!(ConsumerAssignment::decode(&bytes("ffff")).is_err());
}
