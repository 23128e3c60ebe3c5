//! Membership in a group over the network: what drives the machine of `kafka-streams-group`.
//!
//! ```text
//!   worker ── tell, poll, member ──▶ MemberHandle ◀── queue, seat, waker ── MemberTask (tokio)
//!                                                                             │  owns ClassicMember and its timers
//!                                              connection 1: JoinGroup, SyncGroup (may wait on the broker for minutes)
//!                                              connection 2: Heartbeat, LeaveGroup
//!              Cluster's offsets lane = connection 3: OffsetCommit, OffsetFetch (see `PolledAdmin`)
//! ```

mod member;
mod request;
mod seat;

pub use member::MemberHandle;
