//! What one member does in each situation, played step by step with a hand-held coordinator and clock.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail anywhere")]

use std::collections::BTreeMap;

use kafka_streams_core::{TaskId, TopicPartition};
use kafka_streams_group::codec::{
    AssignmentInfo, ConsumerAssignment, ConsumerSubscription, DecodedSubscription, LATEST_OFFSET, NO_REBALANCE,
    SubscriptionInfo, assignment_error,
};
use kafka_streams_group::{
    Action, Assigned, ClassicConfig, ClassicMember, Error, Event, GroupError, HostInfo, JoinRefusal, JoinReply,
    JoinRequest, LeadError, LostReason, Phase, ProcessId, RequestId, Revoke, SyncRequest, WorkerEvent,
};

const START: i64 = 1_700_000_000_000;

/// A member, its clock, and what it did that no test has looked at yet.
struct Play {
    member: ClassicMember,
    now: i64,
    actions: Vec<Action>,
}

fn config() -> ClassicConfig {
    ClassicConfig::new("app", ProcessId::new(uuid::Uuid::from_u128(7)))
}

fn task(n: i32) -> TaskId {
    TaskId::new(0, n)
}

fn partition(n: i32) -> TopicPartition {
    TopicPartition::new("in", n)
}

fn tasks<const N: usize>(tasks: [i32; N]) -> Vec<TaskId> {
    tasks.map(task).to_vec()
}

impl Play {
    fn new(config: ClassicConfig) -> Self {
        Play { member: ClassicMember::new(config, START), now: START, actions: Vec::new() }
    }

    /// A member that has just sent its first JoinGroup.
    fn joining(config: ClassicConfig) -> (Self, RequestId, JoinRequest) {
        let mut play = Play::new(config);
        play.event(Event::Subscribe { topics: vec!["in".to_owned()] });
        play.event(Event::Start);
        play.find_coordinator();
        let (request, join) = play.join();
        (play, request, join)
    }

    /// A follower `m-1` in generation 1 with these active tasks.
    fn stable<const N: usize>(config: ClassicConfig, active: [i32; N]) -> Self {
        let (mut play, request, _) = Play::joining(config);
        play.joined(request, 1);
        let (request, _) = play.sync();
        play.synced(request, assignment(active));
        play.worker();
        play
    }

    fn event(&mut self, event: Event) {
        self.member.handle(self.now, event);
        while let Some(action) = self.member.poll_action() {
            self.actions.push(action);
        }
        if let Some(deadline) = self.member.next_deadline() {
            assert!(deadline > self.now, "a deadline that has passed would make the driver spin");
        }
    }

    fn wait(&mut self, ms: i64) {
        self.now += ms;
        self.event(Event::Tick);
    }

    /// Lets the time pass to each deadline in turn while heartbeats are answered, and the worker is heard.
    fn live(&mut self, ms: i64) {
        let end = self.now + ms;
        while let Some(deadline) = self.member.next_deadline().filter(|deadline| *deadline <= end) {
            self.now = deadline;
            self.event(Event::Tick);
            self.event(Event::WorkerAlive);
            while let Some(request) = self.next_heartbeat() {
                self.event(Event::HeartbeatReply { request, result: Ok(()) });
            }
        }
        self.now = end;
    }

    fn take<T>(&mut self, wanted: impl Fn(&Action) -> Option<T>) -> Option<T> {
        let at = self.actions.iter().position(|action| wanted(action).is_some())?;
        wanted(&self.actions.remove(at))
    }

    fn find_coordinator(&mut self) {
        let find = |action: &Action| match action {
            Action::FindCoordinator { request } => Some(*request),
            _ => None,
        };
        while let Some(request) = self.take(find) {
            self.event(Event::Coordinator { request, result: Ok(()) });
        }
    }

    fn next_join(&mut self) -> Option<(RequestId, JoinRequest)> {
        self.take(|action| match action {
            Action::Join { request, join } => Some((*request, join.clone())),
            _ => None,
        })
    }

    fn join(&mut self) -> (RequestId, JoinRequest) {
        self.next_join().expect("a JoinGroup")
    }

    fn sync(&mut self) -> (RequestId, SyncRequest) {
        let sync = self.take(|action| match action {
            Action::Sync { request, sync } => Some((*request, sync.clone())),
            _ => None,
        });
        sync.expect("a SyncGroup")
    }

    fn next_heartbeat(&mut self) -> Option<RequestId> {
        self.take(|action| match action {
            Action::Heartbeat { request, .. } => Some(*request),
            _ => None,
        })
    }

    /// Sends the next heartbeat when it is due and answers it.
    fn heartbeat(&mut self, result: Result<(), GroupError>) {
        if let Some(due) = self.member.next_deadline() {
            self.now = self.now.max(due);
            self.event(Event::Tick);
        }
        let request = self.next_heartbeat().expect("a heartbeat");
        self.event(Event::HeartbeatReply { request, result });
    }

    fn has_left(&mut self) -> Option<RequestId> {
        self.take(|action| match action {
            Action::Leave { request, .. } => Some(*request),
            _ => None,
        })
    }

    /// Answers as to a follower.
    fn joined(&mut self, request: RequestId, generation: i32) {
        let reply =
            JoinReply { generation, member_id: "m-1".to_owned(), leader: "m-0".to_owned(), ..Default::default() };
        self.event(Event::JoinReply { request, result: Ok(reply) });
    }

    fn refused(&mut self, request: RequestId, error: GroupError, member_id: &str) {
        let refusal = JoinRefusal { error, member_id: member_id.to_owned() };
        self.event(Event::JoinReply { request, result: Err(refusal) });
    }

    fn synced(&mut self, request: RequestId, assignment: Vec<u8>) {
        self.event(Event::SyncReply { request, result: Ok(assignment) });
    }

