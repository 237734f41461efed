//! The conformance files of RFC 8259 through the decoder, on every kernel of the machine: as the value of a declared
//! column, as a value that is skipped, and as the record itself, among records as they should be.

use std::fs;
use std::path::{Path, PathBuf};

use super::formats::{seal, sealed_decoder_of};
use super::twin::configs;
use super::*;
use crate::simd::Kernels;
use crate::test_data::{fixture, real_data};

/// A file and what its name says of it.
struct Document {
    name: String,
    text: Vec<u8>,
    is_json: bool,
}

/// The repository's own files.
fn samples() -> Vec<Document> {
    let samples = documents(&fixture("json"));
    assert_eq!(samples.len(), 61);
    samples
}

/// The public files.
fn public() -> Vec<Document> {
    let documents = documents(&real_data("json_test_suite/test_parsing"));
    assert_eq!(documents.len(), 318);
    // `ls test_parsing | grep -cE '^(y_|i_number_)'`
    assert_eq!(documents.iter().filter(|document| document.is_json).count(), 95 + 10);
    documents
}

fn documents(folder: &Path) -> Vec<Document> {
    let paths = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let document = |path: PathBuf| {
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        // What the RFC leaves open: any number is taken; half surrogate pairs, bytes that are not UTF-8, byte order marks
        // and 500 levels are not.
        let is_json = match name.as_bytes()[0] {
            b'y' => true,
            b'n' => false,
            _ => name.starts_with("i_number_"),
        };
        Document { text: fs::read(&path).unwrap(), name, is_json }
    };
    let mut documents: Vec<_> = paths.map(document).collect();
    documents.sort_by(|one, other| one.name.cmp(&other.name));
    documents
}

/// A record, and what `x` must be if it is loaded.
type Case = (String, Vec<u8>, Option<String>);

/// A file as the value of the member of that name.
fn member(name: &str, Document { name: file, text, is_json }: &Document) -> Case {
    let record = [format!("{{\"ts\":1,\"{name}\":").as_bytes(), text, b",\"z\":0}"].concat();
    let value = || match name {
        "x" => std::str::from_utf8(text).unwrap().trim_matches([' ', '\t', '\r', '\n']).to_owned(),
        _ => "<null>".to_owned(),
    };
    // `null` is a null.
    let value = is_json.then(value).map(|value| if value == "null" { "<null>".to_owned() } else { value });
    (format!("{file} in {name}"), record, value)
}

/// A file as the record: none of them has the time that records must have.
fn whole(Document { name: file, text, .. }: &Document) -> Case {
    (file.clone(), text.clone(), None)
}

/// Decodes all by each way, and checks which are loaded and with what.
fn check(cases: &[Case], slice: &Slice, decoder: impl Fn() -> Decoder) {
    let ways = Kernels::all().into_iter().map(|kernels| (kernels.name(), decoder().with_kernels(kernels)));
    for (way, decoder) in ways.chain([("careful", decoder().careful())]) {
        let decoded = decode(&decoder, slice);
        let mut loaded = rows(&decoded.batch).into_iter().zip(texts(&decoded.batch, "x")).peekable();
        let mut dead = decoded.dead.iter().map(|letter| letter.row).peekable();
        for (row, (name, _, value)) in (0..).zip(cases) {
            let found = loaded.next_if(|&(loaded, _)| loaded == row).map(|(_, value)| value);
            assert_eq!(found, *value, "{way}: {name}");
            assert_eq!(dead.next_if_eq(&row).is_some(), value.is_none(), "{way}: {name}");
        }
    }
}

/// The cases with an ordinary record after each, so that what one leaves behind would be seen.
fn among_good_ones(cases: Vec<Case>) -> Vec<Case> {
    let good = |number| {
        let value = format!("{{\"n\":{number}}}");
        ("an ordinary record".to_owned(), format!("{{\"ts\":1,\"x\":{value},\"z\":0}}").into_bytes(), Some(value))
    };
    (0..).zip(cases).flat_map(|(number, case)| [case, good(number)]).collect()
}

fn cases(documents: &[Document]) -> Vec<Case> {
    documents
        .iter()
        .flat_map(|document| [member("x", document), member("skipped", document), whole(document)])
        .collect()
}

fn few() -> Decoder {
    decoder(configs::FEW)
}

#[test]
fn samples_are_judged_as_lines() {
    assert_eq!(are_judged_as_lines(&samples()), 176);
}

#[test]
#[ignore = "reads public data: LONGSHORE_REAL_DATA"]
fn real_data_are_judged_as_lines() {
    let lines = are_judged_as_lines(&public());
    assert!(lines > 800, "most files are lines: {lines}");
}

/// Gives how many of the cases are lines.
fn are_judged_as_lines(documents: &[Document]) -> usize {
    let is_line = |(_, text, _): &Case| !text.is_empty() && !text.contains(&b'\n') && !text.ends_with(b"\r");
    let lines: Vec<_> = cases(documents).into_iter().filter(is_line).collect();
    let count = lines.len();
    let accepted = lines.iter().filter(|(_, _, value)| value.is_some()).cloned().collect();
    for cases in [among_good_ones(lines.clone()), lines, accepted] {
        let slice = slice(0, cases.iter().flat_map(|(_, text, _)| [text, &b"\n"[..]].concat()).collect::<Vec<_>>());
        check(&cases, &slice, few);
    }
    count
}

#[test]
fn samples_are_judged_in_frames_line_feeds_and_all() {
    are_judged_in_frames(&samples());
}

#[test]
#[ignore = "reads public data: LONGSHORE_REAL_DATA"]
fn real_data_are_judged_in_frames_line_feeds_and_all() {
    are_judged_in_frames(&public());
}

fn are_judged_in_frames(documents: &[Document]) {
    let frame = |(_, text, _): &Case| {
        let (nonce, sealed) = seal(text);
        let body = [&[2], &b"k1"[..], &nonce, &sealed].concat();
        [&(body.len() as u32).to_be_bytes()[..], &body].concat()
    };
    let accepted = cases(documents).into_iter().filter(|(_, _, value)| value.is_some()).collect();
    for cases in [among_good_ones(cases(documents)), cases(documents), accepted] {
        let slice = slice(0, cases.iter().flat_map(frame).collect::<Vec<_>>());
        check(&cases, &slice, || sealed_decoder_of("frame", configs::FEW, None));
    }
}
