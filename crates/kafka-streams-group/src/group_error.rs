//! The error codes of the group protocol that matter to a member.

use std::fmt;

/// What the coordinator answered instead of success. Every code of the protocol maps to exactly one value and back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum GroupError {
    /// -1: the broker failed in a way that it does not explain. Retried.
    UnknownServerError,
    /// 7: the broker gave up waiting. Retried.
    RequestTimedOut,
    /// 14: the coordinator is reading the group's state. Retried with the same coordinator.
    CoordinatorLoadInProgress,
    /// 15: there is no coordinator at the moment. The coordinator is looked up again.
    CoordinatorNotAvailable,
    /// 16: this broker is not the group's coordinator (any more). The coordinator is looked up again.
    NotCoordinator,
    /// 22: the generation is not the group's current one.
    IllegalGeneration,
    /// 23: the group has members of another protocol. Fatal.
    InconsistentGroupProtocol,
    /// 24: the group id is not allowed. Fatal.
    InvalidGroupId,
    /// 25: the coordinator does not know the member.
    UnknownMemberId,
    /// 26: the session timeout is outside the broker's limits. Fatal.
    InvalidSessionTimeout,
    /// 27: the group is rebalancing: rejoin.
    RebalanceInProgress,
    /// 30: not permitted. Fatal.
    GroupAuthorizationFailed,
    /// 35: the broker does not know this version of the request. Fatal.
    UnsupportedVersion,
    /// 79: join again with the member id of this answer (KIP-394).
    MemberIdRequired,
    /// 81: the group has as many members as the broker allows. Fatal.
    GroupMaxSizeReached,
    /// 82: another process joined with the same `group.instance.id`. Fatal.
    FencedInstanceId,
    /// Any other code. Fatal.
    Other(i16),
}

/// Codes and names of all values but `Other`, each once.
const CODES: [(i16, GroupError, &str); 16] = [
    (-1, GroupError::UnknownServerError, "UNKNOWN_SERVER_ERROR"),
    (7, GroupError::RequestTimedOut, "REQUEST_TIMED_OUT"),
    (14, GroupError::CoordinatorLoadInProgress, "COORDINATOR_LOAD_IN_PROGRESS"),
    (15, GroupError::CoordinatorNotAvailable, "COORDINATOR_NOT_AVAILABLE"),
    (16, GroupError::NotCoordinator, "NOT_COORDINATOR"),
    (22, GroupError::IllegalGeneration, "ILLEGAL_GENERATION"),
    (23, GroupError::InconsistentGroupProtocol, "INCONSISTENT_GROUP_PROTOCOL"),
    (24, GroupError::InvalidGroupId, "INVALID_GROUP_ID"),
    (25, GroupError::UnknownMemberId, "UNKNOWN_MEMBER_ID"),
    (26, GroupError::InvalidSessionTimeout, "INVALID_SESSION_TIMEOUT"),
    (27, GroupError::RebalanceInProgress, "REBALANCE_IN_PROGRESS"),
    (30, GroupError::GroupAuthorizationFailed, "GROUP_AUTHORIZATION_FAILED"),
    (35, GroupError::UnsupportedVersion, "UNSUPPORTED_VERSION"),
    (79, GroupError::MemberIdRequired, "MEMBER_ID_REQUIRED"),
    (81, GroupError::GroupMaxSizeReached, "GROUP_MAX_SIZE_REACHED"),
    (82, GroupError::FencedInstanceId, "FENCED_INSTANCE_ID"),
];

impl GroupError {
    /// The error of this code; `None` for 0, which is success.
    pub fn from_code(code: i16) -> Option<GroupError> {
        let known = CODES.iter().find(|(known, ..)| *known == code).map(|(_, error, _)| *error);
        (code != 0).then(|| known.unwrap_or(GroupError::Other(code)))
    }

    /// The error's code on the wire.
    pub fn code(self) -> i16 {
        match self {
            GroupError::Other(code) => code,
            error => CODES.iter().find(|(_, known, _)| *known == error).map_or(-1, |(code, ..)| *code),
        }
    }
}

impl fmt::Display for GroupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match CODES.iter().find(|(_, known, _)| known == self) {
            Some((code, _, name)) => write!(f, "{name} ({code})"),
            None => write!(f, "error code {}", self.code()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_maps_to_one_error_and_back() {
        assert_eq!(GroupError::from_code(0), None);
        for code in (i16::MIN..=i16::MAX).filter(|code| *code != 0) {
            assert_eq!(GroupError::from_code(code).map(GroupError::code), Some(code));
        }
        assert_eq!(GroupError::IllegalGeneration.to_string(), "ILLEGAL_GENERATION (22)");
    }
}
