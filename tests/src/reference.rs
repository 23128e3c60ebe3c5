//! Text to count, and its words counted without any streams.

use std::collections::BTreeMap;

use anyhow::{Context, Result};

use crate::Seen;

/// Words of the generated text.
const WORDS: [&str; 24] = [
    "the",
    "stream",
    "river",
    "of",
    "Records",
    "flows",
    "past",
    "every",
    "Window",
    "and",
    "table",
    "while",
    "a",
    "quiet",
    "broker",
    "keeps",
    "Time",
    "in",
    "order",
    "Für",
    "größere",
    "Häfen",
    "count",
    "again",
];

/// A sequence of numbers that look random, the same for the same seed.
#[derive(Clone, Debug)]
pub struct Moments(u64);

impl Moments {
    /// The sequence of this seed.
    pub fn new(seed: u64) -> Self {
        Moments(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// The next number, below `limit` (at least 1). By xorshift: any spread will do.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 33) % limit.max(1)
    }
}

/// Lines of some eight words each, about `bytes` bytes in all; the same for the same `seed`.
pub fn text(bytes: usize, seed: u64) -> Vec<String> {
    let mut moments = Moments::new(seed);
    let mut next = |limit: usize| usize::try_from(moments.below(limit as u64)).unwrap_or_default();
    let (mut lines, mut written) = (Vec::new(), 0);
    while written < bytes {
        let words: Vec<String> = (0..6 + next(5))
            .map(|_| match next(4) {
                // A long tail of rare words beside the common ones.
                0 => format!("w{}", next(5000)),
                _ => WORDS[next(WORDS.len())].to_owned(),
            })
            .collect();
        let line = words.join(" ");
        written += line.len() + 1;
        lines.push(line);
    }
    lines
}

/// How often each word is in the lines.
pub fn count<'a>(lines: impl IntoIterator<Item = &'a str>) -> BTreeMap<String, i64> {
    let mut counts = BTreeMap::new();
    for word in lines.into_iter().flat_map(str::split_whitespace) {
        *counts.entry(word.to_lowercase()).or_insert(0) += 1;
    }
    counts
}

/// The last count of each word in an output topic.
///
/// # Errors
/// A record is no count.
pub fn last_counts(records: &[Seen]) -> Result<BTreeMap<String, i64>> {
    records.iter().map(count_of).collect()
}

/// Checks that the counts of each word only grow: under exactly-once a count that comes again was written twice.
///
/// # Errors
/// A count is not higher than the one before it.
pub fn counts_only_grow(records: &[Seen]) -> Result<()> {
    let mut last: BTreeMap<String, i64> = BTreeMap::new();
    for record in records {
        let (word, count) = count_of(record)?;
        let before = last.insert(word.clone(), count).unwrap_or(0);
        anyhow::ensure!(
            count > before,
            "{word} is counted {count} after {before}, at partition {} offset {}",
            record.partition,
            record.offset
        );
    }
    Ok(())
}

fn count_of(record: &Seen) -> Result<(String, i64)> {
    let word = String::from_utf8(record.key.clone().context("a count has a word")?)?;
    let value: [u8; 8] = record.value.as_deref().context("a count has a value")?.try_into()?;
    Ok((word, i64::from_be_bytes(value)))
}
