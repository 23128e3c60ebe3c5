//! Java's `.properties` syntax, read and written.
//!
//! The grammar is that of `java.util.Properties.load`: `#` and `!` begin comments, `=`, `:` or white space part key and
//! value, a backslash at the end of a line continues it, `\uXXXX` is a UTF-16 unit. The text is UTF-8.

/// A fault in a properties text.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct SyntaxError {
    /// The line, from 1, on which the faulty setting begins.
    pub(crate) line: usize,
    /// What is wrong; nothing of the text.
    pub(crate) what: &'static str,
}

/// Reads all settings in their order; a key may come more than once.
pub(crate) fn read(text: &str) -> Result<Vec<(String, String)>, SyntaxError> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut entries = Vec::new();
    let mut lines = lines(text).enumerate();
    while let Some((index, first)) = lines.next() {
        let mut logical = first.trim_start_matches(is_blank).to_owned();
        if logical.is_empty() || logical.starts_with(['#', '!']) {
            continue;
        }
        while continues(&logical) {
            logical.pop();
            let Some((_, next)) = lines.next() else { break };
            logical.push_str(next.trim_start_matches(is_blank));
        }
        let (key, value) = split(&logical);
        let fault = |what| SyntaxError { line: index + 1, what };
        entries.push((unescape(key).map_err(fault)?, unescape(value).map_err(fault)?));
    }
    Ok(entries)
}

/// Writes settings, one a line, so that [`read`] and Java read them back.
pub(crate) fn write<'a>(entries: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let mut out = String::new();
    for (key, value) in entries {
        escape(key, true, &mut out);
        out.push('=');
        escape(value, false, &mut out);
        out.push('\n');
    }
    out
}

fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\u{c}')
}

/// Lines end with `\n`, `\r` or `\r\n`, unlike [`str::lines`].
fn lines(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let Some((line, after)) = text.split_once(['\n', '\r']) else {
            rest = None;
            return Some(text);
        };
        let is_crlf = after.starts_with('\n') && text.as_bytes().get(line.len()) == Some(&b'\r');
        rest = Some(if is_crlf { after.strip_prefix('\n').unwrap_or(after) } else { after });
        Some(line)
    })
}

/// Whether a line ends with a backslash that is not itself escaped.
fn continues(line: &str) -> bool {
    line.len().wrapping_sub(line.trim_end_matches('\\').len()) % 2 == 1
}

/// Key and value of a logical line, both still escaped.
fn split(line: &str) -> (&str, &str) {
    let mut escaped = false;
    for (at, c) in line.char_indices() {
        if escaped {
            escaped = false;
        } else if c == '\\' {
            escaped = true;
        } else if is_blank(c) || c == '=' || c == ':' {
            let (key, rest) = line.split_at(at);
            let rest = rest.trim_start_matches(is_blank);
            let rest = rest.strip_prefix(['=', ':']).unwrap_or(rest);
            return (key, rest.trim_start_matches(is_blank));
        }
    }
    (line, "")
}

fn unescape(text: &str) -> Result<String, &'static str> {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    // The first half of a character beyond U+FFFF, waiting for its second.
    let mut high: Option<u16> = None;
    while let Some(c) = chars.next() {
        let unit = if c != '\\' {
            Err(c)
        } else {
            match chars.next() {
                Some('u') => Ok(hex(&mut chars)?),
                Some('t') => Err('\t'),
                Some('n') => Err('\n'),
                Some('r') => Err('\r'),
                Some('f') => Err('\u{c}'),
                Some(c) => Err(c),
                None => break,
            }
        };
        match (high.take(), unit) {
            (None, Err(c)) => out.push(c),
            (None, Ok(unit @ 0xd800..=0xdbff)) => high = Some(unit),
            (None, Ok(unit)) => out.push(char::from_u32(unit.into()).ok_or(HALF)?),
            (Some(high), Ok(low)) => {
                let both = char::decode_utf16([high, low]).next();
                out.push(both.and_then(Result::ok).ok_or(HALF)?);
            }
            (Some(_), Err(_)) => return Err(HALF),
        }
    }
    if high.is_some() { Err(HALF) } else { Ok(out) }
}

