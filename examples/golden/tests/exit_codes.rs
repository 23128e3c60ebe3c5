//! What a shell and a continuous integration see of the commands: exit codes 0 to 4, and errors on standard error.

use std::path::Path;
use std::process::{Command, Output};

type Outcome = Result<(), Box<dyn std::error::Error>>;

fn golden(arguments: &[&str]) -> std::io::Result<Output> {
    Command::new(env!("CARGO_BIN_EXE_golden")).args(arguments).output()
}

/// Compares the word count's manifest with what `change` makes of it.
fn code_of_diff(dir: &Path, change: impl Fn(String) -> String) -> Result<Option<i32>, Box<dyn std::error::Error>> {
    let manifest = String::from_utf8(golden(&["manifest"])?.stdout)?;
    let (old, new) = (dir.join("old.json"), dir.join("new.json"));
    std::fs::write(&old, &manifest)?;
    std::fs::write(&new, change(manifest))?;
    let paths = [&old, &new].map(|path| path.to_string_lossy().into_owned());
    Ok(golden(&["diff", &paths[0], &paths[1]])?.status.code())
}

#[test]
fn each_verdict_has_its_exit_code() -> Outcome {
    let dir = tempfile::tempdir()?;
    let diff = |from: &str, to: &str| code_of_diff(dir.path(), |text| text.replace(from, to));
    assert_eq!(diff("", "")?, Some(0));
    assert_eq!(diff("KTABLE-TOSTREAM-", "KTABLE-TOSTREAM-1")?, Some(1), "a node without a store");
    assert_eq!(diff("\"counts\"", "\"results\"")?, Some(2), "another output");
    assert_eq!(diff("word-counts", "totals")?, Some(3), "another store");
    assert_eq!(diff("\"format\"", "format")?, Some(4), "no manifest");
    assert_eq!(golden(&["golden"])?.status.code(), Some(0));
    Ok(())
}

#[test]
fn an_error_is_on_standard_error_once() -> Outcome {
    for (arguments, says) in [
        (&["golden", "worms"][..], "error: there is no topology named worms; there are: word-count\n"),
        (&["dance"], "error: unrecognized subcommand 'dance'\n"),
        (&["diff", "one"], "error: the following required arguments were not provided:\n"),
    ] {
        let output = golden(arguments)?;
        let said = String::from_utf8(output.stderr)?;
        assert_eq!(output.status.code(), Some(4), "{said}");
        assert!(said.starts_with(says) && said.matches("error").count() == 1, "{said}");
        assert!(output.stdout.is_empty());
    }
    let help = golden(&["--help"])?;
    assert!(help.status.success() && help.stderr.is_empty() && !help.stdout.is_empty());
    Ok(())
}
