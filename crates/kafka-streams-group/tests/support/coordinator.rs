//! A group coordinator in memory: the classic group of a broker, as far as members can see it.
//!
//! Follows `GroupMetadataManager` of the JVM broker: rebalances are prepared until every member has joined or the rebalance
//! timeout is over, sessions run on heartbeats, only the state of a finished rebalance survives a move to another broker.

use std::collections::{BTreeMap, BTreeSet};

use kafka_streams_group::{GroupError, HeartbeatRequest, JoinRefusal, JoinReply, JoinRequest, SyncRequest};

/// Who waits for an answer.
pub(crate) type Token = u64;

/// An answer.
#[derive(Debug)]
pub(crate) enum Reply {
    Join(Result<JoinReply, JoinRefusal>),
    Sync(Result<Vec<u8>, GroupError>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Empty,
    Preparing { deadline: i64 },
    Completing { deadline: i64 },
    Stable,
}

#[derive(Clone, Debug)]
struct Member {
    metadata: Vec<u8>,
    session_timeout_ms: i64,
    rebalance_timeout_ms: i64,
    session_ends: i64,
    joining: Option<Token>,
    syncing: Option<Token>,
    assignment: Vec<u8>,
}

#[derive(Debug)]
pub(crate) struct Coordinator {
    state: State,
    generation: i32,
    leader: String,
    members: BTreeMap<String, Member>,
    promised_ids: BTreeSet<String>,
    last_id: u32,
    /// What another broker would read from the log: generation, leader, members.
    log: (i32, String, BTreeMap<String, Member>),
    pub(crate) replies: Vec<(Token, Reply)>,
    /// Finished rebalances.
    pub(crate) rebalances: u32,
}

impl Coordinator {
    pub(crate) fn new() -> Self {
        Coordinator {
            state: State::Empty,
            generation: 0,
            leader: String::new(),
            members: BTreeMap::new(),
            promised_ids: BTreeSet::new(),
            last_id: 0,
            log: (0, String::new(), BTreeMap::new()),
            replies: Vec::new(),
            rebalances: 0,
        }
    }

    /// Another broker takes over: what was not logged is forgotten, and so is who was waiting.
    pub(crate) fn move_to_another_broker(&mut self, now: i64) {
        (self.generation, self.leader, self.members) = self.log.clone();
        for member in self.members.values_mut() {
            (member.joining, member.syncing) = (None, None);
            member.session_ends = now + member.session_timeout_ms;
        }
        self.promised_ids.clear();
        self.state = if self.members.is_empty() { State::Empty } else { State::Stable };
    }

    pub(crate) fn join(&mut self, now: i64, token: Token, request: &JoinRequest) {
        let mut id = request.member_id.clone();
        if id.is_empty() {
            self.last_id += 1;
            id = format!("m-{}", self.last_id);
            self.promised_ids.insert(id.clone());
            return self.refuse_join(token, GroupError::MemberIdRequired, id);
        }
        let metadata = request.protocols[0].1.clone();
        let is_new = self.promised_ids.remove(&id);
        if is_new {
            let member = Member {
                metadata: metadata.clone(),
                session_timeout_ms: i64::from(request.session_timeout_ms),
                rebalance_timeout_ms: i64::from(request.rebalance_timeout_ms),
                session_ends: now + i64::from(request.session_timeout_ms),
                joining: None,
                syncing: None,
                assignment: Vec::new(),
            };
            self.members.insert(id.clone(), member);
        }
        let is_leader = self.leader == id;
        let Some(member) = self.members.get_mut(&id) else {
            return self.refuse_join(token, GroupError::UnknownMemberId, id);
        };
        let changed = is_new || is_leader || member.metadata != metadata;
        member.metadata = metadata;
        match self.state {
            State::Preparing { .. } => member.joining = Some(token),
            State::Completing { .. } | State::Stable if !changed => return self.answer_join(token, &id),
            _ => {
                member.joining = Some(token);
                self.prepare(now);
            }
        }
        self.complete_if_all_joined(now);
    }

    pub(crate) fn sync(&mut self, now: i64, token: Token, request: SyncRequest) {
        let generation = self.generation;
        let Some(member) = self.members.get_mut(&request.member_id) else {
            return self.replies.push((token, Reply::Sync(Err(GroupError::UnknownMemberId))));
        };
        if request.generation != generation {
            return self.replies.push((token, Reply::Sync(Err(GroupError::IllegalGeneration))));
        }
        member.session_ends = now + member.session_timeout_ms;
        match self.state {
            State::Empty | State::Preparing { .. } => {
                self.replies.push((token, Reply::Sync(Err(GroupError::RebalanceInProgress))));
            }
            State::Stable => self.replies.push((token, Reply::Sync(Ok(member.assignment.clone())))),
            State::Completing { .. } => {
                member.syncing = Some(token);
                if request.member_id == self.leader {
                    self.take_assignments(now, request.assignments.into_iter().collect());
                }
            }
        }
    }

