//! The system calls that the standard library lacks, each wrapped once. The only unsafe code outside `kernels/`.

use std::ffi::CString;
use std::io;
use std::mem::{self, MaybeUninit};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Duration;

/// Time since boot on the clock that is never stepped and that all processes of the machine share (CLOCK_MONOTONIC).
pub fn monotonic() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: as in `process_cpu_time`.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut time) };
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// CPU time that all threads of this process have used, including threads that have ended.
pub fn process_cpu_time() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a valid timespec to write to. The call cannot fail: Linux always has this clock.
    unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &mut time) };
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// CPU time that the calling thread has used.
pub fn thread_cpu_time() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: as in `process_cpu_time`.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) };
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// User and group that files made by this process belong to.
pub fn user() -> (u32, u32) {
    // SAFETY: both calls only return a number and cannot fail.
    unsafe { (libc::geteuid(), libc::getegid()) }
}

/// One word of a CPU mask as the kernel sees it.
type MaskWord = libc::c_ulong;
const WORD_BITS: usize = MaskWord::BITS as usize;

/// The largest mask tried: 2^20 CPUs, far above what the kernel can be configured for.
const MAX_MASK_WORDS: usize = (1 << 20) / WORD_BITS;

/// The CPUs the calling thread may run on (taskset, cpuset), ascending. Works above 1024 CPUs.
pub fn allowed_cores() -> io::Result<Vec<usize>> {
    let mut mask: Vec<MaskWord> = vec![0; 1024 / WORD_BITS];
    loop {
        // SAFETY: the kernel writes at most the given number of bytes, which is the length of `mask`; it takes any length
        // that is a multiple of a word, so the pointer's nominal type (1024 CPUs) does not bind it.
        let failed = unsafe { libc::sched_getaffinity(0, mem::size_of_val(&*mask), mask.as_mut_ptr().cast()) } != 0;
        if !failed {
            return Ok(cores_of(&mask));
        }
        let error = io::Error::last_os_error();
        // EINVAL: the mask is shorter than the kernel's.
        if error.raw_os_error() != Some(libc::EINVAL) || mask.len() >= MAX_MASK_WORDS {
            return Err(error);
        }
        mask = vec![0; mask.len() * 2];
    }
}

/// Binds the calling thread, and every thread it starts afterwards, to these CPUs. Called before any other thread exists, it
/// binds the process. Fails if none of them is allowed.
pub fn pin_process(cores: &[usize]) -> io::Result<()> {
    let mask = mask_of(cores);
    // SAFETY: the kernel reads the given number of bytes, which is the length of `mask`.
    let failed = unsafe { libc::sched_setaffinity(0, mem::size_of_val(&*mask), mask.as_ptr().cast()) } != 0;
    if failed { Err(io::Error::last_os_error()) } else { Ok(()) }
}

fn cores_of(mask: &[MaskWord]) -> Vec<usize> {
    (0..mask.len() * WORD_BITS).filter(|core| mask[core / WORD_BITS] >> (core % WORD_BITS) & 1 == 1).collect()
}

fn mask_of(cores: &[usize]) -> Vec<MaskWord> {
    let words = cores.iter().max().map_or(1, |last| last / WORD_BITS + 1);
    let mut mask = vec![0; words];
    for core in cores {
        mask[core / WORD_BITS] |= 1 << (core % WORD_BITS);
    }
    mask
}

/// Bytes that a user without root can still write to the file system that holds `path`.
pub fn free_bytes(path: &Path) -> io::Result<u64> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    let mut stat = MaybeUninit::<libc::statvfs>::uninit();
    // SAFETY: `path` is a C string and `stat` has room for one statvfs.
    if unsafe { libc::statvfs(path.as_ptr(), stat.as_mut_ptr()) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: statvfs succeeded, so it has filled `stat`.
    let stat = unsafe { stat.assume_init() };
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}

/// Size of a base page, bytes.
pub fn page_size() -> usize {
    sysconf(libc::_SC_PAGESIZE) as usize
}

