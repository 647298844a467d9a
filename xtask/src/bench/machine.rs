//! The machine that we measure on: its cores, its clock, its names.

use std::path::Path;
use std::process::Command;

use crate::workspace::{output, which};

/// Which core serves and which makes the load, where programs can be pinned.
pub(crate) struct Machine {
    cores: Option<(usize, usize)>,
    ticks_per_second: f64,
}

impl Machine {
    pub(crate) fn look() -> Self {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let allowed = status
            .lines()
            .find_map(|line| line.strip_prefix("Cpus_allowed_list:"))
            .map(cores)
            .unwrap_or_default();
        let pinned = which("taskset").is_some() && allowed.len() > 1;
        let ticks = output(Command::new("getconf").arg("CLK_TCK"))
            .ok()
            .and_then(|text| text.trim().parse().ok());
        Self {
            cores: pinned.then(|| (allowed[0], allowed[allowed.len() - 1])),
            ticks_per_second: ticks.unwrap_or(100.0),
        }
    }

    /// A command on the core for servers.
    pub(crate) fn on_server_core(&self, program: impl AsRef<Path>) -> Command {
        pinned(self.cores.map(|cores| cores.0), program.as_ref())
    }

    /// A command on the core for the load generator.
    pub(crate) fn on_load_core(&self, program: impl AsRef<Path>) -> Command {
        pinned(self.cores.map(|cores| cores.1), program.as_ref())
    }

    pub(crate) fn seconds(&self, ticks: u64) -> f64 {
        ticks as f64 / self.ticks_per_second
    }

    /// CPU time that all processes used since the machine started, in clock ticks.
    pub(crate) fn busy_ticks() -> u64 {
        let stat = std::fs::read_to_string("/proc/stat").unwrap_or_default();
        let fields = stat.lines().next().unwrap_or_default().split_whitespace().skip(1);
        let fields: Vec<u64> = fields.map_while(|field| field.parse().ok()).collect();
        // user, nice, system, then after idle and iowait: irq, softirq, and what the machine's host took
        [0, 1, 2, 5, 6, 7].iter().filter_map(|index| fields.get(*index)).sum()
    }

    pub(crate) fn pinning(&self) -> String {
        match self.cores {
            Some((server, load)) => format!("servers on core {server}, wrk on core {load}"),
            None => "nothing pinned to a core (needs taskset and two cores)".to_owned(),
        }
    }

    /// One line for the page: processor, system, compiler.
    pub(crate) fn names() -> String {
        let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = info
            .lines()
            .find_map(|line| line.strip_prefix("model name")?.split_once(": "));
        let model = model.map_or("unknown processor", |(_, model)| model.trim());
        let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get());
        let said = |program: &str, argument: &str| {
            output(Command::new(program).arg(argument))
                .map_or_else(|_| format!("{program}: unknown"), |text| text.trim().to_owned())
        };
        format!(
            "{model}, {cores} cores, Linux {}, {}",
            said("uname", "-r"),
            said("rustc", "--version")
        )
    }
}

fn pinned(core: Option<usize>, program: &Path) -> Command {
    match core {
        // taskset replaces itself by the program, so the process id stays the program's.
        Some(core) => {
            let mut command = Command::new("taskset");
            command.arg("-c").arg(core.to_string()).arg(program);
            command
        }
        None => Command::new(program),
    }
}

/// `0-2,5` as its cores.
fn cores(list: &str) -> Vec<usize> {
    let span = |span: &str| {
        let (first, last) = span.split_once('-').unwrap_or((span, span));
        Some(first.trim().parse::<usize>().ok()?..=last.trim().parse::<usize>().ok()?)
    };
    list.split(',').filter_map(span).flatten().collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_list_of_allowed_cores_is_read() {
        assert_eq!(super::cores("\t0-2,5\n"), [0, 1, 2, 5]);
    }
}
