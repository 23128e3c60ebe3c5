//! The leader's steps: from metadata to assignments.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail anywhere")]

use std::collections::BTreeMap;

use kafka_streams_core::{TaskId, TopicPartition};
use kafka_streams_group::codec::{
    AssignmentInfo, ConsumerAssignment, ConsumerSubscription, LATEST_OFFSET, NO_REBALANCE, SubscriptionInfo,
    assignment_error,
};
use kafka_streams_group::leader::{
    GroupView, PROBING_REBALANCE_INTERVAL_MS, TaskSpec, Verdict, assign, error_assignment,
};
use kafka_streams_group::{Error, HostInfo, ProcessId};

const NOW: i64 = 1_700_000_000_000;

fn process(n: u128) -> ProcessId {
    ProcessId::new(uuid::Uuid::from_u128(n))
}

fn task(partition: i32) -> TaskId {
    TaskId::new(0, partition)
}

fn partition(n: i32) -> TopicPartition {
    TopicPartition::new("in", n)
}

/// Tasks 0_0 to 0_(n-1), each with its partition of topic `in` and 1,000 records in its changelog.
fn specs(n: i32) -> Vec<TaskSpec> {
    (0..n)
        .map(|n| TaskSpec {
            id: task(n),
            source_partitions: vec![partition(n)],
            stateful: true,
            changelog_end_offset_sum: Some(1_000),
        })
        .collect()
}

/// What a member of process `n` says.
#[derive(Clone)]
struct Says {
    info: SubscriptionInfo,
    owned: Vec<i32>,
    generation: Option<i32>,
}

fn says(n: u128) -> Says {
    let info = SubscriptionInfo {
        version: 11,
        latest_supported_version: 11,
        process_id: process(n),
        user_endpoint: None,
        task_offset_sums: BTreeMap::new(),
        unique_field: 0,
        error_code: 0,
        client_tags: BTreeMap::new(),
    };
    Says { info, owned: Vec::new(), generation: None }
}

impl Says {
    /// Runs these tasks since this generation.
    fn runs(mut self, tasks: &[i32], generation: i32) -> Self {
        self.owned = tasks.to_vec();
        self.generation = Some(generation);
        self.info.task_offset_sums.extend(tasks.iter().map(|n| (task(*n), LATEST_OFFSET)));
        self
    }

    fn has(mut self, n: i32, sum: i64) -> Self {
        self.info.task_offset_sums.insert(task(n), sum);
        self
    }

    fn at(mut self, endpoint: &str) -> Self {
        self.info.user_endpoint = Some(endpoint.to_owned());
        self
    }

    fn metadata(&self) -> Vec<u8> {
        self.metadata_with(self.info.encode().unwrap())
    }

    fn metadata_with(&self, user_data: Vec<u8>) -> Vec<u8> {
        ConsumerSubscription {
            topics: vec!["in".to_owned()],
            user_data: Some(user_data),
            owned_partitions: self.owned.iter().map(|n| partition(*n)).collect(),
            generation: self.generation,
            rack_id: None,
        }
        .encode()
        .unwrap()
    }
}

fn view(members: &[(&str, Vec<u8>)]) -> GroupView {
    let members: Vec<(String, Vec<u8>)> = members.iter().map(|(id, bytes)| ((*id).to_owned(), bytes.clone())).collect();
    GroupView::decode(&members)
}

type Decoded = BTreeMap<String, (Vec<TopicPartition>, AssignmentInfo)>;

fn decoded(members: &[(String, Vec<u8>)]) -> Decoded {
    members
        .iter()
        .map(|(id, bytes)| {
            let assignment = ConsumerAssignment::decode(bytes).unwrap();
            let info = AssignmentInfo::decode(&assignment.user_data.unwrap()).unwrap();
            assert_eq!(assignment.partitions.len(), info.active_tasks.len());
            (id.clone(), (assignment.partitions, info))
        })
        .collect()
}

