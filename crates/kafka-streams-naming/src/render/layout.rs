//! Where the shapes of one sub-topology stand: in layers from inputs to outputs, ordered so that few arrows cross, each
//! shape as near as can be below what leads to it (the method of Sugiyama, with barycentres).

use std::collections::BTreeMap;

/// A thing to be placed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Item {
    pub(super) width: f64,
    /// Where its arrows begin and end, from its left edge.
    pub(super) anchor: f64,
    /// Where in the layers it may stand.
    pub(super) level: Level,
}

/// Where in the layers an item may stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Level {
    /// Anywhere from this layer on.
    From(usize),
    /// Below everything else.
    Bottom,
}

/// Where an item stands: its left edge and its layer.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Place {
    pub(super) x: f64,
    pub(super) layer: usize,
}

/// Items placed, and the bends of arrows that pass layers.
#[derive(Debug, Default)]
pub(super) struct Layout {
    pub(super) places: Vec<Place>,
    /// By arrow: the x of its bends in the layers that it passes, from above.
    pub(super) bends: Vec<Vec<f64>>,
    pub(super) layers: usize,
    pub(super) width: f64,
}

/// Space between two items of a layer.
const GAP: f64 = 28.0;
/// Rounds of sorting and of moving: enough for topologies of hundreds of nodes to settle.
const ROUNDS: usize = 12;

/// Places `items`; `arrows` go from one index to another.
pub(super) fn place(items: &[Item], arrows: &[(usize, usize)]) -> Layout {
    let depth = layers(items, arrows);
    let mut grid = Grid::new(items, arrows, &depth);
    grid.sort();
    grid.settle();
    grid.layout(items.len())
}

/// The longest way from a start to each item; arrows that would close a circle do not count.
fn layers(items: &[Item], arrows: &[(usize, usize)]) -> Vec<usize> {
    let least = |item: &Item| match item.level {
        Level::From(layer) => layer,
        Level::Bottom => 0,
    };
    let mut depth: Vec<usize> = items.iter().map(least).collect();
    // Without a circle no way is longer than the number of items.
    let deepest = depth.iter().max().copied().unwrap_or(0) + items.len();
    for _ in 0..items.len() {
        let mut changed = false;
        for (from, to) in arrows.iter().filter(|(from, to)| from != to) {
            let below = depth.get(*from).map_or(0, |depth| depth + 1);
            if let Some(slot) = depth.get_mut(*to)
                && *slot < below
                && below < deepest
            {
                *slot = below;
                changed = true;
            }
        }
        if !changed {
            break;
        }
    }
    let free = |(item, depth): (&Item, &usize)| if item.level == Level::Bottom { *depth } else { depth + 1 };
    let lowest = items.iter().zip(&depth).map(free).max().unwrap_or(0);
    for (slot, _) in depth.iter_mut().zip(items).filter(|(_, item)| item.level == Level::Bottom) {
        *slot = lowest;
    }
    depth
}

/// Items and bends in their layers.
struct Grid {
    /// Items first, then bends.
    cells: Vec<Cell>,
    /// Indexes of cells, from left to right.
    rows: Vec<Vec<usize>>,
    /// By arrow: its bends.
    bends: Vec<Vec<usize>>,
}

struct Cell {
    width: f64,
    anchor: f64,
    layer: usize,
    above: Vec<usize>,
    below: Vec<usize>,
    x: f64,
}

impl Grid {
    fn new(items: &[Item], arrows: &[(usize, usize)], depth: &[usize]) -> Self {
        let mut grid = Grid { cells: Vec::new(), rows: Vec::new(), bends: Vec::new() };
        for (item, layer) in items.iter().zip(depth) {
            grid.add(item.width, item.anchor, *layer);
        }
        for (from, to) in arrows {
            let (top, bottom) = (depth.get(*from).copied().unwrap_or(0), depth.get(*to).copied().unwrap_or(0));
            let bends: Vec<usize> = (top + 1..bottom).map(|layer| grid.add(0.0, 0.0, layer)).collect();
            if top < bottom {
                let chain: Vec<usize> = std::iter::once(*from).chain(bends.iter().copied()).chain([*to]).collect();
                for pair in chain.windows(2) {
                    if let [above, below] = pair {
                        grid.link(*above, *below);
                    }
                }
            }
            grid.bends.push(bends);
        }
        grid
    }

