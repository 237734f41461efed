//! Deeply nested records, as mobile SDKs send them: objects up to nine deep, arrays of objects between, of which a
//! config declares twelve leaves.

use std::fmt::Write as _;
use std::path::Path;

use super::{SEED, event_time, uuid};
use crate::rng::Rng;

const CITIES: [(&str, &str); 5] =
    [("CN", "Shanghai"), ("BR", "São Paulo"), ("US", "Austin"), ("DE", "Köln"), ("IN", "Pune")];
const SYSTEMS: [&str; 3] = ["android", "ios", "harmony"];
const MODELS: [&str; 4] = ["Pixel 9", "iPhone17,2", "SM-S931B", "ALN-AL80"];

pub(super) fn records(records: u64, _: &Path) -> Vec<u8> {
    let mut rng = Rng::new(SEED);
    let mut out = String::with_capacity(records as usize * 900);
    for record in 0..records {
        let time = event_time(record, &mut rng);
        write!(out, r#"{{"ts":{time},"id":"{}","context":"#, uuid(&mut rng)).expect("a string takes any text");
        context(&mut rng, &mut out).expect("a string takes any text");
        out.push_str(r#","items":["#);
        for item in 0..rng.below(4) {
            out.push_str(if item > 0 { "," } else { "" });
            self::item(&mut rng, &mut out).expect("a string takes any text");
        }
        let (span, sampled) = (rng.bits(), rng.below(2) == 1);
        writeln!(
            out,
            r#"],"trace":{{"span":{{"id":"{span:016x}","parent":{{"link":{{"root":{{"scope":{{"meta":{{"flags":{{"sampled":{sampled}}}}}}}}}}}}}}}}}}}"#
        )
        .expect("a string takes any text");
    }
    out.into_bytes()
}

fn context(rng: &mut Rng, out: &mut String) -> std::fmt::Result {
    let (minor, build) = (rng.below(20), 1_000 + rng.below(500));
    write!(
        out,
        r#"{{"app":{{"name":"harbor","version":"5.{minor}.1","build":{{"number":{build},"channel":"stable"}}}},"#
    )?;
    let (model, os, major) = (rng.pick(&MODELS), rng.pick(&SYSTEMS), 10 + rng.below(9));
    write!(
        out,
        r#""device":{{"model":"{model}","os":{{"name":"{os}","version":{{"major":{major},"patch":[1,0,{minor}]}}}},"#
    )?;
    let density = [1.5, 2.0, 2.75, 3.0][rng.below(4) as usize];
    write!(out, r#""screen":{{"width":1080,"height":2400,"density":{density}}}}},"#)?;
    let (country, city) = CITIES[rng.below(CITIES.len() as u64) as usize];
    let (latitude, longitude) = (rng.below(80), rng.below(170));
    let digits = rng.below(10_000);
    write!(
        out,
        r#""geo":{{"country":"{country}","city":{{"name":"{city}","location":{{"lat":{latitude}.{digits:04},"lon":-{longitude}.{digits:04}}}}}}}}}"#
    )
}

fn item(rng: &mut Rng, out: &mut String) -> std::fmt::Result {
    let (sku, cents, width) = (rng.below(100_000), rng.below(100_000), rng.below(90));
    write!(
        out,
        r#"{{"sku":"SKU-{sku:05}","price":{}.{:02},"tags":["new","sale"],"dims":{{"box":{{"cm":[{width},12,7]}}}}}}"#,
        cents / 100,
        cents % 100
    )
}
