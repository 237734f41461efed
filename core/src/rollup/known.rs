//! Users whose first sighting the store is known to have, so that only new or earlier ones are sent.
//!
//! ClickHouse's table of first sightings is the truth, and takes the minimum of whatever it is sent: sending a sighting
//! again changes nothing, sending one too few would lose a user. So this is a cache that may forget and must not be
//! wrong: only what the store acknowledged goes in, and what does not fit is forgotten. It starts empty. Filling it from
//! the store would cost a read of all users at every start, a load of one file included; empty, it costs each user
//! being sent once more in the life of a process.
//!
//! Users are told apart by a hash of 128 bits, as in ClickHouse's `uniqExact`: a collision among a billion users has a
//! chance of 10^-21.

use std::hash::{BuildHasher, RandomState};

use super::sip::SipKey;

/// Users of a bucket.
const WAYS: usize = 8;
/// Buckets of an empty table, as a power of two.
const BUCKET_BITS_MIN: u32 = 6;
/// The time of an empty place: no event has it.
const EMPTY: i64 = i64::MAX;

/// The earliest event of a user of a product in a slice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sighting {
    /// Tells the user and product from all others.
    pub user: u128,
    /// Event time, in the unit of its column.
    pub time: i64,
    /// Its row of the batch.
    pub row: u32,
}

/// Keys that the users' hashes are made with and placed by: random, so that nobody can write logs whose users collide.
#[derive(Debug, Clone, Copy)]
pub struct UserKeys {
    /// Hashes products.
    pub(super) product: SipKey,
    place: [u64; 2],
}

impl UserKeys {
    /// Other keys at each call. Sightings and the users they are compared with must be of the same.
    pub fn random() -> UserKeys {
        let random = RandomState::new();
        let [a, b, c, d] = [0_u8, 1, 2, 3].map(|seed| random.hash_one(seed));
        UserKeys { product: SipKey([a, b]), place: [c, d] }
    }

    /// Where a user stands in a table; the upper bits are as good as the lower.
    #[inline]
    pub(super) fn place(&self, user: u128) -> u64 {
        let low = u128::from(user as u64 ^ self.place[0]);
        let high = u128::from((user >> 64) as u64 ^ self.place[1]);
        let product = low * high;
        product as u64 ^ (product >> 64) as u64
    }
}

/// The users whose first sightings were acknowledged, as far as they fit.
#[derive(Debug)]
pub struct KnownUsers {
    keys: UserKeys,
    buckets: Vec<Bucket>,
    bucket_bits: u32,
    bucket_bits_max: u32,
    users: usize,
    /// Which place of a full bucket is taken next.
    victim: usize,
}

/// Users whose places begin with the same bits. The halves of their hashes lie apart, so that a search reads one line of
/// the cache.
#[derive(Debug, Clone, Copy)]
struct Bucket {
    low: [u64; WAYS],
    high: [u64; WAYS],
    time: [i64; WAYS],
}

impl Bucket {
    const FREE: Bucket = Bucket { low: [0; WAYS], high: [0; WAYS], time: [EMPTY; WAYS] };

    #[inline]
    fn find(&self, user: u128) -> Option<usize> {
        let (low, high) = (user as u64, (user >> 64) as u64);
        (0..WAYS).find(|&way| self.low[way] == low && self.high[way] == high && self.time[way] != EMPTY)
    }

    fn put(&mut self, way: usize, user: u128, time: i64) {
        (self.low[way], self.high[way], self.time[way]) = (user as u64, (user >> 64) as u64, time);
    }
}

impl KnownUsers {
    /// An empty table that grows to at most `bytes_max`; while it grows it takes half as much again.
    pub fn new(keys: UserKeys, bytes_max: usize) -> KnownUsers {
        let buckets_max = (bytes_max / size_of::<Bucket>()).max(1);
        let bucket_bits_max = buckets_max.ilog2();
        let bucket_bits = BUCKET_BITS_MIN.min(bucket_bits_max);
        let buckets = vec![Bucket::FREE; 1 << bucket_bits];
        KnownUsers { keys, buckets, bucket_bits, bucket_bits_max, users: 0, victim: 0 }
    }

    /// The keys that sightings must be made with.
    pub fn keys(&self) -> UserKeys {
        self.keys
    }

    /// Forgets everybody: the store may have lost what it acknowledged.
    pub fn clear(&mut self) {
        self.buckets.fill(Bucket::FREE);
        self.users = 0;
    }

    /// Bytes that the table takes.
    pub fn bytes(&self) -> usize {
        self.buckets.len() * size_of::<Bucket>()
    }

    /// The time of the user's earliest acknowledged sighting, if it is remembered.
    #[inline]
    pub fn first(&self, user: u128) -> Option<i64> {
        let bucket = &self.buckets[self.bucket_of(user)];
        bucket.find(user).map(|way| bucket.time[way])
    }

