//! Where a lane of a new file begins: behind what is stored of its content already, by whatever command and whatever engine.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use longshore_core::limits::{FOLLOW_HEAD_BYTES, INPUTS_LOOKED_UP};
use longshore_core::words::plural;

use super::cutting::{Cutting, Outcome};
use super::port::Files;
use super::{FileFeed, journal_error};
use crate::content::{self, Content};
use crate::cut::CutOptions;
use crate::feed::FeedError;
use crate::follow::SourceId;
use crate::journal::{Disk, Reached};
use crate::known::{Behind, KnownSlice, KnownSlices};

/// Nothing is stored, for measurements and tests.
#[derive(Debug, Default)]
pub struct NothingThere {
    asked: bool,
}

impl LookUp for NothingThere {
    fn ask(&mut self, _: Vec<u64>) {
        self.asked = true;
    }

    fn answer(&mut self) -> Option<Vec<KnownSlice>> {
        std::mem::take(&mut self.asked).then(Vec::new)
    }
}

/// Asks what is stored, without waiting for the answer.
pub trait LookUp: Send {
    /// Asks which slices are found by these heads. Nothing else is being asked.
    fn ask(&mut self, heads: Vec<u64>);

    /// The answer, once it is there.
    fn answer(&mut self) -> Option<Vec<KnownSlice>>;
}

/// Where a lane begins.
#[derive(Debug, Clone, Default)]
pub(super) enum Origin {
    /// Nobody has looked.
    #[default]
    New,
    /// Somebody is asked.
    Asked,
    /// These slices may be of it, which had this head when they were asked for.
    Found(Arc<KnownSlices>, u64),
    /// Where it is.
    Settled,
}

/// What looking for the origin came to.
enum Walk {
    /// A part of the way.
    On,
    /// The lane begins where it is.
    There,
    /// It is to be asked what is stored of a content that begins so.
    Ask(Vec<u8>),
    /// It is the beginning of a stored content, and nobody knows yet whether it goes on otherwise.
    Waits,
    /// It cannot be read now.
    Not(Outcome),
}

/// What is stored of the contents of lanes, with the heads that they had.
struct Answer {
    lanes: Vec<(SourceId, u64)>,
    stored: Vec<KnownSlice>,
}

/// Questions of lanes, one after the other.
pub(super) struct Questions {
    look_up: Box<dyn LookUp>,
    asked: Vec<(SourceId, u64)>,
    waiting: VecDeque<(SourceId, Vec<u8>)>,
}

impl Questions {
    pub(super) fn new(look_up: Box<dyn LookUp>) -> Questions {
        Questions { look_up, asked: Vec::new(), waiting: VecDeque::new() }
    }

    /// Asks what is stored of a lane's content.
    fn ask(&mut self, id: SourceId, beginning: Vec<u8>) {
        self.waiting.push_back((id, beginning));
    }

    /// Something is asked, or will be.
    pub(super) fn any(&self) -> bool {
        !self.asked.is_empty() || !self.waiting.is_empty()
    }

    /// Asks what waits to be asked; the lanes whose answer is there, with the heads that they had.
    fn go_on(&mut self) -> Option<Answer> {
        let mut answered = None;
        if !self.asked.is_empty() {
            let answer = self.look_up.answer()?;
            answered = Some(Answer { lanes: std::mem::take(&mut self.asked), stored: answer });
        }
        let next = self.waiting.len().min(INPUTS_LOOKED_UP);
        let next: Vec<(SourceId, Vec<u8>)> = self.waiting.drain(..next).collect();
        self.asked.extend(next.iter().map(|(id, beginning)| (*id, content::head(beginning))));
        let heads = content::all_heads(next.iter().map(|(_, beginning)| beginning.as_slice()));
        if !heads.is_empty() {
            self.look_up.ask(heads);
        }
        answered
    }
}

impl<D: Disk, F: Files> FileFeed<D, F> {
    /// Goes a part of the way to where a lane of a new file begins. False if nothing more can be done now.
    pub(super) fn find_origin(&mut self, id: SourceId, options: &CutOptions, now: Duration) -> Result<bool, FeedError> {
        let lane = self.lanes.get_mut(&id).expect("an active lane");
        let walk = Cutting { files: &mut self.files, options, lane, now, cut_ms: 0 }.find_origin();
        let lane = self.lanes.get_mut(&id).expect("an active lane");
        match walk {
            Walk::On => return Ok(true),
            Walk::There => {
                if let Origin::Found(known, head) = std::mem::replace(&mut lane.origin, Origin::Settled) {
                    lane.known = Some((known, head));
                }
                let stored = lane.position.saturating_sub(lane.from());
                if stored > 0 {
                    let name = lane.name.clone();
                    tracing::info!(
                        "{name}: {} of it are stored already, it goes on behind them",
                        plural(stored, "byte")
                    );
                    let chain = lane.chain();
                    let head = lane.content.as_mut().map_or(0, Content::head);
                    let reached = Reached { position: lane.position, chain, head, ..lane.reached };
                    // Where another command has read on, the journal knows it from there.
                    if let Some(number) = lane.number.take() {
                        self.journal.forget_all(&[number]).map_err(journal_error)?;
                    }
                    self.introduce(id, Some(reached))?;
                }
                return Ok(true);
            }
            Walk::Ask(beginning) => {
                lane.origin = Origin::Asked;
                self.questions.ask(id, beginning);
            }
            Walk::Waits => {
                lane.origin = Origin::New;
                let name = &lane.name;
                tracing::info!("{name}: it is the beginning of what was stored before, and waits until it goes on");
                self.rest(id, false, now);
            }
            Walk::Not(Outcome::Stop(why)) => {
                lane.stop(why);
                self.active.remove(&id);
            }
            Walk::Not(Outcome::Nothing { all_read }) => self.rest(id, all_read, now),
            Walk::Not(_) => {}
        }
        Ok(false)
    }

