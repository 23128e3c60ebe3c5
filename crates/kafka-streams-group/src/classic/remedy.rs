//! What follows from the errors of the group's requests.

use super::ClassicMember;
use crate::{Error, GroupError, LostReason};

impl ClassicMember {
    /// What follows from an error of JoinGroup, SyncGroup or Heartbeat.
    pub(super) fn remedy(&mut self, now_ms: i64, request: &'static str, error: GroupError) {
        match Remedy::of(error) {
            Remedy::Retry => self.wait_longer(now_ms, &format!("{request} failed: {error}")),
            Remedy::FindCoordinator => {
                self.lose_coordinator(now_ms);
            }
            Remedy::RejoinWithId => {
                // The coordinator knows the member id, so it is kept: a new id would leave the old one behind as a member
                // that everybody waits for.
                self.lose_membership(LostReason::IllegalGeneration);
                self.wait_longer(now_ms, "the generation was no longer current");
            }
            Remedy::RejoinAsNew => {
                self.member_id = None;
                self.lose_membership(LostReason::UnknownMember);
                self.wait(now_ms, "the coordinator no longer knew the member");
            }
            Remedy::StopFenced => {
                self.lose_membership(LostReason::FencedInstance);
                self.member_id = None;
                self.fail(now_ms, Error::Refused { request, error });
            }
            Remedy::Stop => self.fail(now_ms, Error::Refused { request, error }),
        }
    }
}

/// What to do about an error code.
pub(super) enum Remedy {
    Retry,
    FindCoordinator,
    RejoinWithId,
    RejoinAsNew,
    StopFenced,
    Stop,
}

impl Remedy {
    pub(super) fn of(error: GroupError) -> Remedy {
        match error {
            GroupError::CoordinatorLoadInProgress
            | GroupError::RebalanceInProgress
            | GroupError::RequestTimedOut
            | GroupError::UnknownServerError => Remedy::Retry,
            GroupError::CoordinatorNotAvailable | GroupError::NotCoordinator => Remedy::FindCoordinator,
            GroupError::IllegalGeneration => Remedy::RejoinWithId,
            GroupError::UnknownMemberId => Remedy::RejoinAsNew,
            GroupError::FencedInstanceId => Remedy::StopFenced,
            GroupError::InconsistentGroupProtocol
            | GroupError::InvalidGroupId
            | GroupError::InvalidSessionTimeout
            | GroupError::GroupAuthorizationFailed
            | GroupError::UnsupportedVersion
            | GroupError::MemberIdRequired
            | GroupError::GroupMaxSizeReached
            | GroupError::Other(_) => Remedy::Stop,
        }
    }
}
