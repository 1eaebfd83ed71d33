//! The planner: the integer program on 20 models of 200 layouts each, and a year of a hundred of the notes' machines.

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use sealbench::measure::stats::bootstrap::SplitMix64;
use sealbench::plan::planner::plan;
use sealbench::plan::scenario::Scenario;
use sealbench::plan::simulate::simulate;
use sealbench::plan::solve::{Model, Problem, solve};

const MODELS: usize = 20;
const LAYOUTS: usize = 200;

/// Steps that the planner allows.
const NODES: u64 = 6_000_000;

/// The gap that must be reached.
const MOST_GAP: f64 = 0.01;

/// Models whose layouts trade one stage for the other along a curve, with prices about their strength.
fn problem(seed: u64) -> Problem {
    let mut rng = SplitMix64::new(seed);
    let models = (0..MODELS).map(|_| {
        let strength = 1.0 + rng.unit() * 3.0;
        let price = (strength * 800_000.0 * (0.85 + 0.3 * rng.unit())).round() as i64;
        let bend = 0.7 + rng.unit() * 0.8;
        let mut layout = |index: usize| {
            let x = index as f64 / (LAYOUTS - 1) as f64;
            let jitter = 1.0 - 0.02 * rng.unit();
            vec![strength * (1.0 - x).powf(bend) * jitter, strength * 1.4 * x.powf(bend) * jitter]
        };
        Model {
            layouts: (0..LAYOUTS).map(&mut layout).collect(),
            spares: 1,
            owned: (rng.unit() * 3.0) as u32,
            available: 1000,
            each: [130_000, 1, 900],
            bought: [price, 0, 0],
        }
    });
    Problem { demand: vec![65.0, 65.0], models: models.collect() }
}

fn planner(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("plan");
    group.sample_size(10).warm_up_time(Duration::from_secs(1));
    for seed in [1, 4, 8] {
        let problem = problem(seed);
        let answer = solve(&problem, NODES).expect("all can be had");
        println!(
            "seed {seed}: gap {:.4} %, {} steps, proven: {}",
            answer.gap() * 100.0,
            answer.nodes,
            answer.is_proven
        );
        assert!(answer.gap() <= MOST_GAP, "seed {seed}: the gap is {}", answer.gap());
        group.bench_function(format!("20 models of 200 layouts, seed {seed}"), |bencher| {
            bencher.iter(|| solve(black_box(&problem), NODES).expect("all can be had").gap());
        });
    }
    let text = include_str!("../params/scenarios/field-notes-2020.toml");
    // 1 PiB in 14.5 days takes 59 machines of 128 cores and 41 of 64 cores.
    let scenario = Scenario::parse(&text.replace("per 21 days", "per 14.5 days")).expect("the example is right");
    let purchase = plan(&scenario, Vec::new()).expect("the example can be bought").purchase;
    assert_eq!(purchase.total, 100);
    group.bench_function("a year of 100 machines", |bencher| {
        bencher.iter(|| simulate(&scenario, black_box(&purchase), 365, 1).expect("it is small").events);
    });
    group.finish();
}

criterion_group!(benches, planner);
criterion_main!(benches);
