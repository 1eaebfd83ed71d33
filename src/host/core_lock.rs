//! Which cores other runs on this machine measure on.
//!
//! A run holds one abstract Unix socket for each of its CPUs. The kernel lets one process at a time have a name, tells who has it, and
//! frees it however that process ends, so nothing stale is ever left. Abstract names belong to a network namespace: runs in containers with
//! networks of their own do not see each other.

use std::collections::BTreeMap;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};

use super::sys;

/// The cores of one run, held until it is dropped. Its instances and workers hold none of their own.
#[derive(Debug)]
pub struct CoreLock {
    _held: Vec<UnixListener>,
}

/// CPUs that another run uses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InUse {
    /// The CPUs, in the order in which they were asked for.
    pub cores: Vec<usize>,
    /// The process that holds them; `None` if it does not show itself, e.g. from another process namespace.
    pub pid: Option<u32>,
}

impl CoreLock {
    /// Takes the CPUs that are free and lists those that others hold, one entry for each process.
    ///
    /// # Errors
    /// If the kernel gives no socket, e.g. for too many open files: then nothing is held.
    pub fn take(cores: &[usize]) -> io::Result<(CoreLock, Vec<InUse>)> {
        let mut held = Vec::with_capacity(cores.len());
        let mut others: BTreeMap<Option<u32>, Vec<usize>> = BTreeMap::new();
        for &core in cores {
            let name = format!("sealbench-core-{core}");
            match UnixListener::bind_addr(&SocketAddr::from_abstract_name(&name)?) {
                Ok(socket) => held.push(socket),
                Err(e) if e.kind() == io::ErrorKind::AddrInUse => {
                    others.entry(sys::listener_pid(&name).ok()).or_default().push(core);
                }
                Err(e) => return Err(e),
            }
        }
        let others = others.into_iter().map(|(pid, cores)| InUse { cores, pid });
        Ok((CoreLock { _held: held }, others.collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers that no CPU has, and no other test process.
    fn cores() -> [usize; 3] {
        let first = 1_000_000 + 10 * std::process::id() as usize;
        [first, first + 1, first + 2]
    }

    #[test]
    fn what_another_holds_is_listed_with_its_process_until_it_is_gone() {
        let [a, b, c] = cores();
        let (first, none) = CoreLock::take(&[a, b]).unwrap();
        assert_eq!(none, []);
        let (second, others) = CoreLock::take(&[b, c]).unwrap();
        assert_eq!(others, [InUse { cores: vec![b], pid: Some(std::process::id()) }]);
        let (_, others) = CoreLock::take(&[c, a]).unwrap();
        assert_eq!(others[0].cores, [c, a], "the second holds what was free");
        drop(first);
        let (third, others) = CoreLock::take(&[a, b, c]).unwrap();
        assert_eq!(others[0].cores, [c]);
        drop((second, third));
        assert_eq!(CoreLock::take(&[a, b, c]).unwrap().1, []);
    }

    #[test]
    fn a_holder_that_is_asked_often_still_answers_at_once() {
        let core = cores()[0] + 5;
        let (_held, _) = CoreLock::take(&[core]).unwrap();
        for _ in 0..2000 {
            assert_eq!(CoreLock::take(&[core]).unwrap().1[0].cores, [core]);
        }
    }
}
