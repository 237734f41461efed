//! Inputs: files and standard input, opened and decompressed by what their first bytes say.

use std::fmt;
use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64};

use longshore_core::limits::{FOLLOW_HEAD_BYTES, READ_BLOCK_BYTES, ZSTD_WINDOW_LOG_MAX};
use longshore_core::slice::SliceId;
use rustix::fs::OFlags;

use crate::patterns::{Barred, Expansion, Match, Owner, is_elsewhere, open_without_links};
use crate::read::{self, FileReaders, PipeEnd, PipeReader, Raw, RawBody, ReadMethod};

/// Something to load, from its first byte to its last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Input {
    /// For people, and in the ledger: the absolute path, or `-`.
    pub name: Arc<str>,
    kind: InputKind,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum InputKind {
    /// A file that was named.
    File(PathBuf),
    /// A file that a wildcard found: it is read if it is still this one, by a path without links.
    Found {
        path: PathBuf,
        file: FileNumber,
    },
    Stdin,
}

/// A file of the system, whatever it is called: device and inode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FileNumber(u64, u64);

impl FileNumber {
    fn of(meta: &Metadata) -> Self {
        FileNumber(meta.dev(), meta.ino())
    }
}

impl Input {
    /// A file. Its name is its path, made absolute with symbolic links resolved.
    pub fn file(path: &Path) -> Result<Self, InputError> {
        let fail = |error| InputError::Open { name: path.display().to_string().into(), error };
        let resolved = path.canonicalize().map_err(fail)?;
        if resolved.is_dir() {
            return Err(fail(io::Error::new(io::ErrorKind::IsADirectory, "it is a folder, not a file")));
        }
        Ok(Input::at(&resolved, InputKind::File(resolved.clone())))
    }

    /// A regular file that a pattern led to; `None` if it is something else, or gone. What is put in its place is not read.
    pub fn found(expansion: &Expansion, found: &Match) -> Option<Result<Self, Barred>> {
        let Some(real) = &found.real else {
            return Some(Input::file(&found.path).map_err(|error| Barred::System(io::Error::other(error))));
        };
        match real.symlink_metadata() {
            Ok(meta) if !meta.is_file() => None,
            Ok(meta) => Some(match expansion.judge(found, Owner::of(&meta)) {
                Ok(()) => Ok(Input::at(real, InputKind::Found { path: real.clone(), file: FileNumber::of(&meta) })),
                Err(fault) => Err(fault.into()),
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => Some(Err(error.into())),
        }
    }

    fn at(path: &Path, kind: InputKind) -> Self {
        Input { name: path.to_string_lossy().into(), kind }
    }

    /// Which file it is, however it was named. `None` for what is no regular file.
    pub fn file_number(&self) -> Option<FileNumber> {
        match &self.kind {
            InputKind::File(path) => path.metadata().ok().filter(Metadata::is_file).map(|meta| FileNumber::of(&meta)),
            InputKind::Found { file, .. } => Some(*file),
            InputKind::Stdin => None,
        }
    }

    /// Standard input. It cannot be read again.
    pub fn stdin() -> Self {
        Input { name: "-".into(), kind: InputKind::Stdin }
    }

    /// The first bytes of its content, at most [`FOLLOW_HEAD_BYTES`]; none of what can be read but once, or cannot be read.
    pub(crate) fn beginning(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        if self.repeatable() {
            let (mut files, stop) = (FileReaders::new(ReadMethod::Pread), AtomicBool::new(false));
            if let Ok(mut stream) = self.open(&mut files, Arc::default(), &stop) {
                // What was read before an error is a beginning as well.
                let _ = stream.fill(&mut bytes, FOLLOW_HEAD_BYTES, 0);
            }
            bytes.truncate(FOLLOW_HEAD_BYTES);
        }
        bytes
    }

    /// Bytes as stored (compressed, if it is), where that can be known.
    pub fn stored_bytes(&self) -> Option<u64> {
        match &self.kind {
            InputKind::File(path) | InputKind::Found { path, .. } => {
                path.metadata().ok().filter(Metadata::is_file).map(|meta| meta.len())
            }
            InputKind::Stdin => None,
        }
    }

    /// It can be read again from its start: it is a regular file.
    pub fn repeatable(&self) -> bool {
        self.stored_bytes().is_some()
    }

    /// How much of its first `bytes` stored bytes the page cache has, of how many there are. `None` for what is no regular
    /// file, and where the system does not tell (Linux before 6.5, a file of somebody else).
    pub fn cached_bytes(&self, bytes: u64) -> Option<(u64, u64)> {
        let of = self.stored_bytes()?.min(bytes);
        let file = match &self.kind {
            InputKind::File(path) => File::open(path).ok()?,
            InputKind::Found { path, file } => open_found(path, *file).ok()?,
            InputKind::Stdin => return None,
        };
        // A length of zero would ask for the whole file.
        if of == 0 {
            return None;
        }
        read::cached_bytes(&file, of).map(|cached| (cached.min(of), of))
    }

    /// Opens it and finds out how it is compressed. `stored_read` counts the stored bytes that are read; `stop` ends the
    /// wait for a pipe that is silent.
    pub(crate) fn open<'a>(
        &self,
        files: &'a mut FileReaders,
        stored_read: Arc<AtomicU64>,
        stop: &'a AtomicBool,
    ) -> Result<Stream<'a>, InputError> {
        let fail = |error| InputError::Open { name: self.name.clone(), error };
        let body = match &self.kind {
            InputKind::File(path) => open_file(path, files, stop).map_err(fail)?,
            InputKind::Found { path, file } => {
                let file = open_found(path, *file).map_err(fail)?;
                RawBody::File(files.read(file).map_err(fail)?)
            }
            InputKind::Stdin => RawBody::Pipe(PipeReader::new(PipeEnd::Stdin, stop)),
        };
        Stream::new(self.name.clone(), Raw::new(body, stored_read)).map_err(fail)
    }
}

