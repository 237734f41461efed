//! The closing summary of a load, for people and for machines.

use std::fmt::Write as _;
use std::time::Duration;

use longshore_core::simd::Kernels;
pub(crate) use longshore_core::words::{grouped, plural};
use longshore_ingest::progress::Totals;
use longshore_ingest::read::ReadMethod;
use serde_json::{Map, Value, json};

use crate::dead_letters;

/// Everything the summary tells.
#[derive(Debug, Clone)]
pub(crate) struct Report {
    pub(crate) totals: Totals,
    pub(crate) inputs: usize,
    /// Which paths are other names of them, as sentences.
    pub(crate) repeated: Vec<String>,
    /// Inputs that were taken for others, as sentences.
    pub(crate) alike: Vec<String>,
    /// How files were read.
    pub(crate) read: ReadMethod,
    /// How records were decoded.
    pub(crate) kernels: Kernels,
    pub(crate) elapsed: Duration,
    pub(crate) retries: u64,
    pub(crate) stopped: bool,
    /// Inputs that could not be read to their end.
    pub(crate) input_errors: Vec<String>,
    /// Largest resident set of this process, bytes, where the system tells.
    pub(crate) peak_resident_bytes: Option<u64>,
    /// Where the dead letters are, such as `longshore.dead_letters`.
    pub(crate) dead_letters_view: String,
}

/// Products listed by name; the rest is summed up.
const PRODUCTS_SHOWN: usize = 20;

impl Report {
    /// Megabytes (10^6) a second, of bytes after decompression.
    fn megabytes_per_second(&self) -> f64 {
        self.totals.bytes as f64 / 1e6 / self.elapsed.as_secs_f64().max(1e-9)
    }

    /// One JSON object, one line.
    pub(crate) fn json(&self) -> String {
        let totals = &self.totals;
        let by_reason: Map<String, Value> =
            totals.dead_by_reason.iter().map(|(reason, count)| (reason.name().to_owned(), json!(count))).collect();
        let by_product: Map<String, Value> =
            totals.rows_by_product.iter().map(|(product, rows)| (product.to_string(), json!(rows))).collect();
        json!({
            "inputs": self.inputs,
            "repeated_inputs": self.repeated,
            "alike_inputs": self.alike,
            "reader": self.read.to_string(),
            "kernels": self.kernels.name(),
            "records": totals.records,
            "bytes": totals.bytes,
            "seconds": round(self.elapsed.as_secs_f64(), 3),
            "megabytes_per_second": round(self.megabytes_per_second(), 1),
            "loaded": totals.loaded,
            "dead": totals.dead,
            "filtered": totals.filtered,
            "duplicates": totals.duplicates,
            "dead_by_reason": by_reason,
            "dead_causes": dead_letters::json(&totals.causes, totals.records),
            "loaded_by_product": by_product,
            "loaded_by_other_products": totals.rows_of_other_products,
            "slices": totals.slices,
            "skipped_slices": totals.skipped_slices,
            "skipped_bytes": totals.skipped_bytes,
            "retries": self.retries,
            "stopped": self.stopped,
            "input_errors": self.input_errors,
            "peak_resident_bytes": self.peak_resident_bytes,
        })
        .to_string()
    }

