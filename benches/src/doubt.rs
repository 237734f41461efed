//! A journal with slices in doubt, as an engine leaves it that was killed before anything was stored: cut by the
//! product's own feed, from real files, and journaled on a real disk.
//!
//! A feed has at most `PLANNED_SLICES_MAX` slices under way, so the files come folder by folder, each to a feed of its
//! own on the same journal; what the feeds before it cut is in doubt by then, and nobody finds its files to send it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, ensure};
use longshore_core::config::Config;
use longshore_core::limits::PLANNED_SLICES_MAX;
use longshore_ingest::feed::{Feed, Room};
use longshore_ingest::journal::{Journal, LockedDirectory, Machine, Options};

use crate::service::{failed, file_feed};

/// Cuts and journals the files of these folders, each of which has fewer than `PLANNED_SLICES_MAX` small ones: how many
/// slices are in doubt.
///
/// # Errors
/// The journal cannot be written, or a file was not cut.
pub fn leave_in_doubt(text: &str, config: &Config, folders: &[PathBuf]) -> anyhow::Result<usize> {
    for folder in folders {
        cut_folder(text, config, folder)?;
    }
    let options = Options::new(Machine::this());
    let (_, recovered) = Journal::open(&config.run.journal, options).context("opening the journal again")?;
    Ok(recovered.in_doubt.len())
}

fn cut_folder(text: &str, config: &Config, folder: &Path) -> anyhow::Result<()> {
    let files = std::fs::read_dir(folder).with_context(|| format!("listing {}", folder.display()))?.count();
    ensure!(files < PLANNED_SLICES_MAX, "{} has {files} files, more than a feed cuts at once", folder.display());
    let disk = LockedDirectory::lock(&config.run.journal).context("locking the journal")?;
    let mut feed = file_feed(disk, config, vec![folder.join("*")]).map_err(failed)?;
    feed.set_config(text).map_err(failed)?;
    let mut planned = Vec::new();
    // Each step is a slice's age later, so that what one finds the next one cuts.
    for step in 1..=STEPS_MAX {
        let room = Room { slices: PLANNED_SLICES_MAX, bytes: usize::MAX };
        feed.step(config.run.slice_age * step, Duration::ZERO, room, &mut planned).map_err(failed)?;
        if planned.len() >= files {
            break;
        }
    }
    ensure!(planned.len() == files, "{} of {files} files of {} were cut", planned.len(), folder.display());
    Ok(())
}

/// Far more than it takes.
const STEPS_MAX: u32 = 100;
