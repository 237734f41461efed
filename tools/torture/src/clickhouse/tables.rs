//! The tables of the twin, and the tokens that they remember.

use std::collections::{BTreeMap, HashSet, VecDeque};

use super::rows::{ClaimRow, Row, Table};

/// Rows of one partition under one token: what is inserted whole or not at all.
#[derive(Debug, Clone)]
pub(super) struct Block {
    pub(super) table: Table,
    pub(super) partition: i64,
    pub(super) token: String,
    pub(super) rows: Vec<Row>,
}

/// Tokens that a table remembers, by partition.
#[derive(Debug, Default)]
pub(super) struct Tokens {
    log: VecDeque<(String, i64)>,
    known: HashSet<(String, i64)>,
}

impl Tokens {
    fn remember(&mut self, token: &str, partition: i64, window: usize) {
        self.log.push_back((token.to_owned(), partition));
        self.known.insert((token.to_owned(), partition));
        while self.log.len() > window {
            self.forget_first();
        }
    }

    /// The newest so many are gone: they were not synced when the power failed.
    pub(super) fn lose(&mut self, newest: usize) {
        let kept = self.log.len().saturating_sub(newest);
        for lost in self.log.drain(kept..) {
            self.known.remove(&lost);
        }
    }

    /// Tokens that are remembered.
    pub(super) fn len(&self) -> usize {
        self.log.len()
    }

    fn forget_first(&mut self) {
        if let Some(oldest) = self.log.pop_front() {
            self.known.remove(&oldest);
        }
    }
}

/// A table with its rows.
#[derive(Debug, Default)]
struct Stored {
    rows: Vec<Row>,
    tokens: Tokens,
    /// Blocks that came, which claims are numbered by.
    blocks: u64,
}

/// All tables.
#[derive(Debug, Default)]
pub(super) struct Tables(BTreeMap<Table, Stored>);

impl Tables {
    pub(super) fn rows(&self, table: Table) -> &[Row] {
        self.0.get(&table).map_or(&[], |stored| &stored.rows)
    }

    /// Whether the table would take the block for one that it has.
    fn has(&self, block: &Block) -> bool {
        let known = |stored: &Stored| stored.tokens.known.contains(&(block.token.clone(), block.partition));
        self.0.get(&block.table).is_some_and(known)
    }

    /// All tables' tokens.
    pub(super) fn tokens(&mut self) -> impl Iterator<Item = &mut Tokens> {
        self.0.values_mut().map(|stored| &mut stored.tokens)
    }

    /// Inserts the block unless its token is there. Returns whether it did.
    pub(super) fn insert(&mut self, block: Block, window: usize) -> bool {
        let new = !self.has(&block);
        if new {
            self.remember(&block, window);
            self.place(block);
        }
        new
    }

    /// The block's rows alone, its token not.
    fn place(&mut self, block: Block) {
        let stored = self.0.entry(block.table).or_default();
        stored.blocks += 1;
        let number = stored.blocks;
        stored.rows.extend(block.rows.into_iter().map(|row| match row {
            Row::Claim(claim) => Row::Claim(ClaimRow { block: number, ..claim }),
            row => row,
        }));
    }

    /// The newest so many rows of a table are gone.
    pub(super) fn lose(&mut self, table: Table, newest: usize) {
        if let Some(stored) = self.0.get_mut(&table) {
            stored.rows.truncate(stored.rows.len().saturating_sub(newest));
        }
    }

    /// The block's token alone, its rows not: a server that dies writes the token first.
    pub(super) fn remember(&mut self, block: &Block, window: usize) {
        self.0.entry(block.table).or_default().tokens.remember(&block.token, block.partition, window);
    }
}

/// Rows as the blocks that they are inserted as; partitions in order.
pub(super) fn blocks(table: Table, token: &str, rows: Vec<Row>) -> Vec<Block> {
    let mut partitions: BTreeMap<i64, Vec<Row>> = BTreeMap::new();
    for row in rows {
        partitions.entry(row.partition()).or_default().push(row);
    }
    let block = |(partition, rows)| Block { table, partition, token: token.to_owned(), rows };
    partitions.into_iter().map(block).collect()
}
