//! Where a record of an output topic goes: Kafka's own hash of the key, or the user's choice.

use crate::NoSuchPartition;

/// The partition of a record that is on its way out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PartitionChoice {
    /// This partition.
    Explicit(i32),
    /// `hash & 0x7fffffff % partitions`, with the hash of [`murmur2`] over the key.
    ByHash(u32),
    /// The producer chooses: records with a null key.
    Any,
    /// A partitioner is to be asked once the topic's number of partitions is known; with the hash of the key, if there
    /// is one. See [`Output::settle_first`](crate::Output::settle_first).
    Waiting(Option<u32>),
}

/// What a partitioner says of a record.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Partitions {
    /// The hash of the key decides, as without a partitioner.
    #[default]
    ByKey,
    /// This partition, from 0.
    One(i32),
    /// Each of these partitions gets the record; without any it is dropped.
    Only(Vec<i32>),
}

impl Partitions {
    /// The choices that this comes to, of a topic with this number of `partitions` (0 if it is not known); `by_key` is
    /// what the key says.
    ///
    /// # Errors
    /// A partition that the topic does not have.
    pub fn resolve(self, by_key: PartitionChoice, partitions: i32) -> Result<Vec<PartitionChoice>, NoSuchPartition> {
        match self {
            Partitions::ByKey => Ok(vec![by_key]),
            Partitions::One(partition) => Ok(vec![explicit(partition, partitions)?]),
            Partitions::Only(mut chosen) => {
                chosen.sort_unstable();
                chosen.dedup();
                chosen.into_iter().map(|partition| explicit(partition, partitions)).collect()
            }
        }
    }
}

/// The choice of one partition.
///
/// # Errors
/// The topic does not have it; `partitions` is 0 if their number is not known.
pub fn explicit(partition: i32, partitions: i32) -> Result<PartitionChoice, NoSuchPartition> {
    match partition < 0 || (partitions > 0 && partition >= partitions) {
        true => Err(NoSuchPartition(partition)),
        false => Ok(PartitionChoice::Explicit(partition)),
    }
}

impl From<Option<i32>> for Partitions {
    /// `None` leaves the choice to the hash of the key.
    fn from(partition: Option<i32>) -> Self {
        partition.map_or(Partitions::ByKey, Partitions::One)
    }
}

impl From<i32> for Partitions {
    fn from(partition: i32) -> Self {
        Partitions::One(partition)
    }
}

impl From<Vec<i32>> for Partitions {
    /// All of these; none of them drops the record.
    fn from(partitions: Vec<i32>) -> Self {
        Partitions::Only(partitions)
    }
}

impl From<Option<Vec<i32>>> for Partitions {
    /// The shape of the JVM's `Optional<Set<Integer>>`: `None` leaves the choice to the hash of the key.
    fn from(partitions: Option<Vec<i32>>) -> Self {
        partitions.map_or(Partitions::ByKey, Partitions::Only)
    }
}

impl PartitionChoice {
    /// What the default partitioner does with these key bytes; null keys go to a partition of the producer's choice.
    pub fn by_key(key: Option<&[u8]>) -> Self {
        key.map_or(PartitionChoice::Any, |key| PartitionChoice::ByHash(murmur2(key)))
    }

    /// The partition out of `partitions` (at least 1); `None` if the producer is to choose.
    pub fn resolve(self, partitions: i32) -> Option<i32> {
        match self {
            PartitionChoice::Explicit(partition) => Some(partition),
            PartitionChoice::ByHash(hash) => Some(((hash & 0x7fff_ffff) as i32) % partitions.max(1)),
            PartitionChoice::Any | PartitionChoice::Waiting(None) => None,
            PartitionChoice::Waiting(Some(hash)) => PartitionChoice::ByHash(hash).resolve(partitions),
        }
    }
}

/// The hash that Kafka's producers partition by (`org.apache.kafka.common.utils.Utils.murmur2`): 32-bit MurmurHash2
/// with seed `0x9747b28c`, little-endian words.
pub fn murmur2(data: &[u8]) -> u32 {
    const SEED: u32 = 0x9747_b28c;
    const M: u32 = 0x5bd1_e995;
    const R: u32 = 24;
    let mut h = SEED ^ data.len() as u32;
    let (words, tail) = data.as_chunks::<4>();
    for word in words {
        let mut k = u32::from_le_bytes(*word).wrapping_mul(M);
        k ^= k >> R;
        h = h.wrapping_mul(M) ^ k.wrapping_mul(M);
    }
    if !tail.is_empty() {
        for (i, byte) in tail.iter().enumerate() {
            h ^= u32::from(*byte) << (8 * i);
        }
        h = h.wrapping_mul(M);
    }
    h ^= h >> 13;
    h = h.wrapping_mul(M);
    h ^ (h >> 15)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_equals_the_jvms() {
        // Made with Utils.toPositive(Utils.murmur2(..)) of Kafka 4.3.
        for (key, hash) in [("a", 584_102_524), ("K1", 1_603_949_219), ("hello", 2_132_663_229), ("", 275_646_681)] {
            assert_eq!(murmur2(key.as_bytes()) & 0x7fff_ffff, hash, "{key}");
        }
    }

    #[test]
    fn a_null_key_leaves_the_choice_to_the_producer() {
        assert_eq!(PartitionChoice::by_key(None).resolve(4), None);
        assert_eq!(PartitionChoice::by_key(Some(b"a")).resolve(4), Some(0));
        assert_eq!(PartitionChoice::Explicit(3).resolve(4), Some(3));
    }
}