    /// Takes in what is stored of new files, and asks of others.
    pub(super) fn take_answers(&mut self, now: Duration) {
        let Some(Answer { lanes, stored }) = self.questions.go_on() else { return };
        let Some((_, options)) = self.config else { return };
        let known = Arc::new(KnownSlices::new(stored.into_iter().filter(|known| known.stream == options.stream)));
        for (id, head) in lanes {
            if let Some(lane) = self.lanes.get_mut(&id) {
                lane.origin = Origin::Found(known.clone(), head);
                self.wake(id, now);
            }
        }
    }
}

impl<F: Files> Cutting<'_, F> {
    /// Goes a part of the way to where the lane begins.
    fn find_origin(&mut self) -> Walk {
        self.try_find_origin().unwrap_or_else(Walk::Not)
    }

    fn try_find_origin(&mut self) -> Result<Walk, Outcome> {
        self.header()?;
        let beginning = self.beginning()?;
        if beginning.is_empty() {
            return Ok(Walk::There);
        }
        let known = match &self.lane.origin {
            Origin::Settled => return Ok(Walk::There),
            Origin::Found(known, head) if *head == content::head(&beginning) => known.clone(),
            // It has grown since, or nobody has asked.
            Origin::New | Origin::Asked | Origin::Found(..) => return Ok(Walk::Ask(beginning)),
        };
        let content = self.content()?;
        let Some(wanted) = known.bytes_behind(content.prefix()) else { return Ok(Walk::There) };
        let position = self.lane.position;
        let mut bytes = Vec::new();
        self.read(position, wanted, &mut bytes)?;
        let found = known.behind(content.prefix(), &bytes);
        let reached = match &found {
            Behind::Slice(slice) => position + slice.length,
            _ => position,
        };
        if !self.files.confirm(self.lane.id, reached) {
            return Err(Outcome::Later);
        }
        // What this engine has begun itself goes on where it was, whatever else is stored.
        let goes_on = position > self.lane.begin && self.lane.number.is_none();
        Ok(match found {
            // The journal can forget where it was once that is all stored.
            Behind::Slice(_) if self.lane.planned_now() > 0 => {
                self.lane.failed(self.now);
                return Err(Outcome::Later);
            }
            Behind::Slice(slice) => {
                let mut content = content;
                content.pass(&bytes[..slice.length as usize]);
                content.is_found_by(slice.head);
                (self.lane.position, self.lane.content) = (reached, Some(content));
                Walk::On
            }
            Behind::TooLittle if goes_on && !bytes.is_empty() => Walk::Waits,
            Behind::Parts { seeds } if goes_on => {
                let name = &self.lane.name;
                tracing::info!("{name}: it begins as what was stored before, goes on otherwise, and is read whole");
                self.begin_anew(known.seed(&seeds).unwrap_or_default())?;
                Walk::On
            }
            Behind::Nothing | Behind::TooLittle | Behind::Parts { .. } => Walk::There,
        })
    }

    /// The first bytes of the content.
    fn beginning(&mut self) -> Result<Vec<u8>, Outcome> {
        let mut bytes = Vec::new();
        self.read(self.lane.reached.origin, FOLLOW_HEAD_BYTES, &mut bytes)?;
        if !self.files.confirm(self.lane.id, self.lane.position) {
            return Err(Outcome::Later);
        }
        Ok(bytes)
    }

    /// It is a content of its own from its first byte on.
    fn begin_anew(&mut self, seed: u64) -> Result<(), Outcome> {
        let (begin, origin) = (self.lane.begin, self.lane.reached.origin);
        let mut bytes = Vec::new();
        self.read(origin, (begin - origin) as usize, &mut bytes)?;
        if bytes.len() as u64 != begin - origin || !self.files.confirm(self.lane.id, begin) {
            return Err(Outcome::Later);
        }
        let mut content = Content::seeded(seed);
        content.pass(&bytes);
        (self.lane.position, self.lane.content) = (begin, Some(content));
        Ok(())
    }
}
