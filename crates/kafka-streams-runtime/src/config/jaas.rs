//! Reads `sasl.jaas.config`: `<login module> <control flag> name="value" … ;`.
//!
//! The syntax is that of the JVM's `org.apache.kafka.common.security.JaasConfig`: words, quoted texts with Java's
//! escapes, `//` and `/* */` comments, and a semicolon at the end. No error text repeats what was read.

use std::collections::BTreeMap;
use std::iter::Peekable;
use std::str::Chars;

use super::secret::Secret;

/// The one entry of a client's JAAS configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct JaasEntry {
    /// The class of the login module.
    pub(crate) module: String,
    /// Its options.
    pub(crate) options: BTreeMap<String, Secret>,
}

/// Reads a JAAS configuration with exactly one login module.
///
/// # Errors
/// What is wrong, in words that hold nothing of the text.
pub(crate) fn parse(text: &str) -> Result<JaasEntry, &'static str> {
    let mut tokens = Tokens { rest: text.chars().peekable() };
    let Some(Token::Text(module)) = tokens.next()? else {
        return Err("it must begin with the class of a login module");
    };
    match tokens.next()? {
        Some(Token::Text(flag)) if is_control_flag(&flag) => {}
        _ => return Err("the login module must be followed by required, requisite, sufficient or optional"),
    }
    let mut options = BTreeMap::new();
    loop {
        match tokens.next()? {
            Some(Token::End) => break,
            Some(Token::Text(name)) => {
                let (Some(Token::Equals), Some(Token::Text(value))) = (tokens.next()?, tokens.next()?) else {
                    return Err("every option is name=\"value\"");
                };
                options.insert(name, Secret::new(value));
            }
            Some(Token::Equals) => return Err("every option is name=\"value\""),
            None => return Err("it must end with a semicolon"),
        }
    }
    match tokens.next()? {
        None => Ok(JaasEntry { module, options }),
        Some(_) => Err("it must hold one login module only"),
    }
}

/// The entry that logs in with `module` and these credentials; [`parse`] reads it back.
pub(crate) fn write(module: &str, username: &str, password: &Secret) -> String {
    format!("{module} required username={} password={};", quote(username), quote(password.expose()))
}

fn is_control_flag(flag: &str) -> bool {
    ["required", "requisite", "sufficient", "optional"].iter().any(|known| known.eq_ignore_ascii_case(flag))
}

fn quote(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

enum Token {
    Text(String),
    Equals,
    End,
}

struct Tokens<'a> {
    rest: Peekable<Chars<'a>>,
}

impl Tokens<'_> {
    fn next(&mut self) -> Result<Option<Token>, &'static str> {
        loop {
            let Some(c) = self.rest.next() else { return Ok(None) };
            match c {
                c if c.is_whitespace() || c.is_control() => {}
                '/' => self.comment()?,
                '=' => return Ok(Some(Token::Equals)),
                ';' => return Ok(Some(Token::End)),
                '"' | '\'' => return self.quoted(c).map(|text| Some(Token::Text(text))),
                c if is_word(c) => {
                    let mut word = String::from(c);
                    while let Some(c) = self.rest.next_if(|c| is_word(*c)) {
                        word.push(c);
                    }
                    return Ok(Some(Token::Text(word)));
                }
                _ => return Err("it holds a character that has to be within double quotes"),
            }
        }
    }

    fn comment(&mut self) -> Result<(), &'static str> {
        match self.rest.next() {
            Some('/') => {
                while self.rest.next_if(|c| *c != '\n' && *c != '\r').is_some() {}
                Ok(())
            }
            Some('*') => {
                let mut last = ' ';
                for c in self.rest.by_ref() {
                    if last == '*' && c == '/' {
                        return Ok(());
                    }
                    last = c;
                }
                Err("it holds a comment that does not end")
            }
            _ => Err("it holds a character that has to be within double quotes"),
        }
    }

    /// The text up to `quote`, with the escapes of Java's `StreamTokenizer`.
    fn quoted(&mut self, quote: char) -> Result<String, &'static str> {
        const OPEN: &str = "it holds a quoted text that does not end";
        let mut text = String::new();
        loop {
            match self.rest.next() {
                None | Some('\n' | '\r') => return Err(OPEN),
                Some(c) if c == quote => return Ok(text),
                Some('\\') => match self.rest.next() {
                    None => return Err(OPEN),
                    Some(first @ '0'..='7') => text.push(self.octal(first)),
                    Some('a') => text.push('\u{7}'),
                    Some('b') => text.push('\u{8}'),
                    Some('f') => text.push('\u{c}'),
                    Some('n') => text.push('\n'),
                    Some('r') => text.push('\r'),
                    Some('t') => text.push('\t'),
                    Some('v') => text.push('\u{b}'),
                    Some(c) => text.push(c),
                },
                Some(c) => text.push(c),
            }
        }
    }

    /// Up to three octal digits, up to 377.
    fn octal(&mut self, first: char) -> char {
        let mut code = first.to_digit(8).unwrap_or(0);
        let more = if first <= '3' { 2 } else { 1 };
        for _ in 0..more {
            let Some(digit) = self.rest.next_if(|c| c.is_digit(8)) else { break };
            code = code * 8 + digit.to_digit(8).unwrap_or(0);
        }
        char::from_u32(code).unwrap_or('\u{fffd}')
    }
}

/// What may stand outside quotes. The JVM reads less (a password of digits is an error there), never something else.
fn is_word(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '.' | '-' | '_' | '$')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn options(text: &str) -> Vec<(String, String)> {
        let entry = parse(text).unwrap();
        entry.options.iter().map(|(name, value)| (name.clone(), value.expose().to_owned())).collect()
    }

    #[test]
    fn the_usual_form_is_read() {
        let text = "org.apache.kafka.common.security.plain.PlainLoginModule required\n  username=\"alice\"\n  password=\"a;b=c\";";
        assert_eq!(parse(text).unwrap().module, "org.apache.kafka.common.security.plain.PlainLoginModule");
        assert_eq!(options(text), [("password".into(), "a;b=c".into()), ("username".into(), "alice".into())]);
    }

    #[test]
    fn quotes_escapes_and_comments_are_those_of_java() {
        assert_eq!(options(r#"m REQUIRED p='a"b';"#)[0].1, "a\"b");
        assert_eq!(options(r#"m required p="a\"b\\c\n\101\7";"#)[0].1, "a\"b\\c\nA\u{7}");
        assert_eq!(options("m required // no\n /* p=\"x\" */ p=plain-1_x.y;")[0].1, "plain-1_x.y");
    }

    #[test]
    fn faults_are_told_without_the_text() {
        for text in [
            "",
            "m",
            "m canary p=\"canary\";",
            "m required p=\"canary\"",
            "m required p \"canary\";",
            "m required p=\"canary",
            "m required p=canary!;",
            "m required p=/canary;",
            "m required =\"canary\";",
            "m required p=\"canary\"; n required q=\"canary\";",
            "m required /* canary",
        ] {
            let error = parse(text).expect_err(text);
            assert!(!error.contains("canary"), "{error}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(username in "\\PC*|.{0,8}", password in any::<String>()) {
            let entry = parse(&write("a.b.C$D", &username, &Secret::new(&*password))).unwrap();
            prop_assert_eq!(entry.options["username"].expose(), username);
            prop_assert_eq!(entry.options["password"].expose(), password);
        }

        #[test]
        fn no_text_panics(text in any::<String>()) {
            let _ = parse(&text);
            let _ = parse(&format!("m required {text}"));
        }
    }
}
