//! Asks the ledger what is stored of new files, on a thread of its own: ClickHouse may be away for hours.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use longshore_ingest::files::LookUp;
use longshore_ingest::known::KnownSlice;
use longshore_sinks::clickhouse::ClickHouse;

/// See the [module](self).
pub(super) struct LedgerLookUp {
    questions: Sender<Vec<u64>>,
    answers: Receiver<Vec<KnownSlice>>,
}

impl LedgerLookUp {
    /// Starts the thread, which ends once this is dropped and the question that it asks was answered or failed.
    pub(super) fn start(client: ClickHouse) -> std::io::Result<LedgerLookUp> {
        let (questions, to_ask) = channel::<Vec<u64>>();
        let (answered, answers) = channel();
        std::thread::Builder::new().name("look-up".to_owned()).spawn(move || {
            for heads in to_ask {
                let answer = loop {
                    match client.known_slices(&heads) {
                        Ok(answer) => break answer,
                        Err(error) => tracing::warn!(
                            "looking up what is stored of new files: {error}; they are read once it is known, and it is \
                             asked again in {} s",
                            AGAIN_AFTER.as_secs()
                        ),
                    }
                    std::thread::sleep(AGAIN_AFTER);
                };
                if answered.send(answer).is_err() {
                    return;
                }
            }
        })?;
        Ok(LedgerLookUp { questions, answers })
    }
}

impl LookUp for LedgerLookUp {
    fn ask(&mut self, heads: Vec<u64>) {
        // The thread lives as long as this does.
        let _ = self.questions.send(heads);
    }

    fn answer(&mut self) -> Option<Vec<KnownSlice>> {
        self.answers.try_recv().ok()
    }
}

/// How long ClickHouse is left alone when it did not answer.
const AGAIN_AFTER: Duration = Duration::from_secs(2);
