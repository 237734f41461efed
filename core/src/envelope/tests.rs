use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use proptest::prelude::*;

use super::{Keyring, Layout, Opener};
use crate::config::EnvelopeLayout;
use crate::dead_letter::{Fault, Reason};
use crate::limits::DEAD_LETTER_DETAIL_BYTES;
use crate::simd::Kernels;

mod twin;

/// A message that somebody else sealed.
struct Vector {
    key_id: &'static str,
    nonce: Vec<u8>,
    plaintext: Vec<u8>,
    ciphertext: Vec<u8>,
    tag: Vec<u8>,
}

impl Vector {
    fn packed(&self) -> Vec<u8> {
        [&self.nonce[..], &self.ciphertext, &self.tag].concat()
    }

    fn tab(&self) -> Vec<u8> {
        format!("{}\t{}", self.key_id, STANDARD.encode(self.packed())).into_bytes()
    }

    fn json(&self) -> Vec<u8> {
        let nonce = STANDARD.encode(&self.nonce);
        let data = STANDARD.encode([&self.ciphertext[..], &self.tag].concat());
        format!("{{\"key\":\"{}\",\"nonce\":\"{nonce}\",\"data\":\"{data}\"}}", self.key_id).into_bytes()
    }

    fn frame(&self) -> Vec<u8> {
        [&[self.key_id.len() as u8], self.key_id.as_bytes(), &self.packed()].concat()
    }

    fn sealed(&self) -> [(Opener, Vec<u8>); 3] {
        [(tab(), self.tab()), (json(), self.json()), (frame(), self.frame())]
    }
}

