//! Base64 of envelopes and keyrings: the standard alphabet of RFC 4648, canonical, padding whole or absent.
//!
//! Records are decoded by the kernels of [`crate::simd::base64`], which say yes or no. This is for keyrings, and for what is
//! wrong with a record's text, and where.
//!
//! Strict on purpose: one text for one value of bytes, so that damage is found here and not further on. Unused bits of
//! the last symbol must be zero, white space is not skipped, and half of a padding (`QQ=`) is none.

use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use base64::{DecodeError, DecodeSliceError, Engine};

const ENGINE: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Why a text is not base64.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct BadBase64 {
    /// Bytes of the text before the fault.
    pub(super) offset: usize,
    /// What is there.
    pub(super) what: Fault,
}

/// What is wrong at the offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// A byte outside the alphabet, or padding where none may be.
    Byte(u8),
    /// The text ends in the middle of a byte.
    Length,
    /// The last symbol has bits that no byte takes up.
    Bits,
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            // Which one it is is not said: it may be of a secret, or of a log that is not sealed.
            Fault::Byte(_) => f.write_str("a character that does not belong there"),
            Fault::Length => f.write_str("the text ends in the middle of a byte: it is cut short"),
            Fault::Bits => f.write_str("the last symbol has bits to spare: it is cut short or changed"),
        }
    }
}

/// Most bytes that a text of so many bytes can decode to.
pub(super) const fn decoded_bytes_max(text_bytes: usize) -> usize {
    text_bytes.div_ceil(4) * 3
}

/// Decodes `text` into the front of `out`, which must hold [`decoded_bytes_max`]; returns the number of bytes.
pub(super) fn decode(text: &[u8], out: &mut [u8]) -> Result<usize, BadBase64> {
    if let Some(padding) = partial_padding(text) {
        return Err(BadBase64 { offset: padding, what: Fault::Byte(b'=') });
    }
    ENGINE.decode_slice(text, out).map_err(|error| match error {
        DecodeSliceError::DecodeError(DecodeError::InvalidByte(offset, byte)) => {
            BadBase64 { offset, what: Fault::Byte(byte) }
        }
        DecodeSliceError::DecodeError(DecodeError::InvalidLastSymbol { offset, .. }) => {
            BadBase64 { offset, what: Fault::Bits }
        }
        DecodeSliceError::DecodeError(DecodeError::InvalidLength(_) | DecodeError::InvalidPadding) => {
            BadBase64 { offset: text.len(), what: Fault::Length }
        }
        DecodeSliceError::OutputSliceTooSmall => unreachable!("the caller gives decoded_bytes_max bytes"),
    })
}

/// Offset of a padding that does not fill the text up to a multiple of four, which the engine would let pass.
fn partial_padding(text: &[u8]) -> Option<usize> {
    (text.last() == Some(&b'=') && !text.len().is_multiple_of(4)).then(|| text.len() - 1)
}

#[cfg(test)]
mod tests {
    use super::{BadBase64, Fault, decode, decoded_bytes_max};

    fn decoded(text: &str) -> Result<Vec<u8>, BadBase64> {
        let mut out = vec![0xAA; decoded_bytes_max(text.len())];
        let bytes = decode(text.as_bytes(), &mut out)?;
        out.truncate(bytes);
        Ok(out)
    }

    /// The test vectors of RFC 4648, section 10, with their padding and without.
    #[test]
    fn reads_the_vectors_of_the_rfc() {
        let vectors = [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ];
        for (plain, text) in vectors {
            assert_eq!(decoded(text).as_deref(), Ok(plain.as_bytes()), "{text}");
            let unpadded = text.trim_end_matches('=');
            assert_eq!(decoded(unpadded).as_deref(), Ok(plain.as_bytes()), "{unpadded}");
        }
    }

    #[test]
    fn takes_one_text_for_one_value_only() {
        let byte = |offset, byte| Err(BadBase64 { offset, what: Fault::Byte(byte) });
        assert_eq!(decoded("Zg="), byte(2, b'='), "half of a padding");
        assert_eq!(decoded("Zm9v===="), byte(4, b'='), "padding of nothing");
        assert_eq!(decoded("Zg==Zg=="), byte(2, b'='), "padding in the middle");
        assert_eq!(decoded("Zm9v\n"), byte(4, b'\n'), "white space");
        assert_eq!(decoded("Zm9-"), byte(3, b'-'), "the URL-safe alphabet");
        assert_eq!(decoded("Zm9vZ"), Err(BadBase64 { offset: 5, what: Fault::Length }));
        assert_eq!(decoded("Zh=="), Err(BadBase64 { offset: 1, what: Fault::Bits }), "bits to spare");
        assert_eq!(decoded("Zm9="), Err(BadBase64 { offset: 2, what: Fault::Bits }), "bits to spare");
    }

    #[test]
    fn finds_the_bad_byte_anywhere_in_a_long_text() {
        let good = "Zm9v".repeat(100);
        assert_eq!(decoded(&good).unwrap(), "foo".repeat(100).into_bytes());
        for offset in 0..good.len() {
            let mut bad = good.clone().into_bytes();
            bad[offset] = b'!';
            let bad = String::from_utf8(bad).unwrap();
            assert_eq!(decoded(&bad), Err(BadBase64 { offset, what: Fault::Byte(b'!') }));
        }
    }
}
