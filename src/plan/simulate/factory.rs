//! The machines at work.

use std::collections::VecDeque;

use super::events::{Calendar, Event};
use super::watch::Watched;
use super::{ENOUGH, Job, Level, NS, Scratch, Simulation, TRACE_DAYS, TRACE_JOBS, Utilisation};
use crate::measure::stats::bootstrap::SplitMix64;
use crate::phase::Phase;
use crate::plan::layout::{MachineLayout, parameter_bytes, slots};
use crate::plan::purchase::{Machines, Purchase};
use crate::plan::quantity::DAY_S;
use crate::plan::scenario::{ProvingPlace, Scenario};

/// Where a sector is. The order is that of its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    BeforeStart,
    P1,
    BeforeP2,
    P2,
    Seed,
    BeforeC1,
    C1,
    BeforeP4,
    P4,
    Moving,
}

const PLACES: [(Place, &str); 10] = [
    (Place::BeforeStart, "before the start"),
    (Place::P1, "p1"),
    (Place::BeforeP2, "before p2"),
    (Place::P2, "p2"),
    (Place::Seed, "wait for the seed"),
    (Place::BeforeC1, "before c1"),
    (Place::C1, "c1"),
    (Place::BeforeP4, "before p4"),
    (Place::P4, "p4"),
    (Place::Moving, "on the way to the shared storage"),
];

fn running(phase: Phase) -> Place {
    match phase {
        Phase::P1 => Place::P1,
        Phase::P2 => Place::P2,
        Phase::C1 => Place::C1,
        Phase::P4 => Place::P4,
    }
}

/// Nanoseconds of a time; what is longer than they can count never ends.
fn ns(seconds: f64) -> u64 {
    (seconds * NS) as u64
}

/// A sector that holds storage or waits for p4.
#[derive(Clone, Copy, Debug, Default)]
struct Sector {
    machine: u32,
    group: u32,
}

/// What an instance is at.
#[derive(Clone, Debug)]
struct Running {
    phase: Phase,
    sectors: Vec<u32>,
    length: u64,
    since: u64,
    /// Time for which it stood still while c1 ran.
    lost: u64,
}

/// An instance of a lane of a machine.
#[derive(Clone, Debug)]
struct Instance {
    machine: u32,
    lane: u32,
    /// Which of the lane.
    number: u32,
    /// Where its sectors are; p4 does not ask.
    group: u32,
    /// Jobs so far: tells a stopped job's end from that of the present one.
    job: u32,
    at_work: Option<Running>,
    /// Whether it is in a list of those that wait for sectors from elsewhere.
    is_listed: bool,
}

#[derive(Clone, Debug, Default)]
struct LaneState {
    instances: Vec<u32>,
    before_p4: VecDeque<u32>,
}

/// A volume with the sectors on it; a machine without volumes is like one that has room for all.
#[derive(Clone, Debug, Default)]
struct Group {
    /// Sectors for which it has room still.
    room: u32,
    /// Its instances of p2 and c1.
    second: Vec<u32>,
    before_p2: VecDeque<u32>,
    before_c1: VecDeque<u32>,
    /// Instances that wait for room.
    before_room: VecDeque<u32>,
}

#[derive(Clone, Debug)]
struct Machine {
    layout: u32,
    class: u32,
    is_up: bool,
    /// Whether it takes sectors from elsewhere; one in reserve does not.
    accepts: bool,
    lanes: Vec<LaneState>,
    /// By volume.
    groups: Vec<Group>,
    /// Instances that wait for the machine to accept sectors.
    parked: Vec<u32>,
}

/// A layout with what the simulation needs of it.
struct Plant<'a> {
    layout: &'a MachineLayout,
    class: u32,
    /// The lane in which sectors start, the one that does p2 and c1, the one that proves.
    start: Option<usize>,
    second: Option<usize>,
    prove: Option<usize>,
    /// Machines with this layout that are in reserve.
    reserve: Vec<u32>,
}

/// A model of the purchase.
struct Class<'a> {
    machines: &'a Machines,
    /// How many of its machines in reserve could take over now, each with any of its layouts.
    ready: u32,
}

