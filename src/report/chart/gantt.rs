//! Jobs of instances on one axis of time.

use maud::{Markup, html};

use super::axis::{self, Scale};
use super::cores::Kind;
use super::text::{Anchor, Face, Label, width};
use super::{Heading, Key, MARGIN, WIDTH, legend, line, rect, x_title};

/// Something that an instance did.
#[derive(Clone, Debug, PartialEq)]
pub struct Job {
    /// Its colour.
    pub kind: Kind,
    /// Its start, hours.
    pub from_h: f64,
    /// Its end, hours.
    pub to_h: f64,
}

/// An instance.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Its name.
    pub name: String,
    /// What it did.
    pub jobs: Vec<Job>,
}

/// Jobs of instances.
#[derive(Clone, Debug, PartialEq)]
pub struct Gantt {
    /// What it is called.
    pub heading: Heading,
    /// The instances from top to bottom.
    pub rows: Vec<Row>,
    /// The colours' words.
    pub kinds: Vec<(Kind, String)>,
}

const ROW: f64 = 18.0;
const BAR: f64 = 12.0;

impl Gantt {
    /// The chart.
    pub fn draw(&self) -> Markup {
        let names = self.rows.iter().map(|row| width(&row.name, Face::Plain)).fold(0.0, f64::max).min(150.0) + 1.0;
        let (left, right) = (MARGIN + names + 8.0, WIDTH - MARGIN - 12.0);
        let top = self.heading.bottom() + 6.0;
        let bottom = top + ROW * self.rows.len() as f64 + 4.0;
        let end = self.rows.iter().flat_map(|row| &row.jobs).map(|job| job.to_h).fold(0.0, f64::max);
        let scale = Scale::new(0.0, end, left, right);
        let keys: Vec<Key> = self
            .kinds
            .iter()
            .map(|(kind, words)| Key { mark: rect(kind.class(), 0.0, 0.0, 22.0, 12.0), words: words.clone() })
            .collect();
        let (keys, height) = legend(&keys, WIDTH, bottom + 42.0);
        let body = html! {
            (axis::bottom(&scale.ticks(8), &scale, top, bottom))
            (line("axis", (left, top), (left, bottom)))
            @for (n, row) in self.rows.iter().enumerate() {
                @let y = top + ROW * n as f64 + 3.0;
                (Label::new(left - 8.0, y + 11.0, Face::Plain, names).anchor(Anchor::End).draw(&row.name))
                @for job in &row.jobs {
                    @let (from, to) = (scale.of(job.from_h), scale.of(job.to_h));
                    // Jobs that follow one another at once are told apart by a gap where there is room for it.
                    (rect(job.kind.class(), from, y, to - from - if to - from > 3.0 { 1.0 } else { 0.0 }, BAR))
                }
            }
            (x_title("time, h", left, right, bottom + 34.0))
            (keys)
        };
        self.heading.around(WIDTH, bottom + 50.0 + height, body)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn chart(jobs: Vec<Job>) -> String {
        let heading = Heading { title: "first days".into(), ..Heading::default() };
        let rows = vec![Row { name: "p1-0".into(), jobs }];
        Gantt { heading, rows, kinds: vec![(Kind::P1, "p1".into())] }.draw().into_string()
    }

    #[test]
    fn a_job_is_a_bar_in_its_colour() {
        let job = |kind, from_h, to_h| Job { kind, from_h, to_h };
        let svg = chart(vec![job(Kind::P1, 0.0, 2.5), job(Kind::P1, 2.5, 5.0), job(Kind::C1, 5.0, 5.01)]);
        assert_eq!((svg.matches("class=\"p1\"").count(), svg.matches("class=\"c1\"").count()), (3, 1));
        assert!(svg.contains(">p1-0<") && svg.contains(">time, h<") && svg.contains(">5<"), "{svg}");
    }

    proptest! {
        #[test]
        fn any_times_make_a_chart(times in prop::collection::vec((any::<f64>(), any::<f64>()), 0..6)) {
            let jobs = times.into_iter().map(|(from_h, to_h)| Job { kind: Kind::P4, from_h, to_h }).collect();
            let svg = chart(jobs);
            prop_assert!(!svg.contains("NaN\"") && !svg.contains("\"inf"));
        }
    }
}
