use longshore_core::config::{self, Env};
use longshore_core::decode::{Decoder, Scratch};
use longshore_core::product::Dictionary;
use longshore_core::simd::Kernels;
use longshore_core::slice::{Slice, SliceId};
use std::path::Path;
use std::sync::Arc;
#[global_allocator]
static GLOBAL: mimalloc::MiMalloc = mimalloc::MiMalloc;
fn main() {
    let args: Vec<String> = std::env::args().collect();
    let config = config::parse(&std::fs::read_to_string(&args[1]).unwrap(), Path::new("x"), &Env::new())
        .unwrap_or_else(|e| panic!("{e:?}"));
    let dictionary =
        || std::fs::read("/work/main/target/bench/products.csv").ok().map(|b| Dictionary::parse_csv(&b, "p").unwrap());
    let mb: usize = args[3].parse().unwrap();
    let slice_bytes: usize = std::env::var("SLICE").map_or(24 << 20, |s| s.parse::<usize>().unwrap() << 10);
    use std::io::Read;
    let mut all = vec![];
    std::fs::File::open(&args[2]).unwrap().take((mb << 20) as u64).read_to_end(&mut all).unwrap();
    let end = all.iter().rposition(|&b| b == b'\n').unwrap() + 1;
    all.truncate(end);
    let mut slices = vec![];
    let mut at = 0;
    while at < all.len() {
        let e = (at + slice_bytes).min(all.len());
        let e = all[at..e].iter().rposition(|&b| b == b'\n').unwrap() + 1 + at;
        slices.push(Slice {
            id: SliceId(1),
            source: Arc::from("x"),
            start: 0,
            bytes: all[at..e].to_vec(),
            header: None,
            tail: None,
        });
        at = e;
    }
    for name in args[4].split(',') {
        let (kernels, careful) = match name {
            "careful" => (Kernels::widest(), true),
            n => (Kernels::named(n).unwrap(), false),
        };
        let mut decoder = Decoder::new(&config, None, dictionary()).unwrap().with_kernels(kernels);
        if careful {
            decoder = decoder.careful();
        }
        let mut scratch =
            if std::env::var("SORTED").is_ok() { Scratch::new(&decoder) } else { Scratch::new(&decoder).unsorted() };
        let mut rates = vec![];
        for _ in 0..args[5].parse().unwrap() {
            let t = cpu();
            let mut rows = 0;
            let mut dead = 0;
            for s in &slices {
                let d = decoder.decode(s, &mut scratch);
                rows += d.batch.num_rows();
                dead += d.dead.len();
                scratch.recycle(d.batch);
            }
            let dt = cpu() - t;
            rates.push(all.len() as f64 / dt / 1e6);
            std::hint::black_box((rows, dead));
        }
        rates.sort_by(f64::total_cmp);
        println!("{name}: median {:.0} max {:.0} MB/s", rates[rates.len() / 2], rates[rates.len() - 1]);
    }
}

fn cpu() -> f64 {
    longshore_benches::clock::thread_cpu_seconds()
}
