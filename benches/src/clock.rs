//! CPU time, which other load on the machine disturbs far less than wall time.

use rustix::time::{ClockId, clock_gettime};

/// CPU seconds (user and system) of this thread so far.
pub fn thread_cpu_seconds() -> f64 {
    seconds(ClockId::ThreadCPUTime)
}

/// CPU seconds (user and system) of all threads of this process so far.
pub fn process_cpu_seconds() -> f64 {
    seconds(ClockId::ProcessCPUTime)
}

fn seconds(clock: ClockId) -> f64 {
    let time = clock_gettime(clock);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}
