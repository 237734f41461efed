//! Openers by all kernels against a twin that decodes a whole text by the `base64` crate, and opens it in a buffer of its
//! own: the same plaintext, or the same fault word for word.

use std::ops::Range;

use proptest::prelude::*;

use super::*;
use crate::envelope::{Key, NONCE_BYTES, TAG_BYTES, bad, bad_field, base64 as strict, object, tag_mismatch, too_short};

/// As [`super::open`], step by step.
fn twin(opener: &Opener, sealed: &[u8]) -> Result<Vec<u8>, Fault> {
    match &opener.layout {
        Layout::Tab => twin_tab(opener, sealed),
        Layout::Json(names) => twin_json(opener, sealed, names),
        Layout::Frame => unreachable!("a frame has no base64"),
    }
}

fn twin_tab(opener: &Opener, line: &[u8]) -> Result<Vec<u8>, Fault> {
    let Some(tab) = line.iter().take(65).position(|byte| *byte == b'\t') else {
        return Err(bad("no tab after a key id in the first 65 bytes: is this record sealed as key-id TAB base64?"));
    };
    let key = opener.key(&line[..tab])?;
    let packed = decoded(&line[tab + 1..])
        .map_err(|wrong| bad(format!("bad base64 at offset {} of the line: {}", tab + 1 + wrong.offset, wrong.what)))?;
    if packed.len() < NONCE_BYTES + TAG_BYTES {
        return Err(too_short("nonce and tag", packed.len(), NONCE_BYTES + TAG_BYTES));
    }
    twin_open(key, &packed[..NONCE_BYTES], &packed[NONCE_BYTES..])
}

fn twin_json(opener: &Opener, line: &[u8], names: &object::Names) -> Result<Vec<u8>, Fault> {
    let found = object::find(line, names).map_err(|malformed| {
        bad(format!("not an envelope object at offset {}: {}", malformed.offset, malformed.what))
    })?;
    let mut texts = Vec::new();
    for (index, text) in found.iter().enumerate() {
        let name = names.name(index);
        let absent = || bad(format!("no field \"{name}\": does [decode.envelope] name the fields as the sender does?"));
        texts.push(text.ok_or_else(absent)?.unescaped());
    }
    let key = opener.key(&texts[0])?;
    let wrong_length = || bad(format!("the nonce in \"{}\" must have 12 bytes before base64", names.name(1)));
    if texts[1].len() > 20 {
        return Err(wrong_length());
    }
    let nonce = decoded(&texts[1]).map_err(|wrong| bad_field(names.name(1), wrong))?;
    if nonce.len() != NONCE_BYTES {
        return Err(wrong_length());
    }
    let data = decoded(&texts[2]).map_err(|wrong| bad_field(names.name(2), wrong))?;
    if data.len() < TAG_BYTES {
        return Err(too_short("the tag", data.len(), TAG_BYTES));
    }
    twin_open(key, &nonce, &data)
}

fn twin_open(key: &Key, nonce: &[u8], sealed: &[u8]) -> Result<Vec<u8>, Fault> {
    let (text, tag) = sealed.split_at(sealed.len() - TAG_BYTES);
    let mut text = text.to_vec();
    if !key.open(nonce.try_into().unwrap(), tag.try_into().unwrap(), &mut text) {
        return Err(tag_mismatch(key));
    }
    Ok(text)
}

fn decoded(text: &[u8]) -> Result<Vec<u8>, strict::BadBase64> {
    let mut out = vec![0; strict::decoded_bytes_max(text.len())];
    let bytes = strict::decode(text, &mut out)?;
    out.truncate(bytes);
    Ok(out)
}

/// Openers of the layouts with base64, by all kernels, and a sealed record for them.
fn openers(vector: &Vector) -> Vec<(Opener, Vec<u8>)> {
    let sealed = vector.sealed().into_iter().filter(|(opener, _)| opener.layout != Layout::Frame);
    let with = |opener: &Opener, kernels| Opener { kernels, ..opener.clone() };
    sealed
        .flat_map(|(opener, line)| {
            Kernels::all().into_iter().map(move |kernels| (with(&opener, kernels), line.clone()))
        })
        .collect()
}