fn assigned(members: &[(&str, Vec<u8>)], specs: &[TaskSpec]) -> Decoded {
    decoded(&assign(&view(members), specs, process(1), NOW).unwrap().members)
}

fn active(decoded: &Decoded, member: &str) -> Vec<i32> {
    decoded[member].1.active_tasks.iter().map(|task| task.partition).collect()
}

#[test]
fn a_fresh_group_shares_the_tasks() {
    let group = assigned(&[("a", says(1).metadata()), ("b", says(2).metadata())], &specs(4));
    assert_eq!((active(&group, "a").len(), active(&group, "b").len()), (2, 2));
    assert_eq!(group["a"].1.next_rebalance_ms, NO_REBALANCE);
    assert_eq!((group["a"].1.version, group["a"].1.commonly_supported_version), (11, 11));
}

#[test]
fn active_tasks_are_listed_once_per_partition_in_the_order_of_the_partitions() {
    let spec = |n| TaskSpec {
        id: task(n),
        source_partitions: vec![TopicPartition::new("b", n), TopicPartition::new("a", n)],
        stateful: false,
        changelog_end_offset_sum: None,
    };
    let group = assigned(&[("a", says(1).metadata())], &[spec(1), spec(0)]);
    let names: Vec<String> = group["a"].0.iter().map(ToString::to_string).collect();
    assert_eq!(names, ["a-0", "a-1", "b-0", "b-1"]);
    assert_eq!(active(&group, "a"), [0, 1, 0, 1]);
}

#[test]
fn a_task_that_another_member_works_on_is_withheld_until_it_is_given_up() {
    let first = [("a", says(1).runs(&[0, 1, 2, 3], 1).metadata()), ("b", says(2).metadata())];
    let group = assigned(&first, &specs(4));
    let kept = active(&group, "a");
    assert_eq!(kept.len(), 2);
    assert_eq!(active(&group, "b"), [] as [i32; 0]);
    assert_eq!(group["b"].1.next_rebalance_ms, 0, "the new owner is to rejoin at once");
    assert_eq!(group["a"].1.next_rebalance_ms, NO_REBALANCE);
    assert!(assign(&view(&first), &specs(4), process(1), NOW).unwrap().follow_up);

    let second = [("a", says(1).runs(&kept, 2).metadata()), ("b", says(2).metadata())];
    let group = assigned(&second, &specs(4));
    assert_eq!(active(&group, "a"), kept);
    assert_eq!(active(&group, "b").len(), 2);
    assert!(!assign(&view(&second), &specs(4), process(1), NOW).unwrap().follow_up);
}

#[test]
fn a_withheld_task_stays_a_standby_where_it_was_one() {
    let group =
        assigned(&[("a", says(1).runs(&[0, 1], 1).metadata()), ("b", says(2).has(1, 990).metadata())], &specs(2));
    assert_eq!(active(&group, "a"), [0]);
    assert_eq!(group["b"].1.standby_tasks, BTreeMap::from([(task(1), vec![partition(1)])]));
    let stateless: Vec<TaskSpec> = specs(2).into_iter().map(|spec| TaskSpec { stateful: false, ..spec }).collect();
    let group =
        assigned(&[("a", says(1).runs(&[0, 1], 1).metadata()), ("b", says(2).has(1, 990).metadata())], &stateless);
    assert!(group["b"].1.standby_tasks.is_empty());
}

#[test]
fn a_claim_of_an_older_generation_gives_way_to_a_newer_one() {
    let group =
        assigned(&[("a", says(1).runs(&[0], 4).metadata()), ("b", says(2).runs(&[0], 5).metadata())], &specs(1));
    assert_eq!(active(&group, "a"), [] as [i32; 0]);
    assert_eq!(active(&group, "b"), [0]);
}

