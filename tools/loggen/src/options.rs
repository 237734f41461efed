//! What can be asked for, and the one place where it is checked: `Options` is as typed, `Plan` is as needed.

use std::path::PathBuf;

use crate::delimited::Dialect;
use crate::envelope::Sealer;
use crate::error::{Error, Result};
use crate::keyring::Keyring;
use crate::record::{DEFECTS_DELIMITED, DEFECTS_JSON, DEFECTS_SEALED, Defect, Event};
use crate::rng::Chance;
use crate::world::World;

/// Product ids have two digits, and p99 is the unknown one.
pub const PRODUCTS_MAX: u32 = 98;
/// Users one product can have: half of the id space under a product, the rest is for debuts.
pub const USERS_MAX: u64 = 500_000_000;
/// Ten years.
pub const MINUTES_MAX: u32 = 10 * 366 * 24 * 60;
/// 2026-11-20T08:00:00Z.
pub const START_MS_DEFAULT: i64 = 1_795_161_600_000;
/// Late records go back half a day at most, and none may fall before 1970.
const START_MS_MIN: i64 = 24 * 3_600_000;
/// 2090-01-01: with ten years of minutes still within ClickHouse's DateTime.
const START_MS_MAX: i64 = 3_786_912_000_000;

/// How a record is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// One JSON object a line.
    Json,
    /// Comma-separated with a header line, quoted as in RFC 4180; null and the empty string are both empty.
    Csv,
    /// Tab-separated with a header line, nothing quoted: `\t` `\n` `\r` `\\` are escapes, `\N` is null.
    Tsv,
}

/// What wraps an encrypted record. None uses additional authenticated data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Envelope {
    /// `key-id TAB base64(nonce | ciphertext | tag)`, one a line.
    Tab,
    /// `{"key":...,"nonce":base64,"data":base64(ciphertext | tag)}`, one a line.
    Json,
    /// u32 big-endian length of the rest, u8 length of the key id, key id, nonce, ciphertext, tag.
    Frame,
}

/// An AEAD cipher, with a nonce of 12 bytes and a tag of 16.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cipher {
    /// AES-128-GCM.
    Aes128Gcm,
    /// AES-256-GCM.
    Aes256Gcm,
    /// ChaCha20-Poly1305 (RFC 8439).
    ChaCha20Poly1305,
}

/// How the whole output is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// Not at all.
    None,
    /// One gzip member.
    Gzip,
    /// One Zstandard frame.
    Zstd,
    /// One LZ4 frame.
    Lz4,
}

/// Encryption of every record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encryption {
    /// The cipher of every key.
    pub cipher: Cipher,
    /// What the sealed record is wrapped in.
    pub envelope: Envelope,
    /// Read if it exists, else written (mode 0600) with keys derived from the seed. `None`: those keys, not written.
    pub keyring: Option<PathBuf>,
    /// How many keys a new keyring has; the file goes through them from first to last.
    pub keys: u32,
}

impl Default for Encryption {
    fn default() -> Self {
        Encryption { cipher: Cipher::Aes256Gcm, envelope: Envelope::Tab, keyring: None, keys: 3 }
    }
}

/// What to generate. The same options give the same bytes, on any machine and any number of threads.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// Everything random follows from it.
    pub seed: u64,
    /// Records in the file, broken ones and duplicates included.
    pub records: u64,
    /// Products, "p01" onwards, the first the busiest.
    pub products: u32,
    /// Users of all products together (about 1 % of the records come from further, short-lived ones).
    /// `None`: one for eight records.
    pub users: Option<u64>,
    /// The time the records spread over.
    pub minutes: u32,
    /// Where that time starts, in ms since 1970.
    pub start_ms: i64,
    /// Share of records that happened minutes to hours before their place in the file.
    pub late_rate: f64,
    /// Share of records that repeat an earlier one byte by byte.
    pub duplicate_rate: f64,
    /// Share of records that are broken in one of the ways of [`crate::Reason`].
    pub broken_rate: f64,
    /// Share of records with escapes or characters beyond ASCII.
    pub escape_rate: f64,
    /// How a record is written.
    pub format: Format,
    /// JSON: each record's keys in an order of its own.
    pub shuffle_keys: bool,
    /// CSV: keep line feeds inside quoted values; else they become spaces.
    pub quoted_newlines: bool,
    /// Lines end in CR LF.
    pub crlf: bool,
    /// The last line does not end.
    pub no_final_newline: bool,
    /// `None`: plain.
    pub encryption: Option<Encryption>,
    /// Compression of the whole output.
    pub compression: Compression,
    /// Where to write the product dictionary (CSV: id, name, family, owner, region).
    pub products_file: Option<PathBuf>,
    /// The folder for the expected answers; nothing is computed without it.
    pub expect: Option<PathBuf>,
    /// Events that the engine is told to filter out: counted as filtered, absent from the answers.
    pub drop_events: Vec<Event>,
    /// Worker threads; 0 means one a core. The output does not depend on it.
    pub threads: usize,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            seed: 1,
            records: 1_000_000,
            products: 8,
            users: None,
            minutes: 60,
            start_ms: START_MS_DEFAULT,
            late_rate: 0.01,
            duplicate_rate: 0.001,
            broken_rate: 0.0001,
            escape_rate: 0.02,
            format: Format::Json,
            shuffle_keys: false,
            quoted_newlines: false,
            crlf: false,
            no_final_newline: false,
            encryption: None,
            compression: Compression::None,
            products_file: None,
            expect: None,
            drop_events: Vec::new(),
            threads: 0,
        }
    }
}