/// Opens into an arena that already has something, which must survive; a fault must leave nothing behind it.
fn opened(opener: &Opener, sealed: &[u8]) -> Result<Vec<u8>, Fault> {
    const BEFORE: &[u8] = b"{\"an\":\"earlier record\"}\n";
    let mut arena = BEFORE.to_vec();
    let place = opener.open_into(sealed, &mut arena);
    assert_eq!(&arena[..BEFORE.len()], BEFORE);
    match place {
        Ok(Range { start, end }) => {
            assert_eq!((start, end), (BEFORE.len(), arena.len()));
            Ok(arena.split_off(start))
        }
        Err(fault) => {
            assert_eq!(arena.len(), BEFORE.len());
            Err(fault)
        }
    }
}

#[test]
fn every_flipped_bit_and_every_cut_gets_the_twins_verdict() {
    for vector in vectors() {
        for (opener, sealed) in openers(&vector) {
            let kernels = opener.kernels;
            assert_eq!(opened(&opener, &sealed), Ok(vector.plaintext.clone()), "{kernels}");
            for bit in 0..8 * sealed.len() {
                let mut changed = sealed.clone();
                changed[bit / 8] ^= 1 << (bit % 8);
                assert_eq!(opened(&opener, &changed), twin(&opener, &changed), "{kernels}, {}", changed.escape_ascii());
            }
            for length in 0..sealed.len() {
                let cut = &sealed[..length];
                assert_eq!(opened(&opener, cut), twin(&opener, cut), "{kernels}, {}", cut.escape_ascii());
            }
        }
    }
}

#[test]
fn wrong_keys_and_wrong_paddings_get_the_twins_verdict() {
    for vector in vectors() {
        let id = vector.key_id;
        for (opener, sealed) in openers(&vector) {
            let line = String::from_utf8(sealed).unwrap();
            let bare = line.replace('=', "");
            let end = if line.ends_with('}') { "\"}" } else { "" };
            let padded = |padding: &str| format!("{}{padding}{end}", bare.strip_suffix(end).unwrap());
            let lines = [
                line.replacen(id, "zero", 1),
                line.replacen(id, "a256", 1),
                line.replacen(id, "nobody", 1),
                line.replacen(id, "", 1),
                padded(""),
                padded("="),
                padded("=="),
                padded("==="),
                padded("===="),
                padded("A"),
                padded("A="),
                padded("A=="),
            ];
            for line in lines {
                let found = opened(&opener, line.as_bytes());
                assert_eq!(found, twin(&opener, line.as_bytes()), "{}, {line}", opener.kernels);
            }
        }
    }
}

#[test]
fn records_stand_one_behind_the_other() {
    for kernels in Kernels::all() {
        let mut arena = Vec::new();
        let (mut places, mut expected) = (Vec::new(), Vec::new());
        for vector in vectors() {
            for (opener, mut sealed) in vector.sealed() {
                let opener = Opener { kernels, ..opener };
                places.push(opener.open_into(&sealed, &mut arena).unwrap());
                arena.push(b'\n');
                expected.push(vector.plaintext.clone());
                let last = sealed.len() - 3;
                sealed[last] ^= 1;
                opener.open_into(&sealed, &mut arena).unwrap_err();
            }
        }
        let found: Vec<Vec<u8>> = places.iter().map(|place| arena[place.clone()].to_vec()).collect();
        assert_eq!(found, expected);
        assert_eq!(arena, expected.iter().flat_map(|plain| [plain, &b"\n"[..]].concat()).collect::<Vec<u8>>());
    }
}

proptest! {
    /// A record with a few bytes changed, put in or taken out.
    #[test]
    fn any_damage_gets_the_twins_verdict(
        which in 0_usize..5,
        damage in prop::collection::vec((any::<prop::sample::Index>(), 0..3, prop_oneof![any::<u8>(), prop::sample::select(&b"=A\"\\, "[..])]), 1..4),
    ) {
        for (opener, mut sealed) in openers(&vectors()[which]) {
            for (place, kind, byte) in &damage {
                let place = place.index(sealed.len());
                match kind {
                    0 => sealed.insert(place, *byte),
                    1 => sealed[place] = *byte,
                    _ => drop(sealed.remove(place)),
                }
            }
            prop_assert_eq!(opened(&opener, &sealed), twin(&opener, &sealed), "{}", opener.kernels);
        }
    }
}
