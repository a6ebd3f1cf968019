//! What the machine offers.
//!
//! Owns: how much memory there is. Never does: decide what it is used for.

/// Bytes of memory that this process may count on: the machine's, or those of its control group if that has a bound.
/// `None` where neither is told.
pub(crate) fn memory_bytes() -> Option<usize> {
    let read = |path| std::fs::read_to_string(path).ok();
    let machine = read("/proc/meminfo").and_then(|text| of_meminfo(&text));
    let group = read("/sys/fs/cgroup/memory.max").and_then(|text| text.trim().parse().ok());
    machine.into_iter().chain(group).min()
}

fn of_meminfo(text: &str) -> Option<usize> {
    let line = text.lines().find_map(|l| l.strip_prefix("MemTotal:"))?;
    let kib: usize = line.split_whitespace().next()?.parse().ok()?;
    kib.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read_from_what_the_kernel_tells() {
        assert_eq!(of_meminfo("MemTotal:       24689764 kB\nMemFree: 1 kB\n"), Some(24_689_764 << 10));
        assert_eq!(of_meminfo("MemFree: 1 kB\n"), None);
        assert!(memory_bytes().is_none_or(|bytes| bytes > 64 << 20));
    }
}