    /// The whole rebalance as a follower, from the JoinGroup that is on its way.
    fn rebalanced(&mut self, generation: i32, assignment: Vec<u8>) -> ConsumerSubscription {
        let (request, join) = self.join();
        self.joined(request, generation);
        let (request, _) = self.sync();
        self.synced(request, assignment);
        subscription(&join)
    }

    fn worker(&mut self) -> Vec<WorkerEvent> {
        let worker = |action: &Action| match action {
            Action::Worker(event) => Some(event.clone()),
            _ => None,
        };
        std::iter::from_fn(|| self.take(worker)).collect()
    }

    fn assigned(&mut self) -> Assigned {
        let events = self.worker();
        let assigned = events.iter().find_map(|event| match event {
            WorkerEvent::Assigned(assigned) => Some(assigned.clone()),
            _ => None,
        });
        assigned.unwrap_or_else(|| panic!("no assignment in {events:?}"))
    }

    fn revoke(&mut self) -> Revoke {
        let events = self.worker();
        let revoke = events.iter().find_map(|event| match event {
            WorkerEvent::Revoke(revoke) => Some(revoke.clone()),
            _ => None,
        });
        revoke.unwrap_or_else(|| panic!("nothing revoked in {events:?}"))
    }

    fn lost(&mut self) -> Option<LostReason> {
        self.worker().iter().find_map(|event| match event {
            WorkerEvent::Lost { reason } => Some(*reason),
            _ => None,
        })
    }

    fn fatal(&mut self) -> Option<Error> {
        self.worker().iter().find_map(|event| match event {
            WorkerEvent::Fatal(error) => Some(error.clone()),
            _ => None,
        })
    }
}

fn subscription(join: &JoinRequest) -> ConsumerSubscription {
    assert_eq!(join.protocols.len(), 1);
    assert_eq!(join.protocols[0].0, "stream");
    ConsumerSubscription::decode(&join.protocols[0].1).unwrap()
}

fn info(subscription: &ConsumerSubscription) -> SubscriptionInfo {
    match SubscriptionInfo::decode(subscription.user_data.as_deref().unwrap()).unwrap() {
        DecodedSubscription::Known(info) => info,
        DecodedSubscription::Future { .. } => panic!("we write no future version"),
    }
}

fn assignment<const N: usize>(active: [i32; N]) -> Vec<u8> {
    assignment_with(active, |_| {})
}

fn assignment_with<const N: usize>(active: [i32; N], change: impl FnOnce(&mut AssignmentInfo)) -> Vec<u8> {
    let mut info = AssignmentInfo { active_tasks: tasks(active), ..AssignmentInfo::empty(11, 11) };
    change(&mut info);
    let partitions = active.map(partition).to_vec();
    ConsumerAssignment { partitions, user_data: Some(info.encode().unwrap()) }.encode().unwrap()
}

// Joining.

#[test]
fn a_new_member_finds_the_coordinator_and_joins_with_everything_that_the_leader_needs() {
    let mut config = config();
    config.user_endpoint = Some(HostInfo::new("h", 9));
    config.client_tags = BTreeMap::from([("zone".to_owned(), "z1".to_owned())]);
    config.rack_id = Some("r1".to_owned());
    let mut play = Play::new(config);
    play.event(Event::Subscribe { topics: vec!["z".to_owned(), "a".to_owned(), "a".to_owned()] });
    play.event(Event::TaskOffsetSums(vec![(task(1), 42)]));
    assert!(play.actions.is_empty(), "nothing happens before Start");
    play.event(Event::Start);
    play.find_coordinator();
    let (_, join) = play.join();
    assert_eq!(join.member_id, "");
    assert_eq!((join.session_timeout_ms, join.rebalance_timeout_ms), (45_000, 300_000));
    let subscription = subscription(&join);
    assert_eq!(subscription.topics, ["a", "z"]);
    assert_eq!((subscription.generation, subscription.rack_id.as_deref()), (None, Some("r1")));
    assert!(subscription.owned_partitions.is_empty());
    let info = info(&subscription);
    assert_eq!((info.version, info.latest_supported_version), (11, 11));
    assert_eq!(info.task_offset_sums, BTreeMap::from([(task(1), 42)]));
    assert_eq!(info.user_endpoint.as_deref(), Some("h:9"));
    assert_eq!(info.client_tags.len(), 1);
    assert_eq!(play.member.phase(), Phase::Joining);
    assert_eq!(play.member.membership(), None);
}

#[test]
fn no_join_before_there_are_topics() {
    let mut play = Play::new(config());
    play.event(Event::Start);
    play.find_coordinator();
    assert!(play.next_join().is_none());
    play.event(Event::Subscribe { topics: vec!["in".to_owned()] });
    assert!(play.next_join().is_some());
}

#[test]
fn the_member_id_that_the_coordinator_asks_for_is_used_at_once() {
    let (mut play, request, _) = Play::joining(config());
    play.refused(request, GroupError::MemberIdRequired, "m-1");
    let (_, join) = play.join();
    assert_eq!(join.member_id, "m-1");
}

#[test]
fn a_coordinator_that_keeps_asking_for_a_member_id_is_not_stormed() {
    let (mut play, request, _) = Play::joining(config());
    play.refused(request, GroupError::MemberIdRequired, "m-1");
    let (request, _) = play.join();
    play.refused(request, GroupError::MemberIdRequired, "m-2");
    assert!(play.next_join().is_none());
    play.wait(200);
    assert!(play.next_join().is_some());
}