const HALF: &str = "a \\u escape is half of a surrogate pair";

fn hex(chars: &mut std::str::Chars<'_>) -> Result<u16, &'static str> {
    let mut unit = 0u16;
    for _ in 0..4 {
        let digit =
            chars.next().and_then(|c| c.to_digit(16)).ok_or("\\u must be followed by four hexadecimal digits")?;
        unit = unit << 4 | u16::try_from(digit).unwrap_or(0);
    }
    Ok(unit)
}

fn escape(text: &str, is_key: bool, out: &mut String) {
    for (at, c) in text.chars().enumerate() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{c}' => out.push_str("\\f"),
            '=' | ':' | '#' | '!' | ' ' if is_key => out.extend(['\\', c]),
            ' ' if at == 0 => out.push_str("\\ "),
            c => out.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pairs(text: &str) -> Vec<(String, String)> {
        read(text).unwrap()
    }

    fn pair(key: &str, value: &str) -> (String, String) {
        (key.to_owned(), value.to_owned())
    }

    #[test]
    fn keys_and_values_are_parted_by_equals_colon_or_white_space() {
        let text = "a=1\nb:2\nc 3\n d \t = : 4 \ne\n  \nf==g";
        let expected = [("a", "1"), ("b", "2"), ("c", "3"), ("d", ": 4 "), ("e", ""), ("f", "=g")];
        assert_eq!(pairs(text), expected.map(|(key, value)| pair(key, value)));
    }

    #[test]
    fn comments_and_blank_lines_are_skipped_with_every_line_ending() {
        assert_eq!(pairs("# x=1\r\n  ! y=2\r\r\n\u{feff}"), [pair("\u{feff}", "")]);
        assert_eq!(pairs("\u{feff}a=1\r\nb=2\rc=3"), [pair("a", "1"), pair("b", "2"), pair("c", "3")]);
    }

    #[test]
    fn a_backslash_at_the_end_continues_the_line() {
        assert_eq!(
            pairs("a=x,\\\n   y,\\\r\n\tz\nb=c:\\\\\nd=1\\"),
            [pair("a", "x,y,z"), pair("b", "c:\\"), pair("d", "1")]
        );
        assert_eq!(pairs("a=1\\\n# no comment"), [pair("a", "1# no comment")]);
    }

    #[test]
    fn escapes_are_those_of_java() {
        assert_eq!(pairs(r"a\=b\ c=\t\u00e4\uD83D\uDE00\q"), [pair("a=b c", "\tä😀q")]);
    }

    #[test]
    fn broken_escapes_tell_their_line_and_not_their_text() {
        for text in [
            "a=1\nb=\\u00g0",
            "a=1\nb=\\u00",
            "a=1\nb=\\uD83D",
            "a=1\nb=\\uD83Dx",
            "a=1\nb=\\uDE00",
            "a=1\nb=\\uD83D\\u0041",
        ] {
            assert_eq!(read(text).unwrap_err().line, 2, "{text}");
        }
        assert_eq!(read("a=1\\\n2\n\nb=\\u").unwrap_err().line, 4);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(entries in proptest::collection::vec((any::<String>(), any::<String>()), 0..6)) {
            // An empty key cannot be told from a blank line in front of its equals sign by a reader of lines, and no
            // configuration has one.
            let entries: Vec<_> = entries.into_iter().filter(|(key, _)| !key.is_empty()).collect();
            let text = write(entries.iter().map(|(key, value)| (key.as_str(), value.as_str())));
            // The first key may begin with what a file begins with.
            let text = format!("\n{text}");
            prop_assert_eq!(pairs(&text), entries);
        }

        #[test]
        fn no_text_panics(text in "([a-z=: \t\r\n\\\\#!]|\\\\u|\\\\uD83D|[0-9A-F]|\u{feff}|\\PC){0,40}") {
            let _ = read(&text);
        }
    }
}