    /// Some lines for a person.
    pub(crate) fn text(&self) -> String {
        let totals = &self.totals;
        if totals.records == 0 && totals.skipped_slices > 0 && !self.stopped && self.input_errors.is_empty() {
            return format!(
                "nothing new: the ledger has all of {} already ({} in {})\n",
                plural(self.inputs, "input"),
                megabytes(totals.skipped_bytes),
                plural(totals.skipped_slices, "slice"),
            );
        }
        let mut text = format!(
            "{} {} of {} from {} in {:.1} s: {} at {:.*} MB/s\n",
            if self.stopped { "interrupted: loaded" } else { "loaded" },
            grouped(totals.loaded),
            plural(totals.records, "record"),
            plural(self.inputs, "input"),
            self.elapsed.as_secs_f64(),
            megabytes(totals.bytes),
            if self.megabytes_per_second() < 10.0 { 1 } else { 0 },
            self.megabytes_per_second(),
        );
        if !self.repeated.is_empty() {
            let names = plural(self.repeated.len(), "other name");
            let _ = writeln!(text, "  same files    {names} of inputs, which were loaded once");
        }
        if !self.alike.is_empty() {
            let inputs = plural(self.alike.len(), "input");
            let _ = writeln!(text, "  same content  {inputs} equal to others, or beginnings of them, which count once");
        }
        if totals.skipped_slices > 0 {
            let _ = writeln!(
                text,
                "  skipped       {} ({}) that the ledger has already",
                plural(totals.skipped_slices, "slice"),
                megabytes(totals.skipped_bytes),
            );
        }
        if totals.filtered > 0 {
            let _ = writeln!(text, "  filtered      {} by the config's filters", grouped(totals.filtered));
        }
        if totals.duplicates > 0 {
            let _ = writeln!(text, "  duplicates    {} of events that are stored already", grouped(totals.duplicates));
        }
        let _ = write!(text, "  dead letters  {}", grouped(totals.dead));
        let mut separator = ": ";
        for (reason, count) in &totals.dead_by_reason {
            let _ = write!(text, "{separator}{reason} {}", grouped(*count));
            separator = ", ";
        }
        text.push('\n');
        for line in dead_letters::lines(&totals.causes, totals.records) {
            let _ = writeln!(text, "                {line}");
        }
        if totals.dead > 0 {
            let _ = writeln!(
                text,
                "                SELECT reason, source, offset, detail FROM {} ORDER BY loaded_at DESC LIMIT 20",
                self.dead_letters_view
            );
        }
        if self.retries > 0 {
            let _ = writeln!(text, "  retries       {}, nothing was lost", grouped(self.retries));
        }
        self.write_products(&mut text);
        text
    }

    fn write_products(&self, text: &mut String) {
        let rows = &self.totals.rows_by_product;
        if rows.is_empty() {
            return;
        }
        let mut largest: Vec<(&str, u64)> = rows.iter().map(|(product, rows)| (product.as_ref(), *rows)).collect();
        largest.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
        let rest: u64 = largest.iter().skip(PRODUCTS_SHOWN).map(|(_, rows)| rows).sum();
        let shown = &largest[..largest.len().min(PRODUCTS_SHOWN)];
        let width = shown.iter().map(|(product, _)| product.chars().count()).max().unwrap_or(0);
        let _ = writeln!(text, "  by product");
        for (product, rows) in shown {
            let _ = writeln!(text, "    {product:width$}  {:>13}", grouped(*rows));
        }
        let others = self.totals.rows_of_other_products;
        if rest + others > 0 {
            let more = grouped(largest.len().saturating_sub(PRODUCTS_SHOWN) as u64);
            let uncounted = if others > 0 { ", and in others that are not counted one by one" } else { "" };
            let _ = writeln!(text, "    and {} in {more} more{uncounted}", grouped(rest + others));
        }
    }
}

pub(crate) fn round(value: f64, digits: i32) -> f64 {
    let unit = 10_f64.powi(digits);
    (value * unit).round() / unit
}

fn megabytes(bytes: u64) -> String {
    match bytes {
        ..100_000 => format!("{:.1} kB", bytes as f64 / 1e3),
        _ => format!("{:.1} MB", bytes as f64 / 1e6),
    }
}

