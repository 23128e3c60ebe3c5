//! `cargo xtask oracle`: this library beside the JVM's, case by case. The cases of the repository come with what the JVM did; with `--jvm`
//! or `--seeds` the JVM says it now.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use clap::Args;
use serde_json::{Value, json};

use crate::cargo::build_binary;
use crate::jvm::Programs;
use crate::progress::Step;
use crate::workspace::Workspace;
use crate::{process, setup};

/// The package that runs the cases.
const ORACLE: &str = "kafka-streams-oracle";

/// Options of `oracle`.
#[derive(Debug, Args)]
pub(crate) struct Oracle {
    /// A file of cases (NAME.json with NAME.expected.json beside it, or .jsonl), or a directory of such files; by default those of the
    /// repository. May be given several times
    #[arg(long, value_name = "FILE|DIR")]
    cases: Vec<PathBuf>,
    /// Let the JVM run the cases now, instead of reading what it did before
    #[arg(long)]
    jvm: bool,
    /// Fresh random cases, from seed A to seed B, both included; the JVM makes and runs them
    #[arg(long, value_name = "A..B", value_parser = seeds)]
    seeds: Option<(u64, u64)>,
    /// Only cases whose name contains this
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
    /// Every difference of a case, and not just the first
    #[arg(long)]
    all: bool,
    /// What is missing by operation, and not by case
    #[arg(long)]
    summary: bool,
}

/// Runs the cases and prints what differs; an error if anything does.
pub(crate) fn run(workspace: &Workspace, options: &Oracle) -> Result<()> {
    setup::ensure(workspace, &setup::BUILD)?;
    let directory = workspace.target().join("oracle");
    std::fs::create_dir_all(&directory)?;
    let mut files = options.cases.clone();
    if files.is_empty() && options.seeds.is_none() {
        files.push(workspace.root().join("tests/oracle/cases"));
    }
    if options.jvm || options.seeds.is_some() {
        setup::ensure(workspace, &setup::JAVA)?;
        let programs = Programs::build(workspace)?;
        if options.jvm && !files.is_empty() {
            files = vec![by_jvm(&programs, &files, &directory)?];
        }
        if let Some(seeds) = options.seeds {
            files.push(generate(&programs, seeds, &directory)?);
        }
    }
    let mut command = Command::new(build_binary(workspace, ORACLE, false)?);
    command.args(&files);
    if let Some(only) = &options.only {
        command.args(["--only", only]);
    }
    for (flag, given) in [("--all", options.all), ("--summary", options.summary)] {
        if given {
            command.arg(flag);
        }
    }
    process::run(&mut command, "the comparison with the JVM")
}

/// Lets the JVM make random cases and run them.
fn generate(programs: &Programs, (from, to): (u64, u64), directory: &Path) -> Result<PathBuf> {
    let file = directory.join(format!("seeds-{from}-{to}.jsonl"));
    let step = Step::start(format!("the JVM makes cases of the seeds {from} to {to}"));
    let mut command = programs.command("oracle.Generate", JVM);
    command.args([from.to_string(), to.to_string()]).arg(&file);
    process::run_logged(&mut command, "oracle.Generate", &directory.join("generate.log"))?;
    step.done();
    Ok(file)
}

/// Lets the JVM run cases, and writes them with its results.
fn by_jvm(programs: &Programs, paths: &[PathBuf], directory: &Path) -> Result<PathBuf> {
    let mut cases = Vec::new();
    for path in paths {
        read(path, &mut cases)?;
    }
    let (file, results) = (directory.join("cases.jsonl"), directory.join("results.jsonl"));
    let mut lines = String::new();
    for case in &cases {
        // Writing into a string cannot fail.
        let _ = writeln!(lines, "{}", json!({"case": case}));
    }
    write(&file, &lines)?;
    let step = Step::start(format!("the JVM runs {} cases", cases.len()));
    let mut command = programs.command("oracle.Main", JVM);
    let printed = process::capture(command.arg("run").arg(&file), "oracle.Main")?;
    step.done();
    let printed: Vec<Value> =
        printed.lines().map(serde_json::from_str).collect::<Result<_, _>>().context("a result is no JSON")?;
    if printed.len() != cases.len() {
        bail!("the JVM gave {} results of {} cases", printed.len(), cases.len());
    }
    let mut lines = String::new();
    for (case, result) in cases.iter().zip(printed) {
        let _ = writeln!(lines, "{}", json!({"case": case, "expected": result["result"]}));
    }
    write(&results, &lines)?;
    Ok(results)
}

/// Options of the virtual machine.
const JVM: &[&str] = &["-Xmx1g"];

/// The cases of a file or a directory, in the order of the names.
fn read(path: &Path, cases: &mut Vec<Value>) -> Result<()> {
    if path.is_dir() {
        let entries = std::fs::read_dir(path)?.map(|entry| entry.map(|entry| entry.path()));
        let mut files = entries.collect::<std::io::Result<Vec<_>>>()?;
        files.sort();
        return files.iter().filter(|file| is_case(file)).try_for_each(|file| read(file, cases));
    }
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let parse = |text: &str| -> Result<Value> { serde_json::from_str(text).context(path.display().to_string()) };
    if path.extension().is_some_and(|extension| extension == "jsonl") {
        for line in text.lines().filter(|line| !line.trim().is_empty()) {
            let mut line = parse(line)?;
            let case = line.get_mut("case").map(Value::take);
            cases.push(case.unwrap_or(line));
        }
    } else {
        let mut case = parse(&text)?;
        let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        if let Some(object) = case.as_object_mut() {
            object.entry("name").or_insert_with(|| stem.into());
        }
        cases.push(case);
    }
    Ok(())
}

fn is_case(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    name.ends_with(".jsonl") || (name.ends_with(".json") && !name.ends_with(".expected.json"))
}

fn write(path: &Path, text: &str) -> Result<()> {
    std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

fn seeds(text: &str) -> Result<(u64, u64), String> {
    let wrong = || format!("`{text}` is not of the form A..B with A at most B");
    let (from, to) = text.split_once("..").ok_or_else(wrong)?;
    match (from.trim().parse(), to.trim_start_matches('=').trim().parse()) {
        (Ok(from), Ok(to)) if from <= to => Ok((from, to)),
        _ => Err(wrong()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_are_a_range_with_both_ends() {
        assert_eq!(seeds("1..1000"), Ok((1, 1000)));
        assert_eq!(seeds("7..=7"), Ok((7, 7)));
        assert!(seeds("9..8").is_err() && seeds("9").is_err() && seeds("a..b").is_err());
    }

    #[test]
    fn cases_are_read_from_both_kinds_of_files() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("b.jsonl"), "{\"case\":{\"name\":\"x\"},\"expected\":{}}\n{\"name\":\"y\"}\n")
            .unwrap();
        std::fs::write(dir.path().join("a.json"), "{}").unwrap();
        std::fs::write(dir.path().join("a.expected.json"), "{}").unwrap();
        let mut cases = Vec::new();
        read(dir.path(), &mut cases).unwrap();
        let names: Vec<_> = cases.iter().map(|case| case["name"].as_str().unwrap()).collect();
        assert_eq!(names, ["a", "x", "y"]);
    }
}
