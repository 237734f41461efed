//! What a block of spans is made of, found out before any of them is looked at for itself.

use super::{Kernels, Level};
use crate::column::span::Span;

/// The kinds that the spans have: bit `n` for the kind of number `n`.
#[inline(always)]
pub(crate) fn kinds(kernels: Kernels, spans: &[Span]) -> u16 {
    match kernels.level() {
        // SAFETY: `kernels` proves that the machine has the instructions of its level.
        #[cfg(target_arch = "x86_64")]
        Level::Avx512 => unsafe { kinds_avx512(spans) },
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        Level::Avx2 => unsafe { kinds_avx2(spans) },
        _ => fold(spans),
    }
}

/// Written so that registers of any width can do it: a shift by its own count for each span.
#[inline(always)]
fn fold(spans: &[Span]) -> u16 {
    spans.iter().fold(0u32, |kinds, span| kinds | 1 << span.kind_number()) as u16
}

/// # Safety
/// The machine has AVX2.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
unsafe fn kinds_avx2(spans: &[Span]) -> u16 {
    fold(spans)
}

/// # Safety
/// The machine has AVX-512 F and VL.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512vl,avx512bw,avx512dq")]
unsafe fn kinds_avx512(spans: &[Span]) -> u16 {
    fold(spans)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::column::span::SpanKind::{self, *};

    #[test]
    fn every_kind_has_its_bit() {
        let all = [Absent, Null, True, False, Number, Plain, Escaped, Object, Array];
        let span = |kind: SpanKind| Span::new(kind, 7, 7 + 100 * kind as usize);
        for kernels in Kernels::all() {
            assert_eq!(kinds(kernels, &[]), 0);
            for some in 1..=all.len() {
                // More than a register holds, so that the rest after whole registers counts too.
                let spans: Vec<Span> = all[..some].iter().cycle().take(some + 63).map(|&kind| span(kind)).collect();
                assert_eq!(kinds(kernels, &spans), (1 << some) - 1, "{kernels}");
            }
            for kind in all {
                assert_eq!(kinds(kernels, &[span(kind)]), 1 << kind as u16, "{kernels}");
            }
        }
    }
}
