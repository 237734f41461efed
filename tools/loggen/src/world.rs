//! The world that the log describes: products, their channels, their users. Skewed as such logs are: the
//! first product has the most traffic, a few channels bring most users, old users are busier than new ones.

use crate::rng::{Rng, mix};

/// Channels one product has.
pub(crate) const CHANNELS_PER_PRODUCT: usize = 40;
/// Channel numbers go from 0 to here, so products share some channels and not others.
const CHANNEL_NUMBERS: u64 = 120;
/// Entries of the weighted look-up tables: a pick is one random number and one load.
const TABLE_LEN: usize = 4096;
/// Ids of one product's own users start at (product + 1) times this; below it lie users of several products.
const IDS_PER_PRODUCT: u64 = 1_000_000_000;
/// Within a product's ids, those of users made up for a first event (see `block`) start here.
const DEBUT_IDS_START: u64 = 500_000_000;
/// One user in this many uses several products under one id.
const SHARED_USER_EVERY: u64 = 10;
/// Share of a product's users who are known when the log starts, in percent; the others arrive evenly.
const USERS_AT_START_PERCENT: u64 = 15;
/// Salt of what belongs to a user's own traits.
const PERSON_SALT: u64 = 0x7573_6572;

struct Product {
    users: u64,
    /// By rank: the first brings the most users.
    channels: [u16; CHANNELS_PER_PRODUCT],
}

/// Products, channels and users under one seed.
pub(crate) struct World {
    seed: u64,
    products: Vec<Product>,
    product_table: Vec<u8>,
    channel_rank_table: Vec<u8>,
}

impl World {
    pub(crate) fn new(seed: u64, products: u32, users: u64) -> World {
        let product_table = zipf_table(products as usize);
        let products = (0..products as usize).map(|number| {
            let entries = product_table.iter().filter(|entry| usize::from(**entry) == number).count() as u64;
            Product { users: (users * entries / TABLE_LEN as u64).max(1), channels: channels(seed, number as u64) }
        });
        World {
            seed,
            products: products.collect(),
            channel_rank_table: zipf_table(CHANNELS_PER_PRODUCT),
            product_table,
        }
    }

    pub(crate) fn products(&self) -> usize {
        self.products.len()
    }

    pub(crate) fn pick_product(&self, rng: &mut Rng) -> u8 {
        self.product_table[rng.below(TABLE_LEN as u64) as usize]
    }

    /// A user of the product, `index` of `records` into the file: as the file goes on, more users exist. A
    /// third of the records come from the newest users, so that first events spread over the whole file.
    pub(crate) fn pick_user(&self, rng: &mut Rng, product: u8, index: u64, records: u64) -> u64 {
        let users = self.products[usize::from(product)].users;
        let arrived = u128::from(users) * u128::from(100 - USERS_AT_START_PERCENT) * u128::from(index)
            / u128::from(records.max(1));
        let active = ((u128::from(users * USERS_AT_START_PERCENT) + arrived) / 100).max(1) as u64;
        // The smaller of two uniform picks: the density falls evenly from the front to nothing.
        let slot = if rng.below(3) == 0 {
            let window = (users / 50).clamp(1, active);
            active - 1 - rng.below(window).min(rng.below(window))
        } else {
            rng.below(active).min(rng.below(active))
        };
        if slot % SHARED_USER_EVERY == 0 { slot } else { own_ids(product) + slot }
    }

    /// A user who has no record before `index`.
    pub(crate) fn debut_user(&self, product: u8, index: u64) -> u64 {
        own_ids(product) + DEBUT_IDS_START + index % DEBUT_IDS_START
    }

    /// 64 bits of a user's own.
    pub(crate) fn person(&self, user: u64) -> u64 {
        mix(self.seed ^ PERSON_SALT, user)
    }

    /// A channel of the product: most often the one that the user prefers.
    pub(crate) fn pick_channel(&self, rng: &mut Rng, product: u8, person: u64) -> u16 {
        let pick = if rng.below(10) < 7 { mix(person, u64::from(product)) } else { rng.next() };
        let rank = self.channel_rank_table[pick as usize % TABLE_LEN];
        self.products[usize::from(product)].channels[usize::from(rank)]
    }

