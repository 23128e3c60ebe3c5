//! A Rust source with everything blanked out that is not product code: comments, literals, test modules. Lines stay where they are.

/// Product code as text of the same shape as the file.
#[derive(Debug)]
pub(crate) struct Source {
    text: String,
    test_files: Vec<String>,
}

/// A path such as `std::time::Instant`, or a lone identifier, with the line it stands on.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NamedPath {
    /// From 1.
    pub(crate) line: usize,
    /// `["std", "time", "Instant"]`; a glob import ends in `*`.
    pub(crate) segments: Vec<String>,
}

impl Source {
    /// Blanks out what does not count.
    pub(crate) fn parse(text: &str) -> Self {
        let mut source = Source { text: blank_comments_and_literals(text), test_files: Vec::new() };
        source.blank_tests();
        source
    }

    /// Names of modules that are declared here for tests only and lie in files of their own.
    pub(crate) fn test_modules(&self) -> &[String] {
        &self.test_files
    }

    /// Every path and identifier; the trees of `use` are spelled out, so `use std::{fs, time::Instant}` gives two paths.
    pub(crate) fn paths(&self) -> Vec<NamedPath> {
        let mut reader = Reader { tokens: tokens(&self.text), at: 0 };
        let mut paths = Vec::new();
        while let Some(token) = reader.peek() {
            if token.is_name() {
                reader.tree(&[], &mut paths);
            } else {
                reader.at += 1;
            }
        }
        paths
    }

    fn blank_tests(&mut self) {
        const MARK: &str = "#[cfg(test)]";
        let mut from = 0;
        while let Some(found) = self.text.get(from..).and_then(|rest| rest.find(MARK)) {
            let start = from + found;
            let rest = self.text.get(start + MARK.len()..).unwrap_or_default();
            let length = MARK.len() + item_length(rest);
            let item = self.text.get(start..start + length).unwrap_or_default().to_owned();
            if let Some(name) = item.strip_suffix(';').and_then(|item| item.rsplit_once("mod ")) {
                self.test_files.push(name.1.trim().to_owned());
            }
            let blank: String = item.chars().map(|c| if c == '\n' { '\n' } else { ' ' }).collect();
            // The blank has one byte for each character of the item; what follows moves, its lines do not.
            self.text.replace_range(start..start + length, &blank);
            from = start + blank.len();
        }
    }
}