#[test]
fn a_follower_syncs_with_nothing_and_gets_its_tasks() {
    let (mut play, request, _) = Play::joining(config());
    play.joined(request, 5);
    let (request, sync) = play.sync();
    assert_eq!((sync.generation, sync.member_id.as_str()), (5, "m-1"));
    assert!(sync.assignments.is_empty());
    assert_eq!(play.member.membership().map(|m| m.generation()), Some(5), "transactions may use it already");
    let standby = BTreeMap::from([(task(9), vec![partition(9)])]);
    play.synced(request, assignment_with([1, 2], |info| info.standby_tasks = standby));
    let assigned = play.assigned();
    assert_eq!((assigned.generation, assigned.member_id.as_str()), (5, "m-1"));
    assert_eq!(assigned.active, [(task(1), vec![partition(1)]), (task(2), vec![partition(2)])]);
    assert_eq!(assigned.standby, [(task(9), vec![partition(9)])]);
    assert_eq!((assigned.added, assigned.revoked), (tasks([1, 2]), vec![]));
    assert_eq!(play.member.phase(), Phase::Stable);
}

#[test]
fn partitions_belong_to_tasks_in_their_sorted_order_whatever_the_order_on_the_wire() {
    let (mut play, request, _) = Play::joining(config());
    play.joined(request, 1);
    let (request, _) = play.sync();
    let info = AssignmentInfo { active_tasks: tasks([0, 1, 0, 1]), ..AssignmentInfo::empty(11, 11) };
    let user_data = info.encode().unwrap();
    // Written by hand: b-1, a-0, b-0, a-1.
    let mut bytes = vec![0, 3, 0, 0, 0, 4];
    for (topic, partition) in [(b'b', 1), (b'a', 0), (b'b', 0), (b'a', 1)] {
        bytes.extend([0, 1, topic, 0, 0, 0, 1, 0, 0, 0, partition]);
    }
    bytes.extend((user_data.len() as i32).to_be_bytes());
    bytes.extend(user_data);
    play.synced(request, bytes);
    let of = |n| (task(n), vec![TopicPartition::new("a", n), TopicPartition::new("b", n)]);
    assert_eq!(play.assigned().active, [of(0), of(1)]);
}

#[test]
fn the_leader_hands_the_members_to_its_driver_and_sends_what_comes_back() {
    let (mut play, request, _) = Play::joining(config());
    let members = vec![("m-1".to_owned(), vec![1]), ("m-2".to_owned(), vec![2])];
    let reply = JoinReply {
        generation: 3,
        member_id: "m-1".to_owned(),
        leader: "m-1".to_owned(),
        skip_assignment: false,
        members: members.clone(),
    };
    play.event(Event::JoinReply { request, result: Ok(reply) });
    assert!(play.actions.contains(&Action::Lead { generation: 3, members: members.clone() }));
    play.event(Event::Led { generation: 2, result: Ok(vec![]) });
    assert_eq!(play.member.phase(), Phase::Leading, "an answer for another generation is ignored");
    play.event(Event::Led { generation: 3, result: Ok(members.clone()) });
    let (_, sync) = play.sync();
    assert_eq!(sync.assignments, members);
}

#[test]
fn a_static_leader_whose_assignment_stands_does_not_assign() {
    let (mut play, request, _) = Play::joining(ClassicConfig { instance_id: Some("i".to_owned()), ..config() });
    let (member_id, leader) = ("m-1".to_owned(), "m-1".to_owned());
    let reply = JoinReply { generation: 3, member_id, leader, skip_assignment: true, members: vec![] };
    play.event(Event::JoinReply { request, result: Ok(reply) });
    let (_, sync) = play.sync();
    assert_eq!((sync.assignments, sync.instance_id.as_deref()), (vec![], Some("i")));
}

#[test]
fn a_leader_that_cannot_assign_rejoins_after_a_wait() {
    let (mut play, request, _) = Play::joining(config());
    let (member_id, leader) = ("m-1".to_owned(), "m-1".to_owned());
    let reply = JoinReply { generation: 3, member_id, leader, skip_assignment: false, members: vec![] };
    play.event(Event::JoinReply { request, result: Ok(reply) });
    play.event(Event::Led { generation: 3, result: Err(LeadError { reason: "no metadata".to_owned() }) });
    assert!(play.next_join().is_none());
    play.wait(200);
    let (_, join) = play.join();
    assert_eq!((join.member_id.as_str(), join.reason.as_str()), ("m-1", "could not assign tasks: no metadata"));
}

#[test]
fn heartbeats_go_on_while_the_leader_assigns_and_a_new_rebalance_ends_it() {
    let (mut play, request, _) = Play::joining(config());
    let (member_id, leader) = ("m-1".to_owned(), "m-1".to_owned());
    let reply = JoinReply { generation: 3, member_id, leader, skip_assignment: false, members: vec![] };
    play.event(Event::JoinReply { request, result: Ok(reply) });
    play.heartbeat(Ok(()));
    assert_eq!(play.member.phase(), Phase::Leading);
    play.heartbeat(Err(GroupError::RebalanceInProgress));
    assert!(play.next_join().is_some());
}

#[test]
fn the_unique_field_changes_with_every_join() {
    let (mut play, request, join) = Play::joining(config());
    play.refused(request, GroupError::MemberIdRequired, "m-1");
    let (_, again) = play.join();
    let fields = [join, again].map(|join| info(&subscription(&join)).unique_field);
    assert_eq!(fields, [1, 2]);
}

#[test]
fn errors_that_pass_are_retried_with_growing_waits() {
    for error in [
        GroupError::CoordinatorLoadInProgress,
        GroupError::RebalanceInProgress,
        GroupError::UnknownServerError,
        GroupError::RequestTimedOut,
    ] {
        let (mut play, mut request, _) = Play::joining(config());
        let mut waits = Vec::new();
        for _ in 0..6 {
            play.refused(request, error, "");
            let before = play.now;
            play.now = play.member.next_deadline().unwrap();
            waits.push(play.now - before);
            play.event(Event::Tick);
            request = play.join().0;
        }
        assert!(waits[0] <= 120 && waits[5] >= 800 && waits[5] <= 1_200, "{error}: {waits:?}");
    }
}