    fn add(&mut self, width: f64, anchor: f64, layer: usize) -> usize {
        let at = self.cells.len();
        self.cells.push(Cell { width, anchor, layer, above: Vec::new(), below: Vec::new(), x: 0.0 });
        while self.rows.len() <= layer {
            self.rows.push(Vec::new());
        }
        if let Some(row) = self.rows.get_mut(layer) {
            row.push(at);
        }
        at
    }

    fn link(&mut self, above: usize, below: usize) {
        if let Some(cell) = self.cells.get_mut(above) {
            cell.below.push(below);
        }
        if let Some(cell) = self.cells.get_mut(below) {
            cell.above.push(above);
        }
    }

    /// Orders each row by the mean position of its neighbours in the row above, then below, and again.
    fn sort(&mut self) {
        for round in 0..ROUNDS {
            let downwards = round % 2 == 0;
            let mut order: Vec<usize> = (0..self.rows.len()).collect();
            if !downwards {
                order.reverse();
            }
            for at in order {
                let positions: BTreeMap<usize, usize> =
                    self.rows.iter().flat_map(|row| row.iter().enumerate().map(|(at, cell)| (*cell, at))).collect();
                let mean = |cell: &usize| {
                    let neighbours =
                        self.cells.get(*cell).map(|cell| if downwards { &cell.above } else { &cell.below });
                    let own = positions.get(cell).copied().unwrap_or(0) as f64;
                    mean(neighbours.into_iter().flatten().filter_map(|at| positions.get(at)).map(|at| *at as f64))
                        .unwrap_or(own)
                };
                let Some(row) = self.rows.get(at) else { continue };
                let mut keyed: Vec<(f64, usize)> = row.iter().map(|cell| (mean(cell), *cell)).collect();
                keyed.sort_by(|a, b| a.0.total_cmp(&b.0));
                if let Some(row) = self.rows.get_mut(at) {
                    *row = keyed.into_iter().map(|(_, cell)| cell).collect();
                }
            }
        }
    }

    /// Moves each row to where its neighbours want it, as far as the order and the gaps let it.
    fn settle(&mut self) {
        for round in 0..=ROUNDS {
            let mut order: Vec<usize> = (0..self.rows.len()).collect();
            if round % 2 == 1 {
                order.reverse();
            }
            for at in order {
                self.settle_row(at, round % 2 == 0);
            }
        }
        let left = self.cells.iter().map(|cell| cell.x).fold(f64::INFINITY, f64::min);
        self.cells.iter_mut().for_each(|cell| cell.x -= left);
    }

    fn settle_row(&mut self, row: usize, downwards: bool) {
        let Some(row) = self.rows.get(row).cloned() else { return };
        let centre = |at: &usize| self.cells.get(*at).map(|cell| cell.x + cell.anchor);
        let mut offset = 0.0;
        let mut wanted = Vec::with_capacity(row.len());
        let mut offsets = Vec::with_capacity(row.len());
        for at in &row {
            let Some(cell) = self.cells.get(*at) else { return };
            let (first, second) = if downwards { (&cell.above, &cell.below) } else { (&cell.below, &cell.above) };
            let near = if first.is_empty() { second } else { first };
            let x = mean(near.iter().filter_map(centre)).map_or(cell.x, |centre| centre - cell.anchor);
            wanted.push(x - offset);
            offsets.push(offset);
            offset += cell.width + GAP;
        }
        for ((at, x), offset) in row.iter().zip(ascending(&wanted)).zip(offsets) {
            if let Some(cell) = self.cells.get_mut(*at) {
                cell.x = x + offset;
            }
        }
    }

