//! Programs that run beside us: started as a process group, watched through /proc, ended with all their children.

use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use crate::Result;
use crate::workspace::{answers, shown};

/// A program and its children, ended when this is dropped.
pub(crate) struct Group {
    child: Child,
}

impl Group {
    /// Starts the command as the leader of a process group, so that its children (workers, browsers) end with it.
    pub(crate) fn start(command: &mut Command) -> Result<Self> {
        let child = command.stdin(Stdio::null()).process_group(0).spawn();
        Ok(Self {
            child: child.map_err(|error| format!("cannot start {}: {error}", shown(command)))?,
        })
    }

    /// How it ended, if it has.
    pub(crate) fn ended(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }

    /// CPU time, user and system, of the processes that live now, in clock ticks.
    pub(crate) fn cpu_ticks(&self) -> u64 {
        self.members().iter().map(|stat| stat.ticks).sum()
    }

    /// Memory in MiB: pages shared with others count in proportion.
    pub(crate) fn memory_mib(&self) -> f64 {
        let proportional = |stat: &Stat| {
            let rollup = std::fs::read_to_string(format!("/proc/{}/smaps_rollup", stat.pid)).unwrap_or_default();
            let line = rollup
                .lines()
                .find_map(|line| line.strip_prefix("Pss:").map(str::to_owned));
            line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok())
                .unwrap_or(0.0)
        };
        self.members().iter().map(proportional).sum::<f64>() / 1024.0
    }

    /// Open file descriptors.
    pub(crate) fn descriptors(&self) -> usize {
        let open = |stat: &Stat| std::fs::read_dir(format!("/proc/{}/fd", stat.pid)).map_or(0, Iterator::count);
        self.members().iter().map(open).sum()
    }

    fn members(&self) -> Vec<Stat> {
        let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
        let stats = processes.filter_map(|entry| Stat::read(entry.file_name().to_str()?.parse().ok()?));
        stats.filter(|stat| stat.group == self.child.id()).collect()
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        answers(Command::new("kill").args(["--", &format!("-{}", self.child.id())]));
        let deadline = Instant::now() + Duration::from_secs(10);
        while Instant::now() < deadline && matches!(self.child.try_wait(), Ok(None)) {
            std::thread::sleep(Duration::from_millis(20));
        }
        // What did not go by itself: an error here means that nothing is left.
        answers(Command::new("kill").args(["-9", "--", &format!("-{}", self.child.id())]));
        let _ = self.child.wait();
    }
}

/// What /proc/PID/stat says, as far as we ask.
#[derive(Debug, PartialEq)]
pub(crate) struct Stat {
    pid: u32,
    group: u32,
    /// User and system time.
    ticks: u64,
    /// The same of children that have ended and were waited for.
    pub(crate) child_ticks: u64,
}

impl Stat {
    fn read(pid: u32) -> Option<Self> {
        Self::parse(pid, &std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
    }

    /// That of this process.
    pub(crate) fn own() -> Option<Self> {
        Self::read(std::process::id())
    }

    fn parse(pid: u32, text: &str) -> Option<Self> {
        // The name stands in parentheses and may hold spaces and parentheses itself.
        let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
        let number = |index: usize| fields.get(index)?.parse::<u64>().ok();
        let group = u32::try_from(number(2)?).ok()?;
        Some(Self {
            pid,
            group,
            ticks: number(11)? + number(12)?,
            child_ticks: number(13)? + number(14)?,
        })
    }
}

/// A port of the loopback address that nobody listens on.
pub(crate) fn free_port() -> Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

#[cfg(test)]
mod tests {
    use super::Stat;

    #[test]
    fn stat_is_read_behind_a_name_with_spaces_and_parentheses() {
        let text = "7 (a (b) c) S 1 42 42 0 -1 4194560 100 0 0 0 30 12 5 6 20 0 4 0 100 0 0";
        assert_eq!(
            Stat::parse(7, text),
            Some(Stat {
                pid: 7,
                group: 42,
                ticks: 42,
                child_ticks: 11
            })
        );
    }
}