#[test]
fn errors_of_configuration_and_permission_are_fatal() {
    for error in [
        GroupError::GroupAuthorizationFailed,
        GroupError::InconsistentGroupProtocol,
        GroupError::InvalidSessionTimeout,
        GroupError::InvalidGroupId,
        GroupError::GroupMaxSizeReached,
        GroupError::UnsupportedVersion,
        GroupError::Other(99),
    ] {
        let (mut play, request, _) = Play::joining(config());
        play.refused(request, error, "");
        assert_eq!(play.fatal(), Some(Error::Refused { request: "JoinGroup", error }));
        assert_eq!((play.member.phase(), play.member.next_deadline()), (Phase::Stopped, None));
        play.event(Event::WorkerAlive);
        assert!(play.next_join().is_none());
    }
}

#[test]
fn a_reply_without_a_member_id_is_refused() {
    let (mut play, request, _) = Play::joining(config());
    play.event(Event::JoinReply { request, result: Ok(JoinReply { generation: 1, ..Default::default() }) });
    assert_eq!(play.fatal(), Some(Error::MalformedReply { member_id: String::new(), generation: 1 }));
    assert_eq!(play.member.membership(), None);
}

// The coordinator.

#[test]
fn the_coordinator_is_looked_up_again_when_it_has_moved() {
    for error in [GroupError::NotCoordinator, GroupError::CoordinatorNotAvailable] {
        let mut play = Play::stable(config(), [0]);
        play.heartbeat(Err(error));
        assert!(play.actions.contains(&Action::Disconnect));
        play.wait(200);
        play.find_coordinator();
        assert_eq!(play.worker(), [], "{error}: the worker need not know");
        assert_eq!(play.member.phase(), Phase::Stable);
        assert!(play.next_heartbeat().is_some(), "a heartbeat tells at once whether the membership still stands");
    }
}

#[test]
fn a_lost_connection_in_a_rebalance_leads_to_a_new_join_with_the_same_member_id() {
    let mut play = Play::stable(config(), [0]);
    play.heartbeat(Err(GroupError::RebalanceInProgress));
    let (late, _) = play.join();
    play.event(Event::ConnectionLost);
    play.wait(200);
    play.find_coordinator();
    let (request, join) = play.join();
    assert_eq!(join.member_id, "m-1");
    play.joined(late, 2);
    assert_eq!(play.member.phase(), Phase::Joining, "the answer to the lost request is ignored");
    play.joined(request, 2);
    assert_eq!(play.member.phase(), Phase::Syncing);
}

#[test]
fn a_coordinator_that_cannot_be_found_is_looked_for_with_growing_waits() {
    let mut play = Play::new(config());
    play.event(Event::Start);
    let mut last = 0;
    for _ in 0..8 {
        let find = |action: &Action| match action {
            Action::FindCoordinator { request } => Some(*request),
            _ => None,
        };
        let request = play.take(find).expect("a lookup");
        play.event(Event::Coordinator { request, result: Err(GroupError::CoordinatorNotAvailable) });
        last = play.member.next_deadline().unwrap() - play.now;
        play.wait(last);
    }
    assert!((800..=1_200).contains(&last), "{last}");
}

#[test]
fn an_unanswered_request_is_taken_for_a_dead_connection() {
    let mut play = Play::stable(config(), [0]);
    play.wait(3_000);
    assert!(play.next_heartbeat().is_some());
    play.event(Event::WorkerAlive);
    play.wait(30_000);
    assert!(play.actions.contains(&Action::Disconnect));
    assert_eq!(play.member.phase(), Phase::Stable);

    let (mut play, ..) = Play::joining(config());
    for _ in 0..2 {
        play.wait(152_500);
        play.event(Event::WorkerAlive);
    }
    assert!(play.actions.contains(&Action::Disconnect), "JoinGroup may take the rebalance timeout and 5 s");
}

// Staying.

#[test]
fn heartbeats_keep_their_interval_and_carry_the_generation() {
    let mut play = Play::stable(config(), [0]);
    let due = play.member.next_deadline().unwrap();
    assert_eq!(due, play.now + 3_000);
    play.wait(3_000);
    let heartbeat = play.take(|action| match action {
        Action::Heartbeat { request, heartbeat } => Some((*request, heartbeat.clone())),
        _ => None,
    });
    let (request, heartbeat) = heartbeat.unwrap();
    assert_eq!((heartbeat.generation, heartbeat.member_id.as_str()), (1, "m-1"));
    play.now += 500;
    play.event(Event::HeartbeatReply { request, result: Ok(()) });
    assert_eq!(play.member.next_deadline(), Some(play.now + 2_500), "counted from when it was sent");
}

#[test]
fn a_silent_coordinator_ends_the_membership_when_the_session_does() {
    let mut play = Play::stable(config(), [0]);
    play.live(20_000);
    play.event(Event::ConnectionLost);
    let lost_at = loop {
        let deadline = play.member.next_deadline().unwrap();
        play.now = deadline;
        play.event(Event::Tick);
        play.event(Event::WorkerAlive);
        if let Some(reason) = play.lost() {
            assert_eq!(reason, LostReason::SessionExpired);
            break play.now;
        }
        let find = |action: &Action| match action {
            Action::FindCoordinator { request } => Some(*request),
            _ => None,
        };
        while let Some(request) = play.take(find) {
            play.event(Event::Coordinator { request, result: Err(GroupError::CoordinatorNotAvailable) });
        }
    };
    let last_heartbeat = START + 18_000;
    assert_eq!(lost_at, last_heartbeat + 45_000, "counted from when the last good heartbeat was sent");
    assert_eq!(play.member.membership(), None);
    play.wait(2_000);
    play.find_coordinator();
    let (_, join) = play.join();
    assert!(subscription(&join).owned_partitions.is_empty(), "what was lost is not claimed");
}

