//! Writes the tables of `docs/configuration.md` from the tables of the code, and checks that the page has them.

use std::fmt::Write;

use super::client_key::{CLIENT_KEYS, Treatment};
use super::key::{KeyDefault, KeySpec, OWN_KEYS, STREAMS_KEYS, Status};
use super::librdkafka::{Convert, Mapping, NATIVE_KEYS};
use super::value::Range;

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/configuration.md");

fn streams_table(rows: &[KeySpec]) -> String {
    let mut out = String::from(
        "| key | type | default | values | weight | what happens | what it is for |\n|---|---|---|---|---|---|---|\n",
    );
    for spec in rows {
        let default = match spec.default {
            KeyDefault::Required => "(required)".to_owned(),
            KeyDefault::Null => "(none)".to_owned(),
            KeyDefault::Is("") => "(empty)".to_owned(),
            KeyDefault::Is(text) => code(text),
        };
        let status = match spec.status {
            Status::Honoured if spec.setter.is_empty() || spec.setter == "new" => "honoured".to_owned(),
            Status::Honoured => format!("honoured; `.{}()`", spec.setter),
            Status::Warned(reason) => format!("no effect, with a warning: {reason}"),
            Status::Refused(reason) => format!("refused: {reason}"),
        };
        let weight = format!("{:?}", spec.importance).to_lowercase();
        let _ = writeln!(
            out,
            "| `{}` | {} | {default} | {} | {weight} | {status} | {} |",
            spec.name,
            spec.value_type,
            range(spec.range),
            spec.doc
        );
    }
    out
}

fn client_table() -> String {
    let mut out = String::from("| key | of | type | what happens | to know |\n|---|---|---|---|---|\n");
    for spec in CLIENT_KEYS {
        let treatment = match spec.treatment {
            Treatment::Librdkafka(mappings) => format!("librdkafka's {}", targets(mappings)),
            Treatment::Both(mappings) => format!("ours, and librdkafka's {}", targets(mappings)),
            Treatment::Ours => "ours".to_owned(),
            Treatment::Security => "see Security".to_owned(),
            Treatment::Fixed(to) => format!("fixed to `{to}`; another value is overridden, with a warning"),
            Treatment::Warned(reason) => format!("no effect, with a warning: {reason}"),
            Treatment::Refused(reason) => format!("refused: {reason}"),
        };
        let _ = writeln!(
            out,
            "| `{}` | {} | {} | {treatment} | {} |",
            spec.name,
            spec.clients.letters(),
            spec.value_type,
            spec.note
        );
    }
    out
}

fn native_table() -> String {
    let mut out = String::from("| key | of | values | our default | what it is for |\n|---|---|---|---|---|\n");
    for spec in NATIVE_KEYS {
        let default = if spec.default.is_empty() { "librdkafka's".to_owned() } else { code(spec.default) };
        let _ = writeln!(
            out,
            "| `{}` | {} | {} | {default} | {} |",
            spec.name,
            spec.clients.letters(),
            range(spec.range),
            spec.doc
        );
    }
    out
}

fn targets(mappings: &[Mapping]) -> String {
    let one = |mapping: &Mapping| match mapping.convert {
        Convert::Number { most, .. } => format!("`{}` (to {most})", mapping.to),
        _ => code(mapping.to),
    };
    mappings.iter().map(one).collect::<Vec<_>>().join(" and ")
}

fn range(range: Range) -> String {
    match range {
        Range::OneOf(texts) | Range::OneOfAnyCase(texts) => {
            texts.iter().map(|text| code(text)).collect::<Vec<_>>().join(" ")
        }
        other => other.to_string(),
    }
}

fn code(text: &str) -> String {
    format!("`{text}`")
}

/// The page with each part between `<!-- table: NAME -->` and `<!-- end -->` written anew.
fn rewritten(page: &str) -> String {
    let tables = [
        ("streams", streams_table(STREAMS_KEYS)),
        ("own", streams_table(OWN_KEYS)),
        ("clients", client_table()),
        ("librdkafka", native_table()),
    ];
    let mut page = page.to_owned();
    for (name, table) in tables {
        let begin = format!("<!-- table: {name} -->\n");
        let (before, rest) = page.split_once(&begin).unwrap_or_else(|| panic!("docs/configuration.md lacks {begin}"));
        let (_, after) = rest.split_once("<!-- end -->").unwrap();
        page = format!("{before}{begin}{table}<!-- end -->{after}");
    }
    page
}

#[test]
fn the_page_has_the_tables_of_the_code() {
    let page = std::fs::read_to_string(PAGE).unwrap();
    let expected = rewritten(&page);
    if page != expected && std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(PAGE, &expected).unwrap();
        return;
    }
    assert!(page == expected, "docs/configuration.md is out of date; run the tests once with UPDATE_GOLDEN=1");
}
