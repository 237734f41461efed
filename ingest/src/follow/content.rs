//! The first bytes of a file, as stored and after decompression.

use std::borrow::Borrow;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use longshore_core::limits::{FOLLOW_HEAD_BYTES, FOLLOW_SILENT_BYTES_MAX, ZSTD_WINDOW_LOG_MAX};

use super::head::Head;
use crate::input::{Compression, is_window_too_large};
use crate::read::NO_CONTENT;

/// The beginning of a file.
pub(super) struct Beginning {
    pub(super) compression: Compression,
    /// Fingerprint of the first bytes as stored.
    pub(super) stored: Head,
    /// First bytes of the content.
    pub(super) content: Vec<u8>,
    /// Bytes of the whole content, where they are known without decompressing it. Gzip says them modulo 2^32.
    pub(super) content_bytes: Option<u64>,
    /// A compressed file that ends before as many bytes came out as a head has: it is still being written.
    pub(super) torn: bool,
}

/// Reads the first bytes as stored, at most [`FOLLOW_HEAD_BYTES`].
pub(super) fn stored_head(file: &File) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; FOLLOW_HEAD_BYTES];
    let mut filled = 0;
    while filled < bytes.len() {
        match file.read_at(&mut bytes[filled..], filled as u64) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    bytes.truncate(filled);
    Ok(bytes)
}

impl Beginning {
    /// Looks at a file of this size. An error of kind `InvalidData` says that it cannot be decompressed.
    pub(super) fn read(file: &File, size: u64) -> io::Result<Self> {
        let stored = stored_head(file)?;
        let compression = Compression::of(&stored);
        let mut beginning = Beginning {
            compression,
            stored: Head::of(&stored),
            content: stored,
            content_bytes: Some(size),
            torn: false,
        };
        if compression != Compression::Plain {
            beginning.decompress(file, size)?;
        }
        Ok(beginning)
    }

    fn decompress(&mut self, file: &File, size: u64) -> io::Result<()> {
        self.content.clear();
        let stored = Arc::new(Stored::default());
        stored.allow(FOLLOW_SILENT_BYTES_MAX);
        match decompressor(file, self.compression, &stored)?
            .take(FOLLOW_HEAD_BYTES as u64 + 1)
            .read_to_end(&mut self.content)
        {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => self.torn = true,
            Err(error) if error.raw_os_error().is_some() => return Err(error),
            Err(error) => return Err(io::Error::new(io::ErrorKind::InvalidData, error)),
        }
        let whole = self.content.len() <= FOLLOW_HEAD_BYTES && !self.torn;
        self.content_bytes = match self.compression {
            _ if self.torn => None,
            _ if whole && self.compression != Compression::Lz4 => Some(self.content.len() as u64),
            Compression::Gzip => Some(gzip_content_bytes(file, size)?),
            _ => None,
        };
        self.content.truncate(FOLLOW_HEAD_BYTES);
        Ok(())
    }

    /// Whether `position` is where the content ends. Of gzip the lower 32 bits are compared, which is all there is.
    pub(super) fn ends_at(&self, position: u64) -> bool {
        let known = if self.compression == Compression::Gzip { position & u64::from(u32::MAX) } else { position };
        self.content_bytes == Some(known)
    }
}

/// How far a file was read, and how far it may be.
#[derive(Debug, Default)]
pub(super) struct Stored {
    read: AtomicU64,
    limit: AtomicU64,
}

impl Stored {
    /// So many bytes more may be read.
    pub(super) fn allow(&self, bytes: u64) {
        self.limit.store(self.read.load(Ordering::Relaxed) + bytes, Ordering::Relaxed);
    }
}

pub(super) fn decompressor<'a, F: Borrow<File> + Send + 'a>(
    file: F,
    compression: Compression,
    stored: &Arc<Stored>,
) -> io::Result<Box<dyn Read + Send + 'a>> {
    let from = BufReader::new(FromStart { file, stored: stored.clone() });
    Ok(match compression {
        Compression::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(from)),
        Compression::Zstd => {
            let mut decoder = zstd::stream::read::Decoder::with_buffer(from)?;
            decoder.window_log_max(ZSTD_WINDOW_LOG_MAX)?;
            Box::new(Windowed(decoder))
        }
        Compression::Lz4 => Box::new(lz4_flex::frame::FrameDecoder::new(from)),
        Compression::Plain => Box::new(from),
    })
}

/// A zstd frame whose window is larger than it may be will never be read.
struct Windowed<R>(R);

impl<R: Read> Read for Windowed<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.0.read(into).map_err(|error| match is_window_too_large(&error) {
            true => io::Error::new(
                io::ErrorKind::InvalidData,
                format!("its zstd window takes more than 2^{ZSTD_WINDOW_LOG_MAX} bytes; compress it without --long and --ultra"),
            ),
            false => error,
        })
    }
}

/// The length that stands at a gzip member's end (RFC 1952, ISIZE): that of the content, modulo 2^32, of a file with one
/// member.
fn gzip_content_bytes(file: &File, size: u64) -> io::Result<u64> {
    let mut length = [0; 4];
    file.read_exact_at(&mut length, size.saturating_sub(4))?;
    Ok(u32::from_le_bytes(length).into())
}

/// Reads by position: the handle is shared with whoever reads the file.
struct FromStart<F> {
    file: F,
    stored: Arc<Stored>,
}

impl<F: Borrow<File>> Read for FromStart<F> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let offset = self.stored.read.load(Ordering::Relaxed);
        if offset >= self.stored.limit.load(Ordering::Relaxed) {
            return Err(io::Error::new(io::ErrorKind::InvalidData, NO_CONTENT));
        }
        let count = self.file.borrow().read_at(into, offset)?;
        self.stored.read.store(offset + count as u64, Ordering::Relaxed);
        Ok(count)
    }
}
