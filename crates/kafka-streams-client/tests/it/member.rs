//! The driver of a member against a fake coordinator.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use kafka_streams_core::TaskId;
use kafka_streams_engine::port::Group;
use kafka_streams_group::{ClassicConfig, Error, Event, GroupError, LostReason, WorkerEvent};
use tokio::sync::Notify;

use crate::fake_broker::{FakeBroker, Reaction, coordinator_is};
use crate::fake_coordinator::{
    Coordinator, FIND_COORDINATOR, HEARTBEAT, JOIN, LEAVE, SYNC, TwoTasks, Worker, comes_true, config,
};

const BOTH: [TaskId; 2] = [TaskId::new(0, 0), TaskId::new(0, 1)];

async fn started() -> (FakeBroker, Arc<Coordinator>, Worker) {
    let coordinator = Arc::new(Coordinator::default());
    let broker = FakeBroker::start({
        let coordinator = coordinator.clone();
        move |asked| coordinator.react(asked)
    })
    .await;
    let mut worker = Worker::new(broker.cluster(), config("g"), TwoTasks::new(None));
    worker.start();
    (broker, coordinator, worker)
}

#[tokio::test]
async fn a_member_joins_leads_and_gets_its_tasks() {
    let (broker, _, mut worker) = started().await;
    assert_eq!(worker.seat.member(), None);
    assert_eq!(worker.next_assignment().await, BOTH);
    let member = worker.seat.member().unwrap();
    assert_eq!((member.group_id(), member.member_id(), member.generation()), ("g", "m-1", 1));
    assert_eq!((broker.versions(JOIN), broker.versions(SYNC)), (vec![9, 9], vec![5]));
    broker.wait_for_key(HEARTBEAT, 3).await;
}

#[tokio::test]
async fn heartbeats_have_a_connection_of_their_own() {
    let (broker, _, mut worker) = started().await;
    worker.next_assignment().await;
    broker.wait_for_key(HEARTBEAT, 1).await;
    let connection = |key| broker.seen().iter().rev().find(|seen| seen.key == key).unwrap().connection;
    assert_eq!(connection(JOIN), connection(SYNC));
    assert_ne!(connection(JOIN), connection(HEARTBEAT));
    assert_ne!(connection(JOIN), connection(FIND_COORDINATOR));
}

#[tokio::test]
async fn heartbeats_go_on_while_a_join_is_parked() {
    let coordinator = Arc::new(Coordinator::default());
    let (joins, open) = (AtomicUsize::new(0), Arc::new(Notify::new()));
    let broker = FakeBroker::start({
        let (coordinator, open) = (coordinator.clone(), open.clone());
        move |asked| {
            let reaction = coordinator.react(asked)?;
            // The third: the first gave the member id, the second the first generation.
            let parked = asked.key == JOIN && joins.fetch_add(1, Ordering::SeqCst) == 2;
            Some(if parked { Reaction::After(open.clone(), Box::new(reaction)) } else { reaction })
        }
    })
    .await;
    let mut worker = Worker::new(broker.cluster(), config("g"), TwoTasks::new(None));
    worker.start();
    worker.next_assignment().await;
    worker.seat.tell(Event::Rejoin { reason: "test".to_owned(), at_once: true });
    broker.wait_for_key(JOIN, 3).await;
    let before = broker.versions(HEARTBEAT).len();
    broker.wait_for_key(HEARTBEAT, before + 3).await;
    assert_eq!(broker.versions(SYNC).len(), 1);
    open.notify_one();
    assert_eq!(worker.next_assignment().await, BOTH);
    assert_eq!(worker.seat.member().unwrap().generation(), 2);
}

#[tokio::test]
async fn heartbeats_go_on_while_the_leader_works() {
    let coordinator = Arc::new(Coordinator::default());
    let broker = FakeBroker::start(move |asked| coordinator.react(asked)).await;
    let gate = Arc::new(Notify::new());
    let mut worker = Worker::new(broker.cluster(), config("g"), TwoTasks::new(Some(gate.clone())));
    worker.start();
    broker.wait_for_key(HEARTBEAT, 3).await;
    assert_eq!(broker.versions(SYNC).len(), 0);
    gate.notify_one();
    assert_eq!(worker.next_assignment().await, BOTH);
}

