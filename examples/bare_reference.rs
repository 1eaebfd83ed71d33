//! The yardstick of the harness: rust-fil-proofs' P1, P2 and C1 called from a bare `main`.
//!
//!     cargo run --release --example bare_reference -- SEED-HEX [SECTOR-SIZE]
//!
//! Seals the sector that `sealbench run --engine reference --seed SEED-HEX` seals, in a scratch directory below `TMPDIR`, and
//! prints one line of JSON with the wall time of each phase in seconds. `RAYON_NUM_THREADS`, `taskset` and rust-fil-proofs'
//! own variables apply as they do to any program that links it.

use std::env;

use anyhow::{Context, bail};
use sealbench::sector::{SectorSize, Seed};
use serde_json::json;

#[path = "../benches/support/scratch.rs"]
mod scratch;
#[path = "../benches/support/seal.rs"]
mod seal;

fn main() -> anyhow::Result<()> {
    let (seed, size) = arguments()?;
    scratch::in_scratch(|dir| {
        let sealed = seal::seal(dir, size, &seed)?;
        let line = json!({
            "sector_size": size,
            "seed": seed,
            "threads": rayon::current_num_threads(),
            "comm_d": hex::encode(sealed.comm_d),
            "comm_r": hex::encode(sealed.comm_r),
            "p1_s": sealed.p1_s,
            "p2_s": sealed.p2_s,
            "c1_s": sealed.c1_s,
        });
        println!("{line}");
        Ok(())
    })
}

fn arguments() -> anyhow::Result<(Seed, SectorSize)> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let (seed, size) = match arguments.as_slice() {
        [seed] => (seed, "8MiB"),
        [seed, size] => (seed, size.as_str()),
        _ => bail!("usage: bare_reference SEED-HEX [SECTOR-SIZE]"),
    };
    let seed = seed.parse().map_err(anyhow::Error::msg).context("the first argument")?;
    let size = size.parse().map_err(anyhow::Error::msg).context("the second argument")?;
    Ok((seed, size))
}
