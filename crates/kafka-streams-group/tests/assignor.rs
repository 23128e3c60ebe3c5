//! Laws of the assignor, over random groups.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail anywhere")]

use std::collections::{BTreeMap, BTreeSet};

use kafka_streams_core::TaskId;
use kafka_streams_group::ProcessId;
use kafka_streams_group::assignor::{
    AssignorInput, ConsumerState, Lag, ProcessState, TaskInfo, sticky, threads, validate,
};
use proptest::collection::vec;
use proptest::prelude::*;

/// Which consumer runs which tasks, by (process, member id).
type Running = BTreeMap<(ProcessId, String), BTreeSet<TaskId>>;

fn process_id(n: usize) -> ProcessId {
    ProcessId::new(uuid::Uuid::from_u128(n as u128 + 1))
}

/// Assigns, checks what must hold of any assignment, and returns who runs what.
fn assign(input: &AssignorInput) -> Running {
    let output = sticky::assign(input);
    assert_eq!(validate(input, &output), Ok(()));
    let mut running = Running::new();
    for (process, assigned) in &output.processes {
        let mut left = assigned.active.clone();
        for (member, tasks) in threads::distribute(input, &input.processes[process], assigned) {
            assert!(tasks.active.iter().all(|task| left.remove(task)), "a task was given twice in {process}");
            assert!(tasks.standby.is_empty());
            running.insert((*process, member), tasks.active);
        }
        assert!(left.is_empty(), "{left:?} were given to no consumer of {process}");
    }
    running
}

/// The same group after `running` was carried out: everybody owns its tasks and has their state.
fn carried_out(input: &AssignorInput, running: &Running) -> AssignorInput {
    let mut input = input.clone();
    for (id, process) in &mut input.processes {
        process.lags.clear();
        for (member, consumer) in &mut process.consumers {
            let tasks = running.get(&(*id, member.clone())).cloned().unwrap_or_default();
            let stateful: BTreeSet<TaskId> = tasks.iter().copied().filter(|task| input.tasks[task].stateful).collect();
            process.lags.extend(stateful.iter().map(|task| (*task, Lag::Latest)));
            *consumer = ConsumerState { active: tasks, reported: stateful };
        }
    }
    input
}

fn spread_of(running: &Running, count: impl Fn(&TaskId) -> bool) -> usize {
    let counts = || running.values().map(|tasks| tasks.iter().filter(|task| count(task)).count());
    counts().max().unwrap_or(0) - counts().min().unwrap_or(0)
}

/// Tasks that changed their consumer, but did not go to one of `newcomers` (or come from one that is gone).
fn shuffled(before: &Running, after: &Running) -> Vec<TaskId> {
    let owner = |running: &Running, task: &TaskId| {
        running.iter().find(|(_, tasks)| tasks.contains(task)).map(|(consumer, _)| consumer.clone())
    };
    let tasks: BTreeSet<TaskId> = before.values().flatten().copied().collect();
    tasks
        .into_iter()
        .filter(|task| {
            let (from, to) = (owner(before, task), owner(after, task));
            let both_stay = from.as_ref().is_some_and(|c| after.contains_key(c))
                && to.as_ref().is_some_and(|c| before.contains_key(c));
            from != to && both_stay
        })
        .collect()
}

fn group(tasks: &[(i32, bool)], threads: &[usize]) -> AssignorInput {
    let mut input = AssignorInput::default();
    for (number, (subtopology, stateful)) in (0..).zip(tasks) {
        input.tasks.insert(TaskId::new(*subtopology, number), TaskInfo { stateful: *stateful });
    }
    for (number, threads) in threads.iter().enumerate() {
        input.processes.insert(process_id(number), process(number, *threads));
    }
    input
}

fn process(number: usize, threads: usize) -> ProcessState {
    let consumers = (0..threads).map(|thread| (format!("member-{number}-{thread}"), ConsumerState::default()));
    ProcessState { consumers: consumers.collect(), ..Default::default() }
}

fn groups() -> impl Strategy<Value = AssignorInput> {
    let tasks = vec((0..3i32, any::<bool>()), 0..40);
    let lag = prop_oneof![Just(Lag::Unknown), Just(Lag::Latest), (0..1_000u64).prop_map(Lag::Behind)];
    let had = vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), lag, any::<bool>()), 0..60);
    (tasks, vec(1..5usize, 1..6), had).prop_map(|(tasks, threads, had)| {
        let mut input = group(&tasks, &threads);
        let ids: Vec<TaskId> = input.tasks.keys().copied().collect();
        for (task, process, lag, owned) in had {
            if ids.is_empty() {
                break;
            }
            let task = *task.get(&ids);
            let taken = input.processes.values().flat_map(|p| p.consumers.values()).any(|c| c.active.contains(&task));
            let process = input.processes.get_mut(&process_id(process.index(threads.len()))).unwrap();
            if input.tasks[&task].stateful {
                process.lags.insert(task, lag);
            }
            if owned && !taken {
                process.consumers.values_mut().next().unwrap().active.insert(task);
            }
        }
        input
    })
}

