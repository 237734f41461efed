//! Which SIMD kernels decode: the machine's widest, or those that the environment names.
//!
//! It is a variable and not a flag because nobody needs it in production: it is there to compare kernels on one machine,
//! and to rule them out when something looks wrong.

use anyhow::{Context, bail};
use longshore_core::simd::Kernels;

/// Names the kernels; unset or empty: the widest that there are.
pub(crate) const VARIABLE: &str = "LONGSHORE_KERNELS";

/// The kernels to decode by.
pub(crate) fn choose() -> anyhow::Result<Kernels> {
    let kernels = match std::env::var(VARIABLE) {
        Ok(name) if !name.is_empty() => Kernels::named(&name).context(VARIABLE)?,
        Err(std::env::VarError::NotUnicode(_)) => bail!("{VARIABLE}: its value is not UTF-8"),
        _ => Kernels::widest(),
    };
    tracing::debug!("records are decoded by {kernels} kernels");
    Ok(kernels)
}
