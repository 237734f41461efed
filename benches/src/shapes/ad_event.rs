//! Short ad events: seven strings, as in the Yahoo streaming benchmark (Chintapalli et al., 2016).

use std::fmt::Write as _;
use std::path::Path;

use super::{SEED, event_time, uuid};
use crate::rng::Rng;

const AD_TYPES: [&str; 5] = ["banner", "modal", "sponsored-search", "mail", "mobile"];
const EVENT_TYPES: [&str; 3] = ["view", "click", "purchase"];
/// Pages, ads and users that are drawn from.
const PAGES: usize = 100;
const ADS: usize = 1_000;
const USERS: usize = 10_000;

pub(super) fn records(records: u64, _: &Path) -> Vec<u8> {
    let mut rng = Rng::new(SEED);
    let mut ids = |count| (0..count).map(|_| uuid(&mut rng)).collect::<Vec<String>>();
    let (pages, ads, users) = (ids(PAGES), ids(ADS), ids(USERS));
    let mut out = String::with_capacity(records as usize * 280);
    for record in 0..records {
        let user = &users[rng.below(USERS as u64) as usize];
        let page = &pages[rng.below(PAGES as u64) as usize];
        let ad = &ads[rng.below(ADS as u64) as usize];
        let (ad_type, event_type) = (rng.pick(&AD_TYPES), rng.pick(&EVENT_TYPES));
        let time = event_time(record, &mut rng);
        let [a, b, c, d] = (rng.bits() as u32).to_be_bytes();
        writeln!(
            out,
            r#"{{"user_id":"{user}","page_id":"{page}","ad_id":"{ad}","ad_type":"{ad_type}","event_type":"{event_type}","event_time":"{time}","ip_address":"{a}.{b}.{c}.{d}"}}"#
        )
        .expect("a string takes any text");
    }
    out.into_bytes()
}
