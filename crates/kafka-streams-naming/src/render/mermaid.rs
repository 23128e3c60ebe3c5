//! A picture as a Mermaid flowchart.

use std::fmt::Write as _;

use super::picture::{Kind, Picture, Shape};

pub(super) fn draw(picture: &Picture) -> String {
    let mut text = String::from("flowchart TD\n");
    // Writing into a string cannot fail.
    for (at, shape) in picture.shapes.iter().enumerate().filter(|(_, shape)| !shape.kind.is_inside()) {
        let _ = writeln!(text, "    {}", declaration(at, shape));
    }
    for (part, id) in picture.parts.iter().enumerate() {
        let _ = writeln!(text, "    subgraph part{id}[\"sub-topology {id}\"]");
        let inside = picture.shapes.iter().enumerate().filter(|(_, shape)| shape.kind.is_inside());
        for (at, shape) in inside.filter(|(_, shape)| shape.part == part) {
            let _ = writeln!(text, "        {}", declaration(at, shape));
        }
        let _ = writeln!(text, "    end");
    }
    for (from, to) in &picture.arrows {
        let _ = writeln!(text, "    n{from} --> n{to}");
    }
    for (node, store) in &picture.uses {
        let _ = writeln!(text, "    n{node} -.- n{store}");
    }
    text
}

fn declaration(at: usize, shape: &Shape) -> String {
    let (open, close) = match shape.kind {
        Kind::Input | Kind::Output => ("[/", "/]"),
        Kind::Internal => ("[[", "]]"),
        Kind::Source | Kind::Sink => ("([", "])"),
        Kind::Processor => ("[", "]"),
        Kind::Store => ("[(", ")]"),
    };
    format!("n{at}{open}\"{}\"{close}", escape(&shape.label))
}

/// Mermaid's own escapes, which begin with a `#`.
fn escape(label: &str) -> String {
    label.replace('#', "#35;").replace('"', "#quot;").replace('<', "#lt;").replace('>', "#gt;")
}