#[test]
fn a_task_claimed_twice_in_one_generation_is_given_to_nobody_for_now() {
    let group =
        assigned(&[("a", says(1).runs(&[0], 5).metadata()), ("b", says(2).runs(&[0], 5).metadata())], &specs(1));
    assert_eq!(active(&group, "a"), [] as [i32; 0]);
    assert_eq!(active(&group, "b"), [] as [i32; 0]);
    assert_eq!(group["a"].1.next_rebalance_ms, 0);
}

#[test]
fn a_member_with_unreadable_metadata_is_rejected_and_the_others_go_on() {
    let members = [
        ("a", says(1).metadata()),
        ("b", b"junk".to_vec()),
        ("c", says(3).runs(&[1], 1).metadata_with(vec![0, 0, 0, 11])),
        ("d", Vec::new()),
    ];
    assert_eq!(view(&members).rejected().map(|(id, _)| id).collect::<Vec<_>>(), ["b", "c", "d"]);
    let group = assigned(&members, &specs(2));
    assert_eq!(active(&group, "a"), [0], "task 0_1 is what the rejected member c still works on");
    for rejected in ["b", "c", "d"] {
        assert_eq!(group[rejected].1.error_code, assignment_error::ASSIGNMENT_ERROR);
    }
    let group = assigned(&[("b", b"junk".to_vec())], &specs(2));
    assert_eq!(group.len(), 1);
}

#[test]
fn a_request_to_shut_down_reaches_everybody() {
    let mut asks = says(1);
    asks.info.error_code = assignment_error::SHUTDOWN_REQUESTED;
    let members = [("a", says(2).metadata()), ("b", asks.metadata()), ("c", b"junk".to_vec())];
    assert_eq!(view(&members).verdict(), Verdict::Shutdown);
    let group = assigned(&members, &specs(2));
    assert_eq!(group.len(), 3);
    assert!(group.values().all(|(_, info)| info.error_code == assignment_error::SHUTDOWN_REQUESTED));
}

fn future() -> Vec<u8> {
    says(9).metadata_with([12i32.to_be_bytes(), 12i32.to_be_bytes()].concat())
}

#[test]
fn a_member_of_a_future_version_is_answered_with_the_versions_that_all_know() {
    let members = [("a", says(1).metadata()), ("b", future())];
    let group = assigned(&members, &specs(2));
    assert_eq!((group["b"].1.version, group["b"].1.commonly_supported_version), (11, 11));
    assert_eq!((active(&group, "a").len(), active(&group, "b").len()), (1, 1));
    assert!(assign(&view(&members), &specs(2), process(1), NOW).unwrap().follow_up);
    assert!(view(&members).processes().contains(&ProcessId::FUTURE));
}

#[test]
fn a_future_version_beside_one_older_than_2_0_is_an_error_for_all() {
    let mut old = says(1);
    (old.info.version, old.info.latest_supported_version) = (2, -1);
    let members = [("a", old.metadata()), ("b", future())];
    assert_eq!(view(&members).verdict(), Verdict::Incompatible(Error::IncompatibleVersions { newest: 12, oldest: 2 }));
    let group = assigned(&members, &specs(2));
    assert!(group.values().all(|(_, info)| info.error_code == assignment_error::ASSIGNMENT_ERROR));
}

#[test]
fn the_oldest_version_of_the_group_is_used() {
    let mut old = says(1);
    (old.info.version, old.info.latest_supported_version) = (7, 9);
    let group = assigned(&[("a", old.metadata()), ("b", says(2).metadata())], &specs(2));
    for (_, info) in group.values() {
        assert_eq!((info.version, info.commonly_supported_version), (7, 9));
    }
}

#[test]
fn every_member_learns_every_endpoint_and_what_runs_or_will_run_there() {
    let members = [
        ("a", says(1).at("h1:1").runs(&[0, 1], 1).metadata()),
        ("b", says(2).at("h2:2").metadata()),
        ("c", says(3).metadata()),
    ];
    let group = assigned(&members, &specs(2));
    let expected =
        BTreeMap::from([(HostInfo::new("h1", 1), vec![partition(0)]), (HostInfo::new("h2", 2), vec![partition(1)])]);
    for (_, info) in group.values() {
        assert_eq!(info.partitions_by_host, expected);
        assert!(info.standby_partitions_by_host.values().all(Vec::is_empty));
    }
    assert_eq!(active(&group, "b"), [] as [i32; 0], "it will run there, it does not yet");
}

