//! The declared paths as a tree, compiled once for all records.

use xxhash_rust::xxh3::xxh3_64;

use super::extract::{Pass, Slots};
use super::{JsonError, RawValue, scan};
use crate::column::{Path, Step};

/// Where the declared columns stand in a record.
///
/// Distinct paths have a slot each, numbered so that what is below a path has the slots just after its own: one `fill`
/// forgets a whole subtree when a key is repeated.
#[derive(Debug)]
pub struct Plan {
    pub(super) nodes: Vec<Node>,
    slots: usize,
    /// Slot of each column, in the order of the paths.
    columns: Vec<usize>,
}

/// One step of the paths, in tree form; the first node is the record.
#[derive(Debug, Default)]
pub(super) struct Node {
    /// Slot of the value itself, if a column wants it.
    pub(super) slot: Option<usize>,
    /// Slots of the value and all below it: from the first to before the second.
    pub(super) subtree: (usize, usize),
    /// Wanted members, if it is an object.
    pub(super) keys: KeyTable,
    /// Wanted elements, if it is an array: index and node, by index.
    pub(super) elements: Vec<(usize, usize)>,
}

impl Node {
    /// Whether anything below the value is wanted.
    #[inline(always)]
    pub(super) fn is_leaf(&self) -> bool {
        self.keys.is_empty() && self.elements.is_empty()
    }
}

impl Plan {
    /// Compiles the paths of the columns. An empty path is the whole record.
    pub fn new<'p>(paths: impl IntoIterator<Item = &'p Path>) -> Plan {
        let mut plan = Plan { nodes: vec![Node::default()], slots: 0, columns: Vec::new() };
        let nodes_of_columns: Vec<usize> = paths.into_iter().map(|path| plan.insert(path)).collect();
        for &node in &nodes_of_columns {
            plan.nodes[node].slot = Some(0);
        }
        plan.number(0);
        for node in &mut plan.nodes {
            node.keys.index();
            node.elements.sort_unstable();
        }
        plan.columns = nodes_of_columns.iter().filter_map(|&node| plan.nodes[node].slot).collect();
        plan
    }

    /// Adds what is missing of a path and returns its last node.
    fn insert(&mut self, path: &Path) -> usize {
        let mut node = 0;
        for step in &path.0 {
            let known = match step {
                Step::Key(key) => {
                    self.nodes[node].keys.entries.iter().find(|(k, _)| **k == *key.as_bytes()).map(|e| e.1)
                }
                Step::Index(index) => self.nodes[node].elements.iter().find(|(i, _)| i == index).map(|e| e.1),
            };
            node = known.unwrap_or_else(|| {
                let child = self.nodes.len();
                self.nodes.push(Node::default());
                match step {
                    Step::Key(key) => self.nodes[node].keys.entries.push((key.as_bytes().into(), child)),
                    Step::Index(index) => self.nodes[node].elements.push((*index, child)),
                }
                child
            });
        }
        node
    }

    /// Numbers the slots in depth-first order, without recursion: paths may be long.
    fn number(&mut self, root: usize) {
        // A node is met twice, when it is entered and when all below it has been numbered.
        let mut open = vec![(root, false)];
        while let Some((node, is_done)) = open.pop() {
            if is_done {
                self.nodes[node].subtree.1 = self.slots;
                continue;
            }
            self.nodes[node].subtree.0 = self.slots;
            if let Some(slot) = &mut self.nodes[node].slot {
                *slot = self.slots;
                self.slots += 1;
            }
            open.push((node, true));
            let node = &self.nodes[node];
            open.extend(node.keys.entries.iter().map(|&(_, child)| (child, false)));
            open.extend(node.elements.iter().map(|&(_, child)| (child, false)));
        }
    }

    /// Room for the places of one record's values, for use with this plan only.
    pub fn slots(&self) -> Slots {
        Slots::new(self.slots)
    }

    /// Places of values that the columns need, numbered from 0.
    pub(crate) fn slot_count(&self) -> usize {
        self.slots
    }

    /// Slot of a column.
    pub(crate) fn slot(&self, column: usize) -> usize {
        self.columns[column]
    }

    /// Checks a record whole and notes where its declared values stand.
    ///
    /// After an error the slots hold nothing of use.
    ///
    /// # Panics
    /// If the record has 4 GiB or more; records are bounded far below that.
    pub fn extract(&self, record: &str, slots: &mut Slots) -> Result<(), JsonError> {
        assert!(u32::try_from(record.len()).is_ok(), "a record's positions are 32 bit");
        let bytes = record.as_bytes();
        let start = scan::whitespace(bytes, 0);
        if bytes.get(start) != Some(&b'{') {
            return Err(JsonError::expected(bytes, start, "a JSON object as the record"));
        }
        let end = Pass::new(self, bytes, slots).value(0, start, 0)?;
        scan::end(bytes, end)
    }

    /// The value of a column in the record that was last extracted into `slots`; `None`: it does not have the field.
    #[inline]
    pub fn value<'r>(&self, column: usize, record: &'r str, slots: &Slots) -> Option<RawValue<'r>> {
        slots.value(self.columns[column], record)
    }
}

/// The wanted keys of one object: few, fixed, looked up for every key that is not a learned one.
#[derive(Debug, Default)]
pub(super) struct KeyTable {
    /// Key, unescaped, and the node of its value.
    entries: Vec<(Box<[u8]>, usize)>,
    /// Open addressing, a power of two at least twice the entries: index into `entries` plus one, 0 for empty.
    buckets: Vec<u32>,
}

impl KeyTable {
    #[inline(always)]
    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    fn index(&mut self) {
        if self.entries.is_empty() {
            return;
        }
        self.buckets = vec![0; (self.entries.len() * 2).next_power_of_two()];
        for (entry, number) in self.entries.iter().zip(1..) {
            let mut bucket = self.first_bucket(&entry.0);
            while self.buckets[bucket] != 0 {
                bucket = (bucket + 1) & (self.buckets.len() - 1);
            }
            self.buckets[bucket] = number;
        }
    }

    fn first_bucket(&self, key: &[u8]) -> usize {
        xxh3_64(key) as usize & (self.buckets.len() - 1)
    }

    /// The node of the value under `key`.
    pub(super) fn get(&self, key: &[u8]) -> Option<usize> {
        if self.entries.is_empty() {
            return None;
        }
        let mut bucket = self.first_bucket(key);
        loop {
            let number = self.buckets[bucket] as usize;
            let (candidate, node) = self.entries.get(number.checked_sub(1)?)?;
            if **candidate == *key {
                return Some(*node);
            }
            bucket = (bucket + 1) & (self.buckets.len() - 1);
        }
    }
}