/// The machines, the sectors and the calendar.
pub struct Factory<'a> {
    scenario: &'a Scenario,
    plants: Vec<Plant<'a>>,
    classes: Vec<Class<'a>>,
    machines: Vec<Machine>,
    instances: Vec<Instance>,
    sectors: Vec<Sector>,
    free: Vec<u32>,
    calendar: Calendar,
    rng: SplitMix64,
    now: u64,
    end: u64,
    steady: u64,
    arrivals: u64,
    waiting: u64,
    least_batch: u64,
    most_batch: u64,
    idle_starts: VecDeque<u32>,
    idle_provers: VecDeque<u32>,
    before_p4: VecDeque<u32>,
    writer_free: u64,
    reader_free: u64,
    places: Vec<Watched>,
    busy: Vec<Vec<Watched>>,
    scratch: Vec<Watched>,
    output: Vec<u32>,
    steady_output: u64,
    first_sector: Option<u64>,
    machine_failures: u64,
    failed_sectors: u64,
    trace: Vec<Job>,
    traced: Vec<Option<u32>>,
}

impl<'a> Factory<'a> {
    /// The machines of a purchase, empty.
    pub fn new(scenario: &'a Scenario, purchase: &'a Purchase, seconds: f64, seed: u64) -> Factory<'a> {
        let end = ns(seconds);
        let mut factory = Factory {
            scenario,
            plants: Vec::new(),
            classes: purchase.machines.iter().map(|machines| Class { machines, ready: machines.spares }).collect(),
            machines: Vec::new(),
            instances: Vec::new(),
            sectors: Vec::new(),
            free: Vec::new(),
            calendar: Calendar::default(),
            rng: SplitMix64::new(seed),
            now: 0,
            end,
            steady: 0,
            arrivals: 0,
            waiting: 0,
            least_batch: u64::MAX,
            most_batch: 1,
            idle_starts: VecDeque::new(),
            idle_provers: VecDeque::new(),
            before_p4: VecDeque::new(),
            writer_free: 0,
            reader_free: 0,
            places: vec![Watched::default(); PLACES.len()],
            busy: Vec::new(),
            scratch: vec![Watched::default(); purchase.machines.len()],
            output: vec![0; (seconds / DAY_S).ceil() as usize],
            steady_output: 0,
            first_sector: None,
            machine_failures: 0,
            failed_sectors: 0,
            trace: Vec::new(),
            traced: Vec::new(),
        };
        for (class, machines) in (0..).zip(&purchase.machines) {
            // A layout may need all that is in reserve.
            for count in &machines.layouts {
                factory.add_plant(&count.layout, class, count.machines, machines.spares);
            }
        }
        factory.steady = ns(3.0 * factory.way_s()).min(end / 2);
        factory
    }

    fn add_plant(&mut self, layout: &'a MachineLayout, class: u32, working: u32, spares: u32) {
        let lane = |phase: Phase| layout.lanes.iter().position(|lane| lane.phases.contains(&phase));
        let start = layout.lanes.iter().position(|lane| !lane.phases.contains(&Phase::P4));
        let plant =
            Plant { layout, class, start, second: lane(Phase::P2), prove: lane(Phase::P4), reserve: Vec::new() };
        if let Some(start) = plant.start {
            let batch = u64::from(layout.lanes[start].batch);
            self.least_batch = self.least_batch.min(batch);
            self.most_batch = self.most_batch.max(batch);
        }
        self.plants.push(plant);
        self.busy.push(vec![Watched::default(); layout.lanes.len()]);
        let number = self.plants.len() as u32 - 1;
        self.traced.push((working > 0).then_some(self.machines.len() as u32));
        for machine in 0..working + spares {
            self.add_machine(number, class, machine < working);
        }
    }

    fn add_machine(&mut self, layout: u32, class: u32, accepts: bool) {
        let number = self.machines.len() as u32;
        let plan = self.plants[layout as usize].layout;
        let sku = self.scenario.skus.iter().find(|sku| sku.name == plan.sku);
        let volumes = sku.map_or(&[][..], |sku| &sku.volumes);
        let group = |room: u32| Group { room, ..Group::default() };
        let mut groups: Vec<Group> = volumes.iter().map(|volume| group(slots(self.scenario, volume.size))).collect();
        if groups.is_empty() {
            groups.push(group(u32::MAX));
        }
        let mut lanes = vec![LaneState::default(); plan.lanes.len()];
        for set in &plan.core_sets {
            let (instance, volume) = (self.instances.len() as u32, set.volume.unwrap_or(0));
            lanes[set.lane].instances.push(instance);
            if plan.lanes[set.lane].does(Phase::P2) {
                groups[volume].second.push(instance);
            }
            self.instances.push(Instance {
                machine: number,
                lane: set.lane as u32,
                number: set.instance,
                group: volume as u32,
                job: 0,
                at_work: None,
                is_listed: false,
            });
        }
        self.machines.push(Machine { layout, class, is_up: true, accepts, lanes, groups, parked: Vec::new() });
        if !accepts {
            self.plants[layout as usize].reserve.push(number);
        }
    }

    /// The longest way of a sector that waits for nothing but the rest of its batch, seconds.
    fn way_s(&self) -> f64 {
        let lane_s = |of: fn(&Plant) -> Option<usize>| {
            let longest = self.plants.iter().filter_map(|plant| Some(plant.layout.lanes[of(plant)?].job_s));
            longest.fold(0.0, f64::max)
        };
        let seed = if self.scenario.plans(Phase::C1) { self.scenario.rules.wait_seed_s } else { 0.0 };
        let fill = (self.most_batch - 1) as f64 * 3600.0 / self.scenario.starts_per_h();
        let lanes = lane_s(|plant| plant.start) + lane_s(|plant| plant.second) + lane_s(|plant| plant.prove);
        fill + lanes + seed + self.move_s().unwrap_or(0.0)
    }

    /// How long a finished sector takes to the shared storage; `None` where nothing is moved or no rate is known.
    fn move_s(&self) -> Option<f64> {
        let needs = &self.scenario.needs;
        let write = self.scenario.shared.write.filter(|_| self.scenario.plans(Phase::P2))?;
        Some((needs.finished + needs.c1_output) / write)
    }

    /// Runs until the end.
    pub fn run(&mut self) {
        self.next_arrival();
        self.calendar.enter(self.steady, Event::Steady);
        for machine in 0..self.machines.len() as u32 {
            for lane in 0..self.machines[machine as usize].lanes.len() {
                for place in 0..self.machines[machine as usize].lanes[lane].instances.len() {
                    self.is_free(self.machines[machine as usize].lanes[lane].instances[place]);
                }
            }
            if self.machines[machine as usize].accepts {
                self.enter_failure(machine);
            }
        }
        while let Some((at, event)) = self.calendar.next() {
            if at > self.end {
                break;
            }
            self.now = at;
            self.happen(event);
        }
        self.now = self.end;
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Arrival => {
                self.enter_place(Place::BeforeStart, 1);
                if self.scenario.plans_precommit() {
                    self.waiting += 1;
                    self.start_waiting();
                } else {
                    let sector = self.new_sector(Sector::default());
                    self.leave_place(Place::BeforeStart, 1);
                    self.queue_p4(sector);
                }
                self.next_arrival();
            }
            Event::Done { instance, job } if self.instances[instance as usize].job == job => self.done(instance),
            Event::Done { .. } => {}
            Event::Seed(sector) => {
                self.leave_place(Place::Seed, 1);
                self.enter_place(Place::BeforeC1, 1);
                self.queue_second(sector, Phase::C1);
            }
            Event::Vanilla(sector) => self.vanilla(sector),
            Event::Moved(sector) => self.moved(sector),
            Event::Down(machine) => self.down(machine),
            Event::Up(machine) => self.up(machine),
            Event::Steady => {
                let now = self.now;
                let busy = self.busy.iter_mut().flatten();
                self.places.iter_mut().chain(busy).chain(&mut self.scratch).for_each(|level| level.restart(now));
            }
        }
    }

    /// The n-th sector arrives n intervals after the start: no rounding adds up.
    fn next_arrival(&mut self) {
        let interval = 3600.0 * NS / self.scenario.starts_per_h();
        let at = (self.arrivals as f64 * interval) as u64;
        self.arrivals += 1;
        self.calendar.enter(at, Event::Arrival);
    }

    /// Enters an event that comes after so many seconds.
    fn enter_in(&mut self, seconds: f64, event: Event) {
        self.calendar.enter(self.now.saturating_add(ns(seconds)), event);
    }

    fn enter_place(&mut self, place: Place, sectors: u64) {
        self.places[place as usize].add(self.now, sectors);
    }

    fn leave_place(&mut self, place: Place, sectors: u64) {
        self.places[place as usize].take(self.now, sectors);
    }

    fn new_sector(&mut self, sector: Sector) -> u32 {
        match self.free.pop() {
            Some(number) => {
                self.sectors[number as usize] = sector;
                number
            }
            None => {
                self.sectors.push(sector);
                self.sectors.len() as u32 - 1
            }
        }
    }

    fn plant(&self, instance: &Instance) -> &Plant<'a> {
        &self.plants[self.machines[instance.machine as usize].layout as usize]
    }

    /// Looks for work for an instance that has none: c1 before p2, before new sectors.
    fn is_free(&mut self, number: u32) {
        let instance = &self.instances[number as usize];
        let (machine, lane) = (instance.machine as usize, instance.lane as usize);
        if instance.at_work.is_some() || !self.machines[machine].is_up {
            return;
        }
        if self.plant(instance).second == Some(lane) {
            let group = &mut self.machines[machine].groups[self.instances[number as usize].group as usize];
            if let Some(sector) = group.before_c1.pop_front() {
                return self.begin(number, Phase::C1, vec![sector], Place::BeforeC1);
            }
            if let Some(sector) = group.before_p2.pop_front() {
                return self.begin(number, Phase::P2, vec![sector], Place::BeforeP2);
            }
        }
        if let Some(sector) = self.machines[machine].lanes[lane].before_p4.pop_front() {
            return self.begin(number, Phase::P4, vec![sector], Place::BeforeP4);
        }
        if self.instances[number as usize].is_listed {
            return;
        }
        let plant = self.plant(&self.instances[number as usize]);
        let (starts, proves) = (plant.start == Some(lane), plant.prove == Some(lane));
        let proves_own = self.scenario.rules.p4 == ProvingPlace::SameMachine && self.scenario.plans_precommit();
        if starts || proves && !proves_own {
            self.instances[number as usize].is_listed = true;
            if starts {
                self.idle_starts.push_back(number);
                self.start_waiting();
            } else {
                self.idle_provers.push_back(number);
                self.prove_waiting();
            }
        }
    }

    /// Starts sectors on instances that wait for some, the one that waits longest first.
    fn start_waiting(&mut self) {
        let mut left = self.idle_starts.len();
        while left > 0 && self.waiting >= self.least_batch {
            left -= 1;
            let Some(number) = self.idle_starts.pop_front() else { return };
            let instance = &self.instances[number as usize];
            let (machine, group) = (instance.machine as usize, instance.group as usize);
            let batch = self.plant(instance).layout.lanes[instance.lane as usize].batch;
            if instance.at_work.is_some() {
                self.instances[number as usize].is_listed = false;
            } else if !self.machines[machine].is_up || !self.machines[machine].accepts {
                self.machines[machine].parked.push(number);
            } else if self.waiting < u64::from(batch) {
                self.idle_starts.push_back(number);
            } else if self.machines[machine].groups[group].room < batch {
                self.machines[machine].groups[group].before_room.push_back(number);
            } else {
                self.instances[number as usize].is_listed = false;
                self.start(number, batch);
            }
        }
    }

    fn start(&mut self, number: u32, batch: u32) {
        let Instance { machine, group, lane, .. } = self.instances[number as usize];
        self.machines[machine as usize].groups[group as usize].room -= batch;
        let class = self.machines[machine as usize].class as usize;
        self.scratch[class].add(self.now, u64::from(batch));
        self.waiting -= u64::from(batch);
        let sectors = (0..batch).map(|_| self.new_sector(Sector { machine, group })).collect();
        let layout = self.plants[self.machines[machine as usize].layout as usize].layout;
        self.begin(number, layout.lanes[lane as usize].phases[0], sectors, Place::BeforeStart);
    }

    fn prove_waiting(&mut self) {
        let mut left = self.idle_provers.len();
        while left > 0 && !self.before_p4.is_empty() {
            left -= 1;
            let Some(number) = self.idle_provers.pop_front() else { return };
            let machine = self.instances[number as usize].machine as usize;
            if !self.machines[machine].is_up || !self.machines[machine].accepts {
                self.machines[machine].parked.push(number);
                continue;
            }
            self.instances[number as usize].is_listed = false;
            if let Some(sector) = self.before_p4.pop_front() {
                self.begin(number, Phase::P4, vec![sector], Place::BeforeP4);
            }
        }
    }

    /// Gives an instance a job on sectors that waited in a place.
    fn begin(&mut self, number: u32, phase: Phase, sectors: Vec<u32>, from: Place) {
        let count = sectors.len() as u64;
        self.leave_place(from, count);
        self.enter_place(running(phase), count);
        let length = self.length(number, phase, sectors.len() as u32);
        let instance = &mut self.instances[number as usize];
        instance.at_work = Some(Running { phase, sectors, length, since: self.now, lost: 0 });
        let (machine, lane) = (instance.machine as usize, instance.lane as usize);
        let job = instance.job;
        self.calendar.enter(self.now.saturating_add(length), Event::Done { instance: number, job });
        let (layout, now) = (self.machines[machine].layout as usize, self.now);
        self.busy[layout][lane].add(now, 1);
    }

    /// How long a job takes, with the spread that was measured.
    fn length(&mut self, number: u32, phase: Phase, sectors: u32) -> u64 {
        let instance = &self.instances[number as usize];
        let lane = &self.plant(instance).layout.lanes[instance.lane as usize];
        let Some(rate) = lane.rates.iter().find(|rate| rate.phase == phase) else { return 0 };
        let cv = rate.cv.unwrap_or(0.0);
        let mut seconds = lane.phase_s(phase, sectors).unwrap_or(0.0) * self.spread(cv);
        if phase == Phase::P4 && self.scenario.shared.holds_parameters {
            // p4's time starts when its parameters are in memory; all processes read them from the same storage.
            if let Some(read) = self.scenario.shared.read {
                let length = ns(parameter_bytes(self.scenario) / read);
                self.reader_free = self.reader_free.max(self.now).saturating_add(length);
                seconds += (self.reader_free - self.now) as f64 / NS;
            }
        }
        ns(seconds)
    }

    /// A log-normal factor with the mean 1 and this coefficient of variation.
    fn spread(&mut self, cv: f64) -> f64 {
        if cv <= 0.0 {
            return 1.0;
        }
        let variance = (1.0 + cv * cv).ln();
        let radius = (-2.0 * (1.0 - self.rng.unit()).ln()).sqrt();
        let normal = radius * (std::f64::consts::TAU * self.rng.unit()).cos();
        (variance.sqrt() * normal - variance / 2.0).exp()
    }

    fn done(&mut self, number: u32) {
        let instance = &mut self.instances[number as usize];
        instance.job += 1;
        let Some(running) = instance.at_work.take() else { return };
        let (machine, lane) = (instance.machine as usize, instance.lane as usize);
        self.note(number, &running);
        let (layout, now) = (self.machines[machine].layout as usize, self.now);
        self.busy[layout][lane].take(now, 1);
        self.leave_place(self::running(running.phase), running.sectors.len() as u64);
        let in_turn = running.phase == Phase::P1 && self.plants[layout].second == Some(lane);
        if in_turn {
            // The same instance goes on with p2 of what it has.
            self.enter_place(Place::BeforeP2, running.sectors.len() as u64);
            self.begin(number, Phase::P2, running.sectors, Place::BeforeP2);
            return;
        }
        for sector in running.sectors {
            self.after(sector, running.phase);
        }
        self.is_free(number);
    }

    /// Sends a sector on after a phase.
    fn after(&mut self, sector: u32, phase: Phase) {
        let next = self.scenario.phases.iter().copied().find(|next| *next > phase);
        match next {
            Some(Phase::P2) => {
                self.enter_place(Place::BeforeP2, 1);
                self.queue_second(sector, Phase::P2);
            }
            Some(Phase::C1) => {
                self.enter_place(Place::Seed, 1);
                self.enter_in(self.scenario.rules.wait_seed_s, Event::Seed(sector));
            }
            Some(_) => self.queue_p4(sector),
            None => self.finish(sector),
        }
    }

    /// Puts a sector before p2 or c1 of its volume.
    fn queue_second(&mut self, sector: u32, phase: Phase) {
        let Sector { machine, group } = self.sectors[sector as usize];
        let (machine, group) = (machine as usize, group as usize);
        let state = &mut self.machines[machine].groups[group];
        if phase == Phase::P2 {
            state.before_p2.push_back(sector)
        } else {
            state.before_c1.push_back(sector)
        }
        if let Some(number) = self.idle(&self.machines[machine].groups[group].second) {
            self.is_free(number);
        }
        self.interrupt(machine, group);
    }

    /// c1 waits for no p2: where no instance is free, the one that lost least time to c1 stands still for it.
    fn interrupt(&mut self, machine: usize, group: usize) {
        if !self.machines[machine].is_up {
            return;
        }
        while let Some(sector) = self.machines[machine].groups[group].before_c1.pop_front() {
            let instances = self.machines[machine].groups[group].second.iter().copied();
            let lost =
                |number: &u32| self.instances[*number as usize].at_work.as_ref().map_or(0, |running| running.lost);
            let Some(number) = instances.min_by_key(lost) else { return };
            let length = self.length(number, Phase::C1, 1);
            let instance = &mut self.instances[number as usize];
            let Some(running) = &mut instance.at_work else { return };
            running.lost = running.lost.saturating_add(length);
            instance.job += 1;
            let done = Event::Done { instance: number, job: instance.job };
            self.calendar.enter(running.since.saturating_add(running.length).saturating_add(running.lost), done);
            self.leave_place(Place::BeforeC1, 1);
            self.enter_place(Place::C1, 1);
            self.calendar.enter(self.now.saturating_add(length), Event::Vanilla(sector));
        }
    }

    fn vanilla(&mut self, sector: u32) {
        self.leave_place(Place::C1, 1);
        let machine = &self.machines[self.sectors[sector as usize].machine as usize];
        if machine.is_up {
            return self.after(sector, Phase::C1);
        }
        // The machine failed meanwhile: it does it again when it is back.
        self.enter_place(Place::BeforeC1, 1);
        self.queue_second(sector, Phase::C1);
    }

    fn queue_p4(&mut self, sector: u32) {
        self.enter_place(Place::BeforeP4, 1);
        let machine = self.sectors[sector as usize].machine as usize;
        let own = self.scenario.rules.p4 == ProvingPlace::SameMachine && self.scenario.plans_precommit();
        let lane = self.plants[self.machines[machine].layout as usize].prove.filter(|_| own);
        match lane {
            Some(lane) => {
                self.machines[machine].lanes[lane].before_p4.push_back(sector);
                if let Some(number) = self.idle(&self.machines[machine].lanes[lane].instances) {
                    self.is_free(number);
                }
            }
            None => {
                self.before_p4.push_back(sector);
                self.prove_waiting();
            }
        }
    }

    /// One of these instances that has no work.
    fn idle(&self, instances: &[u32]) -> Option<u32> {
        instances.iter().copied().find(|number| self.instances[*number as usize].at_work.is_none())
    }

    /// A sector has been through all phases.
    fn finish(&mut self, sector: u32) {
        if self.rng.unit() < self.scenario.rules.failed_sectors {
            self.failed_sectors += 1;
            return self.leave(sector);
        }
        self.enter_place(Place::Moving, 1);
        match self.move_s() {
            Some(seconds) => {
                self.writer_free = self.writer_free.max(self.now).saturating_add(ns(seconds));
                self.calendar.enter(self.writer_free, Event::Moved(sector));
            }
            None => self.moved(sector),
        }
    }

    fn moved(&mut self, sector: u32) {
        self.leave_place(Place::Moving, 1);
        let day = (self.now as f64 / NS / DAY_S) as usize;
        if let Some(output) = self.output.get_mut(day) {
            *output += 1;
        }
        self.steady_output += u64::from(self.now > self.steady);
        self.first_sector.get_or_insert(self.now);
        self.leave(sector);
    }

    /// Frees what a sector held.
    fn leave(&mut self, number: u32) {
        self.free.push(number);
        if !self.scenario.plans_precommit() {
            return;
        }
        let Sector { machine, group } = self.sectors[number as usize];
        let machine = &mut self.machines[machine as usize];
        self.scratch[machine.class as usize].take(self.now, 1);
        let group = &mut machine.groups[group as usize];
        group.room += 1;
        if !group.before_room.is_empty() {
            self.idle_starts.extend(std::mem::take(&mut group.before_room));
            self.start_waiting();
        }
    }

    fn enter_failure(&mut self, machine: u32) {
        let rules = &self.scenario.rules;
        if rules.availability >= 1.0 {
            return;
        }
        let mean_s = rules.repair_s * rules.availability / (1.0 - rules.availability);
        let seconds = -(1.0 - self.rng.unit()).ln() * mean_s;
        self.enter_in(seconds, Event::Down(machine));
    }

    /// A machine fails: what it was at is lost, one in reserve takes over its layout and what comes.
    fn down(&mut self, number: u32) {
        self.machine_failures += 1;
        let machine = &mut self.machines[number as usize];
        machine.is_up = false;
        let (layout, class) = (machine.layout as usize, machine.class as usize);
        let instances: Vec<u32> = machine.lanes.iter().flat_map(|lane| lane.instances.iter().copied()).collect();
        for instance in instances {
            self.instances[instance as usize].job += 1;
        }
        let is_ready = self.classes[class].ready > 0;
        if let Some(reserve) = self.plants[layout].reserve.pop_if(|_| is_ready) {
            self.classes[class].ready -= 1;
            self.machines[number as usize].accepts = false;
            self.machines[reserve as usize].accepts = true;
            self.enter_failure(reserve);
            self.unpark(reserve);
        }
        self.enter_in(self.scenario.rules.repair_s, Event::Up(number));
    }

    /// A machine is back: it begins again with the jobs it was at. If another one took its place it stays in reserve.
    fn up(&mut self, number: u32) {
        self.machines[number as usize].is_up = true;
        let lanes = self.machines[number as usize].lanes.iter();
        let instances: Vec<u32> = lanes.flat_map(|lane| lane.instances.iter().copied()).collect();
        // First all that were at work, so that none of them is given other work meanwhile.
        let (at_work, idle): (Vec<u32>, Vec<u32>) =
            instances.into_iter().partition(|instance| self.instances[*instance as usize].at_work.is_some());
        at_work.into_iter().for_each(|instance| self.begin_again(instance));
        idle.into_iter().for_each(|instance| self.is_free(instance));
        for group in 0..self.machines[number as usize].groups.len() {
            self.interrupt(number as usize, group);
        }
        let machine = &self.machines[number as usize];
        if machine.accepts {
            self.enter_failure(number);
            self.unpark(number);
        } else {
            self.plants[machine.layout as usize].reserve.push(number);
            self.classes[machine.class as usize].ready += 1;
        }
    }

    /// Begins the job that an instance was at when its machine failed.
    fn begin_again(&mut self, number: u32) {
        let instance = &mut self.instances[number as usize];
        let Some(running) = &mut instance.at_work else { return };
        (running.since, running.lost) = (self.now, 0);
        let event = Event::Done { instance: number, job: instance.job };
        self.calendar.enter(self.now.saturating_add(running.length), event);
    }

    /// Lets the instances of a machine take sectors from elsewhere again.
    fn unpark(&mut self, number: u32) {
        for instance in std::mem::take(&mut self.machines[number as usize].parked) {
            self.instances[instance as usize].is_listed = false;
            self.is_free(instance);
        }
    }

    /// Keeps a job for the drawing.
    fn note(&mut self, number: u32, running: &Running) {
        let instance = &self.instances[number as usize];
        let layout = self.machines[instance.machine as usize].layout as usize;
        let hours = |ns: u64| ns as f64 / NS / 3600.0;
        let is_early = running.since as f64 <= TRACE_DAYS * DAY_S * NS && self.trace.len() < TRACE_JOBS;
        if is_early && self.traced[layout] == Some(instance.machine) {
            self.trace.push(Job {
                sku: self.plants[layout].layout.sku.clone(),
                layout,
                lane: instance.lane as usize,
                instance: instance.number,
                phase: running.phase.to_string(),
                from_h: hours(running.since),
                to_h: hours(self.now),
            });
        }
    }

    /// What came of it.
    pub fn result(self, days: u32, seed: u64) -> Simulation {
        let over = self.end - self.steady;
        let per_day = self.steady_output as f64 / (over as f64 / NS / DAY_S);
        let target = self.scenario.target_per_h * 24.0;
        let is_confirmed = self.is_confirmed(target * over as f64 / NS / DAY_S);
        let planned = |place: Place| match place {
            Place::BeforeStart | Place::Moving => true,
            Place::P1 => self.scenario.plans(Phase::P1),
            Place::BeforeP2 | Place::P2 => self.scenario.plans(Phase::P2),
            Place::Seed | Place::BeforeC1 | Place::C1 => self.scenario.plans(Phase::C1),
            Place::BeforeP4 | Place::P4 => self.scenario.plans(Phase::P4),
        };
        let level = |((place, name), level): (&(Place, &str), &Watched)| {
            let level = Level { place: name.to_string(), mean: level.mean(self.end, over), peak: level.peak() };
            planned(*place).then_some(level)
        };
        Simulation {
            days,
            seed,
            events: self.calendar.entered(),
            first_sector_h: self.first_sector.map(|first| first as f64 / NS / 3600.0),
            steady_from_h: self.steady as f64 / NS / 3600.0,
            steady_per_day: per_day,
            target_per_day: target,
            is_confirmed,
            verdict: self.verdict(is_confirmed, per_day, target),
            utilisation: self.utilisation(over),
            in_flight: PLACES.iter().zip(&self.places).filter_map(level).collect(),
            scratch: self.scratch_levels(over),
            machine_failures: self.machine_failures,
            failed_sectors: self.failed_sectors,
            output_per_day: self.output,
            trace: self.trace,
        }
    }

    /// Whether what came out is what was due; `None` where that cannot be said yet.
    fn is_confirmed(&self, due: f64) -> Option<bool> {
        self.first_sector.filter(|first| *first < self.steady)?;
        let (output, batch) = (self.steady_output as f64, self.most_batch as f64);
        // Where the time begins and ends between two batches, one that is on time may just be outside of it.
        let whole = (due / batch).floor().max(1.0) * batch;
        let is_short = output + batch < ENOUGH * due;
        (is_short || output >= ENOUGH * whole).then_some(!is_short)
    }

    fn verdict(&self, is_confirmed: Option<bool>, per_day: f64, target: f64) -> String {
        match is_confirmed {
            None => "the time is too short to say whether the plan comes out: simulate more days".to_string(),
            Some(true) => format!("the plan comes out: {per_day:.1} sectors/day of {target:.1}"),
            Some(false) => {
                // What cannot go on holds up all that is before it, as far as there is room: the last place where an hour's sectors wait is to blame.
                let waits = [Place::BeforeP2, Place::BeforeC1, Place::BeforeP4, Place::Moving];
                let many = |place: &Place| self.places[*place as usize].now() as f64 >= self.scenario.starts_per_h();
                let held = waits.into_iter().rev().find(many).unwrap_or(Place::BeforeStart);
                let name = PLACES[held as usize].1;
                format!("the plan does not come out: {per_day:.1} of {target:.1} sectors/day, sectors pile up {name}")
            }
        }
    }

    fn utilisation(&self, over: u64) -> Vec<Utilisation> {
        let mut all = Vec::new();
        for (index, plant) in self.plants.iter().enumerate() {
            let machines = self.machines.iter().filter(|machine| machine.layout as usize == index && machine.accepts);
            let machines = machines.count() as f64;
            for (lane, busy) in plant.layout.lanes.iter().zip(&self.busy[index]) {
                let share = busy.mean(self.end, over) / (machines * f64::from(lane.instances)).max(1.0);
                let sku = self.classes[plant.class as usize].machines.sku.clone();
                all.push(Utilisation { sku, lane: lane.label(), share });
            }
        }
        all
    }

    fn scratch_levels(&self, over: u64) -> Vec<Scratch> {
        let bytes = self.scenario.needs.scratch;
        let of = |(class, level): (usize, &Watched)| {
            let Machines { sku, spares, .. } = self.classes[class].machines;
            let volumes = &self.scenario.skus.iter().find(|other| other.name == *sku)?.volumes;
            let slots: f64 = volumes.iter().map(|volume| f64::from(slots(self.scenario, volume.size))).sum();
            let starts = |machine: &&Machine| {
                machine.class as usize == class && self.plants[machine.layout as usize].start.is_some()
            };
            let working = self.machines.iter().filter(|machine| machine.accepts).filter(starts).count();
            let machines = working as f64 + f64::from(*spares);
            (working > 0).then(|| Scratch {
                sku: sku.clone(),
                mean_bytes: level.mean(self.end, over) * bytes,
                peak_bytes: level.peak() as f64 * bytes,
                room_bytes: (!volumes.is_empty()).then_some(slots * bytes * machines),
            })
        };
        self.scratch.iter().enumerate().filter_map(of).collect()
    }
}
