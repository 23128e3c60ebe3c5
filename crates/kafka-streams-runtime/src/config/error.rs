//! What can be wrong with a configuration, all of it reported together.

use std::fmt;
use std::path::PathBuf;

/// A configuration that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// One or more settings are wrong. All problems found are listed, in the order of their keys, not only the first.
    #[error("{}", list(problems))]
    Invalid {
        /// What is wrong; never empty.
        problems: Vec<Problem>,
    },
    /// The properties file cannot be read.
    #[error("cannot read the configuration file {}: {source}", path.display())]
    File {
        /// The file that was asked for.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The properties file does not follow the syntax of Java's `.properties` files.
    #[error("{}, line {line}: {what}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1, on which the faulty setting begins.
        line: usize,
        /// What is wrong there; never the text of the line, which may hold a secret.
        what: String,
    },
}

impl ConfigError {
    /// The problems of [`ConfigError::Invalid`]; empty for the others.
    pub fn problems(&self) -> &[Problem] {
        match self {
            Self::Invalid { problems } => problems,
            _ => &[],
        }
    }
}

/// One thing that is wrong with a configuration. Texts never hold a secret value.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Problem {
    /// A key that neither Kafka Streams nor its clients know.
    UnknownKey {
        /// The key as it was set.
        key: String,
        /// What was probably meant: a key, or a sentence.
        hint: Option<String>,
    },
    /// A key that has to be set and is not.
    Missing {
        /// The key.
        key: String,
        /// Why it is needed.
        why: String,
    },
    /// A value that is not of the key's type or not in its range.
    BadValue {
        /// The key as it was set.
        key: String,
        /// The value, or `[redacted]`.
        value: String,
        /// What would have been right.
        expected: String,
    },
    /// A key or value of the JVM's that would change what the application does, and that is not supported here.
    Refused {
        /// The key as it was set.
        key: String,
        /// The value, or `[redacted]`.
        value: String,
        /// Why, and what to do instead.
        reason: String,
    },
    /// Settings that exclude one another.
    Contradiction {
        /// The keys, the first being the one to look at first.
        keys: Vec<String>,
        /// Why they exclude one another, and what to change.
        why: String,
    },
}

impl Problem {
    /// The key that the problem is about (of a contradiction: the first one).
    pub fn key(&self) -> &str {
        match self {
            Self::UnknownKey { key, .. }
            | Self::Missing { key, .. }
            | Self::BadValue { key, .. }
            | Self::Refused { key, .. } => key,
            Self::Contradiction { keys, .. } => keys.first().map_or("", String::as_str),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownKey { key, hint: None } => write!(f, "`{key}` is not a known key"),
            Self::UnknownKey { key, hint: Some(hint) } => write!(f, "`{key}` is not a known key; {hint}"),
            Self::Missing { key, why } => write!(f, "`{key}` is not set: {why}"),
            Self::BadValue { key, value, expected } => write!(f, "`{key}` = `{value}`: expected {expected}"),
            Self::Refused { key, value, reason } => write!(f, "`{key}` = `{value}` is refused: {reason}"),
            Self::Contradiction { keys, why } => write!(f, "`{}`: {why}", keys.join("`, `")),
        }
    }
}

/// Something that is accepted, and that the user should hear of: a setting without effect, or one that is overridden.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ConfigWarning {
    /// The key as it was set.
    pub key: String,
    /// What happens instead, and why.
    pub message: String,
}

impl fmt::Display for ConfigWarning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`: {}", self.key, self.message)
    }
}

fn list(problems: &[Problem]) -> String {
    match problems {
        [only] => format!("the configuration is wrong: {only}"),
        all => {
            let lines: Vec<String> = all.iter().map(|problem| format!("\n  - {problem}")).collect();
            format!("the configuration has {} problems:{}", all.len(), lines.concat())
        }
    }
}