#[test]
fn an_unreadable_endpoint_only_misses_in_the_map() {
    let group = assigned(&[("a", says(1).at("nonsense").metadata())], &specs(1));
    assert!(group["a"].1.partitions_by_host.is_empty());
    assert_eq!(active(&group, "a"), [0]);
}

#[test]
fn without_end_offsets_nothing_moves_and_one_member_of_the_leader_asks_again_later() {
    let mut specs = specs(4);
    specs[2].changelog_end_offset_sum = None;
    let members = [
        ("a1", says(1).runs(&[0, 1, 2], 1).metadata()),
        ("a2", says(1).metadata()),
        ("b", says(2).runs(&[3], 1).metadata()),
    ];
    let group = assigned(&members, &specs);
    assert_eq!(active(&group, "b"), [3]);
    // Within process 1 the threads are balanced, so that a2 waits for a task of a1; that rebalance comes first.
    assert_eq!(group["a2"].1.next_rebalance_ms, 0);
    let members = [
        ("a1", says(1).runs(&[0, 1], 1).metadata()),
        ("a2", says(1).runs(&[2], 1).metadata()),
        ("b", says(2).runs(&[3], 1).metadata()),
    ];
    let group = assigned(&members, &specs);
    let next: Vec<i64> = group.values().map(|(_, info)| info.next_rebalance_ms).collect();
    assert_eq!(next, [NOW + PROBING_REBALANCE_INTERVAL_MS, NO_REBALANCE, NO_REBALANCE]);
}

#[test]
fn tasks_and_partitions_that_no_longer_exist_are_ignored() {
    let group = assigned(&[("a", says(1).runs(&[0, 77], 1).has(88, 5).metadata())], &specs(2));
    assert_eq!(active(&group, "a"), [0, 1]);
}

#[test]
fn the_process_with_the_freshest_state_takes_over() {
    let members = [("a", says(1).has(0, 500).metadata()), ("b", says(2).has(0, 900).has(1, 100).metadata())];
    let group = assigned(&members, &specs(2));
    assert_eq!(active(&group, "b"), [0]);
    assert_eq!(active(&group, "a"), [1]);
}

#[test]
fn the_order_of_the_members_does_not_matter() {
    let mut members = vec![
        ("c", says(3).has(1, 3).metadata()),
        ("a", says(1).runs(&[0, 1], 2).metadata()),
        ("b", says(2).metadata()),
    ];
    let forth = assign(&view(&members), &specs(7), process(1), NOW).unwrap();
    members.reverse();
    let mut specs = specs(7);
    specs.reverse();
    assert_eq!(assign(&view(&members), &specs, process(1), NOW).unwrap(), forth);
}

#[test]
fn two_tasks_with_one_partition_are_refused() {
    let mut specs = specs(2);
    specs[1].source_partitions.push(partition(0));
    let error = assign(&view(&[("a", says(1).metadata())]), &specs, process(1), NOW).unwrap_err();
    assert_eq!(error, Error::SharedPartition { partition: partition(0), first: task(0), second: task(1) });
}

#[test]
fn an_error_can_be_sent_to_all() {
    let view = view(&[("a", says(1).metadata()), ("b", b"junk".to_vec())]);
    let group = decoded(&error_assignment(&view, assignment_error::INCOMPLETE_SOURCE_TOPIC_METADATA));
    assert_eq!(group.len(), 2);
    assert!(group.values().all(|(_, info)| info.error_code == 1 && info.version == 11));
    assert_eq!(view.topics().into_iter().collect::<Vec<_>>(), ["in"]);
}
