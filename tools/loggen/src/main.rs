//! `loggen`: the command. It turns flags into `loggen::Options` and says what was written.

use std::fs::File;
use std::io::{self, IsTerminal as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use clap::{Parser, ValueEnum};
use loggen::{Cipher, Compression, Encryption, Envelope, Error, Event, Format, Options, Progress, Summary};

/// `EX_USAGE` of sysexits.h.
const EXIT_USAGE: u8 = 64;
const EXIT_FAILED: u8 = 1;
const PROGRESS_EVERY: Duration = Duration::from_millis(200);

/// Writes a deterministic channel log, plain or encrypted, and the answers expected for it.
///
/// The same flags give the same bytes on every machine and any number of threads.
#[derive(Parser)]
#[command(version, after_help = "Exit codes: 0 written, 1 failed, 64 wrong usage.")]
struct Args {
    /// Records to write, broken ones and duplicates included
    #[arg(long, default_value_t = 1_000_000, help_heading = "What")]
    records: u64,
    /// Everything random follows from it
    #[arg(long, default_value_t = 1, help_heading = "What")]
    seed: u64,
    /// Products, p01 onwards (at most 98)
    #[arg(long, default_value_t = 8, help_heading = "What")]
    products: u32,
    /// Users of all products together [default: one for eight records]
    #[arg(long, help_heading = "What")]
    users: Option<u64>,
    /// Minutes that the records spread over
    #[arg(long, default_value_t = 60, help_heading = "What")]
    minutes: u32,
    /// When they start: RFC 3339, or seconds or milliseconds since 1970
    #[arg(long, default_value = "2026-11-20T08:00:00Z", value_parser = parse_start, help_heading = "What")]
    start: i64,
    /// Share of records that arrive minutes to hours after they happened
    #[arg(long, default_value_t = 0.01, help_heading = "What")]
    late_rate: f64,
    /// Share of records that repeat an earlier line byte by byte
    #[arg(long, default_value_t = 0.001, help_heading = "What")]
    duplicate_rate: f64,
    /// Share of records that are broken in a known way
    #[arg(long, default_value_t = 0.0001, help_heading = "What")]
    broken_rate: f64,
    /// Share of records with escapes or characters beyond ASCII
    #[arg(long, default_value_t = 0.02, help_heading = "What")]
    escape_rate: f64,

    /// Where to write the log; - is standard output
    #[arg(long, default_value = "-", help_heading = "Form")]
    out: PathBuf,
    /// How a record is written; CSV and TSV have a header line
    #[arg(long, value_enum, default_value = "json", help_heading = "Form")]
    format: FormatArg,
    /// Each record's keys in an order of its own
    #[arg(long, help_heading = "Form")]
    shuffle_keys: bool,
    /// CSV: keep line feeds inside quoted values (they are spaces otherwise)
    #[arg(long, help_heading = "Form")]
    quoted_newlines: bool,
    /// Compress the whole file
    #[arg(long, value_enum, default_value = "none", help_heading = "Form")]
    compress: CompressArg,
    /// Lines end in CR LF
    #[arg(long, help_heading = "Form")]
    crlf: bool,
    /// Leave the last line without an end
    #[arg(long, help_heading = "Form")]
    no_final_newline: bool,

    /// Encrypt every record [cipher, if left out: aes-256-gcm]
    #[arg(long, value_enum, value_name = "CIPHER", num_args = 0..=1, default_missing_value = "aes-256-gcm", help_heading = "Encryption")]
    encrypt: Option<CipherArg>,
    /// What an encrypted record is wrapped in
    #[arg(long, value_enum, default_value = "tab", help_heading = "Encryption", requires = "encrypt")]
    envelope: EnvelopeArg,
    /// Keyring (TOML) to read; written with mode 0600 if absent. These are TEST keys: who knows the seed has them
    #[arg(long, value_name = "FILE", help_heading = "Encryption", requires = "encrypt")]
    keyring: Option<PathBuf>,
    /// Keys of a new keyring, k1 onwards; the file goes through them from first to last
    #[arg(long, default_value_t = 3, help_heading = "Encryption", requires = "encrypt")]
    keys: u32,

    /// Write the product dictionary (CSV: id, name, family, owner, region)
    #[arg(long, value_name = "FILE", help_heading = "Beside the log")]
    products_file: Option<PathBuf>,
    /// Write the expected answers into this folder: summary.json and a TSV for each
    #[arg(long, value_name = "DIR", help_heading = "Beside the log")]
    expect: Option<PathBuf>,
    /// Expect that records of this event are filtered out (repeat for several)
    #[arg(long, value_name = "EVENT", help_heading = "Beside the log")]
    expect_drop_event: Vec<Event>,
    /// Worker threads; 0: one a core
    #[arg(long, default_value_t = 0, help_heading = "Beside the log")]
    threads: usize,
}

#[derive(Clone, Copy, ValueEnum)]
enum FormatArg {
    Json,
    Csv,
    Tsv,
}

#[derive(Clone, Copy, ValueEnum)]
enum CompressArg {
    None,
    Gzip,
    Zstd,
    Lz4,
}

#[derive(Clone, Copy, ValueEnum)]
enum EnvelopeArg {
    Tab,
    Json,
    Frame,
}

#[derive(Clone, Copy, ValueEnum)]
enum CipherArg {
    #[value(name = "aes-256-gcm")]
    Aes256Gcm,
    #[value(name = "aes-128-gcm")]
    Aes128Gcm,
    #[value(name = "chacha20-poly1305")]
    ChaCha20Poly1305,
}

fn main() -> ExitCode {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) => {
            // Nothing is left to be done if the message cannot be shown.
            let _ = error.print();
            return if error.use_stderr() { ExitCode::from(EXIT_USAGE) } else { ExitCode::SUCCESS };
        }
    };
    let out = args.out.clone();
    let options = options(args);
    match run(&options, &out) {
        Ok((summary, took)) => {
            report(&summary, took);
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("loggen: {error:#}");
            let usage = matches!(error.downcast_ref(), Some(Error::Option(_)));
            ExitCode::from(if usage { EXIT_USAGE } else { EXIT_FAILED })
        }
    }
}