/// Largest resident set of this process so far, bytes (`VmHWM`); `None` where the system does not tell.
pub(crate) fn peak_resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use longshore_core::dead_letter::Reason;
    use longshore_ingest::causes::Causes;

    use super::*;

    fn report() -> Report {
        Report {
            totals: Totals {
                bytes: 402_000_000,
                slices: 24,
                records: 1_000_000,
                loaded: 999_000,
                dead: 500,
                filtered: 400,
                duplicates: 100,
                causes: Causes::default(),
                dead_by_reason: BTreeMap::from([(Reason::BadJson, 300), (Reason::TagMismatch, 200)]),
                rows_by_product: BTreeMap::from([("p01".into(), 990_000), ("shop".into(), 9_000)]),
                rows_of_other_products: 0,
                skipped_slices: 1,
                skipped_bytes: 1_500_000,
            },
            inputs: 1,
            repeated: vec!["b.log is the same file as a.log".into()],
            alike: Vec::new(),
            read: ReadMethod::IoUring,
            kernels: Kernels::named("scalar").expect("every machine has them"),
            elapsed: Duration::from_millis(2_000),
            retries: 3,
            stopped: false,
            input_errors: vec![],
            peak_resident_bytes: None,
            dead_letters_view: "logs.dead_letter_reasons".into(),
        }
    }

    #[test]
    fn the_text_says_all_that_happened() {
        let expected = "\
loaded 999,000 of 1,000,000 records from 1 input in 2.0 s: 402.0 MB at 201 MB/s
  same files    1 other name of inputs, which were loaded once
  skipped       1 slice (1.5 MB) that the ledger has already
  filtered      400 by the config's filters
  duplicates    100 of events that are stored already
  dead letters  500: bad_json 300, tag_mismatch 200
                SELECT reason, source, offset, detail FROM logs.dead_letter_reasons ORDER BY loaded_at DESC LIMIT 20
  retries       3, nothing was lost
  by product
    p01         990,000
    shop          9,000
";
        assert_eq!(report().text(), expected);
    }

    #[test]
    fn the_json_has_every_figure() {
        let value: Value = serde_json::from_str(&report().json()).expect("valid JSON");
        assert_eq!(value["records"], json!(1_000_000));
        assert_eq!(value["megabytes_per_second"], json!(201.0));
        assert_eq!(value["dead_by_reason"], json!({"bad_json": 300, "tag_mismatch": 200}));
        assert_eq!(value["loaded_by_product"]["shop"], json!(9_000));
        assert_eq!((&value["filtered"], &value["duplicates"]), (&json!(400), &json!(100)));
        assert_eq!(value["repeated_inputs"], json!(["b.log is the same file as a.log"]));
        assert_eq!(value["reader"], json!("io_uring"));
        assert_eq!(value["kernels"], json!("scalar"));
        assert_eq!(value["peak_resident_bytes"], Value::Null);
    }

    #[test]
    fn a_load_of_what_is_there_says_that_nothing_is_new() {
        let mut again = report();
        again.totals = Totals { skipped_slices: 2, skipped_bytes: 1_500_000, ..Totals::default() };
        let expected = "nothing new: the ledger has all of 1 input already (1.5 MB in 2 slices)\n";
        assert_eq!(again.text(), expected);
        again.stopped = true;
        assert!(again.text().starts_with("interrupted: loaded 0 of 0 records"), "{}", again.text());
    }

    #[test]
    fn many_products_are_summed_up() {
        let mut report = report();
        report.totals.rows_by_product = (0..25_u64).map(|n| (format!("p{n:02}").into(), 100 - n)).collect();
        let text = report.text();
        assert!(text.contains("    p00            100\n"), "{text}");
        assert!(!text.contains("p20"), "{text}");
        // 80 + 79 + 78 + 77 + 76
        assert!(text.contains("    and 390 in 5 more\n"), "{text}");
        report.totals.rows_of_other_products = 1_000;
        let text = report.text();
        assert!(text.contains("    and 1,390 in 5 more, and in others that are not counted one by one\n"), "{text}");
        let value: Value = serde_json::from_str(&report.json()).expect("valid JSON");
        assert_eq!(value["loaded_by_other_products"], json!(1_000));
    }
}
