//! Inputs: files and standard input, opened and decompressed by what their first bytes say.

use std::fmt;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use xxhash_rust::xxh3::xxh3_64;

/// Something to load, from its first byte to its last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Input {
    /// For people, and in the ledger: the absolute path, or `-`.
    pub name: Arc<str>,
    /// Identity: the same file in the same place has the same id in every run.
    pub source_id: u64,
    kind: InputKind,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum InputKind {
    File(PathBuf),
    Stdin,
}

impl Input {
    /// A file. Its identity is its path, made absolute with symbolic links resolved.
    pub fn file(path: &Path) -> Result<Self, InputError> {
        let fail = |error| InputError::Open { name: path.display().to_string().into(), error };
        let resolved = path.canonicalize().map_err(fail)?;
        if resolved.is_dir() {
            return Err(fail(io::Error::new(io::ErrorKind::IsADirectory, "it is a folder, not a file")));
        }
        let source_id = xxh3_64(resolved.as_os_str().as_encoded_bytes());
        Ok(Input { name: resolved.to_string_lossy().into(), source_id, kind: InputKind::File(resolved) })
    }

    /// Standard input. It cannot be read again, so each run's is a source of its own: `run_id` must differ from run to run.
    pub fn stdin(run_id: u64) -> Self {
        Input { name: "-".into(), source_id: xxh3_64(&run_id.to_le_bytes()), kind: InputKind::Stdin }
    }

    /// Bytes as stored (compressed, if it is), where that can be known.
    pub fn stored_bytes(&self) -> Option<u64> {
        match &self.kind {
            InputKind::File(path) => path.metadata().ok().filter(|meta| meta.is_file()).map(|meta| meta.len()),
            InputKind::Stdin => None,
        }
    }

    /// Opens it and finds out how it is compressed. `stored_read` counts the stored bytes that were read.
    pub fn open(&self, stored_read: Arc<AtomicU64>) -> Result<Stream, InputError> {
        let fail = |error| InputError::Open { name: self.name.clone(), error };
        let raw: Box<dyn Read + Send> = match &self.kind {
            InputKind::File(path) => Box::new(File::open(path).map_err(fail)?),
            InputKind::Stdin => Box::new(io::stdin()),
        };
        let mut counted = Counted { inner: raw, stored_read, failed: false };
        let mut magic = [0_u8; 4];
        let mut filled = 0;
        while filled < magic.len() {
            match counted.read(&mut magic[filled..]).map_err(fail)? {
                0 => break,
                n => filled += n,
            }
        }
        let compression = Compression::of(&magic[..filled]);
        let whole = io::Cursor::new(magic[..filled].to_vec()).chain(counted);
        Ok(Stream { name: self.name.clone(), compression, body: Body::new(compression, whole).map_err(fail)? })
    }
}

/// How a source is compressed, told apart by its first bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// Not at all.
    Plain,
    /// RFC 1952, one or several members.
    Gzip,
    /// RFC 8878, one or several frames.
    Zstd,
    /// LZ4 frame format, one or several frames.
    Lz4,
}

impl Compression {
    /// By the first four bytes (fewer only if the source is shorter).
    pub fn of(magic: &[u8]) -> Self {
        match magic {
            [0x1f, 0x8b, ..] => Compression::Gzip,
            [0x28, 0xb5, 0x2f, 0xfd] => Compression::Zstd,
            [0x04, 0x22, 0x4d, 0x18] => Compression::Lz4,
            // A zstd skippable frame may stand first (`pzstd` writes one).
            [0x50..=0x5f, 0x2a, 0x4d, 0x18] => Compression::Zstd,
            _ => Compression::Plain,
        }
    }
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Compression::Plain => "plain",
            Compression::Gzip => "gzip",
            Compression::Zstd => "zstd",
            Compression::Lz4 => "lz4",
        })
    }
}

/// Why an input could not be read.
#[derive(Debug, thiserror::Error)]
pub enum InputError {
    /// It could not be opened: fix the path or the permissions.
    #[error("cannot open {name}: {error}")]
    Open {
        /// The input.
        name: Arc<str>,
        /// From the system.
        error: io::Error,
    },
    /// The system failed to read it: nothing past `offset` was looked at; load it again once the cause is mended.
    #[error("cannot read {name} past byte {offset}: {error}")]
    Read {
        /// The input.
        name: Arc<str>,
        /// Bytes that were read, after decompression.
        offset: u64,
        /// From the system.
        error: io::Error,
    },
    /// The compressed data end early or are damaged; everything before was loaded.
    #[error(
        "{name} is damaged: its {compression} data cannot be decompressed past byte {offset} of its content ({error}); all whole records before were loaded, fetch the file again for the rest"
    )]
    Damaged {
        /// The input.
        name: Arc<str>,
        /// How it is compressed.
        compression: Compression,
        /// Bytes that were read, after decompression.
        offset: u64,
        /// From the decompressor.
        error: io::Error,
    },
    /// Its header line cannot be used; nothing of it was loaded.
    #[error("{name}: {detail}")]
    Header {
        /// The input.
        name: Arc<str>,
        /// What is wrong with it.
        detail: String,
    },
}