    fn layout(&self, items: usize) -> Layout {
        let place = |cell: &Cell| Place { x: cell.x, layer: cell.layer };
        let bend = |at: &usize| self.cells.get(*at).map_or(0.0, |cell| cell.x);
        Layout {
            places: self.cells.iter().take(items).map(place).collect(),
            bends: self.bends.iter().map(|bends| bends.iter().map(bend).collect()).collect(),
            layers: self.rows.len(),
            width: self.cells.iter().map(|cell| cell.x + cell.width).fold(0.0, f64::max),
        }
    }
}

fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (sum, count) = values.fold((0.0, 0_u32), |(sum, count), value| (sum + value, count + 1));
    (count > 0).then(|| sum / f64::from(count))
}

/// The ascending values that are nearest to the wanted ones (least squares: pool adjacent violators).
fn ascending(wanted: &[f64]) -> Vec<f64> {
    let mut pools: Vec<(f64, usize)> = Vec::new();
    for value in wanted {
        let mut pool = (*value, 1);
        while let Some((mean, size)) = pools.pop_if(|(mean, _)| *mean > pool.0) {
            let total = size + pool.1;
            pool = ((mean * size as f64 + pool.0 * pool.1 as f64) / total as f64, total);
        }
        pools.push(pool);
    }
    pools.into_iter().flat_map(|(mean, size)| std::iter::repeat_n(mean, size)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOX: Item = Item { width: 100.0, anchor: 50.0, level: Level::From(0) };

    #[test]
    fn a_chain_is_straight() {
        let layout = place(&[BOX; 3], &[(0, 1), (1, 2)]);
        let xs: Vec<f64> = layout.places.iter().map(|place| place.x).collect();
        assert_eq!(xs, [0.0, 0.0, 0.0]);
        assert_eq!(layout.places.iter().map(|place| place.layer).collect::<Vec<_>>(), [0, 1, 2]);
    }

    #[test]
    fn boxes_of_a_layer_never_overlap_and_arrows_uncross() {
        // 0 -> 3, 1 -> 2: crossed as written.
        let layout = place(&[BOX; 4], &[(0, 3), (1, 2)]);
        let x = |at: usize| layout.places[at].x;
        assert!((x(0) < x(1)) == (x(3) < x(2)), "{layout:?}");
        assert!((x(2) - x(3)).abs() >= 100.0 + GAP - 1e-6 && (x(0) - x(1)).abs() >= 100.0 + GAP - 1e-6);
    }

    #[test]
    fn an_arrow_that_passes_a_layer_bends_around_its_boxes() {
        let layout = place(&[BOX; 3], &[(0, 1), (1, 2), (0, 2)]);
        let [bend] = layout.bends[2][..] else { panic!("{layout:?}") };
        let beside = layout.places[1].x;
        assert!(bend <= beside || bend >= beside + 100.0, "{layout:?}");
    }

    #[test]
    fn levels_are_kept() {
        let items = [BOX, BOX, BOX, Item { level: Level::Bottom, ..BOX }, Item { level: Level::From(1), ..BOX }];
        let layout = place(&items, &[(0, 1), (1, 2), (0, 3)]);
        assert_eq!(layout.places.iter().map(|place| place.layer).collect::<Vec<_>>(), [0, 1, 2, 3, 1]);
        assert_eq!(layout.bends[2].len(), 2);
    }

    #[test]
    fn circles_end() {
        let layout = place(&[BOX; 2], &[(0, 1), (1, 0)]);
        assert!(layout.layers <= 3);
    }

    #[test]
    fn ascending_values_are_the_nearest() {
        assert_eq!(ascending(&[1.0, 2.0, 3.0]), [1.0, 2.0, 3.0]);
        assert_eq!(ascending(&[3.0, 1.0]), [2.0, 2.0]);
        assert_eq!(ascending(&[0.0, 4.0, 2.0, 9.0]), [0.0, 3.0, 3.0, 9.0]);
    }
}
