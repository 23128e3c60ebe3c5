//! Drawings of a topology, from its manifest: Mermaid and Graphviz for tools, SVG for documentation as it is.
//!
//! All three show the topics that are read and written, the nodes in the boxes of their sub-topologies, and the stores
//! beside the nodes that use them. The same manifest gives the same bytes.

mod dot;
mod layout;
mod mermaid;
mod picture;
mod svg;

use crate::Manifest;
use picture::Picture;

/// The topology as a Mermaid flowchart, which GitHub and many documentation tools draw.
///
/// ```
/// use kafka_streams_naming::{Manifest, render};
/// assert!(render::mermaid(&Manifest::new(None)).starts_with("flowchart TD\n"));
/// ```
pub fn mermaid(manifest: &Manifest) -> String {
    mermaid::draw(&Picture::of(manifest))
}

/// The topology in the DOT language of Graphviz.
///
/// ```
/// use kafka_streams_naming::{Manifest, render};
/// assert!(render::dot(&Manifest::new(None)).starts_with("digraph topology {\n"));
/// ```
pub fn dot(manifest: &Manifest) -> String {
    dot::draw(&Picture::of(manifest))
}

/// The topology as an SVG image, laid out in layers from inputs to outputs.
///
/// ```
/// use kafka_streams_naming::{Manifest, render};
/// assert!(render::svg(&Manifest::new(None)).starts_with("<svg "));
/// ```
pub fn svg(manifest: &Manifest) -> String {
    svg::draw(&Picture::of(manifest))
}
