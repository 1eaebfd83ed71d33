//! Groups: the instances that work on a volume. p1, p2 and c1 of a sector are done on one volume, so a volume with instances of p1 has its own of p2,
//! and a machine puts out the sum of what its groups put out.

use serde::Serialize;

/// The instances that work on a volume.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Group {
    /// Which volume; `None` on a machine whose volumes are not known.
    pub volume: Option<usize>,
    /// Instances of the first lane, and of the second if two do what comes before p4.
    pub instances: [u32; 2],
    /// What they put out, sectors per hour.
    pub per_h: f64,
}

/// What a volume takes.
#[derive(Clone, Copy, Debug)]
pub struct Room {
    /// Which volume.
    pub volume: Option<usize>,
    /// The most instances of each lane.
    pub most: [u32; 2],
    /// The most sectors per hour.
    pub per_h: f64,
}

/// What the groups on the first volumes put out together, and the sum of the squares: of equal outputs the most even is taken.
#[derive(Clone, Copy, Debug, Default)]
struct Value {
    per_h: f64,
    squares: f64,
}

impl Value {
    fn with(self, group: &Group) -> Value {
        Value { per_h: self.per_h + group.per_h, squares: self.squares + group.per_h * group.per_h }
    }

    fn is_above(self, other: Value) -> bool {
        let slack = 1e-12 * other.per_h;
        self.per_h > other.per_h + slack
            || self.per_h >= other.per_h - slack && self.squares < other.squares * (1.0 - 1e-12)
    }
}

/// The best groups for every number of instances, by dynamic programming over the volumes: a volume more is one that may stay empty, so it never
/// makes them worse.
#[derive(Debug)]
pub struct Spread {
    rooms: Vec<Room>,
    /// By volume: the groups that are worth having on it, with no instance too many.
    ways: Vec<Vec<Group>>,
    /// By volume: the best value of those before it, by instances; empty for the first, before which there is nothing.
    before: Vec<Vec<Value>>,
    /// Columns of a table.
    width: usize,
}

impl Spread {
    /// For up to so many instances of one or two lanes that each put out so many sectors per hour.
    pub fn new(rooms: Vec<Room>, per_h: &[f64], most: [u32; 2]) -> Spread {
        let rooms: Vec<Room> = rooms.into_iter().map(|room| Room { most: least(room.most, most), ..room }).collect();
        let ways = rooms.iter().map(|room| ways(room, per_h)).collect();
        let width = most[1] as usize + 1;
        let mut spread = Spread { rooms, ways, before: vec![Vec::new()], width };
        for volume in 1..spread.rooms.len() {
            let cell = |first| (0..=most[1]).map(move |second| [first, second]);
            let table = (0..=most[0]).flat_map(cell).map(|left| spread.best(volume - 1, left).0).collect();
            spread.before.push(table);
        }
        spread
    }

    /// The best value of the volumes up to this one with so many instances, and the group on it.
    fn best(&self, volume: usize, left: [u32; 2]) -> (Value, Option<&Group>) {
        let table = &self.before[volume];
        let before =
            |left: [u32; 2]| table.get(left[0] as usize * self.width + left[1] as usize).copied().unwrap_or_default();
        let mut best = (before(left), None);
        for way in &self.ways[volume] {
            let Some(rest) = less(left, way.instances) else { continue };
            let value = before(rest).with(way);
            if value.is_above(best.0) {
                best = (value, Some(way));
            }
        }
        best
    }

    /// The groups that put out most with at most so many instances.
    pub fn groups(&self, counts: [u32; 2]) -> Vec<Group> {
        let mut left = counts;
        let mut groups = Vec::new();
        for volume in (0..self.rooms.len()).rev() {
            if let Some(group) = self.best(volume, left).1 {
                left = less(left, group.instances).unwrap_or_default();
                groups.push(*group);
            }
        }
        groups.reverse();
        groups
    }

    /// The same with every instance on a volume: those that the best groups do not need join one that has room. `None` if none has.
    pub fn all(&self, counts: [u32; 2]) -> Option<Vec<Group>> {
        let mut groups = self.groups(counts);
        for (lane, count) in counts.into_iter().enumerate() {
            let placed: u32 = groups.iter().map(|group| group.instances[lane]).sum();
            for _ in placed..count {
                let most =
                    |group: &Group| self.rooms.iter().find(|room| room.volume == group.volume).map(|room| room.most);
                let has_room = |group: &&mut Group| most(group).is_some_and(|most| group.instances[lane] < most[lane]);
                groups.iter_mut().filter(has_room).min_by_key(|group| group.instances[lane])?.instances[lane] += 1;
            }
        }
        Some(groups)
    }
}