#[test]
fn a_member_that_the_coordinator_forgot_loses_everything_and_joins_as_new() {
    let mut play = Play::stable(config(), [0]);
    play.event(Event::TaskOffsetSums(vec![(task(0), LATEST_OFFSET), (task(1), 5)]));
    play.heartbeat(Err(GroupError::UnknownMemberId));
    assert_eq!(play.lost(), Some(LostReason::UnknownMember));
    assert_eq!(play.member.membership(), None);
    let (_, join) = play.join();
    assert_eq!(join.member_id, "");
    let subscription = subscription(&join);
    assert_eq!((subscription.owned_partitions.len(), subscription.generation), (0, None));
    assert_eq!(info(&subscription).task_offset_sums, BTreeMap::from([(task(1), 5)]), "nothing runs here any more");
}

#[test]
fn a_stale_generation_loses_everything_but_keeps_the_member_id() {
    let mut play = Play::stable(config(), [0]);
    play.heartbeat(Err(GroupError::IllegalGeneration));
    assert_eq!(play.lost(), Some(LostReason::IllegalGeneration));
    play.wait(200);
    let (_, join) = play.join();
    assert_eq!(join.member_id, "m-1", "a new id would leave a ghost behind that everybody waits for");
    assert!(subscription(&join).owned_partitions.is_empty());
}

#[test]
fn a_fenced_static_member_stops_for_good() {
    let mut play = Play::stable(ClassicConfig { instance_id: Some("i".to_owned()), ..config() }, [0]);
    play.heartbeat(Err(GroupError::FencedInstanceId));
    let events = play.worker();
    assert_eq!(events[0], WorkerEvent::Lost { reason: LostReason::FencedInstance });
    assert!(matches!(events[1], WorkerEvent::Fatal(Error::Refused { error: GroupError::FencedInstanceId, .. })));
    assert_eq!(play.member.phase(), Phase::Stopped);
    assert_eq!(play.has_left(), None, "the place belongs to the other one");
}

#[test]
fn what_keeps_the_driver_from_the_cluster_for_good_is_told_in_its_words() {
    let mut play = Play::stable(config(), [0]);
    play.event(Event::Unreachable { reason: "broker 1: the certificate has expired".to_owned() });
    let events = play.worker();
    assert_eq!(events[0], WorkerEvent::Lost { reason: LostReason::Fatal });
    let WorkerEvent::Fatal(error) = &events[1] else { panic!("{events:?}") };
    assert!(error.to_string().contains("the certificate has expired"), "{error}");
    assert_eq!((play.member.phase(), play.has_left()), (Phase::Stopped, None));

    // On the way out there is nobody to tell.
    let mut play = Play::stable(config(), [0]);
    play.event(Event::Leave { notify_coordinator: true });
    play.event(Event::Unreachable { reason: "broker 1: the certificate has expired".to_owned() });
    assert_eq!((play.worker(), play.member.phase()), (vec![WorkerEvent::Left], Phase::Stopped));
}

#[test]
fn an_old_generation_refused_while_joining_means_nothing() {
    let mut play = Play::stable(config(), [0]);
    play.heartbeat(Err(GroupError::RebalanceInProgress));
    let (request, _) = play.join();
    play.heartbeat(Err(GroupError::IllegalGeneration));
    assert_eq!(play.lost(), None);
    play.event(Event::ConnectionLost);
    play.wait(200);
    play.find_coordinator();
    play.joined(request, 2);
    let request = play.next_heartbeat().expect("a heartbeat as soon as the coordinator is known");
    play.event(Event::HeartbeatReply { request, result: Err(GroupError::IllegalGeneration) });
    assert_eq!(play.lost(), None, "nor while it is not known what became of the JoinGroup");
}

#[test]
fn a_silent_worker_makes_the_member_leave_until_it_is_heard_again() {
    let mut play = Play::stable(config(), [0]);
    let end = play.now + 300_000;
    while play.member.next_deadline().is_some_and(|due| due < end) {
        play.heartbeat(Ok(()));
    }
    assert_eq!(play.worker(), []);
    play.wait(end - play.now);
    assert_eq!(play.lost(), Some(LostReason::WorkerSilent));
    assert!(play.has_left().is_some());
    assert_eq!((play.member.phase(), play.member.next_deadline()), (Phase::Parked, None));
    assert_eq!(play.member.membership(), None);
    play.wait(1_000_000);
    assert!(play.next_join().is_none());
    play.event(Event::WorkerAlive);
    let (_, join) = play.join();
    assert_eq!(join.member_id, "");
    assert!(subscription(&join).owned_partitions.is_empty());
}

#[test]
fn a_static_member_with_a_silent_worker_keeps_its_place() {
    let mut play = Play::stable(ClassicConfig { instance_id: Some("i".to_owned()), ..config() }, [0]);
    play.wait(300_000);
    assert_eq!(play.lost(), Some(LostReason::WorkerSilent));
    assert!(play.has_left().is_none());
}

#[test]
fn a_busy_worker_does_not_stop_heartbeats_and_rejoining() {
    let mut play = Play::stable(config(), [0]);
    for _ in 0..50 {
        play.heartbeat(Ok(()));
    }
    play.heartbeat(Err(GroupError::RebalanceInProgress));
    assert_eq!(subscription(&play.join().1).owned_partitions, [partition(0)]);
}

// Rebalancing cooperatively.

