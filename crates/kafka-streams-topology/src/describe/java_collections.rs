//! The orders in which Java's collections iterate, where the JVM's text shows them.

use std::cmp::Ordering;

/// The order in which a `java.util.HashSet` or `HashMap` iterates over these different keys, added in this order: by
/// bucket, and inside a bucket by insertion.
pub(crate) fn hash_order<T>(mut items: Vec<T>, key: impl Fn(&T) -> &str) -> Vec<T> {
    // The table begins with 16 buckets and doubles when more than three quarters of them would be used.
    let buckets = (items.len() * 4).div_ceil(3).max(16).next_power_of_two();
    items.sort_by_key(|item| {
        let hash = hash_code(key(item));
        (hash ^ (hash >> 16)) as usize & (buckets - 1)
    });
    items
}

/// `java.lang.String.hashCode`.
fn hash_code(text: &str) -> u32 {
    text.encode_utf16().fold(0u32, |hash, unit| hash.wrapping_mul(31).wrapping_add(u32::from(unit)))
}

/// A `java.util.TreeSet` whose comparator changes its mind: items stay where the comparisons of their insertion put
/// them, so the way to a place depends on the shape of the tree, and the tree must be balanced as Java's is
/// (`TreeMap.fixAfterInsertion`).
#[derive(Debug)]
pub(super) struct TreeSet<T> {
    nodes: Vec<TreeNode<T>>,
    root: Option<usize>,
}

#[derive(Debug)]
struct TreeNode<T> {
    item: T,
    /// Smaller items, greater items.
    children: [Option<usize>; 2],
    parent: Option<usize>,
    red: bool,
}

impl<T> Default for TreeSet<T> {
    fn default() -> Self {
        TreeSet { nodes: Vec::new(), root: None }
    }
}

impl<T: Copy> TreeSet<T> {
    /// Adds `item` unless the search for its place meets an equal one. `compare` is the present opinion.
    pub(super) fn insert(&mut self, item: T, compare: impl Fn(T, T) -> Ordering) {
        let mut parent = None;
        let mut side = 0;
        let mut at = self.root;
        while let Some(index) = at {
            let Some(node) = self.nodes.get(index) else { return };
            side = match compare(item, node.item) {
                Ordering::Less => 0,
                Ordering::Greater => 1,
                Ordering::Equal => return,
            };
            parent = at;
            at = node.children[side];
        }
        let index = self.nodes.len();
        self.nodes.push(TreeNode { item, children: [None; 2], parent, red: true });
        match parent {
            None => self.root = Some(index),
            Some(parent) => self.set_child(parent, side, Some(index)),
        }
        self.balance(index);
    }

    /// The items in the order of the tree.
    pub(super) fn items(&self) -> Vec<T> {
        let mut items = Vec::with_capacity(self.nodes.len());
        let mut path = Vec::new();
        let mut at = self.root;
        loop {
            while let Some(index) = at {
                path.push(index);
                at = self.child(index, 0);
            }
            let Some(index) = path.pop() else { return items };
            items.extend(self.nodes.get(index).map(|node| node.item));
            at = self.child(index, 1);
        }
    }

    /// Repairs "no red node has a red parent" upwards from the new red node.
    fn balance(&mut self, new: usize) {
        let mut at = new;
        while let Some(parent) = self.parent(at).filter(|parent| self.is_red(Some(*parent))) {
            let Some(grandparent) = self.parent(parent) else { break };
            let side = self.side(grandparent, parent);
            let uncle = self.child(grandparent, 1 - side);
            if self.is_red(uncle) {
                self.paint(Some(parent), false);
                self.paint(uncle, false);
                self.paint(Some(grandparent), true);
                at = grandparent;
                continue;
            }
            if self.side(parent, at) != side {
                at = parent;
                self.rotate(at, side);
            }
            let parent = self.parent(at);
            self.paint(parent, false);
            self.paint(Some(grandparent), true);
            self.rotate(grandparent, 1 - side);
        }
        self.paint(self.root, false);
    }

    /// Turns the edge between `at` and its child on the other side, so that `at` goes down on `side`.
    fn rotate(&mut self, at: usize, side: usize) {
        let Some(up) = self.child(at, 1 - side) else { return };
        let between = self.child(up, side);
        self.set_child(at, 1 - side, between);
        match self.parent(at) {
            None => {
                self.root = Some(up);
                if let Some(node) = self.nodes.get_mut(up) {
                    node.parent = None;
                }
            }
            Some(parent) => self.set_child(parent, self.side(parent, at), Some(up)),
        }
        self.set_child(up, side, Some(at));
    }

    fn set_child(&mut self, parent: usize, side: usize, child: Option<usize>) {
        if let Some(slot) = self.nodes.get_mut(parent).and_then(|node| node.children.get_mut(side)) {
            *slot = child;
        }
        if let Some(node) = child.and_then(|child| self.nodes.get_mut(child)) {
            node.parent = Some(parent);
        }
    }

    fn child(&self, at: usize, side: usize) -> Option<usize> {
        self.nodes.get(at)?.children.get(side).copied().flatten()
    }

    fn parent(&self, at: usize) -> Option<usize> {
        self.nodes.get(at)?.parent
    }

    fn side(&self, parent: usize, child: usize) -> usize {
        usize::from(self.child(parent, 0) != Some(child))
    }

    fn is_red(&self, at: Option<usize>) -> bool {
        at.and_then(|at| self.nodes.get(at)).is_some_and(|node| node.red)
    }

    fn paint(&mut self, at: Option<usize>, red: bool) {
        if let Some(node) = at.and_then(|at| self.nodes.get_mut(at)) {
            node.red = red;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn hashes_equal_javas() {
        // Values of String.hashCode, which its documentation defines as s[0]*31^(n-1) + … + s[n-1].
        assert_eq!(hash_code(""), 0);
        assert_eq!(hash_code("in1"), 104_364);
        assert_eq!(hash_code("hello") as i32, 99_162_322);
        assert_eq!(hash_code("polygenelubricants") as i32, i32::MIN);
    }

    #[test]
    fn names_come_out_by_bucket_and_then_by_insertion() {
        let order = |names: &[&str]| hash_order(names.to_vec(), |name| name).join(",");
        assert_eq!(order(&["in1", "in2"]), "in2,in1");
        assert_eq!(order(&["in2", "in1"]), "in2,in1");
        // "Aa" and "BB" have the same hash.
        assert_eq!(order(&["BB", "Aa"]), "BB,Aa");
        assert_eq!(order(&["Aa", "BB"]), "Aa,BB");
    }

    /// Depth in black nodes; checks the rules of red-black trees on the way.
    fn black_depth(set: &TreeSet<u16>, at: Option<usize>) -> usize {
        let Some(index) = at else { return 1 };
        let node = &set.nodes[index];
        let [left, right] = node.children;
        assert!(!(node.red && (set.is_red(left) || set.is_red(right))), "a red node has a red child");
        let depth = black_depth(set, left);
        assert_eq!(depth, black_depth(set, right), "the tree leans");
        depth + usize::from(!node.red)
    }

    proptest! {
        #[test]
        fn with_a_steady_comparator_it_is_a_sorted_balanced_set(items in prop::collection::vec(0u16..200, 0..300)) {
            let mut set = TreeSet::default();
            for item in &items {
                set.insert(*item, |a, b| a.cmp(&b));
                black_depth(&set, set.root);
            }
            let expected: Vec<u16> = items.into_iter().collect::<std::collections::BTreeSet<_>>().into_iter().collect();
            prop_assert_eq!(set.items(), expected);
        }
    }
}
