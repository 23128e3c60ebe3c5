//! A picture as SVG: each sub-topology laid out on its own, one below what feeds it.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::layout::{Item, Layout, Level, place};
use super::picture::{Kind, Picture, Shape};

/// Sizes in pixels.
const CHARACTER: f64 = 7.25;
const PADDING: f64 = 12.0;
const HEIGHT: f64 = 32.0;
const LAYER: f64 = 68.0;
const MARGIN: f64 = 24.0;
const BETWEEN_PARTS: f64 = 56.0;
const STORE_GAP: f64 = 22.0;

pub(super) fn draw(picture: &Picture) -> String {
    let blocks: Vec<Block> = (0..picture.parts.len()).map(|part| Block::of(picture, part)).collect();
    let sheet = Sheet::of(picture, &blocks);
    let mut text = String::new();
    // Writing into a string cannot fail.
    let _ = writeln!(
        text,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {w} {h}\" width=\"{w}\" height=\"{h}\" role=\"img\">",
        w = number(sheet.width),
        h = number(sheet.height)
    );
    text.push_str(HEAD);
    for (block, id) in sheet.frames.iter().zip(&picture.parts) {
        let _ = writeln!(text, "  <rect class=\"part\" {} rx=\"10\"/>", block.attributes());
        let (x, y) = (number(block.x + 10.0), number(block.y + 16.0));
        let _ = writeln!(text, "  <text class=\"title\" x=\"{x}\" y=\"{y}\">sub-topology {id}</text>");
    }
    for path in sheet.paths(picture, &blocks) {
        let _ = writeln!(text, "  {path}");
    }
    for (shape, frame) in picture.shapes.iter().zip(&sheet.shapes) {
        let _ = writeln!(text, "  {}", shape_text(shape, frame));
    }
    text.push_str("</svg>\n");
    text
}

