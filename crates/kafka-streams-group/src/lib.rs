//! Group membership as pure machines: the classic group protocol, its bytes, and who runs which task.
//!
//! ```text
//!            worker (stream thread)                        brokers
//!      Revoke, Assigned,    │  ▲                              ▲ │
//!      Lost, Fatal …        │  │                              │ │
//!                           │  │ WorkerEvent     Join, Sync,  │ │ JoinReply, SyncReply,
//!        Released, Offset-  │  │                 Heartbeat,   │ │ HeartbeatReply,
//!        Sums, WorkerAlive  ▼  │                 Leave        │ ▼ ConnectionLost
//!      ┌───────────────────────┴──────────────────────────────┴──────────────────┐
//!      │ driver (not here): owns sockets and clock                               │
//!      │   loop { machine.handle(now, event); while poll_action() …; sleep }     │
//!      └──────────────┬──────────────────────────────────────────▲───────────────┘
//!               Event │ handle                       poll_action │ Action
//!                     ▼                                          │
//!      ┌─────────────────────────────────────────────────────────┴───────────────┐
//!      │ ClassicMember: the machine of one member                                │
//!      └───────────────────────────────────────┬──────────────────────▲──────────┘
//!                          Lead { members }    │                      │ Led { assignments }
//!                                              ▼                      │
//!      leader's driver (not here): GroupView::decode ─▶ topics and end offsets ─▶ leader::assign
//!                                                                                   │
//!                                             assignor: input ─▶ sticky ─▶ validate ─▶ threads
//! ```
//!
//! | module | holds |
//! |---|---|
//! | `classic`, `event`, `action` | the machine, what can happen to it, what it wants |
//! | [`leader`] | the leader's steps |
//! | [`assignor`] | tasks onto processes and their threads |
//! | [`codec`] | the bytes, equal to the JVM's |
//!
//! What the driver owes the machine: every event in the order in which it happened; every action carried out in order;
//! `Tick` when [`ClassicMember::next_deadline`] has come. JoinGroup and SyncGroup go by one connection, on which they may wait
//! on the broker for minutes, heartbeats and LeaveGroup by a second one. If either breaks, `ConnectionLost`.
//!
//! What the worker owes it: it handles [`WorkerEvent`]s strictly in order, says `WorkerAlive` each time round its loop, and
//! commits only as [`ClassicMember::membership`] says.
//!
//! What is absent: this crate does no I/O, reads no clock, has no thread and draws no random number; it does not know how a
//! task runs, and it commits nothing.

mod action;
pub mod assignor;
mod backoff;
mod classic;
pub mod codec;
mod config;
mod error;
mod event;
mod group_error;
mod group_member;
mod host_info;
pub mod leader;
mod process_id;

pub use action::{
    Action, Assigned, HeartbeatRequest, JoinRequest, LeaveRequest, LostReason, RequestId, RevocationId, Revoke,
    SyncRequest, WorkerEvent,
};
pub use classic::{ClassicMember, Phase};
pub use config::ClassicConfig;
pub use error::Error;
pub use event::{Event, JoinRefusal, JoinReply, LeadError};
pub use group_error::GroupError;
pub use group_member::GroupMember;
pub use host_info::HostInfo;
pub use process_id::ProcessId;

/// The protocol type of JoinGroup and SyncGroup.
pub const PROTOCOL_TYPE: &str = "consumer";

/// The name of the one protocol of JoinGroup and SyncGroup.
pub const PROTOCOL_NAME: &str = "stream";
