//! Files of cases: `NAME.json` beside `NAME.expected.json`, or a line `{"case", "expected"}` for each case.

use std::fs;
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use serde_json::Value as Json;

use crate::compare::{Difference, Field, compare};
use crate::differences::INTENDED;
use crate::fault::Fault;
use crate::run::run;
use crate::spec::Case;

/// A case with what the JVM did.
#[derive(Clone, Debug, Deserialize)]
pub struct Sample {
    /// The case, not read yet, so that one bad case does not hide the others.
    pub case: Json,
    /// The JVM's result.
    pub expected: Json,
}

/// How a case came out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// As on the JVM, but for the differences by intent.
    Passed,
    /// The operation is not there yet.
    NotBuilt(String),
    /// It differs.
    Failed(Vec<Difference>),
    /// The interpreter cannot read it, or panicked.
    Broken(String),
}

impl Sample {
    /// The case's name.
    pub fn name(&self) -> &str {
        self.case.get("name").and_then(Json::as_str).unwrap_or("?")
    }

    /// Runs the case and compares.
    pub fn judge(&self) -> Verdict {
        let case: Case = match serde_json::from_value(self.case.clone()) {
            Ok(case) => case,
            Err(error) => return Verdict::Broken(error.to_string()),
        };
        // A panic of one case must not hide the others.
        let outcome = match std::panic::catch_unwind(AssertUnwindSafe(|| run(&case))) {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(Fault::NotBuilt(what))) => return Verdict::NotBuilt(what),
            Ok(Err(fault)) => return Verdict::Broken(fault.to_string()),
            Err(panic) => return Verdict::Broken(format!("panicked: {}", panic_text(&*panic))),
        };
        self.verdict(compare(&outcome, &self.expected))
    }

    fn verdict(&self, differences: Vec<Difference>) -> Verdict {
        let intended: Vec<Field> = INTENDED.iter().filter(|i| i.case == self.name()).map(|i| i.field).collect();
        let missing = intended.iter().filter(|field| !differences.iter().any(|d| d.field == **field));
        let mut left: Vec<Difference> = missing
            .map(|field| Difference {
                field: *field,
                text: "does not differ any more; remove it from the differences by intent".to_owned(),
            })
            .collect();
        left.extend(differences.into_iter().filter(|difference| !intended.contains(&difference.field)));
        if left.is_empty() { Verdict::Passed } else { Verdict::Failed(left) }
    }
}

/// The cases of a file or of all files of a directory.
///
/// # Errors
/// A file cannot be read, or is none of cases.
pub fn load(path: &Path) -> Result<Vec<Sample>> {
    if path.is_dir() {
        let mut files: Vec<PathBuf> = fs::read_dir(path)
            .with_context(|| format!("cannot read {}", path.display()))?
            .map(|entry| entry.map(|entry| entry.path()))
            .collect::<std::io::Result<_>>()?;
        files.sort();
        let is_case = |path: &PathBuf| {
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            name.ends_with(".jsonl") || (name.ends_with(".json") && !name.ends_with(".expected.json"))
        };
        let mut samples = Vec::new();
        for file in files.iter().filter(|file| is_case(file)) {
            samples.extend(load(file)?);
        }
        return Ok(samples);
    }
    let read = |path: &Path| fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()));
    let text = read(path)?;
    if path.extension().is_some_and(|extension| extension == "jsonl") {
        let line = |(at, line): (usize, &str)| {
            serde_json::from_str(line).with_context(|| format!("{}, line {}", path.display(), at + 1))
        };
        return text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()).map(line).collect();
    }
    let expected = path.with_extension("expected.json");
    if !expected.exists() {
        bail!("{} has no {} beside it", path.display(), expected.display());
    }
    let parse = |path: &Path, text: &str| serde_json::from_str(text).with_context(|| path.display().to_string());
    let mut case: Json = parse(path, &text)?;
    let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
    if let Some(object) = case.as_object_mut() {
        object.entry("name").or_insert_with(|| Json::from(stem));
    }
    Ok(vec![Sample { case, expected: parse(&expected, &read(&expected)?)? }])
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "?".to_owned())
}
