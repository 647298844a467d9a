//! One burst of the load generator.

use std::process::Command;

use crate::Result;
use crate::bench::machine::Machine;
use crate::workspace::output;

/// What wrk says of a burst.
#[derive(Debug, PartialEq)]
pub(crate) struct Burst {
    pub(crate) requests: u64,
    pub(crate) per_second: f64,
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
    /// Answers other than 2xx and 3xx, and connections that broke.
    pub(crate) faults: u64,
}

/// Loads `url` over `connections` connections for some seconds.
pub(crate) fn burst(machine: &Machine, url: &str, connections: usize, seconds: usize) -> Result<Burst> {
    let mut wrk = machine.on_load_core("wrk");
    wrk.args([
        "-t1",
        &format!("-c{connections}"),
        &format!("-d{seconds}s"),
        "--latency",
        url,
    ]);
    let text = output(&mut wrk)?;
    parse(&text).ok_or_else(|| format!("wrk said:\n{text}").into())
}

/// The version, as wrk names it.
pub(crate) fn version() -> String {
    // wrk ends with status 1 after naming its version.
    let said = Command::new("wrk").arg("--version").output();
    let said = said
        .map(|run| String::from_utf8_lossy(&run.stdout).into_owned())
        .unwrap_or_default();
    said.split_whitespace().take(2).collect::<Vec<_>>().join(" ")
}

fn parse(text: &str) -> Option<Burst> {
    let after = |start: &str| {
        text.lines()
            .find_map(|line| line.trim().strip_prefix(start))
            .map(str::trim)
    };
    let requests = text
        .lines()
        .find_map(|line| line.trim().split_once(" requests in "))?
        .0
        .parse()
        .ok()?;
    let broken = after("Socket errors:").unwrap_or_default();
    let broken: u64 = broken
        .split(|c: char| !c.is_ascii_digit())
        .filter_map(|number| number.parse::<u64>().ok())
        .sum();
    let refused = after("Non-2xx or 3xx responses:").map_or(Some(0), |number| number.parse().ok())?;
    Some(Burst {
        requests,
        per_second: after("Requests/sec:")?.parse().ok()?,
        p50_ms: milliseconds(after("50%")?)?,
        p99_ms: milliseconds(after("99%")?)?,
        faults: broken + refused,
    })
}

/// `431.00us`, `1.20ms`, `2.01s`, `1.50m`
fn milliseconds(text: &str) -> Option<f64> {
    let unit = text.find(|c: char| c.is_ascii_alphabetic())?;
    let factor = match &text[unit..] {
        "us" => 1e-3,
        "ms" => 1.0,
        "s" => 1e3,
        "m" => 60e3,
        _ => return None,
    };
    Some(text[..unit].parse::<f64>().ok()? * factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_read() {
        let text = "Running 1s test @ http://127.0.0.1:1/json
  1 threads and 64 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency   471.96us   88.15us   2.49ms   92.98%
    Req/Sec   134.19k     4.29k  137.33k    90.91%
  Latency Distribution
     50%  431.00us
     75%  487.00us
     90%  513.00us
     99%    1.20ms
  146832 requests in 1.10s, 18.76MB read
  Socket errors: connect 0, read 2, write 0, timeout 1
  Non-2xx or 3xx responses: 4
Requests/sec: 133488.18
Transfer/sec:     17.06MB
";
        let expected = Burst {
            requests: 146_832,
            per_second: 133_488.18,
            p50_ms: 0.431,
            p99_ms: 1.2,
            faults: 7,
        };
        assert_eq!(parse(text), Some(expected));
        assert_eq!(parse("unable to connect to 127.0.0.1:1 Connection refused"), None);
    }
}