/// Groups as they are in life: one assignment has been carried out already.
fn settled_groups(stateful: impl Strategy<Value = bool>) -> impl Strategy<Value = (AssignorInput, Running)> {
    (vec((0..3i32, stateful), 1..40), vec(1..5usize, 1..6)).prop_map(|(tasks, threads)| {
        let input = group(&tasks, &threads);
        let running = assign(&input);
        (carried_out(&input, &running), running)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn every_task_is_assigned_once_and_no_thread_has_two_more_than_another(input in groups()) {
        let running = assign(&input);
        prop_assert!(spread_of(&running, |_| true) <= 1, "{running:?}");
        prop_assert!(spread_of(&running, |task| input.tasks[task].stateful) <= 1, "{running:?}");
    }

    #[test]
    fn the_same_input_gives_the_same_output(input in groups()) {
        prop_assert_eq!(assign(&input), assign(&input.clone()));
    }

    #[test]
    fn an_unchanged_group_keeps_its_assignment((input, running) in settled_groups(any::<bool>())) {
        prop_assert_eq!(assign(&input), running);
    }

    #[test]
    fn whatever_was_before_the_second_assignment_changes_nothing(input in groups()) {
        let running = assign(&input);
        prop_assert_eq!(assign(&carried_out(&input, &running)), running);
    }

    #[test]
    fn a_process_that_joins_takes_its_share_and_nothing_else_moves(
        (mut input, before) in settled_groups(any::<bool>()),
        threads in 1..4usize,
        all_stateful in any::<bool>(),
    ) {
        // Of one kind of task: with two kinds, balancing the one can make room for the other.
        input.tasks.values_mut().for_each(|info| info.stateful = all_stateful);
        let before = { input = carried_out(&input, &before); assign(&input) };
        let mut input = carried_out(&input, &before);
        input.processes.insert(process_id(99), process(99, threads));
        let after = assign(&input);
        prop_assert_eq!(shuffled(&before, &after), vec![]);
    }

    #[test]
    fn when_a_process_leaves_only_its_tasks_move(
        (input, before) in settled_groups(Just(true)),
        leaver in any::<prop::sample::Index>(),
    ) {
        prop_assume!(input.processes.len() > 1);
        let mut smaller = input.clone();
        smaller.processes.remove(&process_id(leaver.index(input.processes.len())));
        let after = assign(&smaller);
        prop_assert_eq!(shuffled(&before, &after), vec![]);
    }

    #[test]
    fn without_end_offsets_everything_stays_whatever_the_balance(
        (mut input, before) in settled_groups(any::<bool>()),
        threads in 1..4usize,
    ) {
        input.keep_previous = true;
        input.processes.insert(process_id(99), process(99, threads));
        let output = sticky::assign(&input);
        prop_assert!(output.probing_rebalance);
        for ((process, _), tasks) in &before {
            prop_assert!(tasks.is_subset(&output.processes[process].active));
        }
    }
}

fn with_lags(tasks: i32, processes: usize, lags: &[(i32, usize, Lag)]) -> AssignorInput {
    let mut input = group(&vec![(0, true); tasks as usize], &vec![1; processes]);
    for (task, process, lag) in lags {
        input.processes.get_mut(&process_id(*process)).unwrap().lags.insert(TaskId::new(0, *task), *lag);
    }
    input
}

#[test]
fn a_task_without_owner_goes_where_its_lag_is_smallest() {
    let input = with_lags(
        3,
        3,
        &[(0, 1, Lag::Behind(10)), (0, 2, Lag::Behind(5)), (1, 2, Lag::Behind(7)), (1, 0, Lag::Behind(9))],
    );
    let output = sticky::assign(&input);
    assert_eq!(output.owner(TaskId::new(0, 0)), Some(process_id(2)));
    assert_eq!(output.owner(TaskId::new(0, 1)), Some(process_id(0)), "process 2 has its share, process 0 comes next");
    assert_eq!(output.owner(TaskId::new(0, 2)), Some(process_id(1)));
}

#[test]
fn a_task_with_state_somewhere_is_placed_before_those_without() {
    let input = with_lags(2, 2, &[(1, 0, Lag::Behind(3))]);
    let output = sticky::assign(&input);
    assert_eq!(output.owner(TaskId::new(0, 1)), Some(process_id(0)));
    assert_eq!(output.owner(TaskId::new(0, 0)), Some(process_id(1)));
}

#[test]
fn a_process_gets_tasks_by_its_threads() {
    let input = group(&[(0, true); 12], &[1, 3, 2]);
    let output = sticky::assign(&input);
    let counts: Vec<usize> = output.processes.values().map(|assigned| assigned.active.len()).collect();
    assert_eq!(counts, [2, 6, 4]);
}

#[test]
fn scaling_out_moves_half_the_tasks_of_each_kind() {
    // The JVM's scenario "Sticky: p1 runs all, p2 new": six stateful and four stateless tasks.
    let tasks: Vec<(i32, bool)> = [(0, true); 6].into_iter().chain([(1, false); 4]).collect();
    let one = group(&tasks, &[1]);
    let mut two = carried_out(&one, &assign(&one));
    two.processes.insert(process_id(1), process(1, 1));
    for assigned in sticky::assign(&two).processes.values() {
        assert_eq!(assigned.active.iter().filter(|task| task.subtopology == 0).count(), 3);
        assert_eq!(assigned.active.iter().filter(|task| task.subtopology == 1).count(), 2);
    }
}

#[test]
fn no_consumers_or_no_tasks_are_no_trouble() {
    assert!(sticky::assign(&AssignorInput::default()).processes.is_empty());
    assert_eq!(assign(&group(&[], &[2, 1])).len(), 3);
}
