//! What the output topic says so far, beside what an independent count of the text says.

use std::collections::BTreeMap;
use std::fmt::Write;

/// One record of the output topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Update {
    word: String,
    count: u64,
}

impl Update {
    /// Reads a line of `tools.Tail`: word, tab, count. None for a deletion, which word count never writes.
    pub(crate) fn parse(line: &str) -> Option<Self> {
        let (word, count) = line.rsplit_once('\t')?;
        Some(Update { word: word.to_owned(), count: count.parse().ok()? })
    }
}

/// The latest count of every word.
#[derive(Debug)]
pub(crate) struct Counts {
    expected: BTreeMap<String, u64>,
    expected_total: u64,
    seen: BTreeMap<String, u64>,
    seen_total: u64,
}

impl Counts {
    /// Nothing seen yet; what is to come is counted here, as the word count does it: split at white space, lower-cased.
    pub(crate) fn expecting(text: &str) -> Self {
        let mut expected = BTreeMap::new();
        for word in text.split_whitespace() {
            *expected.entry(word.to_lowercase()).or_insert(0) += 1;
        }
        let expected_total = expected.values().sum();
        Counts { expected, expected_total, seen: BTreeMap::new(), seen_total: 0 }
    }

    /// Takes in a record.
    pub(crate) fn apply(&mut self, update: Update) {
        let before = self.seen.insert(update.word, update.count).unwrap_or(0);
        self.seen_total = self.seen_total + update.count - before.min(self.seen_total);
    }

    /// Words counted so far.
    pub(crate) fn seen(&self) -> u64 {
        self.seen_total
    }

    /// Words in the text.
    pub(crate) fn expected(&self) -> u64 {
        self.expected_total
    }

    /// Whether as many words were counted as the text has, or more.
    pub(crate) fn is_complete(&self) -> bool {
        self.seen_total >= self.expected_total
    }

    /// The first word whose count is not the independent one.
    pub(crate) fn difference(&self) -> Option<String> {
        let words = self.expected.keys().chain(self.seen.keys());
        let count = |counts: &BTreeMap<String, u64>, word: &str| counts.get(word).copied().unwrap_or(0);
        words.map(|word| (word, count(&self.expected, word), count(&self.seen, word))).find_map(
            |(word, expected, seen)| {
                (expected != seen).then(|| format!("\"{word}\" is there {expected} times, counted {seen} times"))
            },
        )
    }

    /// A table of the words counted most, with bars.
    pub(crate) fn top(&self, rows: usize) -> String {
        const BAR: u64 = 40;
        let mut words: Vec<(&str, u64)> = self.seen.iter().map(|(word, count)| (word.as_str(), *count)).collect();
        words.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
        words.truncate(rows);
        let most = words.first().map_or(1, |word| word.1.max(1));
        let mut table = String::new();
        for (word, count) in words {
            let shown: String = word.chars().take(20).collect();
            let bar = usize::try_from(count * BAR / most).unwrap_or_default();
            // Writing to a String cannot fail.
            let _ = writeln!(table, "{shown:<20} {count:>9}  {}", "█".repeat(bar));
        }
        table.truncate(table.trim_end().len());
        table
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn update(line: &str) -> Update {
        Update::parse(line).unwrap()
    }

    #[test]
    fn counts_are_complete_and_right_when_they_equal_an_independent_count() {
        let mut counts = Counts::expecting("The cat the\u{2003}DOG");
        assert_eq!(counts.expected(), 4);
        counts.apply(update("the\t1"));
        counts.apply(update("cat\t1"));
        counts.apply(update("dog\t1"));
        assert!(!counts.is_complete());
        counts.apply(update("the\t2"));
        assert!(counts.is_complete());
        assert_eq!(counts.difference(), None);
    }

    #[test]
    fn a_wrong_count_is_named() {
        let mut counts = Counts::expecting("a b");
        counts.apply(update("a\t2"));
        assert!(counts.is_complete());
        assert_eq!(counts.difference().unwrap(), "\"a\" is there 1 times, counted 2 times");
    }

    #[test]
    fn the_table_has_the_most_frequent_words_first() {
        let mut counts = Counts::expecting("");
        for line in ["a\t1", "b\t4", "c\t2"] {
            counts.apply(update(line));
        }
        let table = counts.top(2);
        let words: Vec<&str> = table.lines().filter_map(|line| line.split_whitespace().next()).collect();
        assert_eq!(words, ["b", "c"]);
    }

    #[test]
    fn a_line_that_is_no_count_is_passed_over() {
        assert_eq!(Update::parse("word\t-"), None);
        assert_eq!(Update::parse("noise"), None);
    }
}