    /// A channel of the product that is not `channel`.
    pub(crate) fn other_channel(&self, rng: &mut Rng, product: u8, channel: u16) -> u16 {
        let channels = &self.products[usize::from(product)].channels;
        let rank = channels.iter().position(|candidate| *candidate == channel).unwrap_or(0);
        channels[(rank + 1 + rng.below(CHANNELS_PER_PRODUCT as u64 - 1) as usize) % CHANNELS_PER_PRODUCT]
    }
}

fn own_ids(product: u8) -> u64 {
    (u64::from(product) + 1) * IDS_PER_PRODUCT
}

/// The numbers of a product's channels, shuffled.
fn channels(seed: u64, product: u64) -> [u16; CHANNELS_PER_PRODUCT] {
    let mut rng = Rng::new(mix(seed, 0x6368), product);
    let mut numbers: Vec<u16> = (0..CHANNEL_NUMBERS as u16).collect();
    std::array::from_fn(|_| {
        let at = rng.below(numbers.len() as u64) as usize;
        numbers.swap_remove(at)
    })
}

/// A table in which rank k of `ranks` (at most 98) fills a share of the entries near 1/(k+1) and at least one.
fn zipf_table(ranks: usize) -> Vec<u8> {
    const PRECISION: u64 = 1 << 32;
    let total: u64 = (1..=ranks as u64).map(|rank| PRECISION / rank).sum();
    let mut table = Vec::with_capacity(TABLE_LEN);
    let mut below = 0u64;
    for rank in 0..ranks {
        below += PRECISION / (rank as u64 + 1);
        let end = (below as u128 * TABLE_LEN as u128 / total as u128) as usize;
        table.resize(end, rank as u8);
    }
    table
}

/// The product dictionary as CSV: id, name, family, owner, region.
pub(crate) fn products_csv(products: u32) -> String {
    const NAMES: [&str; 8] = [
        "Harbor Shop",
        "Pier Video",
        "Lighthouse News",
        "Anchor Pay",
        "Crane Games",
        "Buoy Music",
        "Ferry Travel",
        "Dock Mail",
    ];
    const FAMILIES: [&str; 4] = ["commerce", "media", "finance", "services"];
    const OWNERS: [&str; 5] = ["lin.wei", "maria.santos", "k.okafor", "j.dubois", "\"Team Quay, EMEA\""];
    const REGIONS: [&str; 4] = ["cn", "apac", "emea", "amer"];
    let mut csv = String::from("id,name,family,owner,region\n");
    for number in 0..products as usize {
        let round = number / NAMES.len();
        let suffix = if round == 0 { String::new() } else { format!(" {}", round + 1) };
        csv.push_str(&format!(
            "p{:02},{}{suffix},{},{},{}\n",
            number + 1,
            NAMES[number % NAMES.len()],
            FAMILIES[number % FAMILIES.len()],
            OWNERS[number % OWNERS.len()],
            REGIONS[number % REGIONS.len()],
        ));
    }
    csv
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zipf_tables_are_full_skewed_and_forget_nobody() {
        for ranks in [1, 2, 8, 40, 98] {
            let table = zipf_table(ranks);
            let entries = |rank: usize| table.iter().filter(|entry| usize::from(**entry) == rank).count();
            assert_eq!(table.len(), TABLE_LEN);
            assert!((0..ranks).all(|rank| entries(rank) > 0));
            assert!(ranks == 1 || entries(0).abs_diff(2 * entries(1)) <= 2);
        }
    }

    #[test]
    fn a_product_has_forty_different_channels_and_another_channel_differs() {
        let world = World::new(3, 8, 1_000);
        let mut rng = Rng::new(3, 3);
        for product in &world.products {
            let mut channels = product.channels.to_vec();
            channels.sort_unstable();
            channels.dedup();
            assert_eq!(channels.len(), CHANNELS_PER_PRODUCT);
        }
        let first = world.products[2].channels[0];
        assert!((0..1_000).all(|_| world.other_channel(&mut rng, 2, first) != first));
    }

    #[test]
    fn the_number_of_users_grows_as_the_file_goes_on() {
        let world = World::new(3, 1, 10_000);
        let mut rng = Rng::new(3, 3);
        let mut highest = |index| (0..20_000).map(|_| world.pick_user(&mut rng, 0, index, 100) % IDS_PER_PRODUCT).max();
        assert!(highest(0) < Some(1_500));
        assert!(highest(99) > Some(9_500) && highest(99) < Some(10_000));
    }
}