/// Checked options and everything derived from them, shared by all blocks.
pub(crate) struct Plan {
    pub(crate) seed: u64,
    pub(crate) records: u64,
    pub(crate) start_ms: i64,
    pub(crate) span_ms: u64,
    pub(crate) late: Chance,
    pub(crate) duplicate: Chance,
    pub(crate) broken: Chance,
    pub(crate) escape: Chance,
    pub(crate) format: Format,
    pub(crate) shuffle_keys: bool,
    pub(crate) quoted_newlines: bool,
    /// Nothing for frames.
    pub(crate) line_end: &'static [u8],
    pub(crate) sealer: Option<Sealer>,
    /// The ways in which a record of this format can break without doubt about the reason, grouped by reason.
    pub(crate) defects: Vec<&'static [Defect]>,
    pub(crate) dropped: Vec<Event>,
    pub(crate) keep_rows: bool,
    pub(crate) world: World,
}

impl Plan {
    /// Checks the options; reads or writes the keyring.
    pub(crate) fn new(options: &Options) -> Result<Plan> {
        check(options)?;
        let sealer = match &options.encryption {
            Some(encryption) => {
                let keyring = Keyring::open_or_create(encryption, options.seed)?;
                Some(Sealer::new(&keyring, encryption.envelope, options.seed))
            }
            None => None,
        };
        let framed = options.encryption.as_ref().is_some_and(|e| e.envelope == Envelope::Frame);
        let users = options.users.unwrap_or((options.records / 8).clamp(1, USERS_MAX));
        Ok(Plan {
            seed: options.seed,
            records: options.records,
            start_ms: options.start_ms,
            span_ms: u64::from(options.minutes) * 60_000,
            late: Chance::new(options.late_rate),
            duplicate: Chance::new(options.duplicate_rate),
            broken: Chance::new(options.broken_rate),
            escape: Chance::new(options.escape_rate),
            format: options.format,
            shuffle_keys: options.shuffle_keys,
            quoted_newlines: options.quoted_newlines,
            line_end: match (framed, options.crlf) {
                (true, _) => b"",
                (false, true) => b"\r\n",
                (false, false) => b"\n",
            },
            defects: defects(options.format, sealer.is_some()),
            sealer,
            dropped: options.drop_events.clone(),
            keep_rows: options.expect.is_some(),
            world: World::new(options.seed, options.products, users),
        })
    }
}

impl Plan {
    /// How the values of a line are told apart, for formats that have no keys.
    pub(crate) fn dialect(&self) -> Option<Dialect> {
        match self.format {
            Format::Json => None,
            Format::Csv => Some(Dialect::Csv { quoted_newlines: self.quoted_newlines }),
            Format::Tsv => Some(Dialect::Tsv),
        }
    }
}

fn defects(format: Format, sealed: bool) -> Vec<&'static [Defect]> {
    let mut ways = match format {
        Format::Json => DEFECTS_JSON.to_vec(),
        Format::Csv | Format::Tsv => DEFECTS_DELIMITED.to_vec(),
    };
    if sealed {
        ways.extend(DEFECTS_SEALED);
    }
    ways
}

fn check(options: &Options) -> Result<()> {
    let refuse = |message: String| Err(Error::Option(message));
    let rates = [
        ("late-rate", options.late_rate),
        ("duplicate-rate", options.duplicate_rate),
        ("broken-rate", options.broken_rate),
        ("escape-rate", options.escape_rate),
    ];
    for (name, rate) in rates {
        if !(0.0..=1.0).contains(&rate) {
            return refuse(format!("--{name} {rate}: a rate lies between 0 and 1, so 1 % is 0.01"));
        }
    }
    if !(1..=PRODUCTS_MAX).contains(&options.products) {
        return refuse(format!("--products {}: between 1 and {PRODUCTS_MAX}", options.products));
    }
    if let Some(users) = options.users.filter(|users| !(1..=USERS_MAX).contains(users)) {
        return refuse(format!("--users {users}: between 1 and {USERS_MAX}"));
    }
    if !(1..=MINUTES_MAX).contains(&options.minutes) {
        return refuse(format!("--minutes {}: between 1 and {MINUTES_MAX} (ten years)", options.minutes));
    }
    if !(START_MS_MIN..=START_MS_MAX).contains(&options.start_ms) {
        return refuse("--start: between 1970-01-02 and 2090-01-01".to_owned());
    }
    if options.format != Format::Json && options.shuffle_keys {
        return refuse("--shuffle-keys: only JSON has keys; leave out --format csv or tsv".to_owned());
    }
    if options.format != Format::Csv && options.quoted_newlines {
        return refuse("--quoted-newlines: for --format csv; JSON and TSV escape their line feeds".to_owned());
    }
    match &options.encryption {
        Some(encryption) => check_encryption(options, encryption),
        None => Ok(()),
    }
}

fn check_encryption(options: &Options, encryption: &Encryption) -> Result<()> {
    if options.format != Format::Json {
        return Err(Error::Option(
            "--encrypt: each record is sealed alone, and a CSV record means nothing without \
             its header line; use --format json"
                .to_owned(),
        ));
    }
    if encryption.envelope == Envelope::Frame && (options.crlf || options.no_final_newline) {
        return Err(Error::Option(
            "--envelope frame: frames have no line ends; leave out --crlf and --no-final-newline".to_owned(),
        ));
    }
    if !(1..=99).contains(&encryption.keys) {
        return Err(Error::Option(format!("--keys {}: between 1 and 99", encryption.keys)));
    }
    Ok(())
}
