//! Who a followed file is, and its form in a journal.

use std::io;
use std::os::fd::AsFd;
use std::path::Path;

use longshore_core::limits::JOURNAL_IDENTITY_BYTES_MAX;
use rustix::fs::{AtFlags, CWD, FileType, Statx, StatxFlags, makedev, statx};
use xxhash_rust::xxh3::xxh3_64;

use super::head::{HEAD_BYTES, Head};
use super::tail::{TAIL_BYTES, Tail};
use crate::input::Compression;
use crate::patterns::Owner;

/// A followed content, from its first byte to its last, whatever files it moves through. Given once, never again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SourceId(pub u64);

/// A file of the system. Its number is used again once it is deleted; the time of its birth tells the two apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Inode {
    /// Number of the device.
    pub device: u64,
    /// Number on the device.
    pub number: u64,
    /// Nanoseconds since 1970 at which it was made; zero where the file system does not keep it.
    pub born_ns: u64,
}

impl Inode {
    /// That of a source which has ended: no file has it.
    pub(crate) const NONE: Inode = Inode { device: 0, number: 0, born_ns: 0 };

    /// Of what a path leads to, with its size.
    pub(crate) fn of_path(path: &Path) -> io::Result<(Inode, u64)> {
        Stat::of_path(path).map(|stat| (stat.inode, stat.signature.size))
    }
}

/// What a source is known by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    /// Its id.
    pub id: SourceId,
    /// The file that holds it, or held it last; all zero once it ended.
    pub inode: Inode,
    /// How that file is compressed.
    pub compression: Compression,
    /// The first bytes of the file as stored.
    pub stored: Head,
    /// The first bytes of its content: the same if it is not compressed.
    pub content: Head,
    /// The last bytes of its content that were read.
    pub tail: Tail,
    /// Bytes of the file as stored at the last look, if not all of them had been read; else zero.
    pub seen_bytes: u64,
    /// Nothing more was to come of it: no path led to it, its writer had let go of it, and it was read or is said to be lost.
    pub left: bool,
}

/// How much of a source was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Position {
    /// Bytes of its content.
    pub content: u64,
    /// Bytes of its file as stored: of a compressed file those that the decompressor took, else the same number.
    pub stored: u64,
}

impl Position {
    /// Of a source whose file is not compressed.
    pub fn plain(bytes: u64) -> Self {
        Position { content: bytes, stored: bytes }
    }
}

/// An identity that was read from a journal is not one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    /// Another version wrote it.
    #[error(
        "an identity of a followed file has version {0}, this program knows version {VERSION}: run the version that wrote it"
    )]
    Version(u8),
    /// It is not whole.
    #[error("an identity of a followed file is damaged: the journal that it was read from is not as it was written")]
    Damaged,
}

const VERSION: u8 = 2;
/// The version before, which knows no tail, nor how much was seen, nor whether its writer let go.
const VERSION_1: u8 = 1;
const BODY_1_BYTES: usize = 1 + 4 * 8 + 1 + 2 * HEAD_BYTES;
const BODY_BYTES: usize = BODY_1_BYTES + 8 + 1 + TAIL_BYTES;
const _: () = assert!(Identity::BYTES <= JOURNAL_IDENTITY_BYTES_MAX);

impl Identity {
    /// Bytes of an encoded identity.
    pub const BYTES: usize = BODY_BYTES + 8;

