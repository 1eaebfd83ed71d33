//! Which point comes next: rounds over all points that need another sample, each round in another order drawn from the seed.
//!
//! So a drift of the machine, by heat or by its neighbours, falls on all points alike.

use rand_chacha::ChaCha8Rng;

use crate::measure::stats::coefficient_of_variation;
use crate::sweep::grid::Point;