/// Opens what a path names. A pipe is opened without waiting for somebody to write to it: that is for the reader to do.
fn open_file<'a>(path: &Path, files: &'a mut FileReaders, stop: &'a AtomicBool) -> io::Result<RawBody<'a>> {
    let mut options = OpenOptions::new();
    options.read(true);
    if path.metadata()?.file_type().is_fifo() {
        options.custom_flags(OFlags::NONBLOCK.bits() as i32);
    }
    let file: File = options.open(path)?;
    if file.metadata()?.is_file() {
        return Ok(RawBody::File(files.read(file)?));
    }
    Ok(RawBody::Pipe(PipeReader::new(PipeEnd::Owned(file.into()), stop)))
}

/// Opens what a pattern led to, if it is still that file.
fn open_found(path: &Path, file: FileNumber) -> io::Result<File> {
    let elsewhere = || io::Error::new(io::ErrorKind::NotFound, "it was replaced after it was found; load it again");
    let open = open_without_links(path).map_err(|error| if is_elsewhere(&error) { elsewhere() } else { error })?;
    let meta = open.metadata()?;
    if !meta.is_file() || FileNumber::of(&meta) != file {
        return Err(elsewhere());
    }
    Ok(open)
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
    /// How many of the first bytes tell it.
    const MAGIC_BYTES: usize = 4;

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
    /// It was compressed with a window that takes more memory than the engine has for that; nothing of it was loaded.
    #[error(
        "{name} cannot be decompressed within the engine's memory: its zstd window is larger than {} MiB, as --long and \
         --ultra make it; decompress it yourself: zstd -dc --long=31 FILE | longshore load -c CONFIG -",
        (1u64 << ZSTD_WINDOW_LOG_MAX) >> 20
    )]
    Window {
        /// The input.
        name: Arc<str>,
    },
    /// A slice of it that an earlier load planned, and may have stored in part, cannot be read again.
    #[error(
        "{name} has other bytes from {start} to {end} than an earlier load read there, which planned them as slice {slice} \
         and may have stored some of it; put the file back as it was and load it again"
    )]
    Changed {
        /// The input.
        name: Arc<str>,
        /// The slice.
        slice: SliceId,
        /// Where it begins.
        start: u64,
        /// Where it ends.
        end: u64,
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

/// An open input: its content after decompression.
pub(crate) struct Stream<'a> {
    name: Arc<str>,
    compression: Compression,
    body: Body<'a>,
}

/// What [`Stream::fill`] came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Filled {
    /// As much as was asked for; more may follow.
    More,
    /// All there is.
    Ended,
    /// What there was when a stop was asked for; the input may go on behind it.
    Stopped,
}