#[test]
fn a_rejoin_claims_what_is_owned_in_its_generation_and_processing_goes_on() {
    let mut play = Play::stable(config(), [0, 1]);
    play.event(Event::TaskOffsetSums(vec![(task(0), LATEST_OFFSET)]));
    play.heartbeat(Err(GroupError::RebalanceInProgress));
    assert_eq!(play.worker(), [WorkerEvent::Rebalancing]);
    let subscription = play.rebalanced(2, assignment([0, 1]));
    assert_eq!(subscription.owned_partitions, [partition(0), partition(1)]);
    assert_eq!(subscription.generation, Some(1));
    assert_eq!(info(&subscription).task_offset_sums, BTreeMap::from([(task(0), LATEST_OFFSET)]));
    let assigned = play.assigned();
    assert_eq!((assigned.generation, assigned.added, assigned.revoked), (2, vec![], vec![]));
    assert!(play.next_join().is_none(), "nothing was given up, so nothing follows");
}

#[test]
fn what_is_taken_away_is_released_before_the_join_that_gives_it_up_c2() {
    let mut play = Play::stable(config(), [0, 1, 2]);
    play.heartbeat(Err(GroupError::RebalanceInProgress));
    play.worker();
    play.rebalanced(2, assignment([0, 3]));
    let events = play.worker();
    let [WorkerEvent::Revoke(revoke), WorkerEvent::Assigned(assigned)] = &events[..] else {
        panic!("first the revocation, then the assignment: {events:?}");
    };
    assert_eq!(revoke.generation, 2);
    assert_eq!(revoke.tasks, [(task(1), vec![partition(1)]), (task(2), vec![partition(2)])]);
    assert_eq!(assigned.active.iter().map(|(task, _)| *task).collect::<Vec<_>>(), tasks([0, 3]));
    assert_eq!((&assigned.added, &assigned.revoked), (&tasks([3]), &tasks([1, 2])));

    play.live(5_000);
    assert!(play.next_join().is_none());
    play.event(Event::Released { revocation: revoke.id, tasks: tasks([1]) });
    assert!(play.next_join().is_none(), "one task is still being committed");
    play.event(Event::Released { revocation: revoke.id, tasks: tasks([2]) });
    let subscription = subscription(&play.join().1);
    assert_eq!(subscription.owned_partitions, [partition(0), partition(3)]);
    assert_eq!(subscription.generation, Some(2));
}

#[test]
fn a_rebalance_of_others_waits_a_while_for_what_is_being_released() {
    let mut play = Play::stable(config(), [0, 1]);
    play.heartbeat(Err(GroupError::RebalanceInProgress));
    play.rebalanced(2, assignment([0]));
    let revoke = play.revoke();
    play.heartbeat(Err(GroupError::RebalanceInProgress));
    assert!(play.next_join().is_none());
    play.event(Event::Released { revocation: revoke.id, tasks: tasks([1]) });
    assert_eq!(subscription(&play.join().1).owned_partitions, [partition(0)]);
}

#[test]
fn a_rebalance_of_others_is_joined_with_the_claim_kept_when_the_release_takes_too_long() {
    let mut play = Play::stable(config(), [0, 1]);
    play.heartbeat(Err(GroupError::RebalanceInProgress));
    play.rebalanced(2, assignment([0]));
    let revoke = play.revoke();
    play.heartbeat(Err(GroupError::RebalanceInProgress));
    play.live(10_000);
    let subscription_2 = play.rebalanced(3, assignment([0]));
    assert_eq!(subscription_2.owned_partitions, [partition(0), partition(1)]);
    let assigned = play.assigned();
    assert_eq!((assigned.active.len(), assigned.revoked), (1, vec![]), "it was asked for already");
    play.event(Event::Released { revocation: revoke.id, tasks: tasks([1]) });
    assert_eq!(subscription(&play.join().1).owned_partitions, [partition(0)]);
}

#[test]
fn a_task_that_comes_back_while_it_is_being_released_is_opened_again() {
    let mut play = Play::stable(config(), [0, 1]);
    play.heartbeat(Err(GroupError::RebalanceInProgress));
    play.rebalanced(2, assignment([0]));
    let revoke = play.revoke();
    play.heartbeat(Err(GroupError::RebalanceInProgress));
    play.live(10_000);
    play.rebalanced(3, assignment([0, 1]));
    let assigned = play.assigned();
    assert_eq!((assigned.active.len(), assigned.added), (2, tasks([1])));
    play.event(Event::Released { revocation: revoke.id, tasks: tasks([1]) });
    play.event(Event::Rejoin { reason: "test".to_owned(), at_once: true });
    assert_eq!(subscription(&play.join().1).owned_partitions, [partition(0), partition(1)], "it is ours");
}

#[test]
fn what_was_released_while_the_join_claimed_it_is_given_up_with_another_join() {
    let mut play = Play::stable(config(), [0, 1]);
    play.heartbeat(Err(GroupError::RebalanceInProgress));
    play.rebalanced(2, assignment([0]));
    let revoke = play.revoke();
    play.event(Event::Rejoin { reason: "test".to_owned(), at_once: true });
    let (request, join) = play.join();
    assert_eq!(subscription(&join).owned_partitions, [partition(0), partition(1)]);
    play.event(Event::Released { revocation: revoke.id, tasks: tasks([1]) });
    play.joined(request, 3);
    let (request, _) = play.sync();
    play.synced(request, assignment([0]));
    assert_eq!(subscription(&play.join().1).owned_partitions, [partition(0)]);
}