    /// Its form in a journal: version, id, inode, compression, heads, bytes seen, whether it was left, tail, and XXH3-64 of all that. Little endian.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(Self::BYTES);
        bytes.push(VERSION);
        for word in [self.id.0, self.inode.device, self.inode.number, self.inode.born_ns] {
            bytes.extend(word.to_le_bytes());
        }
        bytes.push(match self.compression {
            Compression::Plain => 0,
            Compression::Gzip => 1,
            Compression::Zstd => 2,
            Compression::Lz4 => 3,
        });
        self.stored.encode(&mut bytes);
        self.content.encode(&mut bytes);
        bytes.extend(self.seen_bytes.to_le_bytes());
        bytes.push(u8::from(self.left));
        self.tail.encode(&mut bytes);
        bytes.extend(xxh3_64(&bytes).to_le_bytes());
        bytes
    }

    /// The identity of [`encode`](Self::encode).
    pub fn decode(bytes: &[u8]) -> Result<Self, IdentityError> {
        let body = match bytes.first() {
            Some(&VERSION) => BODY_BYTES,
            Some(&VERSION_1) => BODY_1_BYTES,
            None => return Err(IdentityError::Damaged),
            Some(&version) => return Err(IdentityError::Version(version)),
        };
        if bytes.len() != body + 8 {
            return Err(IdentityError::Damaged);
        }
        let word = |at: usize| u64::from_le_bytes(std::array::from_fn(|i| bytes[at + i]));
        if word(body) != xxh3_64(&bytes[..body]) {
            return Err(IdentityError::Damaged);
        }
        let compression = match bytes[33] {
            0 => Compression::Plain,
            1 => Compression::Gzip,
            2 => Compression::Zstd,
            3 => Compression::Lz4,
            _ => return Err(IdentityError::Damaged),
        };
        let head = |at: usize| Head::decode(&std::array::from_fn(|i| bytes[at + i])).ok_or(IdentityError::Damaged);
        let tail = match body {
            BODY_BYTES => Tail::decode(&std::array::from_fn(|i| bytes[BODY_1_BYTES + 9 + i])),
            _ => Some(Tail::default()),
        };
        Ok(Identity {
            id: SourceId(word(1)),
            inode: Inode { device: word(9), number: word(17), born_ns: word(25) },
            compression,
            stored: head(34)?,
            content: head(34 + HEAD_BYTES)?,
            tail: tail.ok_or(IdentityError::Damaged)?,
            seen_bytes: if body == BODY_BYTES { word(BODY_1_BYTES) } else { 0 },
            left: body == BODY_BYTES && bytes[BODY_1_BYTES + 8] != 0,
        })
    }
}

/// What the system says of a file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stat {
    pub(super) inode: Inode,
    pub(super) kind: FileType,
    pub(super) owner: Owner,
    pub(super) signature: Signature,
}

/// While these are the same the file is taken to be as it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Signature {
    pub(super) size: u64,
    modified_ns: i128,
    /// Of content, name, permissions: unlike the other time nobody can set it.
    pub(super) changed_ns: i128,
}

impl Stat {
    /// Of what a path leads to, symbolic links followed.
    pub(super) fn of_path(path: &Path) -> io::Result<Self> {
        Ok(Self::from(&statx(CWD, path, AtFlags::empty(), StatxFlags::BASIC_STATS | StatxFlags::BTIME)?))
    }

    /// Of what a path names itself, be it a symbolic link.
    pub(super) fn of_name(path: &Path) -> io::Result<Self> {
        let flags = StatxFlags::BASIC_STATS | StatxFlags::BTIME;
        Ok(Self::from(&statx(CWD, path, AtFlags::SYMLINK_NOFOLLOW, flags)?))
    }

    /// Of an open file.
    pub(super) fn of_file(file: impl AsFd) -> io::Result<Self> {
        Ok(Self::from(&statx(file, "", AtFlags::EMPTY_PATH, StatxFlags::BASIC_STATS | StatxFlags::BTIME)?))
    }

    fn from(found: &Statx) -> Self {
        let ns = |time: &rustix::fs::StatxTimestamp| i128::from(time.tv_sec) * 1_000_000_000 + i128::from(time.tv_nsec);
        let born = StatxFlags::from_bits_retain(found.stx_mask).contains(StatxFlags::BTIME);
        Stat {
            inode: Inode {
                device: makedev(found.stx_dev_major, found.stx_dev_minor),
                number: found.stx_ino,
                born_ns: if born { ns(&found.stx_btime) as u64 } else { 0 },
            },
            kind: FileType::from_raw_mode(found.stx_mode.into()),
            owner: Owner { user: found.stx_uid, mode: found.stx_mode.into(), links: found.stx_nlink.into() },
            signature: Signature {
                size: found.stx_size,
                modified_ns: ns(&found.stx_mtime),
                changed_ns: ns(&found.stx_ctime),
            },
        }
    }
}
