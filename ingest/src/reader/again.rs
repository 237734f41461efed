//! Reading a slice's bytes once more, of which only what became of them was kept.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use longshore_core::limits::READ_BLOCK_BYTES;
use longshore_core::slice::{CutAt, Slice};

use super::ReaderOptions;
use crate::content::Prefix;
use crate::input::{Filled, Input};
use crate::read::FileReaders;
use crate::sink::SliceMeta;

/// The whole records of a slice of one of these inputs, without what a decoder needs beyond them. An error says for the
/// operator why they cannot be had.
pub(crate) fn read(
    inputs: &[Input],
    meta: &SliceMeta,
    options: &ReaderOptions,
    stop: &AtomicBool,
) -> Result<Slice, String> {
    let input = inputs.iter().find(|input| input.name == meta.source).expect("a slice is of some input");
    if !input.repeatable() {
        return Err("it cannot be read twice; put it into a file, and load that".to_owned());
    }
    let mut files = FileReaders::new(options.read);
    // What is read twice counts once.
    let mut stream = input.open(&mut files, Arc::default(), stop).map_err(|error| error.to_string())?;
    let length = usize::try_from(meta.end - meta.start).expect("a slice fits in memory");
    let mut content = Prefix::default();
    let (mut bytes, mut offset) = (Vec::with_capacity(length), 0);
    loop {
        let wanted = match meta.start - offset {
            0 => length,
            before => usize::try_from(before).unwrap_or(usize::MAX).min(READ_BLOCK_BYTES),
        };
        let filled = stream.fill(&mut bytes, wanted, offset).map_err(|error| error.to_string())?;
        if bytes.len() < wanted {
            return Err(match filled {
                Filled::Stopped => "a stop was asked for".to_owned(),
                Filled::More | Filled::Ended => "it is shorter than it was".to_owned(),
            });
        }
        if offset == meta.start {
            break;
        }
        let passed = bytes.len().min(usize::try_from(meta.start - offset).unwrap_or(usize::MAX));
        content.update(&bytes[..passed]);
        bytes.drain(..passed);
        offset += passed as u64;
    }
    bytes.truncate(length);
    content.update(&bytes);
    if content.digest() != meta.after {
        return Err("its bytes were changed since they were read".to_owned());
    }
    let SliceMeta { id, source, start, .. } = meta.clone();
    Ok(Slice { id, source, start, bytes, header: None, tail: None, messages: None, cut: CutAt::Unknown })
}
