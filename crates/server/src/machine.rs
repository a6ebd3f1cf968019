//! What the kernel tells of memory.
//!
//! Owns: how much there is, and how much this process takes. Never does: decide what it is used for.

/// Bytes of memory that this process may count on: the machine's, or those of its control group if that has a bound.
/// `None` where neither is told.
pub(crate) fn memory_bytes() -> Option<usize> {
    let read = |path| std::fs::read_to_string(path).ok();
    let machine = read("/proc/meminfo").and_then(|text| bytes_of(&text, "MemTotal:"));
    let group = read("/sys/fs/cgroup/memory.max").and_then(|text| text.trim().parse().ok());
    machine.into_iter().chain(group).min()
}

/// Bytes of this process that are in memory.
pub(crate) fn resident_bytes() -> Option<usize> {
    bytes_of(&std::fs::read_to_string("/proc/self/status").ok()?, "VmRSS:")
}

/// What a line of the kernel's says, which names it and gives KiB.
fn bytes_of(text: &str, name: &str) -> Option<usize> {
    let line = text.lines().find_map(|l| l.strip_prefix(name))?;
    let kib: usize = line.split_whitespace().next()?.parse().ok()?;
    kib.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read_from_what_the_kernel_tells() {
        assert_eq!(bytes_of("MemTotal:       24689764 kB\nMemFree: 1 kB\n", "MemTotal:"), Some(24_689_764 << 10));
        assert_eq!(bytes_of("MemFree: 1 kB\n", "MemTotal:"), None);
        assert!(memory_bytes().is_none_or(|bytes| bytes > 64 << 20));
        assert!(resident_bytes().is_none_or(|bytes| bytes > 1 << 20));
    }
}
