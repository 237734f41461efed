//! SIMD kernels: the only module of this crate with `unsafe`.
//!
//! A [`Kernels`] value is the proof that the machine has the instructions of its level: there is no way to get one but
//! [`Kernels::all`] and what calls it, which ask the processor. Kernels take one, so dispatch happens once a call over
//! many bytes, and a caller cannot reach an instruction that would fault.
//!
//! Every kernel gives the same bytes at every level; the tests run each at every level the machine has.

#![allow(unsafe_code)]

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
pub(crate) mod base64;
mod block;
#[cfg(target_arch = "x86_64")]
mod fours;
pub mod index;
#[cfg(target_arch = "aarch64")]
mod neon;
pub(crate) mod net;
pub(crate) mod numbers;
#[cfg(test)]
pub(crate) mod pages;
pub(crate) mod places;
mod scalar;
pub(crate) mod shape;
pub(crate) mod spans;
pub(crate) mod text;
pub(crate) mod words;

use std::fmt;

/// Instructions that kernels may use, known to be there.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Kernels(Level);

/// A family of instructions. Ordered from the one that every machine has to the widest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Level {
    /// Words of 64 bits, in plain Rust.
    Scalar,
    /// NEON, 16 bytes a register; every AArch64 has it.
    #[cfg(target_arch = "aarch64")]
    Neon,
    /// AVX2, BMI2, PCLMULQDQ: 32 bytes a register.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// AVX-512 F, BW, VL, DQ, VBMI, VBMI2: 64 bytes a register and masks. Implies all of [`Level::Avx2`].
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

/// A name that is not a kernel's, or one that this machine lacks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no kernels named {name:?} on this machine; it has: {}", names(.available))]
pub struct KernelsError {
    name: String,
    available: Vec<Kernels>,
}

impl Kernels {
    /// All that this machine has, the widest last. Never empty: scalar code runs everywhere.
    pub fn all() -> Vec<Kernels> {
        let mut all = vec![Kernels(Level::Scalar)];
        #[cfg(target_arch = "aarch64")]
        all.push(Kernels(Level::Neon));
        #[cfg(target_arch = "x86_64")]
        {
            let has_avx2 = is_x86_feature_detected!("avx2")
                && is_x86_feature_detected!("bmi1")
                && is_x86_feature_detected!("bmi2")
                && is_x86_feature_detected!("lzcnt")
                && is_x86_feature_detected!("popcnt")
                && is_x86_feature_detected!("pclmulqdq");
            if has_avx2 {
                all.push(Kernels(Level::Avx2));
            }
            let has_avx512 = has_avx2
                && is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512bw")
                && is_x86_feature_detected!("avx512vl")
                && is_x86_feature_detected!("avx512dq")
                && is_x86_feature_detected!("avx512vbmi")
                && is_x86_feature_detected!("avx512vbmi2");
            if has_avx512 {
                all.push(Kernels(Level::Avx512));
            }
        }
        all
    }

    /// The widest that this machine has.
    pub fn widest() -> Kernels {
        Self::all().last().copied().unwrap_or(Kernels(Level::Scalar))
    }

    /// The kernels of that name: `scalar`, `neon`, `avx2` or `avx512`.
    ///
    /// # Errors
    /// There is no such name, or this machine lacks the instructions.
    pub fn named(name: &str) -> Result<Kernels, KernelsError> {
        let available = Self::all();
        match available.iter().find(|kernels| kernels.name() == name) {
            Some(kernels) => Ok(*kernels),
            None => Err(KernelsError { name: name.to_owned(), available }),
        }
    }

    /// `scalar`, `neon`, `avx2` or `avx512`.
    pub fn name(self) -> &'static str {
        match self.0 {
            Level::Scalar => "scalar",
            #[cfg(target_arch = "aarch64")]
            Level::Neon => "neon",
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => "avx2",
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => "avx512",
        }
    }

    /// What kernels match on.
    pub(crate) fn level(self) -> Level {
        self.0
    }
}

impl fmt::Display for Kernels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Debug for Kernels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Kernels({})", self.name())
    }
}

fn names(kernels: &[Kernels]) -> String {
    kernels.iter().map(|kernels| kernels.name()).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_machine_has_scalar_kernels_and_finds_its_own_by_name() {
        let all = Kernels::all();
        assert_eq!(all[0].name(), "scalar");
        assert!(all.is_sorted());
        for kernels in all {
            assert_eq!(Kernels::named(kernels.name()), Ok(kernels));
        }
    }

    #[test]
    fn an_unknown_name_is_an_error_that_says_what_there_is() {
        let error = Kernels::named("avx1024").unwrap_err().to_string();
        assert!(error.starts_with("no kernels named \"avx1024\" on this machine; it has: scalar"), "{error}");
    }
}