#[test]
fn a_release_from_before_a_loss_says_nothing_about_what_came_after() {
    let mut play = Play::stable(config(), [0]);
    play.heartbeat(Err(GroupError::RebalanceInProgress));
    play.rebalanced(2, assignment([]));
    let revoke = play.revoke();
    play.heartbeat(Err(GroupError::UnknownMemberId));
    play.rebalanced(5, assignment([0]));
    play.event(Event::Released { revocation: revoke.id, tasks: tasks([0]) });
    play.event(Event::Rejoin { reason: "test".to_owned(), at_once: true });
    assert_eq!(subscription(&play.join().1).owned_partitions, [partition(0)]);
}

#[test]
fn a_new_rebalance_before_sync_is_joined_with_the_old_claims() {
    let mut play = Play::stable(config(), [0]);
    play.heartbeat(Err(GroupError::RebalanceInProgress));
    let (request, _) = play.join();
    play.joined(request, 2);
    let (request, _) = play.sync();
    play.event(Event::SyncReply { request, result: Err(GroupError::RebalanceInProgress) });
    let subscription = subscription(&play.join().1);
    assert_eq!((subscription.owned_partitions, subscription.generation), (vec![partition(0)], Some(1)));
    assert_eq!(play.member.membership().map(|m| m.generation()), Some(2));
}

// What follows an assignment.

#[test]
fn next_rebalance_zero_is_followed_at_once_but_not_in_a_storm() {
    let mut play = Play::stable(config(), []);
    play.event(Event::Rejoin { reason: "test".to_owned(), at_once: true });
    let withheld = || assignment_with([], |info| info.next_rebalance_ms = 0);
    play.rebalanced(2, withheld());
    assert_eq!(play.member.phase(), Phase::Joining, "at once");
    play.rebalanced(3, withheld());
    assert_eq!(play.member.phase(), Phase::Stable, "the second one waits");
    play.wait(200);
    play.rebalanced(4, assignment([0]));
    play.live(60_000);
    assert!(play.next_join().is_none());
}

#[test]
fn a_probing_rebalance_comes_at_its_time() {
    let mut play = Play::stable(config(), []);
    play.event(Event::Rejoin { reason: "test".to_owned(), at_once: true });
    let at = play.now + 600_000;
    play.rebalanced(2, assignment_with([0], |info| info.next_rebalance_ms = at));
    assert_eq!(play.assigned().next_rebalance_ms, Some(at));
    play.live(599_999);
    assert!(play.next_join().is_none());
    play.live(1);
    let (_, join) = play.join();
    assert_eq!(join.reason, "the time for a probing rebalance has come");
}

#[test]
fn a_missing_own_endpoint_makes_the_member_rejoin() {
    let mut play = Play::stable(ClassicConfig { user_endpoint: Some(HostInfo::new("me", 1)), ..config() }, []);
    play.event(Event::Rejoin { reason: "test".to_owned(), at_once: true });
    let with = |host: &str| {
        let hosts = BTreeMap::from([(HostInfo::new(host, 1), vec![partition(0)])]);
        assignment_with([], |info| info.partitions_by_host = hosts)
    };
    play.rebalanced(2, with("other"));
    assert_eq!(play.assigned().partitions_by_host.len(), 1);
    play.rebalanced(3, with("me"));
    assert_eq!(play.member.phase(), Phase::Stable);
    assert!(play.next_join().is_none());
}

#[test]
fn an_older_leader_lowers_the_version_and_a_newer_group_raises_it_again() {
    let mut play = Play::stable(config(), []);
    play.event(Event::Rejoin { reason: "test".to_owned(), at_once: true });
    let version = |version, common| {
        assignment_with([], |info| (info.version, info.commonly_supported_version) = (version, common))
    };
    let first = play.rebalanced(2, version(9, 9));
    assert_eq!(info(&first).version, 11);
    let second = play.rebalanced(3, version(9, 11));
    assert_eq!((info(&second).version, info(&second).latest_supported_version), (9, 11));
    play.wait(200);
    let third = play.rebalanced(4, version(11, 11));
    assert_eq!(info(&third).version, 11);
}

#[test]
fn an_assignment_newer_than_the_subscription_is_fatal() {
    for (version, common) in [(11, 12), (7, 7)] {
        let mut play = Play::stable(config(), []);
        play.event(Event::Rejoin { reason: "test".to_owned(), at_once: true });
        play.rebalanced(
            2,
            assignment_with([], |info| (info.version, info.commonly_supported_version) = (version, common)),
        );
        if version == 11 {
            assert!(matches!(play.fatal(), Some(Error::AssignmentVersion { sent: 11, common: 12, .. })));
        } else {
            // The subscription of version 7 is answered with version 11.
            play.rebalanced(3, assignment([]));
            assert!(matches!(play.fatal(), Some(Error::AssignmentVersion { sent: 7, received: 11, .. })));
        }
    }
}

#[test]
fn assignment_errors_end_the_member_and_a_shutdown_request_does_not() {
    for (code, expected) in [
        (assignment_error::INCOMPLETE_SOURCE_TOPIC_METADATA, Error::MissingSourceTopics),
        (assignment_error::ASSIGNMENT_ERROR, Error::AssignmentFailed),
        (77, Error::UnknownAssignmentError { code: 77 }),
    ] {
        let mut play = Play::stable(config(), [0]);
        play.event(Event::Rejoin { reason: "test".to_owned(), at_once: true });
        play.rebalanced(2, assignment_with([], |info| info.error_code = code));
        let events = play.worker();
        assert!(events.contains(&WorkerEvent::Lost { reason: LostReason::Fatal }));
        assert_eq!(events.last(), Some(&WorkerEvent::Fatal(expected)));
        let request = play.has_left().expect("the others should not wait for this member");
        play.event(Event::LeaveReply { request });
        assert_eq!(play.member.phase(), Phase::Stopped);
    }

    let mut play = Play::stable(config(), [0]);
    play.event(Event::Rejoin { reason: "test".to_owned(), at_once: true });
    play.rebalanced(2, assignment_with([], |info| info.error_code = assignment_error::SHUTDOWN_REQUESTED));
    let events = play.worker();
    assert_eq!(events, [WorkerEvent::Rebalancing, WorkerEvent::ShutdownRequested]);
    assert!(play.member.membership().is_some(), "the tasks can still be committed");
    play.event(Event::Rejoin { reason: "test".to_owned(), at_once: true });
    assert_eq!(subscription(&play.join().1).owned_partitions, [partition(0)]);
}