#[tokio::test]
async fn a_rebalance_stops_the_leaders_work_for_the_generation_before() {
    let (broker, coordinator) = {
        let coordinator = Arc::new(Coordinator::default());
        let scripted = coordinator.clone();
        (FakeBroker::start(move |asked| scripted.react(asked)).await, coordinator)
    };
    let gate = Arc::new(Notify::new());
    let leader = TwoTasks::new(Some(gate.clone()));
    let mut worker = Worker::new(broker.cluster(), config("g"), leader.clone());
    worker.start();
    broker.wait_for_key(HEARTBEAT, 1).await;
    coordinator.heartbeat_code.store(27, Ordering::SeqCst);
    broker.wait_for_key(JOIN, 3).await;
    coordinator.heartbeat_code.store(0, Ordering::SeqCst);
    let assigned = async {
        loop {
            gate.notify_one();
            if !leader.led.lock().unwrap().is_empty() {
                break;
            }
            tokio::task::yield_now().await;
        }
        worker.next_assignment().await
    };
    assert_eq!(assigned.await, BOTH);
    assert!(!leader.led.lock().unwrap().contains_key(&1), "generation 1 was led to the end");
}

#[tokio::test]
async fn a_coordinator_that_moved_is_found_and_joined() {
    let moved = Arc::new(Coordinator::default());
    let second = FakeBroker::start({
        let moved = moved.clone();
        move |asked| moved.react(asked)
    })
    .await;
    let first = Arc::new(Coordinator::default());
    let looked = AtomicUsize::new(0);
    let broker = FakeBroker::start({
        let (first, address) = (first.clone(), second.address.clone());
        move |asked| match asked.key {
            FIND_COORDINATOR if looked.fetch_add(1, Ordering::SeqCst) > 0 => Some(coordinator_is(asked, &address)),
            _ => first.react(asked),
        }
    })
    .await;
    let mut worker = Worker::new(broker.cluster(), config("g"), TwoTasks::new(None));
    worker.start();
    assert_eq!(worker.next_assignment().await, BOTH);
    first.heartbeat_code.store(16, Ordering::SeqCst);
    // The seat stays: the group's state has moved with its coordinator.
    second.wait_for_key(HEARTBEAT, 2).await;
    assert_eq!(worker.seat.member().unwrap().generation(), 1);
    assert!(worker.seat.poll().is_none());
    moved.heartbeat_code.store(27, Ordering::SeqCst);
    second.wait_for_key(JOIN, 1).await;
    moved.heartbeat_code.store(0, Ordering::SeqCst);
    assert_eq!(worker.next_assignment().await, BOTH);
}

#[tokio::test]
async fn a_lost_connection_is_made_again_and_the_seat_kept() {
    let coordinator = Arc::new(Coordinator::default());
    let beats = AtomicUsize::new(0);
    let broker = FakeBroker::start({
        let coordinator = coordinator.clone();
        move |asked| {
            let third = asked.key == HEARTBEAT && beats.fetch_add(1, Ordering::SeqCst) == 2;
            if third { Some(Reaction::Close) } else { coordinator.react(asked) }
        }
    })
    .await;
    let mut worker = Worker::new(broker.cluster(), config("g"), TwoTasks::new(None));
    worker.start();
    worker.next_assignment().await;
    broker.wait_for_key(HEARTBEAT, 5).await;
    assert_eq!(broker.versions(FIND_COORDINATOR).len(), 2);
    assert_eq!(worker.seat.member().unwrap().generation(), 1);
    assert_eq!(worker.seat.poll(), None);
}