/// Writes everything; how long the log took, without the expected answers.
fn run(options: &Options, out: &Path) -> Result<(Summary, Duration)> {
    let started = Instant::now();
    let mut took = Duration::ZERO;
    let mut progress = ProgressLine::new(options.records);
    let mut watch = |now: Progress| {
        took = started.elapsed();
        progress.show(now);
    };
    let result = if out == Path::new("-") {
        loggen::generate_watched(options, &mut io::stdout().lock(), &mut watch)
    } else {
        let mut file = File::create(out).with_context(|| format!("cannot write {}", out.display()))?;
        loggen::generate_watched(options, &mut file, &mut watch)
    };
    progress.clear();
    Ok((result?, took))
}

fn options(args: Args) -> Options {
    Options {
        seed: args.seed,
        records: args.records,
        products: args.products,
        users: args.users,
        minutes: args.minutes,
        start_ms: args.start,
        late_rate: args.late_rate,
        duplicate_rate: args.duplicate_rate,
        broken_rate: args.broken_rate,
        escape_rate: args.escape_rate,
        format: match args.format {
            FormatArg::Json => Format::Json,
            FormatArg::Csv => Format::Csv,
            FormatArg::Tsv => Format::Tsv,
        },
        shuffle_keys: args.shuffle_keys,
        quoted_newlines: args.quoted_newlines,
        crlf: args.crlf,
        no_final_newline: args.no_final_newline,
        encryption: args.encrypt.map(|cipher| Encryption {
            cipher: match cipher {
                CipherArg::Aes128Gcm => Cipher::Aes128Gcm,
                CipherArg::Aes256Gcm => Cipher::Aes256Gcm,
                CipherArg::ChaCha20Poly1305 => Cipher::ChaCha20Poly1305,
            },
            envelope: match args.envelope {
                EnvelopeArg::Tab => Envelope::Tab,
                EnvelopeArg::Json => Envelope::Json,
                EnvelopeArg::Frame => Envelope::Frame,
            },
            keyring: args.keyring,
            keys: args.keys,
        }),
        compression: match args.compress {
            CompressArg::None => Compression::None,
            CompressArg::Gzip => Compression::Gzip,
            CompressArg::Zstd => Compression::Zstd,
            CompressArg::Lz4 => Compression::Lz4,
        },
        products_file: args.products_file,
        expect: args.expect,
        drop_events: args.expect_drop_event,
        threads: args.threads,
    }
}