#[test]
fn an_unreadable_assignment_is_fatal_and_an_empty_one_is_tried_again() {
    let mut play = Play::stable(config(), [0]);
    play.event(Event::Rejoin { reason: "test".to_owned(), at_once: true });
    play.rebalanced(2, b"\0\x03junk".to_vec());
    assert!(matches!(play.fatal(), Some(Error::Truncated { .. })));

    let mut play = Play::stable(config(), [0]);
    play.event(Event::Rejoin { reason: "test".to_owned(), at_once: true });
    play.rebalanced(2, vec![]);
    assert_eq!(play.worker(), [WorkerEvent::Rebalancing]);
    play.wait(200);
    assert_eq!(subscription(&play.join().1).owned_partitions, [partition(0)], "nothing was taken away");
}

#[test]
fn an_assignment_that_names_another_number_of_tasks_than_partitions_is_fatal() {
    let mut play = Play::stable(config(), []);
    play.event(Event::Rejoin { reason: "test".to_owned(), at_once: true });
    play.rebalanced(2, assignment_with([0, 1], |info| info.active_tasks.truncate(1)));
    assert_eq!(play.fatal(), Some(Error::AssignmentMismatch { partitions: 2, tasks: 1 }));
}

// What the worker asks for.

#[test]
fn a_change_of_topics_is_announced() {
    let mut play = Play::stable(config(), []);
    play.event(Event::Subscribe { topics: vec!["in".to_owned()] });
    assert!(play.next_join().is_none(), "nothing changed");
    play.event(Event::Subscribe { topics: vec!["in".to_owned(), "more".to_owned()] });
    assert_eq!(subscription(&play.join().1).topics, ["in", "more"]);
}

#[test]
fn what_is_asked_for_in_a_rebalance_is_done_after_it() {
    let mut play = Play::stable(config(), []);
    play.heartbeat(Err(GroupError::RebalanceInProgress));
    let (request, _) = play.join();
    play.event(Event::Subscribe { topics: vec!["other".to_owned()] });
    assert!(play.next_join().is_none());
    play.joined(request, 2);
    let (request, _) = play.sync();
    play.synced(request, assignment([]));
    assert_eq!(subscription(&play.join().1).topics, ["other"]);
}

#[test]
fn a_rejoin_that_is_not_urgent_waits_for_what_is_being_released() {
    let mut play = Play::stable(config(), [0, 1]);
    play.heartbeat(Err(GroupError::RebalanceInProgress));
    play.rebalanced(2, assignment([0]));
    let revoke = play.revoke();
    play.event(Event::Rejoin { reason: "later".to_owned(), at_once: false });
    assert!(play.next_join().is_none());
    play.event(Event::Released { revocation: revoke.id, tasks: tasks([1]) });
    assert_eq!(play.join().1.reason, "later");
}

#[test]
fn a_request_to_shut_down_the_application_goes_into_every_subscription() {
    let mut play = Play::stable(config(), [0]);
    play.event(Event::RequestShutdown);
    let subscription = play.rebalanced(2, assignment([0]));
    assert_eq!(info(&subscription).error_code, assignment_error::SHUTDOWN_REQUESTED);
    play.event(Event::Rejoin { reason: "again".to_owned(), at_once: true });
    let (_, join) = play.join();
    assert_eq!(info(&self::subscription(&join)).error_code, assignment_error::SHUTDOWN_REQUESTED);
}

#[test]
fn reasons_are_cut_to_what_the_broker_takes() {
    let mut play = Play::stable(config(), []);
    play.event(Event::Rejoin { reason: "ä".repeat(200), at_once: true });
    assert_eq!(play.join().1.reason.len(), 254);
}

#[test]
fn leaving_tells_the_coordinator_and_ends_whatever_it_answers() {
    let mut play = Play::stable(config(), [0]);
    play.event(Event::Leave { notify_coordinator: true });
    assert_eq!((play.member.phase(), play.member.membership()), (Phase::Leaving, None));
    let request = play.has_left().unwrap();
    play.event(Event::LeaveReply { request });
    assert_eq!(play.worker(), [WorkerEvent::Left]);
    assert_eq!(play.member.phase(), Phase::Stopped);

    let mut play = Play::stable(config(), [0]);
    play.event(Event::Leave { notify_coordinator: true });
    play.wait(5_000);
    assert_eq!(play.worker(), [WorkerEvent::Left], "a dead coordinator does not hold up the shutdown");
}

#[test]
fn leaving_without_a_word_ends_at_once() {
    let mut play = Play::stable(config(), [0]);
    play.event(Event::Leave { notify_coordinator: false });
    assert!(play.has_left().is_none());
    assert_eq!(play.worker(), [WorkerEvent::Left]);
    let mut idle = Play::new(config());
    idle.event(Event::Leave { notify_coordinator: true });
    assert_eq!(idle.worker(), [WorkerEvent::Left]);
}

#[test]
fn no_rebalance_is_planned_by_default() {
    assert_eq!(AssignmentInfo::empty(11, 11).next_rebalance_ms, NO_REBALANCE);
    let mut play = Play::stable(config(), [0]);
    play.live(3_600_000);
    assert!(play.next_join().is_none());
    assert_eq!(play.worker(), []);
}