const HEAD: &str = r##"  <defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto"><path d="M0 0 8 4 0 8z" fill="#556"/></marker></defs>
  <style>
    text { font: 12px ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; fill: #223; text-anchor: middle }
    text.title { text-anchor: start; font-size: 11px; fill: #667 }
    rect, path.shape { stroke: #556; fill: #fff }
    .part { fill: #f4f6fa; stroke: #c3cad6 }
    .topic { fill: #e4f0e2 } .internal { fill: #fff3d6; stroke-dasharray: 5 3 }
    .store { fill: #e3ebfb } .end { fill: #f6f6f6 }
    .arrow { fill: none; stroke: #556; marker-end: url(#tip) }
    .use { fill: none; stroke: #88a; stroke-dasharray: 3 3 }
  </style>
"##;

/// One sub-topology: its shapes but for the stores, which stand to the right of the first node that uses them.
struct Block {
    layout: Layout,
    /// Indexes of the shapes, in the order of the layout's items.
    members: Vec<usize>,
    /// Indexes of the arrows, in the order of the layout's bends.
    arrows: Vec<usize>,
    /// By node: the stores beside it.
    stores: BTreeMap<usize, Vec<usize>>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Frame {
    x: f64,
    y: f64,
    width: f64,
    height: f64,
}

impl Frame {
    fn attributes(&self) -> String {
        let Frame { x, y, width, height } = *self;
        format!("x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\"", number(x), number(y), number(width), number(height))
    }

    fn middle(&self) -> f64 {
        self.x + self.width / 2.0
    }
}

impl Block {
    fn of(picture: &Picture, part: usize) -> Self {
        let mut stores: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        let mut placed = Vec::new();
        for (node, store) in &picture.uses {
            if picture.shapes.get(*node).is_some_and(|shape| shape.part == part) && !placed.contains(store) {
                placed.push(*store);
                stores.entry(*node).or_default().push(*store);
            }
        }
        let member = |(_, shape): &(usize, &Shape)| shape.part == part && shape.kind != Kind::Store;
        let members: Vec<usize> = picture.shapes.iter().enumerate().filter(member).map(|(at, _)| at).collect();
        let index: BTreeMap<usize, usize> = members.iter().enumerate().map(|(at, shape)| (*shape, at)).collect();
        let kind = |shape: usize| picture.shapes.get(shape).map(|shape| shape.kind);
        let has_inputs = members.iter().any(|shape| kind(*shape) == Some(Kind::Input));
        let level = |shape: usize| match kind(shape) {
            Some(Kind::Output | Kind::Internal) => Level::Bottom,
            Some(Kind::Input) => Level::From(0),
            // Topics stand outside of the box, so no node beside those that are read.
            _ => Level::From(usize::from(has_inputs)),
        };
        let item = |shape: &usize| {
            let own = width(picture, *shape);
            let beside = stores.get(shape).into_iter().flatten().map(|store| STORE_GAP + width(picture, *store));
            Item { width: own + beside.sum::<f64>(), anchor: own / 2.0, level: level(*shape) }
        };
        let items: Vec<Item> = members.iter().map(item).collect();
        let mut arrows = Vec::new();
        let mut inner = Vec::new();
        for (at, (from, to)) in picture.arrows.iter().enumerate() {
            if let (Some(from), Some(to)) = (index.get(from), index.get(to)) {
                arrows.push(at);
                inner.push((*from, *to));
            }
        }
        Block { layout: place(&items, &inner), members, arrows, stores }
    }

    fn height(&self) -> f64 {
        self.layout.layers.saturating_sub(1) as f64 * LAYER + HEIGHT
    }
}

/// Everything in its place.
#[derive(Default)]
struct Sheet {
    width: f64,
    height: f64,
    /// By shape.
    shapes: Vec<Frame>,
    /// By sub-topology: the box around its nodes.
    frames: Vec<Frame>,
    /// By sub-topology: where its block begins.
    origins: Vec<(f64, f64)>,
}

impl Sheet {
    fn of(picture: &Picture, blocks: &[Block]) -> Self {
        let mut sheet = Sheet { shapes: vec![Frame::default(); picture.shapes.len()], ..Sheet::default() };
        let ranks = ranks(picture);
        let mut y = MARGIN;
        for rank in 0..=ranks.iter().copied().max().unwrap_or(0) {
            let mut x = MARGIN;
            let mut tallest: f64 = 0.0;
            for (at, block) in blocks.iter().enumerate().filter(|(at, _)| ranks.get(*at) == Some(&rank)) {
                sheet.put(picture, at, block, (x + PADDING, y));
                x += block.layout.width + 2.0 * PADDING + BETWEEN_PARTS;
                tallest = tallest.max(block.height());
            }
            sheet.width = sheet.width.max(x - BETWEEN_PARTS + MARGIN);
            y += tallest + BETWEEN_PARTS;
        }
        sheet.width = sheet.width.max(2.0 * MARGIN);
        sheet.height = y - BETWEEN_PARTS + MARGIN;
        sheet.frames = (0..blocks.len()).map(|part| sheet.frame(picture, part)).collect();
        sheet
    }

    fn put(&mut self, picture: &Picture, at: usize, block: &Block, (left, top): (f64, f64)) {
        while self.origins.len() <= at {
            self.origins.push((0.0, 0.0));
        }
        if let Some(origin) = self.origins.get_mut(at) {
            *origin = (left, top);
        }
        for (shape, place) in block.members.iter().zip(&block.layout.places) {
            let mut frame = Frame {
                x: left + place.x,
                y: top + place.layer as f64 * LAYER,
                width: width(picture, *shape),
                height: HEIGHT,
            };
            self.set(*shape, frame);
            for store in block.stores.get(shape).into_iter().flatten() {
                frame = Frame { x: frame.x + frame.width + STORE_GAP, width: width(picture, *store), ..frame };
                self.set(*store, frame);
            }
        }
    }

    fn set(&mut self, shape: usize, frame: Frame) {
        if let Some(slot) = self.shapes.get_mut(shape) {
            *slot = frame;
        }
    }

    /// The box around the nodes of a sub-topology; its topics stay outside.
    fn frame(&self, picture: &Picture, part: usize) -> Frame {
        let inside = picture.shapes.iter().zip(&self.shapes);
        let frames: Vec<&Frame> =
            inside.filter(|(shape, _)| shape.part == part && shape.kind.is_inside()).map(|(_, frame)| frame).collect();
        let least = |value: fn(&Frame) -> f64| frames.iter().map(|frame| value(frame)).fold(f64::INFINITY, f64::min);
        let most = |value: fn(&Frame) -> f64| frames.iter().map(|frame| value(frame)).fold(0.0, f64::max);
        if frames.is_empty() {
            return Frame::default();
        }
        // Above there is room for the title.
        let (x, y) = (least(|frame| frame.x) - PADDING, least(|frame| frame.y) - 22.0);
        let (right, bottom) =
            (most(|frame| frame.x + frame.width) + PADDING, most(|frame| frame.y + frame.height) + 10.0);
        Frame { x, y, width: right - x, height: bottom - y }
    }

    fn shape(&self, at: usize) -> Frame {
        self.shapes.get(at).copied().unwrap_or_default()
    }

    /// Arrows within blocks with their bends, arrows between blocks, and lines to stores.
    fn paths(&self, picture: &Picture, blocks: &[Block]) -> Vec<String> {
        let mut bends: BTreeMap<usize, Vec<(f64, f64)>> = BTreeMap::new();
        for (block, (left, top)) in blocks.iter().zip(&self.origins) {
            for (arrow, xs) in block.arrows.iter().zip(&block.layout.bends) {
                let Some((from, _)) = picture.arrows.get(*arrow) else { continue };
                let first = ((self.shape(*from).y - top) / LAYER).round() + 1.0;
                let point = |(at, x): (usize, &f64)| (left + x, top + (first + at as f64) * LAYER + HEIGHT / 2.0);
                bends.insert(*arrow, xs.iter().enumerate().map(point).collect());
            }
        }
        let mut paths = Vec::new();
        for (at, (from, to)) in picture.arrows.iter().enumerate() {
            let (from, to) = (self.shape(*from), self.shape(*to));
            let mut points = vec![(from.middle(), from.y + from.height)];
            points.extend(bends.get(&at).into_iter().flatten().copied());
            points.push((to.middle(), to.y - 1.0));
            paths.push(format!("<path class=\"arrow\" d=\"{}\"/>", curve(&points)));
        }
        for (node, store) in &picture.uses {
            let (node, store) = (self.shape(*node), self.shape(*store));
            let beside = (node.y - store.y).abs() < 1.0 && node.x < store.x;
            let points = match beside {
                true => {
                    format!("M{} {}H{}", number(node.x + node.width), number(node.y + HEIGHT / 2.0), number(store.x))
                }
                false => {
                    let (top, bottom) = if node.y < store.y { (node, store) } else { (store, node) };
                    curve(&[(top.middle(), top.y + top.height), (bottom.middle(), bottom.y)])
                }
            };
            paths.push(format!("<path class=\"use\" d=\"{points}\"/>"));
        }
        paths
    }
}

/// How many sub-topologies lead to each by the application's own topics; those of one rank stand side by side.
fn ranks(picture: &Picture) -> Vec<usize> {
    let part = |shape: usize| picture.shapes.get(shape).map_or(0, |shape| shape.part);
    let mut ranks = vec![0; picture.parts.len()];
    for _ in 0..picture.parts.len() {
        for (from, to) in picture.arrows.iter().map(|(from, to)| (part(*from), part(*to))) {
            let below = ranks.get(from).map_or(0, |rank| rank + 1);
            if let Some(rank) = ranks.get_mut(to)
                && from != to
                && *rank < below
                && below < picture.parts.len()
            {
                *rank = below;
            }
        }
    }
    ranks
}

fn width(picture: &Picture, shape: usize) -> f64 {
    let characters = picture.shapes.get(shape).map_or(0, |shape| shape.label.chars().count());
    characters as f64 * CHARACTER + 2.0 * PADDING
}

/// A smooth line through points that go down.
fn curve(points: &[(f64, f64)]) -> String {
    let mut text = String::new();
    for (at, (x, y)) in points.iter().enumerate() {
        match at.checked_sub(1).and_then(|at| points.get(at)) {
            None => text.push_str(&format!("M{} {}", number(*x), number(*y))),
            Some((before_x, before_y)) => {
                let middle = (before_y + y) / 2.0;
                text.push_str(&format!(
                    "C{} {} {} {} {} {}",
                    number(*before_x),
                    number(middle),
                    number(*x),
                    number(middle),
                    number(*x),
                    number(*y)
                ));
            }
        }
    }
    text
}

fn shape_text(shape: &Shape, frame: &Frame) -> String {
    let label = format!(
        "<text x=\"{}\" y=\"{}\">{}</text>",
        number(frame.middle()),
        number(frame.y + 20.0),
        escape(&shape.label)
    );
    let outline = match shape.kind {
        Kind::Input | Kind::Output => format!("<rect class=\"topic\" {}/>", frame.attributes()),
        Kind::Internal => format!("<rect class=\"internal\" {}/>", frame.attributes()),
        Kind::Source | Kind::Sink => format!("<rect class=\"end\" {} rx=\"16\"/>", frame.attributes()),
        Kind::Processor => format!("<rect {} rx=\"3\"/>", frame.attributes()),
        Kind::Store => cylinder(frame),
    };
    format!("{outline}{label}")
}

/// The drum that stands for a store.
fn cylinder(frame: &Frame) -> String {
    let (rx, ry) = (number(frame.width / 2.0), "5");
    let (left, right) = (number(frame.x), number(frame.x + frame.width));
    let (top, bottom) = (number(frame.y + 3.0), number(frame.y + frame.height - 3.0));
    format!(
        "<path class=\"shape store\" d=\"M{left} {top}A{rx} {ry} 0 0 1 {right} {top}V{bottom}A{rx} {ry} 0 0 1 {left} \
         {bottom}ZM{left} {top}A{rx} {ry} 0 0 0 {right} {top}\"/>"
    )
}

/// A coordinate with one digit at most behind the point.
fn number(value: f64) -> String {
    let tenths = (value * 10.0).round() / 10.0;
    // No minus before a zero.
    format!("{}", if tenths == 0.0 { 0.0 } else { tenths })
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