/// The groups that are worth having on a volume: each output that its instances can put out, with as few as do it.
fn ways(room: &Room, per_h: &[f64]) -> Vec<Group> {
    let output = |instances: [u32; 2]| {
        let lanes = per_h.iter().zip(instances).map(|(rate, count)| rate * f64::from(count));
        lanes.fold(room.per_h, f64::min)
    };
    let most = output(room.most);
    let mut ways: Vec<Group> = Vec::new();
    for (rate, count) in per_h.iter().zip(room.most) {
        for count in 1..=count {
            let goal = most.min(rate * f64::from(count));
            let mut instances = [0; 2];
            for (needed, rate) in instances.iter_mut().zip(per_h) {
                // A quotient that is whole but for rounding is whole.
                *needed = (goal / rate * (1.0 - 1e-12)).ceil() as u32;
            }
            ways.push(Group { volume: room.volume, instances, per_h: output(instances) });
            if goal >= most {
                break;
            }
        }
    }
    ways.sort_by_key(|way| way.instances);
    ways.dedup_by_key(|way| way.instances);
    ways
}

fn least(one: [u32; 2], other: [u32; 2]) -> [u32; 2] {
    [one[0].min(other[0]), one[1].min(other[1])]
}

fn less(from: [u32; 2], taken: [u32; 2]) -> Option<[u32; 2]> {
    Some([from[0].checked_sub(taken[0])?, from[1].checked_sub(taken[1])?])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn room(volume: usize, most: [u32; 2], per_h: f64) -> Room {
        Room { volume: Some(volume), most, per_h }
    }

    fn sum(groups: &[Group]) -> f64 {
        groups.iter().map(|group| group.per_h).sum()
    }

    /// The best output by looking at every way.
    fn best_of_all(rooms: &[Room], per_h: &[f64], left: [u32; 2]) -> f64 {
        let Some((room, rest)) = rooms.split_first() else { return 0.0 };
        let most = least(room.most, left);
        let pairs = (0..=most[0]).flat_map(|first| (0..=most[1]).map(move |second| [first, second]));
        let output = |counts: [u32; 2]| {
            let lanes = per_h.iter().zip(counts).map(|(rate, count)| rate * f64::from(count));
            lanes.fold(room.per_h, f64::min) + best_of_all(rest, per_h, less(left, counts).unwrap())
        };
        pairs.map(output).fold(0.0, f64::max)
    }

    #[test]
    fn p1_and_p2_of_a_volume_stand_together() {
        let rooms = vec![room(0, [1, 1], 9.0), room(1, [1, 1], 9.0), room(2, [9, 9], 0.5)];
        let spread = Spread::new(rooms, &[1.0, 2.0], [3, 3]);
        // Two p2 are worth most on the fast volumes, and a third p1 finds none beside it.
        assert_eq!((sum(&spread.groups([3, 2])), spread.all([3, 2])), (2.0, None));
        assert_eq!((sum(&spread.groups([3, 3])), spread.all([3, 3]).map(|groups| groups.len())), (2.5, Some(3)));
    }

    #[test]
    fn equal_outputs_are_spread_evenly_and_the_first_volumes_are_used() {
        let rooms = (0..3).map(|volume| room(volume, [9, 9], 9.0)).collect();
        let spread = Spread::new(rooms, &[1.0], [6, 0]);
        let counts =
            |n| spread.groups([n, 0]).iter().map(|group| (group.volume, group.instances[0])).collect::<Vec<_>>();
        assert_eq!(counts(6), [(Some(0), 2), (Some(1), 2), (Some(2), 2)]);
        assert_eq!(counts(1), [(Some(0), 1)]);
    }

    proptest! {
        #[test]
        fn no_other_spread_puts_out_more(
            rooms in proptest::collection::vec((0u32..4, 0u32..4, 1u32..9), 0..4),
            per_h in proptest::collection::vec(1u32..6, 1..3), counts in (0u32..5, 0u32..5),
        ) {
            let rooms = rooms.into_iter().enumerate();
            let rooms: Vec<Room> =
                rooms.map(|(volume, (a, b, per_h))| room(volume, [a, b], f64::from(per_h) / 3.0)).collect();
            let per_h: Vec<f64> = per_h.into_iter().map(|rate| f64::from(rate) / 7.0).collect();
            let counts = [counts.0, if per_h.len() > 1 { counts.1 } else { 0 }];
            let spread = Spread::new(rooms.clone(), &per_h, [4, 4]);
            let best = best_of_all(&rooms, &per_h, counts);
            prop_assert!((sum(&spread.groups(counts)) - best).abs() < 1e-9);
            if let Some(all) = spread.all(counts) {
                prop_assert!((sum(&all) - best).abs() < 1e-9);
                for (lane, count) in counts.into_iter().enumerate() {
                    prop_assert_eq!(all.iter().map(|group| group.instances[lane]).sum::<u32>(), count);
                    prop_assert!(all.iter().all(|group| group.instances[lane] <= rooms[group.volume.unwrap()].most[lane]));
                }
            }
        }
    }
}
