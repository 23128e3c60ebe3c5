//! `golden`: each topology against its golden file, and writing the file anew.

use std::io::Write;
use std::path::PathBuf;

use clap::Args;
use kafka_streams_naming::{Change, Diff, Manifest, Verdict, diff};
use serde::Serialize;

use crate::command::Format;
use crate::golden::{shown, write_file};
use crate::{Golden, GoldenError};

#[derive(Debug, Args)]
pub(crate) struct Check {
    /// The topologies; without a name: all of them
    names: Vec<String>,
    /// Accept the differences: write the golden files anew
    #[arg(long)]
    bless: bool,
    /// How differences are written
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

/// One topology, compared.
struct Compared<'g> {
    name: &'g str,
    file: PathBuf,
    manifest: Manifest,
    /// Against the golden file; `None` without one.
    diff: Option<Diff>,
    finding: Finding,
}

/// How a topology stands to its golden file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Finding {
    /// Equal to the letter.
    Same,
    /// Equal in meaning. In writing it is different, and that would be a difference later.
    DetailsDiffer,
    Different,
    NoGoldenFile,
}

impl Check {
    pub(crate) fn run(&self, golden: &Golden, output: &mut dyn Write) -> Result<u8, GoldenError> {
        let all = golden.chosen(&self.names)?.into_iter().map(|name| compare(golden, name));
        let all = all.collect::<Result<Vec<_>, _>>()?;
        match self.format {
            Format::Text => all.iter().try_for_each(|one| self.tell(one, output))?,
            Format::Json => write!(output, "{}", to_json(&all))?,
            Format::Github => all.iter().try_for_each(|one| write!(output, "{}", one.to_github_annotations()))?,
        }
        if self.bless {
            return self.bless(&all, output).map(|()| Verdict::Same.exit_code());
        }
        let worst = worst(&all);
        if self.format == Format::Text && worst != Verdict::Same {
            writeln!(output, "if that is meant: `golden --bless` accepts it")?;
        }
        Ok(worst.exit_code())
    }

    fn tell(&self, one: &Compared<'_>, output: &mut dyn Write) -> Result<(), GoldenError> {
        let name = one.name;
        match (&one.diff, one.finding) {
            (None, _) if self.bless => {}
            (None, _) => writeln!(output, "{name}: there is no {} yet", shown(&one.file))?,
            (Some(diff), Finding::DetailsDiffer) => {
                write!(output, "{name}: {diff}")?;
                writeln!(output, "{name}: details differ that no deploy can break")?;
            }
            (Some(diff), _) => write!(output, "{name}: {diff}")?,
        }
        Ok(())
    }

    fn bless(&self, all: &[Compared<'_>], output: &mut dyn Write) -> Result<(), GoldenError> {
        for one in all.iter().filter(|one| one.finding != Finding::Same) {
            write_file(&one.file, &one.manifest.to_json())?;
            if self.format == Format::Text {
                writeln!(output, "{}: wrote {}", one.name, shown(&one.file))?;
            }
        }
        Ok(())
    }
}

fn compare<'g>(golden: &Golden, name: &'g str) -> Result<Compared<'g>, GoldenError> {
    let manifest = golden.build(name)?.to_manifest();
    let previous = golden.read_golden(name)?;
    let diff = previous.as_ref().map(|previous| diff(previous, &manifest));
    let finding = match &diff {
        None => Finding::NoGoldenFile,
        Some(diff) if diff.verdict != Verdict::Same => Finding::Different,
        Some(_) if previous.as_ref() == Some(&manifest) => Finding::Same,
        Some(_) => Finding::DetailsDiffer,
    };
    Ok(Compared { name, file: golden.golden_file(name), manifest, diff, finding })
}

fn worst(all: &[Compared<'_>]) -> Verdict {
    all.iter().map(Compared::verdict).max().unwrap_or(Verdict::Same)
}

impl Compared<'_> {
    fn verdict(&self) -> Verdict {
        match (&self.diff, self.finding) {
            (None, _) => Verdict::NeedsThought,
            (_, Finding::DetailsDiffer) => Verdict::Harmless,
            (Some(diff), _) => diff.verdict,
        }
    }

    fn to_entry(&self) -> Entry<'_> {
        Entry {
            name: self.name,
            golden_file: shown(&self.file),
            finding: self.finding,
            verdict: self.verdict(),
            changes: self.diff.as_ref().map(|diff| diff.changes.as_slice()).unwrap_or_default(),
        }
    }

    fn to_github_annotations(&self) -> String {
        let file = shown(&self.file);
        match (&self.diff, self.finding) {
            (None, _) => format!("::warning title=no golden file::{file} is missing: `golden --bless` writes it\n"),
            (_, Finding::DetailsDiffer) => {
                format!("::notice file={file},title=details differ::no deploy can break them: `golden --bless`\n")
            }
            (Some(diff), _) => diff.to_github_annotations(&file),
        }
    }
}

/// What `--format json` writes: one document, whatever the number of topologies.
#[derive(Serialize)]
struct Report<'a> {
    verdict: Verdict,
    topologies: Vec<Entry<'a>>,
}

#[derive(Serialize)]
struct Entry<'a> {
    name: &'a str,
    golden_file: String,
    finding: Finding,
    verdict: Verdict,
    changes: &'a [Change],
}

fn to_json(all: &[Compared<'_>]) -> String {
    let report = Report { verdict: worst(all), topologies: all.iter().map(Compared::to_entry).collect() };
    // Texts and names of variants only: nothing in it can be refused.
    let mut text = serde_json::to_string_pretty(&report).unwrap_or_default();
    text.push('\n');
    text
}