/// RFC 3339, or a number: seconds below 10^11 (the year 5138), else milliseconds.
fn parse_start(text: &str) -> Result<i64, String> {
    if let Ok(number) = text.parse::<i64>() {
        return Ok(if number < 100_000_000_000 { number * 1000 } else { number });
    }
    let time: jiff::Timestamp = text.parse().map_err(|error| {
        format!("neither an RFC 3339 time such as 2026-11-20T08:00:00Z nor seconds or milliseconds since 1970: {error}")
    })?;
    Ok(time.as_millisecond())
}

/// The one line on standard error.
fn report(summary: &Summary, took: Duration) {
    let megabytes = summary.uncompressed_bytes as f64 / 1e6;
    let compressed = if summary.bytes == summary.uncompressed_bytes {
        String::new()
    } else {
        format!(" ({:.1} MB compressed)", summary.bytes as f64 / 1e6)
    };
    let dead: u64 = summary.dead.values().sum();
    eprintln!(
        "loggen: {} records ({dead} broken), {megabytes:.1} MB{compressed}, {:.0} MB/s",
        summary.records,
        megabytes / took.as_secs_f64().max(1e-9),
    );
}

/// A line on the terminal that is written over; nothing anywhere else.
struct ProgressLine {
    records_total: u64,
    started: Instant,
    shown: Option<Instant>,
    enabled: bool,
}

impl ProgressLine {
    fn new(records_total: u64) -> ProgressLine {
        ProgressLine { records_total, started: Instant::now(), shown: None, enabled: io::stderr().is_terminal() }
    }

    fn show(&mut self, now: Progress) {
        if !self.enabled || self.shown.is_some_and(|at| at.elapsed() < PROGRESS_EVERY) {
            return;
        }
        self.shown = Some(Instant::now());
        let megabytes = now.bytes as f64 / 1e6;
        let rate = megabytes / self.started.elapsed().as_secs_f64().max(1e-9);
        let percent = now.records * 100 / self.records_total.max(1);
        eprint!("\r\x1b[Kloggen: {percent} %, {} records, {megabytes:.0} MB, {rate:.0} MB/s", now.records);
    }

    fn clear(&self) {
        if self.shown.is_some() {
            eprint!("\r\x1b[K");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_is_a_time_or_a_number() {
        for text in ["2026-11-20T08:00:00Z", "2026-11-20T16:00:00+08:00", "1795161600", "1795161600000"] {
            assert_eq!(parse_start(text), Ok(loggen::START_MS_DEFAULT), "{text}");
        }
        assert!(parse_start("tomorrow").unwrap_err().contains("RFC 3339"));
    }

    #[test]
    fn the_flags_defaults_are_the_librarys() {
        assert_eq!(options(Args::parse_from(["loggen"])), Options::default());
    }

    #[test]
    fn encrypt_alone_means_aes_256_gcm_in_tab_envelopes() {
        let encryption = options(Args::parse_from(["loggen", "--encrypt"])).encryption;
        assert_eq!(encryption, Some(Encryption::default()));
        let chosen =
            options(Args::parse_from(["loggen", "--encrypt", "aes-128-gcm", "--envelope", "frame"])).encryption;
        assert_eq!(chosen.map(|e| (e.cipher, e.envelope)), Some((Cipher::Aes128Gcm, Envelope::Frame)));
        assert!(Args::try_parse_from(["loggen", "--keyring", "keys.toml"]).is_err());
    }
}
