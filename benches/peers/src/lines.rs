//! sonic-rs and simd-json, a line at a time. Neither makes columns: sonic-rs validates a record and gives every field
//! as it is written, simd-json builds a tape and nothing is taken from it. So they do less than Longshore does.

use anyhow::Context;
use simd_json::Buffers;
use sonic_rs::JsonValueTrait;

use crate::Peer;

/// Every field raw, validated.
pub(crate) struct SonicRs {
    input: Vec<u8>,
}

impl SonicRs {
    pub(crate) fn new(input: Vec<u8>) -> Self {
        SonicRs { input }
    }
}

impl Peer for SonicRs {
    fn pass(&mut self) -> anyhow::Result<u64> {
        let mut records = 0;
        let mut raw_bytes = 0;
        for line in lines(&self.input) {
            for field in sonic_rs::to_object_iter(line) {
                let (key, value) = field.context("sonic-rs")?;
                raw_bytes += key.len() + value.as_raw_str().len();
                std::hint::black_box(value.get_type());
            }
            records += 1;
        }
        std::hint::black_box(raw_bytes);
        Ok(records)
    }

    fn columns(&mut self) -> anyhow::Result<String> {
        Ok("{}".to_owned())
    }
}

/// A tape a record. It unescapes in place, so each line is copied into a buffer first.
pub(crate) struct SimdJson {
    input: Vec<u8>,
    line: Vec<u8>,
    buffers: Buffers,
}

impl SimdJson {
    pub(crate) fn new(input: Vec<u8>) -> Self {
        SimdJson { input, line: Vec::new(), buffers: Buffers::default() }
    }
}

impl Peer for SimdJson {
    fn pass(&mut self) -> anyhow::Result<u64> {
        let mut records = 0;
        for line in lines(&self.input) {
            self.line.clear();
            self.line.extend_from_slice(line);
            let tape = simd_json::to_tape_with_buffers(&mut self.line, &mut self.buffers).context("simd-json")?;
            std::hint::black_box(tape.0.len());
            records += 1;
        }
        Ok(records)
    }

    fn columns(&mut self) -> anyhow::Result<String> {
        Ok("{}".to_owned())
    }
}

fn lines(input: &[u8]) -> impl Iterator<Item = &[u8]> {
    // Longshore's inputs end with a newline.
    let mut start = 0;
    memchr::memchr_iter(b'\n', input).map(move |end| {
        let line = &input[start..end];
        start = end + 1;
        line
    })
}