/// The length of an item: to its `;`, or to the brace that closes its first one.
fn item_length(text: &str) -> usize {
    let mut depth = 0_usize;
    for (at, c) in text.char_indices() {
        match c {
            ';' if depth == 0 => return at + 1,
            '{' | '(' | '[' => depth += 1,
            '}' if depth <= 1 => return at + 1,
            '}' | ')' | ']' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    text.len()
}

/// Replaces comments, strings and character literals by spaces; line ends stay.
fn blank_comments_and_literals(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let at = |index: usize| chars.get(index).copied().unwrap_or('\0');
    let mut out = String::with_capacity(text.len());
    let mut index = 0;
    while index < chars.len() {
        let end = match (at(index), at(index + 1)) {
            ('/', '/') => end_of_line(&chars, index),
            ('/', '*') => end_of_block_comment(&chars, index),
            ('"', _) => end_of_string(&chars, index),
            ('r' | 'b' | 'c', _) if !is_name_part(at(index.wrapping_sub(1))) => end_of_prefixed(&chars, index),
            ('\'', _) => end_of_character(&chars, index),
            _ => index,
        };
        if end == index {
            out.push(at(index));
            index += 1;
        } else {
            out.extend(chars.iter().take(end).skip(index).map(|c| if *c == '\n' { '\n' } else { ' ' }));
            index = end;
        }
    }
    out
}

fn end_of_line(chars: &[char], start: usize) -> usize {
    (start..chars.len()).find(|index| chars.get(*index) == Some(&'\n')).unwrap_or(chars.len())
}

fn end_of_block_comment(chars: &[char], start: usize) -> usize {
    let mut depth = 0_usize;
    let mut index = start;
    while index < chars.len() {
        match (chars.get(index), chars.get(index + 1)) {
            (Some('/'), Some('*')) => (depth, index) = (depth + 1, index + 2),
            (Some('*'), Some('/')) => (depth, index) = (depth.saturating_sub(1), index + 2),
            _ => index += 1,
        }
        if depth == 0 {
            return index;
        }
    }
    chars.len()
}

/// From the opening quote to behind the closing one.
fn end_of_string(chars: &[char], start: usize) -> usize {
    let mut index = start + 1;
    while let Some(c) = chars.get(index) {
        match c {
            '\\' => index += 2,
            '"' => return index + 1,
            _ => index += 1,
        }
    }
    chars.len()
}

/// A literal with a prefix: `r"…"`, `br#"…"#`, `b"…"`, `b'…'`. Gives `start` when it is only a name.
fn end_of_prefixed(chars: &[char], start: usize) -> usize {
    let mut index = start;
    while index < start + 2 && matches!(chars.get(index), Some('r' | 'b' | 'c')) {
        index += 1;
    }
    let raw = chars.get(start..index).is_some_and(|prefix| prefix.contains(&'r'));
    let hashes = chars.iter().skip(index).take_while(|c| **c == '#').count();
    match chars.get(index + hashes) {
        Some('"') if raw => {
            let mut closing = vec!['"'];
            closing.resize(hashes + 1, '#');
            let from = index + hashes + 1;
            (from..chars.len())
                .find(|at| chars.get(*at..).is_some_and(|rest| rest.starts_with(&closing)))
                .map_or(chars.len(), |at| at + closing.len())
        }
        Some('"') if hashes == 0 => end_of_string(chars, index),
        Some('\'') if hashes == 0 => end_of_character(chars, index),
        _ => start,
    }
}

/// A character literal; gives `start` for a lifetime.
fn end_of_character(chars: &[char], start: usize) -> usize {
    match (chars.get(start + 1), chars.get(start + 2)) {
        (Some('\\'), _) => (start + 3..chars.len())
            .find(|index| chars.get(*index) == Some(&'\''))
            .map_or(chars.len(), |index| index + 1),
        (Some(_), Some('\'')) => start + 3,
        _ => start,
    }
}

fn is_name_part(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Token {
    line: usize,
    text: String,
}

impl Token {
    fn is_name(&self) -> bool {
        self.text.starts_with(|c: char| c.is_alphabetic() || c == '_')
    }
}

/// Names, `::`, and single characters for the rest; white space is dropped.
fn tokens(text: &str) -> Vec<Token> {
    let mut tokens: Vec<Token> = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let mut chars = line.chars().peekable();
        while let Some(c) = chars.next() {
            let mut text = c.to_string();
            if is_name_part(c) {
                while let Some(more) = chars.next_if(|c| is_name_part(*c)) {
                    text.push(more);
                }
            } else if c == ':' && chars.next_if_eq(&':').is_some() {
                text.push(':');
            } else if c.is_whitespace() {
                continue;
            }
            tokens.push(Token { line: index + 1, text });
        }
    }
    tokens
}

struct Reader {
    tokens: Vec<Token>,
    at: usize,
}

impl Reader {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at)
    }

    fn next_is(&self, text: &str) -> bool {
        self.peek().is_some_and(|token| token.text == text)
    }

    /// Reads a path that continues `prefix`, with the braces of a `use`; adds every path in it.
    fn tree(&mut self, prefix: &[String], paths: &mut Vec<NamedPath>) {
        let mut segments = prefix.to_vec();
        let mut line = 0;
        while let Some(token) = self.tokens.get(self.at).cloned() {
            if token.text == "{" {
                self.at += 1;
                while !self.next_is("}") && self.peek().is_some() {
                    let before = self.at;
                    self.tree(&segments, paths);
                    if self.next_is("as") {
                        self.at += 2;
                    }
                    // A comma, or something that is no use tree after all.
                    if self.next_is(",") || self.at == before {
                        self.at += 1;
                    }
                }
                self.at += 1;
                return;
            }
            if !token.is_name() && token.text != "*" {
                break;
            }
            self.at += 1;
            line = token.line;
            segments.push(token.text);
            if !self.next_is("::") {
                break;
            }
            self.at += 1;
        }
        if segments.len() > prefix.len() {
            paths.push(NamedPath { line, segments });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(text: &str) -> Vec<String> {
        Source::parse(text).paths().iter().map(|path| format!("{}:{}", path.line, path.segments.join("::"))).collect()
    }

    #[test]
    fn use_trees_are_spelled_out() {
        assert_eq!(
            paths("use std::{\n    fs,\n    time::{self, Instant as Now},\n};"),
            ["1:use", "2:std::fs", "3:std::time::self", "3:std::time::Instant"]
        );
    }

    #[test]
    fn comments_and_literals_do_not_count() {
        let text = "// std::fs\n/* std::fs /* std::net */ */ let a = \"std::fs\"; let b = r#\"std::fs\"#; let c = '\"'; d::e()";
        assert_eq!(paths(text), ["2:let", "2:a", "2:let", "2:b", "2:let", "2:c", "2:d::e"]);
    }

    #[test]
    fn a_lifetime_is_not_a_character() {
        assert_eq!(paths("fn f<'a>(x: &'a str) {}"), ["1:fn", "1:f", "1:a", "1:x", "1:a", "1:str"]);
    }

    #[test]
    fn test_modules_do_not_count_and_lines_stay() {
        let text = "#[cfg(test)]\nmod tests {\n    fn f() { std::fs::read(\"}\"); }\n}\nstd::net::x";
        assert_eq!(paths(text), ["5:std::net::x"]);
    }

    #[test]
    fn a_test_module_in_a_file_of_its_own_is_named() {
        let source = Source::parse("#[cfg(test)]\nmod cases;\nmod real;");
        assert_eq!(source.test_modules(), ["cases"]);
    }
}
