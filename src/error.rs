//! How a command ends when it does not succeed: the sentence for the user and the exit code.

use std::fmt;

/// Why a command stopped. Any error that carries none of these ends with exit code 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// The command line or an input value is wrong (exit code 2).
    Usage,
    /// Refused before starting: memory, disk, or a CPU that lacks what the binary was built for (exit code 3).
    Refused,
    /// Finished, but a check failed: verification or a run rule (exit code 4).
    Check,
    /// Interrupted by a signal (exit code 130).
    Interrupted,
}

impl Stop {
    /// An error with this exit code and one sentence that says what happened, where, and what to do.
    pub fn error(self, message: impl Into<String>) -> anyhow::Error {
        anyhow::Error::new(Halt { stop: self, message: message.into() })
    }
}

/// A [`Stop`] with its sentence; found in an error's chain by [`exit_code`].
#[derive(Debug, thiserror::Error)]
struct Halt {
    stop: Stop,
    message: String,
}

impl fmt::Display for Halt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// The [`Stop`] in an error's chain, if there is one.
pub fn stop_of(error: &anyhow::Error) -> Option<Stop> {
    error.chain().find_map(|cause| cause.downcast_ref::<Halt>()).map(|halt| halt.stop)
}

/// The documented exit code of an error: 1 failed, 2 usage, 3 refused, 4 check failed, 130 interrupted.
pub fn exit_code(error: &anyhow::Error) -> u8 {
    match stop_of(error) {
        None => 1,
        Some(Stop::Usage) => 2,
        Some(Stop::Refused) => 3,
        Some(Stop::Check) => 4,
        Some(Stop::Interrupted) => 130,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context;

    #[test]
    fn the_exit_code_survives_added_context() {
        let error = Err::<(), _>(Stop::Refused.error("needs 64 GiB")).context("while planning p1").unwrap_err();
        assert_eq!(exit_code(&error), 3);
        assert_eq!(format!("{error:#}"), "while planning p1: needs 64 GiB");
        assert_eq!(exit_code(&anyhow::anyhow!("disk full")), 1);
    }
}
