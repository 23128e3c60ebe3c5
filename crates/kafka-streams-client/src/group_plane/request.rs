//! The four requests of a member, and their answers as events of its machine.

use std::sync::Arc;
use std::time::Duration;

use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::messages::leave_group_request::MemberIdentity;
use kafka_protocol::messages::sync_group_request::SyncGroupRequestAssignment;
use kafka_protocol::messages::{
    GroupId, HeartbeatRequest as HeartbeatMessage, JoinGroupRequest, LeaveGroupRequest, SyncGroupRequest,
};
use kafka_protocol::protocol::StrBytes;
use kafka_streams_engine::port::BrokerErrorKind;
use kafka_streams_group::{
    Event, GroupError, HeartbeatRequest, JoinRefusal, JoinReply, JoinRequest, LeaveRequest, PROTOCOL_NAME,
    PROTOCOL_TYPE, RequestId, SyncRequest,
};

use crate::error::Error;
use crate::network::{Address, Cluster, Connection};

/// A connection that is made with its first request.
pub(super) type Slot = Arc<tokio::sync::Mutex<Option<Arc<Connection>>>>;

/// Where to send a request, and how long to wait at most. The machine gives up earlier by itself; this only makes sure
/// that no task stays for ever.
#[derive(Clone)]
pub(super) struct Route {
    pub(super) cluster: Cluster,
    pub(super) group_id: Arc<str>,
    pub(super) coordinator: Address,
    pub(super) slot: Slot,
    pub(super) limit: Duration,
}

impl Route {
    async fn connection(&self) -> Result<Arc<Connection>, Error> {
        let mut slot = self.slot.lock().await;
        if let Some(usable) = slot.as_ref().filter(|connection| connection.is_usable()) {
            return Ok(usable.clone());
        }
        let made = Arc::new(self.cluster.connect(&self.coordinator).await?);
        *slot = Some(made.clone());
        Ok(made)
    }

    fn group(&self) -> GroupId {
        GroupId(text(&self.group_id))
    }
}

/// Asks any broker for the coordinator. The address is for the routes that follow.
pub(super) async fn find_coordinator(
    cluster: Cluster,
    group_id: Arc<str>,
    request: RequestId,
) -> (Event, Option<Address>) {
    match cluster.find_coordinator(&group_id).await {
        Ok(address) => (Event::Coordinator { request, result: Ok(()) }, Some(address)),
        Err(error) => (failure(&error, |error| Event::Coordinator { request, result: Err(error) }), None),
    }
}

pub(super) async fn join(route: Route, request: RequestId, join: JoinRequest) -> Event {
    let member_id = join.member_id.clone();
    let reply = async {
        let protocol = |(name, metadata): (String, Vec<u8>)| {
            JoinGroupRequestProtocol::default().with_name(StrBytes::from_string(name)).with_metadata(metadata.into())
        };
        let message = JoinGroupRequest::default()
            .with_group_id(route.group())
            .with_session_timeout_ms(join.session_timeout_ms)
            .with_rebalance_timeout_ms(join.rebalance_timeout_ms)
            .with_member_id(StrBytes::from_string(join.member_id))
            .with_group_instance_id(join.instance_id.map(StrBytes::from_string))
            .with_protocol_type(StrBytes::from_static_str(PROTOCOL_TYPE))
            .with_protocols(join.protocols.into_iter().map(protocol).collect());
        // The reason came with version 8 (KIP-800).
        let reason = |version| Some(StrBytes::from_string(join.reason)).filter(|_| version >= 8);
        route.connection().await?.call(route.limit, |version| message.with_reason(reason(version))).await
    };
    let refused = |error, member_id| Event::JoinReply { request, result: Err(JoinRefusal { error, member_id }) };
    match reply.await {
        Err(error) => failure(&error, |error| refused(error, member_id)),
        Ok(reply) => match GroupError::from_code(reply.error_code) {
            Some(error) => refused(error, reply.member_id.to_string()),
            None => {
                let member = |member: kafka_protocol::messages::join_group_response::JoinGroupResponseMember| {
                    (member.member_id.to_string(), member.metadata.to_vec())
                };
                let result = JoinReply {
                    generation: reply.generation_id,
                    member_id: reply.member_id.to_string(),
                    leader: reply.leader.to_string(),
                    skip_assignment: reply.skip_assignment,
                    members: reply.members.into_iter().map(member).collect(),
                };
                Event::JoinReply { request, result: Ok(result) }
            }
        },
    }
}