    /// Remembers a sighting that was acknowledged.
    pub fn acknowledge(&mut self, sighting: &Sighting) {
        let Sighting { user, time, .. } = *sighting;
        let bucket = self.bucket_of(user);
        if let Some(way) = self.buckets[bucket].find(user) {
            let first = &mut self.buckets[bucket].time[way];
            *first = time.min(*first);
            return;
        }
        // Half full, one user of a hundred finds a full bucket.
        if self.users * 2 >= self.buckets.len() * WAYS && self.bucket_bits < self.bucket_bits_max {
            self.grow();
        }
        let bucket = self.bucket_of(user);
        let free = self.buckets[bucket].time.iter().position(|&time| time == EMPTY);
        let way = free.unwrap_or_else(|| {
            self.victim = (self.victim + 1) % WAYS;
            self.victim
        });
        self.users += usize::from(free.is_some());
        self.buckets[bucket].put(way, user, time);
    }

    #[inline]
    fn bucket_of(&self, user: u128) -> usize {
        // Of no bits there is no shift by 64.
        (self.keys.place(user) >> 1 >> (63 - self.bucket_bits)) as usize
    }

    /// Twice the buckets: each one's users go to two, by the next bit of their places.
    fn grow(&mut self) {
        let grown = vec![Bucket::FREE; self.buckets.len() * 2];
        let buckets = std::mem::replace(&mut self.buckets, grown);
        self.bucket_bits += 1;
        for bucket in buckets {
            for way in (0..WAYS).filter(|&way| bucket.time[way] != EMPTY) {
                let user = u128::from(bucket.high[way]) << 64 | u128::from(bucket.low[way]);
                let place = self.bucket_of(user);
                self.buckets[place].put(way, user, bucket.time[way]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    fn user(n: u64) -> u128 {
        super::super::sip::sip128(SipKey::ZERO, &n.to_le_bytes())
    }

    fn sighting(n: u64, time: i64) -> Sighting {
        Sighting { user: user(n), time, row: 0 }
    }

    #[test]
    fn the_earliest_acknowledged_time_counts() {
        let mut known = KnownUsers::new(UserKeys::random(), 1 << 20);
        assert_eq!(known.first(user(1)), None);
        for (time, first) in [(50, 50), (70, 50), (20, 20), (20, 20)] {
            known.acknowledge(&sighting(1, time));
            assert_eq!(known.first(user(1)), Some(first));
        }
        assert_eq!(known.first(user(2)), None);
    }

    #[test]
    fn cleared_it_knows_nobody_and_learns_again() {
        let mut known = KnownUsers::new(UserKeys::random(), 1 << 20);
        (0..5_000).for_each(|n| known.acknowledge(&sighting(n, 7)));
        known.clear();
        assert!((0..5_000).all(|n| known.first(user(n)).is_none()));
        (0..5_000).for_each(|n| known.acknowledge(&sighting(n, 9)));
        assert_eq!(known.first(user(4_999)), Some(9));
    }

    #[test]
    fn users_whose_hashes_share_a_half_are_told_apart() {
        let mut known = KnownUsers::new(UserKeys::random(), 1 << 20);
        known.acknowledge(&Sighting { user: 7 << 64 | 9, time: 1, row: 0 });
        assert_eq!(known.first(7 << 64 | 8), None);
        assert_eq!(known.first(6 << 64 | 9), None);
        assert_eq!(known.first(0), None, "an empty place is nobody's");
    }

    #[test]
    fn it_grows_with_its_users_and_remembers_them() {
        let mut known = KnownUsers::new(UserKeys::random(), 48 << 20);
        let small = known.bytes();
        assert!(small < 64 << 10, "{small} bytes for nobody");
        for n in 0..100_000 {
            known.acknowledge(&sighting(n, n as i64));
        }
        let remembered = (0..100_000).filter(|&n| known.first(user(n)) == Some(n as i64)).count();
        // A bucket may be full while the table is not.
        assert!(remembered > 95_000, "{remembered} of 100,000");
        assert!(known.bytes() <= 100_000 * 24 * 4, "{} bytes", known.bytes());
    }

    #[test]
    fn full_it_forgets_and_is_never_wrong() {
        for bytes_max in [0, 192, 64 << 10] {
            let mut known = KnownUsers::new(UserKeys::random(), bytes_max);
            let mut truth: HashMap<u64, i64> = HashMap::new();
            for round in 0..3 {
                for n in 0..5_000 {
                    let time = (n as i64 * 7919 + round * 104_729) % 1000;
                    known.acknowledge(&sighting(n, time));
                    let first = truth.entry(n).or_insert(time);
                    *first = time.min(*first);
                    assert!(known.first(user(n)).is_some(), "just acknowledged");
                }
            }
            assert!(known.bytes() <= bytes_max.max(192), "{} bytes of {bytes_max}", known.bytes());
            // What is forgotten and comes back later may be remembered with a later time, never with an earlier one.
            for (n, first) in truth {
                assert!(known.first(user(n)).is_none_or(|remembered| remembered >= first));
            }
        }
    }
}