/// Ticks per second of the times in /proc/stat.
pub fn clock_ticks() -> u64 {
    sysconf(libc::_SC_CLK_TCK)
}

/// A value that every Linux has, so that the call cannot fail.
fn sysconf(name: libc::c_int) -> u64 {
    // SAFETY: sysconf takes any integer and touches no memory of ours.
    unsafe { libc::sysconf(name) as u64 }
}

/// Sends a signal to one process; signal 0 only asks whether it is there. Process ids that mean a group are refused.
pub fn kill(pid: u32, signal: i32) -> io::Result<()> {
    let pid = libc::pid_t::try_from(pid).ok().filter(|&pid| pid > 0).ok_or(io::ErrorKind::InvalidInput)?;
    // SAFETY: kill takes any integers and touches no memory of ours.
    if unsafe { libc::kill(pid, signal) } != 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// The process that listens on the abstract Unix socket of this name, by connecting to it. Never waits: where many connections are pending
/// that nobody accepts, it fails.
pub fn listener_pid(name: &str) -> io::Result<u32> {
    // SAFETY: an address of zeros is valid: all its fields are integers.
    let mut address: libc::sockaddr_un = unsafe { mem::zeroed() };
    address.sun_family = libc::AF_UNIX as libc::sa_family_t;
    // The zero before it makes the name abstract.
    let room = address.sun_path[1..].iter_mut();
    if name.len() > room.len() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    room.zip(name.bytes()).for_each(|(place, byte)| *place = byte as libc::c_char);
    let length = mem::offset_of!(libc::sockaddr_un, sun_path) + 1 + name.len();
    let kind = libc::SOCK_STREAM | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
    // SAFETY: socket takes any integers and touches no memory of ours.
    let socket = unsafe { libc::socket(libc::AF_UNIX, kind, 0) };
    if socket < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor was just opened and nobody else has it.
    let socket = unsafe { OwnedFd::from_raw_fd(socket) };
    // SAFETY: the kernel reads `length` bytes of `address`, which is not more than it has.
    let failed =
        unsafe { libc::connect(socket.as_raw_fd(), (&raw const address).cast(), length as libc::socklen_t) != 0 };
    if failed {
        return Err(io::Error::last_os_error());
    }
    let mut peer = libc::ucred { pid: 0, uid: 0, gid: 0 };
    let mut size = mem::size_of_val(&peer) as libc::socklen_t;
    // SAFETY: the kernel writes at most `size` bytes, the size of `peer`, of which any bytes are valid integers.
    let failed = unsafe {
        let peer = (&raw mut peer).cast();
        libc::getsockopt(socket.as_raw_fd(), libc::SOL_SOCKET, libc::SO_PEERCRED, peer, &mut size) != 0
    };
    if failed {
        return Err(io::Error::last_os_error());
    }
    // 0: a process that this one's namespace does not show.
    u32::try_from(peer.pid).ok().filter(|&pid| pid > 0).ok_or_else(|| io::ErrorKind::NotFound.into())
}

/// What getrusage counts over all threads of this process, including threads that have ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// Page faults served without reading from storage.
    pub minor_faults: u64,
    /// Page faults that read from storage.
    pub major_faults: u64,
    /// Times a thread gave up its core to wait.
    pub voluntary_switches: u64,
    /// Times a thread was taken off its core.
    pub involuntary_switches: u64,
}

/// The process's resource usage so far.
pub fn usage() -> Usage {
    let mut usage = MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: `usage` has room for one rusage; the call cannot fail for RUSAGE_SELF and a valid pointer. All bytes of a zeroed
    // rusage are valid integers in any case.
    let usage = unsafe {
        libc::getrusage(libc::RUSAGE_SELF, usage.as_mut_ptr());
        usage.assume_init()
    };
    Usage {
        minor_faults: usage.ru_minflt as u64,
        major_faults: usage.ru_majflt as u64,
        voluntary_switches: usage.ru_nvcsw as u64,
        involuntary_switches: usage.ru_nivcsw as u64,
    }
}

