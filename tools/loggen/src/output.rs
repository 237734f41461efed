//! Where the log's bytes go: through the compressor into the caller's writer, counted on both sides.

use std::io::{self, Write};

use flate2::write::GzEncoder;
use lz4_flex::frame::FrameEncoder;

use crate::options::Compression;

/// Counts what passes.
struct Counted<'w> {
    inner: &'w mut dyn Write,
    bytes: u64,
}

impl Write for Counted<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

enum Encoder<'w> {
    Plain(Counted<'w>),
    Gzip(GzEncoder<Counted<'w>>),
    Zstd(zstd::Encoder<'static, Counted<'w>>),
    Lz4(Box<FrameEncoder<Counted<'w>>>),
}

/// The log's way out.
pub(crate) struct Output<'w> {
    encoder: Encoder<'w>,
    bytes_in: u64,
}

/// Bytes of a finished log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sizes {
    pub(crate) uncompressed: u64,
    pub(crate) written: u64,
}

impl<'w> Output<'w> {
    pub(crate) fn new(compression: Compression, inner: &'w mut dyn Write) -> io::Result<Output<'w>> {
        let out = Counted { inner, bytes: 0 };
        let encoder = match compression {
            Compression::None => Encoder::Plain(out),
            Compression::Gzip => Encoder::Gzip(GzEncoder::new(out, flate2::Compression::fast())),
            Compression::Zstd => Encoder::Zstd(zstd::Encoder::new(out, 1)?),
            Compression::Lz4 => Encoder::Lz4(Box::new(FrameEncoder::new(out))),
        };
        Ok(Output { encoder, bytes_in: 0 })
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.bytes_in += bytes.len() as u64;
        match &mut self.encoder {
            Encoder::Plain(out) => out.write_all(bytes),
            Encoder::Gzip(out) => out.write_all(bytes),
            Encoder::Zstd(out) => out.write_all(bytes),
            Encoder::Lz4(out) => out.write_all(bytes),
        }
    }

    /// Ends the compressed stream and flushes.
    pub(crate) fn finish(self) -> io::Result<Sizes> {
        let mut out = match self.encoder {
            Encoder::Plain(out) => out,
            Encoder::Gzip(encoder) => encoder.finish()?,
            Encoder::Zstd(encoder) => encoder.finish()?,
            Encoder::Lz4(encoder) => encoder.finish().map_err(io::Error::other)?,
        };
        out.flush()?;
        Ok(Sizes { uncompressed: self.bytes_in, written: out.bytes })
    }
}