    pub(crate) fn heartbeat(&mut self, now: i64, request: &HeartbeatRequest) -> Result<(), GroupError> {
        let member = self.members.get_mut(&request.member_id).ok_or(GroupError::UnknownMemberId)?;
        if request.generation != self.generation {
            return Err(GroupError::IllegalGeneration);
        }
        member.session_ends = now + member.session_timeout_ms;
        match self.state {
            State::Preparing { .. } => Err(GroupError::RebalanceInProgress),
            _ => Ok(()),
        }
    }

    pub(crate) fn leave(&mut self, now: i64, member_id: &str) {
        self.promised_ids.remove(member_id);
        self.remove(now, member_id);
    }

    pub(crate) fn next_deadline(&self) -> Option<i64> {
        let rebalance = match self.state {
            State::Preparing { deadline } | State::Completing { deadline } => Some(deadline),
            State::Empty | State::Stable => None,
        };
        let sessions = self.members.values().filter(|member| member.joining.is_none()).map(|m| m.session_ends);
        rebalance.into_iter().chain(sessions).min()
    }

    pub(crate) fn tick(&mut self, now: i64) {
        let expired = |member: &Member| member.joining.is_none() && member.session_ends <= now;
        let gone: Vec<String> = self.members.iter().filter(|(_, m)| expired(m)).map(|(id, _)| id.clone()).collect();
        gone.iter().for_each(|id| self.remove(now, id));
        let late = |member: &Member, state: State| match state {
            State::Preparing { deadline } => deadline <= now && member.joining.is_none(),
            State::Completing { deadline } => deadline <= now && member.syncing.is_none(),
            State::Empty | State::Stable => false,
        };
        let state = self.state;
        let gone: Vec<String> = self.members.iter().filter(|(_, m)| late(m, state)).map(|(id, _)| id.clone()).collect();
        gone.iter().for_each(|id| self.remove(now, id));
    }

    pub(crate) fn describe(&self) -> String {
        format!("{:?} generation {} members {:?}", self.state, self.generation, self.members.keys())
    }

    fn prepare(&mut self, now: i64) {
        for member in self.members.values_mut() {
            if let Some(token) = member.syncing.take() {
                self.replies.push((token, Reply::Sync(Err(GroupError::RebalanceInProgress))));
            }
        }
        let timeout = self.members.values().map(|member| member.rebalance_timeout_ms).max().unwrap_or(0);
        self.state = State::Preparing { deadline: now + timeout };
    }

    fn complete_if_all_joined(&mut self, now: i64) {
        if !matches!(self.state, State::Preparing { .. }) || self.members.values().any(|m| m.joining.is_none()) {
            return;
        }
        self.generation += 1;
        if self.members.is_empty() {
            self.state = State::Empty;
            self.log = (self.generation, String::new(), BTreeMap::new());
            return;
        }
        if !self.members.contains_key(&self.leader) {
            self.leader = self.members.keys().next().cloned().unwrap_or_default();
        }
        let timeout = self.members.values().map(|member| member.rebalance_timeout_ms).max().unwrap_or(0);
        self.state = State::Completing { deadline: now + timeout };
        let waiting: Vec<(String, Token)> =
            self.members.iter_mut().filter_map(|(id, m)| Some((id.clone(), m.joining.take()?))).collect();
        for (id, token) in waiting {
            if let Some(member) = self.members.get_mut(&id) {
                member.session_ends = now + member.session_timeout_ms;
            }
            self.answer_join(token, &id);
        }
    }

    fn answer_join(&mut self, token: Token, id: &str) {
        let everybody = || self.members.iter().map(|(id, member)| (id.clone(), member.metadata.clone())).collect();
        let reply = JoinReply {
            generation: self.generation,
            member_id: id.to_owned(),
            leader: self.leader.clone(),
            skip_assignment: false,
            members: if self.leader == id { everybody() } else { Vec::new() },
        };
        self.replies.push((token, Reply::Join(Ok(reply))));
    }

    fn refuse_join(&mut self, token: Token, error: GroupError, member_id: String) {
        self.replies.push((token, Reply::Join(Err(JoinRefusal { error, member_id }))));
    }

    fn take_assignments(&mut self, now: i64, mut assignments: BTreeMap<String, Vec<u8>>) {
        self.state = State::Stable;
        self.rebalances += 1;
        for (id, member) in &mut self.members {
            member.assignment = assignments.remove(id).unwrap_or_default();
            if let Some(token) = member.syncing.take() {
                member.session_ends = now + member.session_timeout_ms;
                self.replies.push((token, Reply::Sync(Ok(member.assignment.clone()))));
            }
        }
        self.log = (self.generation, self.leader.clone(), self.members.clone());
    }

    fn remove(&mut self, now: i64, member_id: &str) {
        let Some(member) = self.members.remove(member_id) else {
            return;
        };
        if let Some(token) = member.joining {
            self.refuse_join(token, GroupError::UnknownMemberId, member_id.to_owned());
        }
        if let Some(token) = member.syncing {
            self.replies.push((token, Reply::Sync(Err(GroupError::UnknownMemberId))));
        }
        if matches!(self.state, State::Completing { .. } | State::Stable) {
            self.prepare(now);
        }
        self.complete_if_all_joined(now);
    }
}