/// XCR0: which register states the operating system saves (bit 1 SSE, 2 AVX, 5 to 7 AVX-512). `osxsave` is CPUID's bit of
/// that name (leaf 1, ECX 27), without which nothing beyond SSE is enabled and the register must not be read.
#[cfg(target_arch = "x86_64")]
pub fn xcr0(osxsave: bool) -> u64 {
    if !osxsave {
        return 0;
    }
    let (low, high): (u32, u32);
    // SAFETY: OSXSAVE says that XGETBV is enabled; register 0 always exists then. It writes EDX:EAX and nothing else.
    unsafe {
        std::arch::asm!("xgetbv", in("ecx") 0, out("eax") low, out("edx") high, options(nomem, nostack, preserves_flags))
    };
    u64::from(high) << 32 | u64::from(low)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;
    use std::thread;

    #[test]
    fn cpu_time_counts_threads_that_have_ended() {
        let before = process_cpu_time();
        thread::spawn(|| {
            let start = process_cpu_time();
            while process_cpu_time() - start < Duration::from_millis(5) {
                std::hint::spin_loop();
            }
        })
        .join()
        .unwrap();
        assert!(process_cpu_time() - before >= Duration::from_millis(5));
    }

    #[test]
    fn a_pinned_thread_and_its_children_run_only_there() {
        let allowed = allowed_cores().unwrap();
        let last = *allowed.last().unwrap();
        let seen = thread::spawn(move || {
            pin_process(&[last]).unwrap();
            thread::spawn(|| allowed_cores().unwrap()).join().unwrap()
        })
        .join()
        .unwrap();
        assert_eq!(seen, [last]);
        assert_eq!(allowed_cores().unwrap(), allowed, "other threads keep their cores");
    }

    #[test]
    fn pinning_to_nothing_or_to_absent_cores_fails() {
        thread::spawn(|| {
            assert!(pin_process(&[]).is_err());
            assert!(pin_process(&[1 << 19]).is_err());
        })
        .join()
        .unwrap();
    }

    #[test]
    fn masks_hold_more_than_1024_cpus() {
        let cores = [0, 63, 64, 1023, 1024, 4095];
        assert_eq!(cores_of(&mask_of(&cores)), cores);
    }

    #[test]
    fn free_space_names_a_missing_path() {
        assert!(free_bytes(Path::new("/")).unwrap() > 0);
        assert_eq!(free_bytes(Path::new("/no/such/dir")).unwrap_err().kind(), io::ErrorKind::NotFound);
        assert!(free_bytes(Path::new("/a\0b")).is_err());
    }

    #[test]
    fn constants_of_the_system() {
        assert!(page_size().is_power_of_two() && page_size() >= 4096);
        assert!((1..=1_000_000).contains(&clock_ticks()));
    }

    #[test]
    fn kill_reaches_one_process_and_never_a_group() {
        for pid in [0, u32::MAX, i32::MAX as u32 + 1] {
            assert_eq!(kill(pid, 0).unwrap_err().kind(), io::ErrorKind::InvalidInput);
        }
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        kill(child.id(), libc::SIGKILL).unwrap();
        assert!(!child.wait().unwrap().success());
        assert!(kill(child.id(), 0).is_err());
    }

    #[test]
    fn only_a_name_that_somebody_listens_on_has_a_process() {
        assert_eq!(listener_pid("sealbench-nobody").unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
        assert_eq!(listener_pid(&"x".repeat(108)).unwrap_err().kind(), io::ErrorKind::InvalidInput);
    }

    #[test]
    fn usage_counts_faults_of_threads_that_have_ended() {
        let before = usage();
        // Larger than anything an allocator keeps for reuse: its pages are new.
        thread::spawn(|| std::hint::black_box(vec![1u8; 64 << 20])).join().unwrap();
        assert!(usage().minor_faults > before.minor_faults);
    }
}
