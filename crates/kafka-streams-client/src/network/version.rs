//! Which version of each request we speak.
//!
//! The version used is the smaller one of our newest and the broker's newest. All our versions are flexible (KIP-482), see
//! [`guard`](super::guard), and have one shape on our side; together they make Apache Kafka 3.0 the oldest broker.

use std::collections::BTreeMap;

use kafka_protocol::messages::{
    CreateTopicsRequest, DeleteRecordsRequest, DescribeConfigsRequest, FindCoordinatorRequest, HeartbeatRequest,
    JoinGroupRequest, LeaveGroupRequest, ListOffsetsRequest, MetadataRequest, OffsetCommitRequest, OffsetFetchRequest,
    OffsetForLeaderEpochRequest, SaslAuthenticateRequest, SyncGroupRequest,
};
use kafka_protocol::protocol::Request;

use super::Address;
use crate::error::Error;

/// A request that we send once versions are negotiated.
pub(crate) trait Spoken: Request {
    /// Its name in the protocol guide.
    const NAME: &'static str;
    /// Our oldest version.
    const OLDEST: i16;
    /// Our newest version.
    const NEWEST: i16;
}

/// A line of the table, without its type.
struct Entry {
    key: i16,
    name: &'static str,
    oldest: i16,
    newest: i16,
}

macro_rules! spoken {
    ($($request:ident $name:literal $oldest:literal $newest:literal)*) => {
        $(impl Spoken for $request {
            const NAME: &'static str = $name;
            const OLDEST: i16 = $oldest;
            const NEWEST: i16 = $newest;
        })*
        /// All that a broker must offer; authentication is asked for only where it is used.
        const NEEDED: &[Entry] = &[
            $(Entry { key: $request::KEY, name: $name, oldest: $oldest, newest: $newest },)*
        ];
    };
}

spoken! {
    // Topic ids came with 10, KIP-516. 13 adds an error for bootstrapping anew (KIP-1102), which we do anyway.
    MetadataRequest "Metadata" 10 12
    // Several keys came with 4, KIP-699.
    FindCoordinatorRequest "FindCoordinator" 4 6
    // The reason to join came with 8, KIP-800.
    JoinGroupRequest "JoinGroup" 7 9
    SyncGroupRequest "SyncGroup" 5 5
    HeartbeatRequest "Heartbeat" 4 4
    LeaveGroupRequest "LeaveGroup" 4 5
    // 10 identifies topics by id, which the codec does not write.
    OffsetCommitRequest "OffsetCommit" 8 9
    // Several groups came with 8, KIP-709.
    OffsetFetchRequest "OffsetFetch" 8 9
    ListOffsetsRequest "ListOffsets" 6 8
    OffsetForLeaderEpochRequest "OffsetForLeaderEpoch" 4 4
    CreateTopicsRequest "CreateTopics" 7 7
    DeleteRecordsRequest "DeleteRecords" 2 2
    DescribeConfigsRequest "DescribeConfigs" 4 4
}

impl Spoken for SaslAuthenticateRequest {
    const NAME: &'static str = "SaslAuthenticate";
    const OLDEST: i16 = 2;
    const NEWEST: i16 = 2;
}

/// What a broker offers.
#[derive(Clone, Debug, Default)]
pub(crate) struct Offered {
    ranges: BTreeMap<i16, (i16, i16)>,
}

impl Offered {
    /// These ranges by API key.
    pub(crate) fn new(ranges: impl IntoIterator<Item = (i16, (i16, i16))>) -> Self {
        Offered { ranges: ranges.into_iter().collect() }
    }

    /// The version to use for `R`.
    pub(crate) fn version<R: Spoken>(&self, address: &Address) -> Result<i16, Error> {
        self.choose(&Entry { key: R::KEY, name: R::NAME, oldest: R::OLDEST, newest: R::NEWEST }, address)
    }

    /// Whether the broker offers all that we need.
    pub(crate) fn check(&self, address: &Address) -> Result<(), Error> {
        NEEDED.iter().try_for_each(|entry| self.choose(entry, address).map(drop))
    }

    fn choose(&self, entry: &Entry, address: &Address) -> Result<i16, Error> {
        let offered = self.ranges.get(&entry.key).copied();
        let version = offered.map(|(_, newest)| newest.min(entry.newest));
        version
            .filter(|version| *version >= entry.oldest && offered.is_some_and(|(oldest, _)| *version >= oldest))
            .ok_or_else(|| Error::Unsupported {
                address: address.clone(),
                request: entry.name,
                offered: offered.map_or("in no version".to_owned(), range),
                needed: range((entry.oldest, entry.newest)),
            })
    }
}

fn range((oldest, newest): (i16, i16)) -> String {
    if oldest == newest { format!("version {oldest}") } else { format!("version {oldest} to {newest}") }
}

#[cfg(test)]
mod tests {
    use kafka_protocol::protocol::Message;

    use super::*;

    fn offered(changes: &[(i16, (i16, i16))]) -> Offered {
        let mut offered = Offered::new(NEEDED.iter().map(|entry| (entry.key, (0, entry.oldest))));
        offered.ranges.extend(changes.iter().copied());
        offered
    }

    #[test]
    fn the_smaller_of_both_newest_versions_is_used() {
        let address = Address::new("b", 1);
        assert_eq!(offered(&[]).check(&address), Ok(()));
        assert_eq!(offered(&[]).version::<JoinGroupRequest>(&address), Ok(7));
        assert_eq!(offered(&[(11, (2, 99))]).version::<JoinGroupRequest>(&address), Ok(9));
    }

    #[test]
    fn a_broker_that_is_too_old_or_too_new_is_refused_by_name() {
        let address = Address::new("old", 9092);
        let error = offered(&[(10, (0, 3))]).check(&address).unwrap_err();
        assert_eq!(
            error.to_string(),
            "old:9092 offers FindCoordinator version 0 to 3, but version 4 to 6 is needed: \
             the oldest supported broker is Apache Kafka 3.0"
        );
        assert!(offered(&[(10, (7, 9))]).check(&address).is_err());
        let mut none = offered(&[]);
        none.ranges.remove(&21);
        assert!(none.check(&address).unwrap_err().to_string().contains("offers DeleteRecords in no version"));
    }

    #[test]
    fn the_codec_writes_all_our_versions_and_all_are_flexible() {
        fn check<R: Spoken>() {
            let codec = <R as Message>::VERSIONS;
            assert!(codec.min <= R::OLDEST && R::NEWEST <= codec.max, "{}", R::NAME);
            assert!((R::OLDEST..=R::NEWEST).all(|version| R::header_version(version) == 2), "{}", R::NAME);
        }
        check::<MetadataRequest>();
        check::<FindCoordinatorRequest>();
        check::<JoinGroupRequest>();
        check::<SyncGroupRequest>();
        check::<HeartbeatRequest>();
        check::<LeaveGroupRequest>();
        check::<OffsetCommitRequest>();
        check::<OffsetFetchRequest>();
        check::<ListOffsetsRequest>();
        check::<OffsetForLeaderEpochRequest>();
        check::<CreateTopicsRequest>();
        check::<DeleteRecordsRequest>();
        check::<DescribeConfigsRequest>();
        check::<SaslAuthenticateRequest>();
    }
}