type Raw = io::Chain<io::Cursor<Vec<u8>>, Counted>;

/// An open input: its content after decompression.
pub struct Stream {
    name: Arc<str>,
    compression: Compression,
    body: Body,
}

enum Body {
    Plain(Raw),
    Gzip(flate2::bufread::MultiGzDecoder<BufReader<Raw>>),
    Zstd(zstd::stream::read::Decoder<'static, BufReader<Raw>>),
    Lz4(lz4_flex::frame::FrameDecoder<BufReader<Raw>>),
}

/// Bytes read from a compressed file at once.
const COMPRESSED_READ_BYTES: usize = 256 << 10;

impl Body {
    fn new(compression: Compression, raw: Raw) -> io::Result<Self> {
        let buffered = |raw| BufReader::with_capacity(COMPRESSED_READ_BYTES, raw);
        Ok(match compression {
            Compression::Plain => Body::Plain(raw),
            Compression::Gzip => Body::Gzip(flate2::bufread::MultiGzDecoder::new(buffered(raw))),
            Compression::Zstd => Body::Zstd(zstd::stream::read::Decoder::with_buffer(buffered(raw))?),
            Compression::Lz4 => Body::Lz4(lz4_flex::frame::FrameDecoder::new(buffered(raw))),
        })
    }

    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Body::Plain(reader) => reader.read(into),
            Body::Gzip(reader) => reader.read(into),
            Body::Zstd(reader) => reader.read(into),
            Body::Lz4(reader) => read_lz4(reader, into),
        }
    }

    fn system_failed(&self) -> bool {
        let raw = match self {
            Body::Plain(raw) => raw,
            Body::Gzip(reader) => reader.get_ref().get_ref(),
            Body::Zstd(reader) => reader.get_ref().get_ref(),
            Body::Lz4(reader) => reader.get_ref().get_ref(),
        };
        raw.get_ref().1.failed
    }
}

/// An LZ4 decoder reports the end of each frame as the end of input; the input has ended when nothing is left behind it.
fn read_lz4(reader: &mut lz4_flex::frame::FrameDecoder<BufReader<Raw>>, into: &mut [u8]) -> io::Result<usize> {
    use io::BufRead;
    loop {
        match reader.read(into)? {
            0 if into.is_empty() || reader.get_mut().fill_buf()?.is_empty() => return Ok(0),
            0 => {}
            n => return Ok(n),
        }
    }
}

impl Stream {
    /// Name of the input.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Appends to `buffer` until it holds `target` bytes or the input ends. True if more may follow.
    ///
    /// On an error `buffer` holds what was read before it; `offset` is the position in the source of `buffer[0]`.
    pub fn fill(&mut self, buffer: &mut Vec<u8>, target: usize, offset: u64) -> Result<bool, InputError> {
        let mut filled = buffer.len();
        if filled >= target {
            return Ok(true);
        }
        // Zeroed once per buffer: recycled ones keep their length's worth of initialised bytes in capacity only, so this
        // is a memset of what is about to be read; it runs far faster than any read.
        buffer.resize(target, 0);
        let outcome = loop {
            if filled == target {
                break Ok(true);
            }
            match self.body.read(&mut buffer[filled..target]) {
                Ok(0) => break Ok(false),
                Ok(n) => filled += n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => break Err(error),
            }
        };
        buffer.truncate(filled);
        outcome.map_err(|error| self.read_error(error, offset + filled as u64))
    }

    fn read_error(&self, error: io::Error, offset: u64) -> InputError {
        let name = self.name.clone();
        if self.compression == Compression::Plain || self.body.system_failed() {
            InputError::Read { name, offset, error }
        } else {
            InputError::Damaged { name, compression: self.compression, offset, error }
        }
    }
}

/// Counts what is read from the system, and remembers whether the system itself failed.
struct Counted {
    inner: Box<dyn Read + Send>,
    stored_read: Arc<AtomicU64>,
    failed: bool,
}

impl Read for Counted {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self.inner.read(into) {
            Ok(n) => {
                self.stored_read.fetch_add(n as u64, Ordering::Relaxed);
                Ok(n)
            }
            Err(error) => {
                self.failed |= error.kind() != io::ErrorKind::Interrupted;
                Err(error)
            }
        }
    }
}

#[cfg(test)]
mod tests;
