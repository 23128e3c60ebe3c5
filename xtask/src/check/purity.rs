//! The pure crates use no files, sockets, threads, clocks, randomness or async: time and chance come in as arguments, I/O goes out as data.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::layering::pure_crates;
use super::source::{NamedPath, Source};
use crate::workspace::Workspace;

/// What a path must not contain, anywhere in it, and why.
const FORBIDDEN: &[(&[&str], &str)] = &[
    (&["std", "fs"], "no files"),
    (&["std", "net"], "no sockets"),
    (&["std", "thread"], "no threads"),
    (&["std", "process"], "no processes"),
    (&["std", "env"], "no environment"),
    (&["std", "*"], "name what you use of std, so that this check can see it"),
    (&["std", "time", "*"], "name what you use of std::time, so that this check can see it"),
    (&["std", "collections", "*"], "name what you use of std::collections, so that this check can see it"),
    (&["time", "Instant"], "no clocks: time is an argument"),
    (&["time", "SystemTime"], "no clocks: time is an argument"),
    (&["Instant", "now"], "no clocks: time is an argument"),
    (&["SystemTime", "now"], "no clocks: time is an argument"),
    (&["collections", "HashMap"], "its hasher is random: take BTreeMap, or hashbrown with a fixed hasher"),
    (&["collections", "HashSet"], "its hasher is random: take BTreeSet, or hashbrown with a fixed hasher"),
    (&["collections", "hash_map"], "its hasher is random: take BTreeMap, or hashbrown with a fixed hasher"),
    (&["collections", "hash_set"], "its hasher is random: take BTreeSet, or hashbrown with a fixed hasher"),
    (&["RandomState"], "no randomness"),
    (&["rand"], "no randomness: it is an argument"),
    (&["tokio"], "no async runtime"),
    (&["async"], "no async: a step returns what to do next"),
    (&["thread_local"], "no threads"),
];

/// Every use of something forbidden in the product code of the pure crates: `file:line: path: why`.
pub(crate) fn check(workspace: &Workspace) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for name in pure_crates() {
        let sources = workspace.root().join("crates").join(name).join("src");
        // A crate of the table that is not written yet.
        if sources.is_dir() {
            check_directory(workspace, &sources, &mut found)?;
        }
    }
    Ok(found)
}

fn check_directory(workspace: &Workspace, directory: &Path, found: &mut Vec<String>) -> Result<()> {
    let mut files = Vec::new();
    list_rust_files(directory, &mut files)?;
    let mut sources = Vec::new();
    let mut test_places = Vec::new();
    for file in files {
        let text = std::fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
        let source = Source::parse(&text);
        for module in source.test_modules() {
            let home = home_of_modules(&file);
            test_places.extend([home.join(format!("{module}.rs")), home.join(module)]);
        }
        sources.push((file, source));
    }
    for (file, source) in sources {
        if !test_places.iter().any(|place| file.starts_with(place)) {
            let shown = workspace.show(&file);
            found.extend(check_source(&source).into_iter().map(|(line, what)| format!("{shown}:{line}: {what}")));
        }
    }
    Ok(())
}

/// The lines of a source that use something forbidden.
fn check_source(source: &Source) -> Vec<(usize, String)> {
    let judge = |path: &NamedPath| {
        let (_, why) = FORBIDDEN.iter().find(|(forbidden, _)| names(&path.segments, forbidden))?;
        Some((path.line, format!("{}: {why}", path.segments.join("::"))))
    };
    source.paths().iter().filter_map(judge).collect()
}

/// Whether the path has the forbidden segments in a row; a lone forbidden name must stand first.
fn names(segments: &[String], forbidden: &[&str]) -> bool {
    if forbidden.len() == 1 {
        return segments.first().is_some_and(|first| forbidden.contains(&first.as_str()))
            || segments.last().is_some_and(|last| forbidden == ["RandomState"] && last == "RandomState");
    }
    segments.windows(forbidden.len()).any(|window| window.iter().zip(forbidden).all(|(a, b)| a == b))
}

/// Where the modules declared in a file lie: beside `lib.rs` and `mod.rs`, else in the directory named like the file.
fn home_of_modules(file: &Path) -> PathBuf {
    let is_root = file.file_name().is_some_and(|name| name == "lib.rs" || name == "mod.rs" || name == "main.rs");
    if is_root { file.parent().unwrap_or(file).to_path_buf() } else { file.with_extension("") }
}

fn list_rust_files(directory: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    let entries = std::fs::read_dir(directory).with_context(|| format!("cannot read {}", directory.display()))?;
    let mut paths = entries.map(|entry| entry.map(|entry| entry.path())).collect::<std::io::Result<Vec<_>>>()?;
    paths.sort();
    for path in paths {
        if path.is_dir() {
            list_rust_files(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<String> {
        check_source(&Source::parse(text)).into_iter().map(|(line, what)| format!("{line} {what}")).collect()
    }

    #[test]
    fn each_forbidden_thing_is_found_however_it_is_imported() {
        for text in [
            "use std::fs;",
            "use std::{net::TcpStream, sync::Arc};",
            "let t = std::thread::current();",
            "use std::time::{Duration, Instant};",
            "use std::time; fn f() { time::SystemTime::UNIX_EPOCH }",
            "fn f() { let t = Instant::now(); }",
            "use std::collections::{BTreeMap, HashMap};",
            "use std::collections; type T = collections::HashSet<u8>;",
            "use std::hash::RandomState;",
            "use std::collections::*;",
            "let x = rand::random();",
            "async fn f() {}",
            "use tokio::sync::mpsc;",
        ] {
            assert_eq!(found(text).len(), 1, "{text}: {:?}", found(text));
        }
    }

    #[test]
    fn what_is_allowed_is_not_found() {
        for text in [
            "use std::time::Duration;",
            "use std::collections::{BTreeMap, VecDeque};",
            "use hashbrown::HashMap;",
            "//! Never calls std::fs.\nlet text = \"Instant::now\";",
            "#[cfg(test)]\nmod tests { use std::fs; }",
            "fn instant(now: Timestamp) -> Timestamp { now }",
        ] {
            assert_eq!(found(text), Vec::<String>::new(), "{text}");
        }
    }

    #[test]
    fn the_message_says_where_and_why() {
        assert_eq!(found("\n\nuse std::fs::File;"), ["3 std::fs::File: no files"]);
    }

    #[test]
    fn files_of_test_modules_do_not_count() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("lib.rs"), "#[cfg(test)]\nmod cases;\nmod real;").unwrap();
        std::fs::write(dir.path().join("cases.rs"), "use std::fs;").unwrap();
        std::fs::write(dir.path().join("real.rs"), "use std::fs;").unwrap();
        let mut found = Vec::new();
        check_directory(&Workspace::locate().unwrap(), dir.path(), &mut found).unwrap();
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].ends_with("real.rs:1: std::fs: no files"), "{found:?}");
    }
}
