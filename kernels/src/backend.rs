//! The dispatch value: every primitive has one, and no other code asks what the CPU can do.

use std::fmt::Debug;

use crate::cpu::Features;

/// The implementations of a primitive.
pub trait Implementation: Copy + Eq + Debug + 'static {
    /// All of them; the primitive says what the order means.
    const ALL: &'static [Self];

    /// The name used on the command line and in records.
    fn name(self) -> &'static str;

    /// Whether a CPU with these features runs it.
    fn runs_on(self, features: &Features) -> bool;
}

/// An implementation that this CPU can run: the proof is that it exists.
///
/// Opaque because of that: a public field would let safe code name an instruction the CPU lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backend<Kind>(Kind);

impl<Kind: Implementation> Backend<Kind> {
    /// The names of all backends, whether this CPU runs them or not, in the primitive's order.
    pub fn all() -> impl Iterator<Item = &'static str> {
        Kind::ALL.iter().map(|kind| kind.name())
    }

    /// The backend of that name, if there is one and the CPU runs it.
    pub fn new(name: &str, features: &Features) -> Option<Self> {
        Self::supported(features).find(|backend| backend.name() == name)
    }

    /// The backends that the CPU runs, in the primitive's order; the portable one is always among them.
    pub fn supported(features: &Features) -> impl Iterator<Item = Self> {
        Kind::ALL.iter().copied().filter(|kind| kind.runs_on(features)).map(Backend)
    }

    /// The name used on the command line and in records.
    pub fn name(self) -> &'static str {
        self.0.name()
    }

    pub(crate) fn kind(self) -> Kind {
        self.0
    }
}

/// What every primitive's backends must do, whatever they compute: `check` tests one, `primitive` begins the name of an absent one.
#[cfg(test)]
pub fn check_all<Kind: Implementation>(primitive: &str, check: fn(Backend<Kind>)) {
    let plain = Features::baseline();
    assert_eq!(Backend::<Kind>::supported(&plain).map(Backend::name).collect::<Vec<_>>(), ["portable"]);
    let features = Features::detect();
    for name in Backend::<Kind>::all() {
        match Backend::new(name, &features) {
            Some(backend) => {
                assert_eq!(backend.name(), name);
                check(backend);
            }
            None => crate::absent::absent(&format!("{primitive} {name}"), "the CPU lacks the instructions"),
        }
        assert!(name == "portable" || Backend::<Kind>::new(name, &plain).is_none());
    }
    assert_eq!(Backend::<Kind>::new("", &features), None);
    assert_eq!(Backend::<Kind>::new("PORTABLE", &features), None);
}
