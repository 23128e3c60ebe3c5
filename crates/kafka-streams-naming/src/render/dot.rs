//! A picture in Graphviz's DOT language.

use std::fmt::Write as _;

use super::picture::{Kind, Picture, Shape};

pub(super) fn draw(picture: &Picture) -> String {
    let mut text =
        String::from("digraph topology {\n    rankdir=TB;\n    node [fontname=\"monospace\", fontsize=11];\n");
    // Writing into a string cannot fail.
    for (at, shape) in picture.shapes.iter().enumerate().filter(|(_, shape)| !shape.kind.is_inside()) {
        let _ = writeln!(text, "    {}", declaration(at, shape));
    }
    for (part, id) in picture.parts.iter().enumerate() {
        let _ = writeln!(text, "    subgraph cluster_{id} {{\n        label=\"sub-topology {id}\"; style=rounded;");
        let inside = picture.shapes.iter().enumerate().filter(|(_, shape)| shape.kind.is_inside());
        for (at, shape) in inside.filter(|(_, shape)| shape.part == part) {
            let _ = writeln!(text, "        {}", declaration(at, shape));
        }
        text.push_str("    }\n");
    }
    for (from, to) in &picture.arrows {
        let _ = writeln!(text, "    n{from} -> n{to};");
    }
    for (node, store) in &picture.uses {
        let _ = writeln!(text, "    n{node} -> n{store} [dir=none, style=dashed, constraint=false];");
    }
    text.push_str("}\n");
    text
}

fn declaration(at: usize, shape: &Shape) -> String {
    let look = match shape.kind {
        Kind::Input | Kind::Output => "shape=parallelogram",
        Kind::Internal => "shape=parallelogram, style=dashed",
        Kind::Source | Kind::Sink => "shape=box, style=rounded",
        Kind::Processor => "shape=box",
        Kind::Store => "shape=cylinder",
    };
    format!("n{at} [label=\"{}\", {look}];", shape.label.replace('\\', "\\\\").replace('"', "\\\""))
}