enum Body<'a> {
    Plain(Raw<'a>),
    Gzip(flate2::bufread::MultiGzDecoder<Raw<'a>>),
    Zstd(zstd::stream::read::Decoder<'static, Raw<'a>>),
    Lz4(lz4_flex::frame::FrameDecoder<Raw<'a>>),
}

impl<'a> Body<'a> {
    fn new(compression: Compression, raw: Raw<'a>) -> io::Result<Self> {
        Ok(match compression {
            Compression::Plain => Body::Plain(raw),
            Compression::Gzip => Body::Gzip(flate2::bufread::MultiGzDecoder::new(raw)),
            Compression::Zstd => {
                let mut decoder = zstd::stream::read::Decoder::with_buffer(raw)?;
                decoder.window_log_max(ZSTD_WINDOW_LOG_MAX)?;
                Body::Zstd(decoder)
            }
            Compression::Lz4 => Body::Lz4(lz4_flex::frame::FrameDecoder::new(raw)),
        })
    }

    /// Appends what is next: where no decompressor is between, up to what `buffer` has room for; otherwise up to
    /// `bytes`. False at the end. Something may have been appended before the end, and before an error.
    fn append(&mut self, buffer: &mut Vec<u8>, bytes: usize) -> io::Result<bool> {
        match self {
            Body::Plain(raw) => Ok(raw.append(buffer)? > 0),
            Body::Gzip(reader) => append_read(buffer, bytes, |into| reader.read(into)),
            Body::Zstd(reader) => append_read(buffer, bytes, |into| reader.read(into)),
            Body::Lz4(reader) => append_read(buffer, bytes, |into| read_lz4(reader, into)),
        }
    }

    fn raw(&self) -> &Raw<'a> {
        match self {
            Body::Plain(raw) => raw,
            Body::Gzip(reader) => reader.get_ref(),
            Body::Zstd(reader) => reader.get_ref(),
            Body::Lz4(reader) => reader.get_ref(),
        }
    }
}

/// Whether zstd says that a window is larger than it may be.
pub(crate) fn is_window_too_large(error: &io::Error) -> bool {
    error.to_string().contains("requires too much memory")
}

/// Appends up to `bytes` that `read` gives; false at the end. A decompressor wants memory that is initialised; it gets it
/// in steps that stay in the cache until they are filled, which costs next to nothing.
fn append_read(
    buffer: &mut Vec<u8>,
    bytes: usize,
    mut read: impl FnMut(&mut [u8]) -> io::Result<usize>,
) -> io::Result<bool> {
    let mut filled = buffer.len();
    let end = filled + bytes.min(READ_BLOCK_BYTES);
    buffer.resize(end, 0);
    let outcome = loop {
        match read(&mut buffer[filled..]) {
            Ok(0) => break Ok(false),
            Ok(count) => filled += count,
            Err(error) => break Err(error),
        }
        if filled == end {
            break Ok(true);
        }
    };
    buffer.truncate(filled);
    outcome
}

/// An LZ4 decoder reports the end of each frame as the end of input; the input has ended when nothing is left behind it.
fn read_lz4(reader: &mut lz4_flex::frame::FrameDecoder<Raw<'_>>, into: &mut [u8]) -> io::Result<usize> {
    use io::BufRead;
    loop {
        match reader.read(into)? {
            0 if into.is_empty() || reader.get_mut().fill_buf()?.is_empty() => return Ok(0),
            0 => {}
            n => return Ok(n),
        }
    }
}

impl<'a> Stream<'a> {
    /// Looks at the first bytes to tell the compression.
    pub(crate) fn new(name: Arc<str>, mut raw: Raw<'a>) -> io::Result<Self> {
        let compression = Compression::of(raw.peek(Compression::MAGIC_BYTES)?);
        Ok(Stream { name, compression, body: Body::new(compression, raw)? })
    }

    /// Name of the input.
    pub(crate) fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// It can be read again from its start.
    pub(crate) fn repeatable(&self) -> bool {
        self.body.raw().repeatable()
    }

    /// Appends to `buffer` until it holds at least `target` bytes or there are no more. It may hold more than `target`
    /// afterwards, up to its capacity.
    ///
    /// On an error `buffer` holds what was read before it; `offset` is the position in the source of `buffer[0]`.
    pub(crate) fn fill(&mut self, buffer: &mut Vec<u8>, target: usize, offset: u64) -> Result<Filled, InputError> {
        buffer.reserve_exact(target.saturating_sub(buffer.len()));
        while buffer.len() < target {
            match self.body.append(buffer, target - buffer.len()) {
                Ok(true) => {}
                Ok(false) => return Ok(Filled::Ended),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) if self.body.raw().stopped() => return Ok(Filled::Stopped),
                Err(error) => return Err(self.read_error(error, offset + buffer.len() as u64)),
            }
        }
        Ok(Filled::More)
    }

    fn read_error(&self, error: io::Error, offset: u64) -> InputError {
        let name = self.name.clone();
        if self.compression == Compression::Plain || self.body.raw().failed() {
            InputError::Read { name, offset, error }
        } else if self.compression == Compression::Zstd && is_window_too_large(&error) {
            InputError::Window { name }
        } else {
            InputError::Damaged { name, compression: self.compression, offset, error }
        }
    }
}

#[cfg(test)]
mod tests;