fn hex(digits: &str) -> Vec<u8> {
    let digits: Vec<u8> = digits.bytes().filter(u8::is_ascii_hexdigit).collect();
    digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

const GCM_NONCE: &str = "cafebabefacedbaddecaf888";
const GCM_PLAINTEXT: &str = "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72
                             1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b391aafd255";

/// The keys of the vectors below, in base64.
const KEYRING: &str = r#"
[[key]]
id = "a128"
cipher = "aes-128-gcm"
secret = "/v/pkoZlcxxtao+UZzCDCA=="

[[key]]
id = "a256"
cipher = "aes-256-gcm"
secret = "/v/pkoZlcxxtao+UZzCDCP7/6ZKGZXMcbWqPlGcwgwg="

[[key]]
id = "cc20"
cipher = "chacha20-poly1305"
secret = "gIGCg4SFhoeIiYqLjI2Oj5CRkpOUlZaXmJmam5ydnp8="

[[key]]
id = "zero"
cipher = "aes-128-gcm"
secret = "AAAAAAAAAAAAAAAAAAAAAA=="
"#;

/// Messages without associated data.
///
/// AES-GCM: test cases 1, 2, 3 and 15 of McGrew and Viega, "The Galois/Counter Mode of Operation (GCM)", which NIST took
/// over. ChaCha20-Poly1305: RFC 8439, section 2.8.2, has associated data; key, nonce, plaintext and ciphertext are its
/// own (the ciphertext does not depend on associated data), the tag without it was computed with OpenSSL through
/// Python's `cryptography`, which gives the RFC's tag with it.
fn vectors() -> Vec<Vector> {
    let gcm = |key_id, ciphertext, tag| Vector {
        key_id,
        nonce: hex(GCM_NONCE),
        plaintext: hex(GCM_PLAINTEXT),
        ciphertext: hex(ciphertext),
        tag: hex(tag),
    };
    vec![
        Vector {
            key_id: "zero",
            nonce: vec![0; 12],
            plaintext: vec![],
            ciphertext: vec![],
            tag: hex("58e2fccefa7e3061367f1d57a4e7455a"),
        },
        Vector {
            key_id: "zero",
            nonce: vec![0; 12],
            plaintext: vec![0; 16],
            ciphertext: hex("0388dace60b6a392f328c2b971b2fe78"),
            tag: hex("ab6e47d42cec13bdf53a67b21257bddf"),
        },
        gcm(
            "a128",
            "42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e
             21d514b25466931c7d8f6a5aac84aa051ba30b396a0aac973d58e091473f5985",
            "4d5c2af327cd64a62cf35abd2ba6fab4",
        ),
        gcm(
            "a256",
            "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa
             8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662898015ad",
            "b094dac5d93471bdec1a502270e3cc6c",
        ),
        Vector {
            key_id: "cc20",
            nonce: hex("070000004041424344454647"),
            plaintext: b"Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the \
                         future, sunscreen would be it."
                .to_vec(),
            ciphertext: hex(
                "d31a8d34648e60db7b86afbc53ef7ec2a4aded51296e08fea9e2b5a736ee62d63dbea45e8ca9671282fafb69da92728b
                 1a71de0a9e060b2905d6a5b67ecd3b3692ddbd7f2d778b8c9803aee328091b58fab324e4fad675945585808b4831d7bc
                 3ff4def08e4b7a9de576d26586cec64b6116",
            ),
            tag: hex("6a23a4681fd59456aea1d29f82477216"),
        },
    ]
}

/// A short message for tests that go over every byte.
fn short() -> Vector {
    vectors().remove(1)
}

fn keyring() -> Arc<Keyring> {
    Arc::new(Keyring::parse(KEYRING, "keys.toml").unwrap())
}

fn tab() -> Opener {
    Opener::new(EnvelopeLayout::Tab, keyring(), Kernels::widest())
}

fn json_named(key: &str, nonce: &str, data: &str) -> Opener {
    Opener::new(
        EnvelopeLayout::Json { key: key.into(), nonce: nonce.into(), data: data.into() },
        keyring(),
        Kernels::widest(),
    )
}

fn json() -> Opener {
    json_named("key", "nonce", "data")
}

fn frame() -> Opener {
    Opener::new(EnvelopeLayout::Frame, keyring(), Kernels::widest())
}

fn open(opener: &Opener, sealed: &[u8]) -> Result<Vec<u8>, Fault> {
    opener.open(sealed, &mut Vec::new()).map(<[u8]>::to_vec)
}

fn fault(opener: &Opener, sealed: &[u8]) -> (Reason, String) {
    let fault = open(opener, sealed).unwrap_err();
    assert!(fault.detail.len() <= DEAD_LETTER_DETAIL_BYTES, "{} bytes: {}", fault.detail.len(), fault.detail);
    (fault.reason, fault.detail)
}

#[test]
fn opens_the_standards_vectors_in_every_layout() {
    let mut scratch = Vec::new();
    for vector in vectors() {
        for (opener, sealed) in vector.sealed() {
            let opened = opener.open(&sealed, &mut scratch).expect(vector.key_id);
            assert_eq!(opened, vector.plaintext, "{} in {:?}", vector.key_id, opener.layout);
        }
    }
}

#[test]
fn takes_base64_without_padding() {
    for vector in vectors() {
        let line = format!("{}\t{}", vector.key_id, STANDARD_NO_PAD.encode(vector.packed()));
        assert_eq!(open(&tab(), line.as_bytes()).as_deref(), Ok(&vector.plaintext[..]));
    }
}

#[test]
fn a_scratch_is_reused_from_long_to_short_and_after_faults() {
    let mut scratch = Vec::new();
    let mut in_turn = vectors();
    in_turn.reverse();
    for vector in &in_turn {
        for (opener, mut sealed) in vector.sealed() {
            assert_eq!(opener.open(&sealed, &mut scratch).unwrap(), vector.plaintext);
            sealed[1] ^= 1;
            opener.open(&sealed, &mut scratch).unwrap_err();
        }
    }
}

#[test]
fn a_scratch_is_empty_after_a_fault() {
    let mut vector = vectors().remove(2);
    vector.tag[15] ^= 0x80;
    for (opener, sealed) in vector.sealed() {
        let mut scratch = b"what was here before".to_vec();
        assert_eq!(opener.open(&sealed, &mut scratch).unwrap_err().reason, Reason::TagMismatch);
        assert_eq!(scratch, b"");
    }
}

#[test]
fn no_flipped_bit_is_ever_opened() {
    let envelope_reasons = [Reason::BadEnvelope, Reason::UnknownKey, Reason::TagMismatch];
    for (opener, sealed) in short().sealed() {
        open(&opener, &sealed).expect("it opens unchanged");
        for bit in 0..8 * sealed.len() {
            let mut changed = sealed.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            let (reason, _) = fault(&opener, &changed);
            assert!(envelope_reasons.contains(&reason), "bit {bit}: {reason}");
        }
    }
}

#[test]
fn a_flipped_bit_of_nonce_ciphertext_or_tag_is_a_tag_mismatch() {
    let sealed = short().frame();
    let front = 1 + "zero".len();
    for bit in 8 * front..8 * sealed.len() {
        let mut changed = sealed.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(fault(&frame(), &changed).0, Reason::TagMismatch, "bit {bit}");
    }
}

#[test]
fn nothing_cut_short_or_with_bytes_added_is_ever_opened() {
    for (opener, sealed) in short().sealed() {
        for length in 0..sealed.len() {
            // Padding may be absent, so the text without it is the same message.
            if opener.layout == Layout::Tab && sealed[length..].iter().all(|byte| *byte == b'=') {
                continue;
            }
            fault(&opener, &sealed[..length]);
        }
        for extra in [&b"A"[..], b"AAAA", b"=", b"\0", b"{}"] {
            fault(&opener, &[&sealed, extra].concat());
        }
    }
}

#[test]
fn keys_rotate_by_their_id() {
    let sealed: Vec<Vec<u8>> = vectors().iter().map(Vector::tab).collect();
    let opened: Vec<Vec<u8>> = sealed.iter().map(|line| open(&tab(), line).unwrap()).collect();
    let plain: Vec<Vec<u8>> = vectors().into_iter().map(|vector| vector.plaintext).collect();
    assert_eq!(opened, plain);

    // The same message under another key's name: the id picks the key, nothing is tried out.
    let mut renamed = vectors().remove(2);
    renamed.key_id = "zero";
    assert_eq!(
        fault(&tab(), &renamed.tab()),
        (Reason::TagMismatch, "wrong key or changed bytes; key id zero, aes-128-gcm".into())
    );
}

#[test]
fn an_unknown_key_is_told_with_the_ids_that_there_are_and_without_its_own() {
    let mut vector = short();
    vector.key_id = "k9";
    for (opener, sealed) in vector.sealed() {
        let detail = "the record's key id, 2 bytes long, is not in the keyring, which has 4 keys (a128, a256, cc20, \
                      zero): add it there; the id is in the letter's `record`";
        assert_eq!(fault(&opener, &sealed), (Reason::UnknownKey, detail.into()));
    }
}

#[test]
fn of_an_unknown_key_five_ids_that_there_are_are_named_at_most() {
    let key = |index: usize, bytes: usize| {
        format!("[[key]]\nid = \"{index:0bytes$}\"\ncipher = \"aes-128-gcm\"\nsecret = \"AAAAAAAAAAAAAAAAAAAAAA\"\n")
    };
    let opener = |bytes: usize| {
        let text: String = (0..9).map(|index| key(index, bytes)).collect();
        Opener::new(EnvelopeLayout::Frame, Arc::new(Keyring::parse(&text, "keys.toml").unwrap()), Kernels::widest())
    };
    let sealed = [&[255][..], &[0x1B; 255], &[0; 28]].concat();
    let detail = |ids: &str| {
        format!(
            "the record's key id, 255 bytes long, is not in the keyring, which has 9 keys (such as {ids}): add it there; \
             the id is in the letter's `record`"
        )
    };
    assert_eq!(fault(&opener(2), &sealed), (Reason::UnknownKey, detail("00, 01, 02, 03, 04")));
    assert_eq!(fault(&opener(64), &sealed), (Reason::UnknownKey, detail(&"0".repeat(64))));
}

#[test]
fn a_bad_tab_envelope_says_where_and_why() {
    let no_tab = "no tab after a key id in the first 65 bytes: is this record sealed as key-id TAB base64?";
    let cases = [
        (&b""[..], no_tab),
        (b"{\"user\":\"u1\"}", no_tab),
        (b"\tAAAA", "the key id is empty"),
        (b"zero\t", "0 bytes are too few for nonce and tag, which take 28: the record is cut short"),
        (b"zero\tAAAA", "3 bytes are too few for nonce and tag, which take 28: the record is cut short"),
        (b"zero\tAAAA*AAA", "bad base64 at offset 9 of the line: a character that does not belong there"),
        (b"zero\tAAAA AAA", "bad base64 at offset 9 of the line: a character that does not belong there"),
        (b"zero\tAAAA\tAAA", "bad base64 at offset 9 of the line: a character that does not belong there"),
        (b"zero\tAAA=A", "bad base64 at offset 8 of the line: a character that does not belong there"),
        (b"zero\tAA=", "bad base64 at offset 7 of the line: a character that does not belong there"),
        (b"zero\tAAAAA", "bad base64 at offset 10 of the line: the text ends in the middle of a byte: it is cut short"),
        (
            b"zero\tAB",
            "bad base64 at offset 6 of the line: the last symbol has bits to spare: it is cut short or changed",
        ),
    ];
    for (line, detail) in cases {
        assert_eq!(fault(&tab(), line), (Reason::BadEnvelope, detail.into()), "{}", line.escape_ascii());
    }
    let far = [&b"k".repeat(65)[..], b"\tAAAA"].concat();
    assert_eq!(fault(&tab(), &far), (Reason::BadEnvelope, no_tab.into()), "no key id is that long");
}

#[test]
fn a_bad_frame_says_why() {
    let cases = [
        (&b""[..], "0 bytes are too few for the frame, which take 30: the record is cut short"),
        (b"\0", "the key id is empty"),
        (b"\x05zero", "the key id should have 5 bytes, the frame has 4 after it says so"),
        (b"\x04zero", "0 bytes are too few for nonce and tag, which take 28: the record is cut short"),
        (b"\x04zero0123456789a", "11 bytes are too few for nonce and tag, which take 28: the record is cut short"),
    ];
    for (record, detail) in cases {
        assert_eq!(fault(&frame(), record), (Reason::BadEnvelope, detail.into()), "{}", record.escape_ascii());
    }
}

#[test]
fn a_bad_json_envelope_says_where_and_why() {
    let nonce = "AAAAAAAAAAAAAAAA";
    let cases = [
        ("", "not an envelope object at offset 0: not a JSON object: no `{`".to_owned()),
        ("zero\tAAAA", "not an envelope object at offset 0: not a JSON object: no `{`".to_owned()),
        ("{\"key\":\"zero\"", "not an envelope object at offset 13: neither `,` nor `}` after a value".to_owned()),
        ("{}", "no field \"key\": does [decode.envelope] name the fields as the sender does?".to_owned()),
        (
            "{\"key\":\"zero\",\"nonce\":\"\"}",
            "no field \"data\": does [decode.envelope] name the fields as the sender does?".to_owned(),
        ),
        (
            "{\"key\":\"zero\",\"nonce\":7,\"data\":\"\"}",
            "not an envelope object at offset 22: no string in quotes".to_owned(),
        ),
        (
            "{\"key\":\"zero\",\"nonce\":\"\",\"data\":\"\"}",
            "the nonce in \"nonce\" must have 12 bytes before base64".to_owned(),
        ),
        (
            "{\"key\":\"zero\",\"nonce\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAA\",\"data\":\"\"}",
            "the nonce in \"nonce\" must have 12 bytes before base64".to_owned(),
        ),
        (
            "{\"key\":\"zero\",\"nonce\":\"AAAA-AAAAAAAAAAA\",\"data\":\"\"}",
            "bad base64 in \"nonce\" at its character 4: a character that does not belong there".to_owned(),
        ),
        (
            &format!("{{\"key\":\"zero\",\"nonce\":\"{nonce}\",\"data\":\"AAA\\/A*AA\"}}"),
            "bad base64 in \"data\" at its character 5: a character that does not belong there".to_owned(),
        ),
        (
            &format!("{{\"key\":\"zero\",\"nonce\":\"{nonce}\",\"data\":\"AAAA\"}}"),
            "3 bytes are too few for the tag, which take 16: the record is cut short".to_owned(),
        ),
        (
            &format!("{{\"key\":\"zero\",\"key\":\"a128\",\"nonce\":\"{nonce}\",\"data\":\"AAAA\"}}"),
            "not an envelope object at offset 14: a field of the envelope stands twice".to_owned(),
        ),
    ];
    for (record, detail) in cases {
        assert_eq!(fault(&json(), record.as_bytes()), (Reason::BadEnvelope, detail), "{record}");
    }
}

#[test]
fn a_json_envelope_may_be_written_in_any_way() {
    let vector = vectors().remove(3);
    let nonce = STANDARD.encode(&vector.nonce);
    let data = STANDARD.encode([&vector.ciphertext[..], &vector.tag].concat());
    assert!(data.contains('/'), "so that there is something to escape");
    let slashes = data.replace('/', "\\/");
    let unicode = data.replace('/', "\\u002F").replace('=', "\\u003D");
    let written = [
        format!("{{\"data\":\"{data}\",\"nonce\":\"{nonce}\",\"key\":\"a256\"}}"),
        format!(" \t{{ \"key\" : \"a256\" ,\r\n \"nonce\":\"{nonce}\", \"data\":\n\"{data}\" }}\r "),
        format!("{{\"key\":\"\\u0061256\",\"nonce\":\"{nonce}\",\"data\":\"{slashes}\"}}"),
        format!("{{\"k\\u0065y\":\"a256\",\"nonce\":\"{nonce}\",\"data\":\"{unicode}\"}}"),
        format!(
            "{{\"v\":1,\"at\":{{\"key\":\"no\",\"n\":[1,[],{{}},-0.5e+3]}},\"key\":\"a256\",\"ok\":true,\"\":null,\
             \"nonce\":\"{nonce}\",\"data\":\"{data}\",\"note\":\"\\ud83d\\ude00 \u{1F600} \\\" \\\\\"}}"
        ),
        format!("{{\"key\":\"a256\",\"nonce\":\"{nonce}\",\"data\":\"{}\"}}", data.trim_end_matches('=')),
    ];
    for line in written {
        assert_eq!(open(&json(), line.as_bytes()).as_deref(), Ok(&vector.plaintext[..]), "{line}");
    }
}

#[test]
fn the_config_names_the_fields() {
    let vector = vectors().remove(4);
    let nonce = STANDARD.encode(&vector.nonce);
    let data = STANDARD.encode([&vector.ciphertext[..], &vector.tag].concat());
    let line = format!("{{\"kid\":\"cc20\",\"ключ\":\"{nonce}\",\"\":\"{data}\",\"key\":1,\"nonce\":2,\"data\":3}}");
    assert_eq!(open(&json_named("kid", "ключ", ""), line.as_bytes()).as_deref(), Ok(&vector.plaintext[..]));
}

#[test]
fn an_opener_shows_no_secret() {
    let shown = format!("{:?}", tab());
    assert!(shown.contains("a128"), "{shown}");
    for line in KEYRING.lines().filter_map(|line| line.strip_prefix("secret = ")) {
        assert!(!shown.contains(line.trim_matches('"')));
    }
}

/// The examples of `docs/envelopes.md`, which were sealed with Python's `cryptography`.
#[test]
fn the_documents_examples_open() {
    let document = include_str!("../../../docs/envelopes.md");
    let line = |start: &str| document.lines().find(|line| line.starts_with(start)).expect(start).as_bytes();
    let keyring = "key = [{ id = \"doc-1\", cipher = \"aes-128-gcm\", secret = \"AAECAwQFBgcICQoLDA0ODw==\" }]";
    let keyring = Arc::new(Keyring::parse(keyring, "docs").unwrap());
    let opened =
        |layout, sealed: &[u8]| open(&Opener::new(layout, keyring.clone(), Kernels::widest()), sealed).unwrap();
    let record = b"{\"user\":\"u1\",\"amount\":\"9.99\"}";

    assert_eq!(opened(EnvelopeLayout::Tab, line("doc-1\t")), record);
    let names = EnvelopeLayout::Json { key: "key".into(), nonce: "nonce".into(), data: "data".into() };
    assert_eq!(opened(names, line("{\"key\":\"doc-1\"")), record);

    let frame = [line("0000003f "), line("e84ed2bd")].concat();
    let frame = hex(std::str::from_utf8(&frame).unwrap());
    assert_eq!(frame.len(), 4 + 0x3f);
    assert_eq!(opened(EnvelopeLayout::Frame, &frame[4..]), record);
}

proptest! {
    #[test]
    fn any_bytes_are_a_fault(sealed in prop::collection::vec(any::<u8>(), 0..200)) {
        for opener in [tab(), json(), frame()] {
            prop_assert!(open(&opener, &sealed).is_err());
        }
    }

    /// Past the key id, where random bytes hardly get.
    #[test]
    fn any_bytes_behind_a_known_key_are_a_fault(packed in prop::collection::vec(any::<u8>(), 0..200)) {
        let vector = Vector { key_id: "a256", nonce: packed, plaintext: vec![], ciphertext: vec![], tag: vec![] };
        for (opener, sealed) in vector.sealed() {
            prop_assert!(open(&opener, &sealed).is_err());
        }
        prop_assert!(open(&tab(), &[b"a256\t", &vector.nonce[..]].concat()).is_err());
    }
}
