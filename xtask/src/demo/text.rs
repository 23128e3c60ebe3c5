//! A text of our own for the demo: sentences from templates, the same at every run.

/// Lines of the text; about 260 KB.
const LINES: usize = 5_000;

const TEMPLATES: [&str; 8] = [
    "The {a} {n} {v} the {n} and the {n} {v} it back",
    "When a {n} {v} a {a} {n}, no {n} is lost and no {n} is counted twice",
    "A {n} that {v} the {n} knows every {a} {n} by its name",
    "In the {a} morning the {n} {v} the river, and the river {v} the {n}",
    "Every {n} goes to its {n}; every {n} comes back as a number",
    "The {n} stopped, the {n} started again, and the numbers were right",
    "{a} is the {n} that {v} what it has seen, {a} the one that {v} what it has not",
    "Between the {a} {n} and the {a} {n} a stream {v} all day",
];
const NOUNS: [&str; 24] = [
    "stream",
    "river",
    "record",
    "word",
    "table",
    "clerk",
    "miller",
    "ferry",
    "bridge",
    "ledger",
    "traveller",
    "letter",
    "harbour",
    "lamp",
    "keeper",
    "garden",
    "market",
    "baker",
    "clock",
    "tower",
    "courier",
    "archive",
    "orchard",
    "window",
];
const VERBS: [&str; 12] = [
    "carries",
    "counts",
    "follows",
    "remembers",
    "crosses",
    "finds",
    "keeps",
    "returns",
    "reads",
    "weighs",
    "greets",
    "outlives",
];
const ADJECTIVES: [&str; 12] = [
    "quiet", "early", "old", "patient", "bright", "narrow", "careful", "distant", "honest", "slow", "steady", "curious",
];

/// The text. A noun early in its list comes far more often than a late one, as in any language.
pub(crate) fn made_up() -> String {
    let mut random = Random(0x5eed);
    let mut text = String::new();
    for _ in 0..LINES {
        let mut rest = random.pick(&TEMPLATES);
        while let Some((before, after)) = rest.split_once('{') {
            text.push_str(before);
            let (kind, tail) = after.split_once('}').unwrap_or(("", after));
            text.push_str(match kind {
                "n" => random.pick_skewed(&NOUNS),
                "v" => random.pick_skewed(&VERBS),
                _ => random.pick_skewed(&ADJECTIVES),
            });
            rest = tail;
        }
        text.push_str(rest);
        text.push('\n');
    }
    text
}

/// A multiplicative generator (Lehmer, 48271 modulo 2^31 - 1): poor, and enough to choose words.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0 * 48_271 % 0x7fff_ffff;
        usize::try_from(self.0).unwrap_or_default() % limit.max(1)
    }

    fn pick(&mut self, list: &[&'static str]) -> &'static str {
        let index = self.below(list.len());
        list.get(index).copied().unwrap_or_default()
    }

    fn pick_skewed(&mut self, list: &[&'static str]) -> &'static str {
        let limit = self.below(list.len()) + 1;
        let index = self.below(limit);
        list.get(index).copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_is_whole_and_of_a_fair_size() {
        let text = made_up();
        assert_eq!(text.lines().count(), LINES);
        assert!((150_000..400_000).contains(&text.len()), "{}", text.len());
        assert!(!text.contains(['{', '}']));
        assert_eq!(text, made_up());
    }
}