pub(super) async fn sync(route: Route, request: RequestId, sync: SyncRequest) -> Event {
    let reply = async {
        let assignment = |(member_id, assignment): (String, Vec<u8>)| {
            SyncGroupRequestAssignment::default()
                .with_member_id(StrBytes::from_string(member_id))
                .with_assignment(assignment.into())
        };
        let message = SyncGroupRequest::default()
            .with_group_id(route.group())
            .with_generation_id(sync.generation)
            .with_member_id(StrBytes::from_string(sync.member_id))
            .with_group_instance_id(sync.instance_id.map(StrBytes::from_string))
            .with_protocol_type(Some(StrBytes::from_static_str(PROTOCOL_TYPE)))
            .with_protocol_name(Some(StrBytes::from_static_str(PROTOCOL_NAME)))
            .with_assignments(sync.assignments.into_iter().map(assignment).collect());
        route.connection().await?.call(route.limit, |_| message).await
    };
    match reply.await {
        Err(error) => failure(&error, |error| Event::SyncReply { request, result: Err(error) }),
        Ok(reply) => {
            let result = GroupError::from_code(reply.error_code).map_or_else(|| Ok(reply.assignment.to_vec()), Err);
            Event::SyncReply { request, result }
        }
    }
}

pub(super) async fn heartbeat(route: Route, request: RequestId, heartbeat: HeartbeatRequest) -> Event {
    let reply = async {
        let message = HeartbeatMessage::default()
            .with_group_id(route.group())
            .with_generation_id(heartbeat.generation)
            .with_member_id(StrBytes::from_string(heartbeat.member_id))
            .with_group_instance_id(heartbeat.instance_id.map(StrBytes::from_string));
        route.connection().await?.call(route.limit, |_| message).await
    };
    match reply.await {
        Err(error) => failure(&error, |error| Event::HeartbeatReply { request, result: Err(error) }),
        Ok(reply) => {
            let result = GroupError::from_code(reply.error_code).map_or(Ok(()), Err);
            Event::HeartbeatReply { request, result }
        }
    }
}

pub(super) async fn leave(route: Route, request: RequestId, leave: LeaveRequest) -> Event {
    let reply = async {
        let identity = MemberIdentity::default()
            .with_member_id(StrBytes::from_string(leave.member_id))
            .with_group_instance_id(leave.instance_id.map(StrBytes::from_string));
        // The reason came with version 5 (KIP-800).
        let reason = |version| Some(StrBytes::from_string(leave.reason)).filter(|_| version >= 5);
        let members = |version| vec![identity.with_reason(reason(version))];
        let message =
            |version| LeaveGroupRequest::default().with_group_id(route.group()).with_members(members(version));
        route.connection().await?.call(route.limit, message).await
    };
    match reply.await {
        Ok(reply) if reply.error_code != 0 => {
            tracing::debug!(group = %route.group_id, code = reply.error_code, "LeaveGroup refused");
        }
        Ok(_) => {}
        Err(error) => tracing::debug!(group = %route.group_id, %error, "LeaveGroup failed"),
    }
    // Whatever it says, there is nothing left to do.
    Event::LeaveReply { request }
}

/// A request without an answer: the network's trouble is a lost connection; what does not pass ends the membership.
fn failure(error: &Error, refused: impl FnOnce(GroupError) -> Event) -> Event {
    if let Error::Refused { code, .. } = error {
        match GroupError::from_code(*code) {
            // None of the group's own errors: its text says more than its number.
            Some(GroupError::Other(_)) if error.kind() != BrokerErrorKind::Retriable => {}
            known => return refused(known.unwrap_or(GroupError::UnknownServerError)),
        }
    }
    match error.kind() {
        BrokerErrorKind::Retriable => {
            tracing::info!(%error, "the group's coordinator cannot be reached");
            Event::ConnectionLost
        }
        _ => Event::Unreachable { reason: error.to_string() },
    }
}

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}
