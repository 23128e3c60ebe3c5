//! Which time a record has: the policies of the JVM's `TimestampExtractor`.

use crate::Timestamp;

/// What becomes of the timestamp that a record was fetched with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum TimestampExtractor {
    /// The record's own; a negative one is an error (`FailOnInvalidTimestamp`).
    #[default]
    FailOnInvalidTimestamp,
    /// The record's own; a record with a negative one is dropped (`LogAndSkipOnInvalidTimestamp`).
    LogAndSkipOnInvalidTimestamp,
    /// The record's own; a negative one is replaced by the highest seen in its partition
    /// (`UsePartitionTimeOnInvalidTimestamp`), which is an error before the first.
    UsePartitionTimeOnInvalidTimestamp,
    /// The wall-clock time of processing (`WallclockTimestampExtractor`).
    WallclockTimestampExtractor,
}

/// The outcome of an extraction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extracted {
    /// The record has this time, in milliseconds.
    At(Timestamp),
    /// The record is dropped.
    Skip,
    /// The record's timestamp cannot be used, and the policy is to fail.
    Invalid,
}

impl TimestampExtractor {
    /// The name of the JVM's class, without its package.
    pub fn name(self) -> &'static str {
        match self {
            TimestampExtractor::FailOnInvalidTimestamp => "FailOnInvalidTimestamp",
            TimestampExtractor::LogAndSkipOnInvalidTimestamp => "LogAndSkipOnInvalidTimestamp",
            TimestampExtractor::UsePartitionTimeOnInvalidTimestamp => "UsePartitionTimeOnInvalidTimestamp",
            TimestampExtractor::WallclockTimestampExtractor => "WallclockTimestampExtractor",
        }
    }

    /// The time of a record fetched with `timestamp` from a partition whose highest time is `partition_time` (-1 if
    /// none), at `wall_clock`; all in milliseconds.
    pub fn extract(self, timestamp: Timestamp, partition_time: Timestamp, wall_clock: Timestamp) -> Extracted {
        match self {
            TimestampExtractor::WallclockTimestampExtractor => Extracted::At(wall_clock),
            _ if timestamp >= 0 => Extracted::At(timestamp),
            TimestampExtractor::FailOnInvalidTimestamp => Extracted::Invalid,
            TimestampExtractor::LogAndSkipOnInvalidTimestamp => Extracted::Skip,
            TimestampExtractor::UsePartitionTimeOnInvalidTimestamp if partition_time >= 0 => {
                Extracted::At(partition_time)
            }
            TimestampExtractor::UsePartitionTimeOnInvalidTimestamp => Extracted::Invalid,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_policy_treats_a_negative_timestamp_in_its_way() {
        use TimestampExtractor as T;
        assert_eq!(T::FailOnInvalidTimestamp.extract(-1, 5, 9), Extracted::Invalid);
        assert_eq!(T::LogAndSkipOnInvalidTimestamp.extract(-1, 5, 9), Extracted::Skip);
        assert_eq!(T::UsePartitionTimeOnInvalidTimestamp.extract(-1, 5, 9), Extracted::At(5));
        assert_eq!(T::UsePartitionTimeOnInvalidTimestamp.extract(-1, -1, 9), Extracted::Invalid);
        assert_eq!(T::WallclockTimestampExtractor.extract(3, 5, 9), Extracted::At(9));
        assert_eq!(T::FailOnInvalidTimestamp.extract(0, 5, 9), Extracted::At(0));
    }
}
