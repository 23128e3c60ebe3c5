//! Collects what is wrong or worth a warning while a configuration is checked, each thing once.

use super::error::{ConfigError, ConfigWarning, Problem};
use super::property_map;

/// Problems and warnings found so far.
#[derive(Debug, Default)]
pub(crate) struct Report {
    problems: Vec<Problem>,
    warnings: Vec<ConfigWarning>,
}

impl Report {
    /// Adds a problem. The security settings are looked at once for each client, so the same may come again.
    pub(crate) fn problem(&mut self, problem: Problem) {
        if !self.problems.contains(&problem) {
            self.problems.push(problem);
        }
    }

    pub(crate) fn bad_value(&mut self, key: &str, value: &str, expected: &str) {
        self.problem(Problem::BadValue {
            key: key.to_owned(),
            value: property_map::shown(key, value),
            expected: expected.to_owned(),
        });
    }

    pub(crate) fn refused(&mut self, key: &str, value: &str, reason: &str) {
        self.problem(Problem::Refused {
            key: key.to_owned(),
            value: property_map::shown(key, value),
            reason: reason.to_owned(),
        });
    }

    pub(crate) fn missing(&mut self, key: &str, why: &str) {
        self.problem(Problem::Missing { key: key.to_owned(), why: why.to_owned() });
    }

    pub(crate) fn contradiction(&mut self, keys: &[&str], why: impl Into<String>) {
        let keys = keys.iter().map(|key| (*key).to_owned()).collect();
        self.problem(Problem::Contradiction { keys, why: why.into() });
    }

    pub(crate) fn warn(&mut self, key: &str, message: impl Into<String>) {
        let warning = ConfigWarning { key: key.to_owned(), message: message.into() };
        if !self.warnings.contains(&warning) {
            self.warnings.push(warning);
        }
    }

    /// The warnings, or all problems as an error; both in the order of their keys.
    pub(crate) fn finish(mut self) -> Result<Vec<ConfigWarning>, ConfigError> {
        self.warnings.sort();
        if self.problems.is_empty() {
            return Ok(self.warnings);
        }
        self.problems.sort_by(|left, right| left.key().cmp(right.key()).then_with(|| left.cmp(right)));
        Err(ConfigError::Invalid { problems: self.problems })
    }
}
