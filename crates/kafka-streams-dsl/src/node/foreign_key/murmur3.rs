//! Murmur3 in its 128-bit form for 64-bit machines, by which Kafka Streams knows a row again (`Murmur3.hash128`).
//!
//! Written by Austin Appleby into the public domain (`MurmurHash3_x64_128`); here for the seed that Kafka Streams uses.

const SEED: u64 = 104_729;
const C1: u64 = 0x87c3_7b91_1142_53d5;
const C2: u64 = 0x4cf5_ad43_2745_937f;

/// The hash of `data`: both halves as big-endian numbers, the first one first.
pub(crate) fn hash128(data: &[u8]) -> [u8; 16] {
    let (mut h1, mut h2) = (SEED, SEED);
    let (blocks, tail) = data.as_chunks::<16>();
    for block in blocks {
        let (k1, k2) = words(block);
        h1 ^= mixed1(k1);
        h1 = h1.rotate_left(27).wrapping_add(h2).wrapping_mul(5).wrapping_add(0x52dc_e729);
        h2 ^= mixed2(k2);
        h2 = h2.rotate_left(31).wrapping_add(h1).wrapping_mul(5).wrapping_add(0x3849_5ab5);
    }
    let mut last = [0; 16];
    for (place, byte) in last.iter_mut().zip(tail) {
        *place = *byte;
    }
    // Words that no byte of the tail reaches are 0, and mix to 0.
    let (k1, k2) = words(&last);
    h1 ^= mixed1(k1);
    h2 ^= mixed2(k2);
    let length = data.len() as u64;
    h1 ^= length;
    h2 ^= length;
    h1 = h1.wrapping_add(h2);
    h2 = h2.wrapping_add(h1);
    h1 = finished(h1);
    h2 = finished(h2);
    h1 = h1.wrapping_add(h2);
    h2 = h2.wrapping_add(h1);
    ((u128::from(h1) << 64) | u128::from(h2)).to_be_bytes()
}

fn words(block: &[u8; 16]) -> (u64, u64) {
    let both = u128::from_le_bytes(*block);
    (both as u64, (both >> 64) as u64)
}

fn mixed1(k: u64) -> u64 {
    k.wrapping_mul(C1).rotate_left(31).wrapping_mul(C2)
}

fn mixed2(k: u64) -> u64 {
    k.wrapping_mul(C2).rotate_left(33).wrapping_mul(C1)
}

fn finished(mut h: u64) -> u64 {
    h ^= h >> 33;
    h = h.wrapping_mul(0xff51_afd7_ed55_8ccd);
    h ^= h >> 33;
    h = h.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    h ^ (h >> 33)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_equals_the_jvms() {
        // Made with Murmur3.hash128 of Kafka Streams 4.3.
        let texts = [
            ("", "9d2764a018e329428c3cf3b035938518"),
            ("a", "3361634e7e0f5188e9c7dda24eae326b"),
            ("0123456", "50a4f1e38468e368a1016e77e5544c1b"),
            ("01234567", "f0f26ea88e93512b6ada05b826e75471"),
            ("012345678", "b5f283ed11a7d3d5eef5dbc10b8343fe"),
            ("0123456789abcde", "c480e6b5c0016979a0d033624a7f7904"),
            ("0123456789abcdef", "1a6e941ec6a76967d7d82808f505d6b1"),
            ("0123456789abcdef0", "85e3069a748c16b6bc8c0a283538abb8"),
            ("The quick brown fox jumps over the lazy dog", "e74c5921af0f99c8b7f85ec81df06726"),
            ("éÿ€", "ae596e969cce6ab4393ce0c2e74eaf0f"),
        ];
        for (text, hash) in texts {
            assert_eq!(hex(text.as_bytes()), hash, "{text}");
        }
        let counting = [
            (1, "82f84b7ae9e50d3d59fb2f65770da133"),
            (7, "e28ec9fb411edfc785f07fca5836e098"),
            (14, "b27ccdf3c8489144298a7c330a596a19"),
            (31, "4f91e79e41ea3ea893d6c032e716b32c"),
            (40, "3f5cd67ce440288cf464f663d3cf3f50"),
        ];
        for (length, hash) in counting {
            let bytes: Vec<u8> = (0..length).map(|at| 0xf0u8.wrapping_add(at)).collect();
            assert_eq!(hex(&bytes), hash, "{length} bytes from f0 up");
        }
    }

    fn hex(bytes: &[u8]) -> String {
        hash128(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
    }
}
