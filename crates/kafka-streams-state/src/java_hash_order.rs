//! The order in which a `java.util.HashSet` of byte arrays gives out its elements.
//!
//! The JVM's suppress buffer keeps the keys that it has to log in such a set, so their order in the changelog is that of
//! the set. It follows from the keys, the order in which they came, and the size that the set has ever had; what is not
//! reproduced is a bucket of eight or more keys, which the JVM turns into a tree.

/// Number of buckets of a set, which only grows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Buckets(u32);

impl Default for Buckets {
    fn default() -> Self {
        Buckets(16)
    }
}

impl Buckets {
    /// Grows to hold so many elements: a set is at most three quarters full.
    pub(crate) fn hold(&mut self, elements: usize) {
        while elements > self.0 as usize / 4 * 3 && self.0 < 1 << 30 {
            self.0 *= 2;
        }
    }

    /// The bucket of a key: `HashMap.hash` of `Arrays.hashCode`.
    pub(crate) fn of(self, key: &[u8]) -> u32 {
        let hash = key.iter().fold(1i32, |hash, byte| hash.wrapping_mul(31).wrapping_add(i32::from(*byte as i8)));
        let hash = hash.cast_unsigned();
        (hash ^ (hash >> 16)) & (self.0 - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_lie_where_java_puts_them() {
        // new HashSet<>(List.of(Bytes.wrap("b"), Bytes.wrap("a"), Bytes.wrap("k1"))): Arrays.hashCode is 31 + 'a' = 128,
        // and so on.
        let buckets = Buckets::default();
        assert_eq!((buckets.of(b"a"), buckets.of(b"b")), (0, 1));
        assert_eq!(buckets.of(b""), 1);
        let k1 = (31 * 31 + 31 * 107 + 49) as u32;
        assert_eq!(buckets.of(b"k1"), k1 & 15);
        assert_eq!(buckets.of(&[0xff]), (31 - 1) & 15, "bytes are signed");
    }

    #[test]
    fn a_set_doubles_when_it_is_three_quarters_full() {
        let mut buckets = Buckets::default();
        buckets.hold(12);
        assert_eq!(buckets.0, 16);
        buckets.hold(13);
        assert_eq!(buckets.0, 32);
        buckets.hold(1);
        assert_eq!(buckets.0, 32, "it never shrinks");
    }
}
