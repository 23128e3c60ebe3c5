//! What every file of the repository must keep to: sources say what they are for, nothing names a machine, nothing is left unfinished.

use std::path::Path;
use std::process::Command;

use anyhow::Result;

use crate::process;
use crate::workspace::Workspace;

/// Directories of some machine; written in parts, as this file is checked too.
const MACHINE_PATHS: [&str; 4] =
    [concat!("/", "work/"), concat!("/", "root/"), concat!("/", "home/"), concat!("..", "/shared/")];

/// Marks of unfinished work.
const UNFINISHED: [&str; 3] = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X")];

/// Everything that breaks a rule: `file:line: what`. Looks at the files git tracks and at new ones that it does not ignore.
pub(crate) fn check(workspace: &Workspace) -> Result<Vec<String>> {
    let mut git = Command::new("git");
    git.args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]).current_dir(workspace.root());
    let listed = process::capture(&mut git, "git ls-files")?;
    let mut found = Vec::new();
    for file in listed.split('\0').filter(|file| !file.is_empty()) {
        // A file may be deleted and not yet committed as such; a binary one is none of ours to read.
        let Ok(text) = std::fs::read_to_string(workspace.root().join(file)) else { continue };
        found.extend(check_text(Path::new(file), &text));
    }
    Ok(found)
}

fn check_text(file: &Path, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let shown = file.display();
    if file.extension().is_some_and(|extension| extension == "rs") && !text.starts_with("//!") {
        found.push(format!("{shown}:1: begins without a `//!` line that says what the file is for"));
    }
    // Names and sums of other people's packages, made by a tool.
    if file.extension().is_some_and(|extension| extension == "lock") {
        return found;
    }
    for (index, line) in text.lines().enumerate() {
        for path in MACHINE_PATHS.iter().filter(|path| names_path(line, path)) {
            found.push(format!("{shown}:{}: {path} is a path of one machine", index + 1));
        }
        for mark in UNFINISHED.iter().filter(|mark| names_word(line, mark)) {
            found.push(format!("{shown}:{}: {mark}: finish it, or write an issue", index + 1));
        }
    }
    found
}

/// Whether the path stands there from its root, not as the middle of a longer one.
fn names_path(line: &str, path: &str) -> bool {
    line.match_indices(path).any(|(at, _)| {
        let before = line.get(..at).and_then(|before| before.chars().next_back());
        !before.is_some_and(|c| c.is_alphanumeric() || "_-.~/}*)".contains(c))
    })
}

fn names_word(line: &str, word: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(at, _)| {
        let before = line.get(..at).and_then(|before| before.chars().next_back());
        let after = line.get(at + word.len()..).and_then(|after| after.chars().next());
        !before.is_some_and(is_part) && !after.is_some_and(is_part)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(file: &str, text: &str) -> Vec<String> {
        check_text(Path::new(file), text)
    }

    #[test]
    fn a_source_without_a_first_line_is_found() {
        assert_eq!(found("a/b.rs", "use x;\n").len(), 1);
        assert!(found("a/b.rs", "//! What it is for.\n").is_empty());
        assert!(found("a/b.java", "class B {}\n").is_empty());
    }

    #[test]
    fn a_path_of_a_machine_is_found_with_its_line() {
        for path in MACHINE_PATHS {
            let found = found("x.md", &format!("fine\nsee {path}x\n"));
            assert_eq!(found.len(), 1, "{path}");
            assert!(found[0].starts_with("x.md:2: "), "{found:?}");
        }
    }

    #[test]
    fn the_middle_of_another_path_is_not_a_path_of_a_machine() {
        let work = MACHINE_PATHS[0];
        for text in [format!("target{work}x"), format!("https://example.org{work}"), format!("$HOME{work}")] {
            assert!(found("x.md", &text).is_empty(), "{text}");
        }
    }

    #[test]
    fn an_unfinished_mark_is_found_as_a_word_only() {
        for mark in UNFINISHED {
            assert_eq!(found("x.rs", &format!("//! x\n// {mark}: later\n")).len(), 1, "{mark}");
            assert!(found("x.rs", &format!("//! x\nconst {mark}S: u8 = 1;\n")).is_empty(), "{mark}");
        }
    }
}
