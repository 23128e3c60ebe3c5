//! The proof of membership that a commit carries.

use std::sync::Arc;

/// Who commits: the values that fence a commit of someone who is no longer a member.
///
/// There is no value with an empty member id or a negative generation: the broker would accept those without any check
/// (rule C6), so such a state must not exist.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct GroupMember {
    group_id: Arc<str>,
    member_id: Arc<str>,
    generation: i32,
    instance_id: Option<Arc<str>>,
}

impl GroupMember {
    /// A member of a group, or `None` if the group or member id is empty or the generation negative.
    pub fn new(
        group_id: impl Into<Arc<str>>,
        member_id: impl Into<Arc<str>>,
        generation: i32,
        instance_id: Option<Arc<str>>,
    ) -> Option<Self> {
        let (group_id, member_id) = (group_id.into(), member_id.into());
        let real = !group_id.is_empty() && !member_id.is_empty() && generation >= 0;
        real.then_some(GroupMember { group_id, member_id, generation, instance_id })
    }

    /// The group (`application.id`), never empty.
    pub fn group_id(&self) -> &str {
        &self.group_id
    }

    /// The member id that the coordinator gave, never empty.
    pub fn member_id(&self) -> &str {
        &self.member_id
    }

    /// The generation of the last answered JoinGroup, 0 or more.
    pub fn generation(&self) -> i32 {
        self.generation
    }

    /// `group.instance.id` of a static member.
    pub fn instance_id(&self) -> Option<&str> {
        self.instance_id.as_deref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_broker_would_not_check_cannot_be_made() {
        assert!(GroupMember::new("g", "", 1, None).is_none());
        assert!(GroupMember::new("", "m", 1, None).is_none());
        assert!(GroupMember::new("g", "m", -1, None).is_none());
        assert!(GroupMember::new("g", "m", 0, None).is_some());
    }
}
