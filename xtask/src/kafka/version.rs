//! A Kafka version as the user names it.

use std::fmt;
use std::str::FromStr;

use anyhow::{Error, bail};

/// The version that everything is measured against.
pub(crate) const NEWEST: &str = "4.3.0";
/// The older line that must work too.
pub(crate) const OLDER: &str = "3.9.2";

/// A full version, `MAJOR.MINOR.PATCH`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KafkaVersion(String);

impl KafkaVersion {
    /// The older line that must work too.
    pub(crate) fn older() -> Self {
        KafkaVersion(OLDER.to_owned())
    }

    /// `MAJOR.MINOR.PATCH`.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for KafkaVersion {
    fn default() -> Self {
        KafkaVersion(NEWEST.to_owned())
    }
}

impl fmt::Display for KafkaVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for KafkaVersion {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        for known in [NEWEST, OLDER] {
            if known.rsplit_once('.').is_some_and(|(line, _)| line == text || text == format!("{line}.x")) {
                return Ok(KafkaVersion(known.to_owned()));
            }
        }
        let numbers: Vec<&str> = text.split('.').collect();
        if numbers.len() != 3 || numbers.iter().any(|number| number.parse::<u16>().is_err()) {
            bail!("a Kafka version is three numbers with dots, like {NEWEST}, or one of the lines 4.3 and 3.9");
        }
        Ok(KafkaVersion(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_stands_for_its_newest_release() {
        assert_eq!("3.9".parse::<KafkaVersion>().unwrap(), KafkaVersion::older());
        assert_eq!("4.3.x".parse::<KafkaVersion>().unwrap(), KafkaVersion::default());
        assert_eq!("4.0.1".parse::<KafkaVersion>().unwrap().as_str(), "4.0.1");
        assert!("../4".parse::<KafkaVersion>().is_err());
    }
}