#[tokio::test]
async fn an_unknown_member_loses_its_tasks_and_joins_anew() {
    let (_broker, coordinator, mut worker) = started().await;
    worker.next_assignment().await;
    coordinator.heartbeat_code.store(25, Ordering::SeqCst);
    assert_eq!(worker.next().await, WorkerEvent::Lost { reason: LostReason::UnknownMember });
    coordinator.heartbeat_code.store(0, Ordering::SeqCst);
    assert_eq!(worker.next_assignment().await, BOTH);
}

#[tokio::test]
async fn a_member_that_leaves_says_so_and_its_task_ends() {
    let (broker, _, mut worker) = started().await;
    worker.next_assignment().await;
    worker.seat.tell(Event::Leave { notify_coordinator: true });
    assert_eq!(worker.next().await, WorkerEvent::Left);
    assert_eq!(worker.seat.member(), None);
    assert_eq!(broker.versions(LEAVE), [5]);
    // Its connections end with the task.
    worker.seat.tell(Event::Start);
}

#[tokio::test]
async fn a_seat_dropped_after_leave_still_leaves() {
    let (broker, _, mut worker) = started().await;
    worker.next_assignment().await;
    worker.seat.tell(Event::Leave { notify_coordinator: true });
    drop(worker);
    broker.wait_for_key(LEAVE, 1).await;
}

#[tokio::test]
async fn a_seat_dropped_without_leave_vanishes_in_silence() {
    let coordinator = Arc::new(Coordinator::default());
    let broker = FakeBroker::start(move |asked| coordinator.react(asked)).await;
    let leader = TwoTasks::new(None);
    let mut worker = Worker::new(broker.cluster(), config("g"), leader.clone());
    worker.start();
    worker.next_assignment().await;
    drop(worker);
    // The task holds the other reference.
    comes_true(|| Arc::strong_count(&leader) == 1).await;
    assert_eq!(broker.versions(LEAVE), [0_i16; 0]);
}

#[tokio::test]
async fn a_silent_worker_leaves_and_rejoins_when_it_is_heard() {
    let coordinator = Arc::new(Coordinator::default());
    let broker = FakeBroker::start(move |asked| coordinator.react(asked)).await;
    let impatient = ClassicConfig { max_poll_interval_ms: 100, ..config("g") };
    let mut worker = Worker::new(broker.cluster(), impatient, TwoTasks::new(None));
    worker.start();
    worker.next_assignment().await;
    // Not heard of any more.
    broker.wait_for_key(LEAVE, 1).await;
    let lost = worker.next().await;
    assert_eq!(lost, WorkerEvent::Lost { reason: LostReason::WorkerSilent });
    assert_eq!(worker.next_assignment().await, BOTH);
}

#[tokio::test]
async fn a_refusal_for_good_is_told_to_the_worker() {
    let broker = FakeBroker::start(|asked| {
        use kafka_protocol::messages::JoinGroupResponse;
        (asked.key == JOIN).then(|| asked.reply(&JoinGroupResponse::default().with_error_code(30)))
    })
    .await;
    let mut worker = Worker::new(broker.cluster(), config("g"), TwoTasks::new(None));
    worker.start();
    let mut event = worker.next().await;
    while event == WorkerEvent::Rebalancing {
        event = worker.next().await;
    }
    let WorkerEvent::Fatal(Error::Refused { error, .. }) = event else { panic!("{event:?}") };
    assert_eq!(error, GroupError::GroupAuthorizationFailed);
}

#[tokio::test]
async fn a_broker_that_is_too_old_is_told_to_the_worker() {
    use crate::fake_broker::{api_versions, ranges_with};
    let broker = FakeBroker::start(|asked| {
        (asked.key == 18).then(|| asked.reply_as(&api_versions(&ranges_with(&[(10, 0, 3)])), asked.version, 0))
    })
    .await;
    let mut worker = Worker::new(broker.cluster(), config("g"), TwoTasks::new(None));
    worker.start();
    let event = worker.next().await;
    let WorkerEvent::Fatal(Error::Unreachable { reason }) = event else { panic!("{event:?}") };
    assert!(reason.contains("FindCoordinator"), "{reason}");
}
