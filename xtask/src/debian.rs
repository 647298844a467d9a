//! Debian packages: installed when we may, else the command to type.

use std::process::Command;

use crate::Result;
use crate::workspace::{output, succeeds, which};

/// Sees to it that `program` can be started: it is there already, or its packages are installed when we run as root.
///
/// # Errors
/// When it is missing and cannot be installed here; the text names the command to type.
pub(crate) fn provide(program: &str, packages: &[&str]) -> Result<()> {
    if which(program).is_some() {
        return Ok(());
    }
    let by_hand = format!("apt-get install --yes --no-install-recommends {}", packages.join(" "));
    if which("apt-get").is_none() {
        return Err(format!("{program} is missing; install it (on Debian: {by_hand})").into());
    }
    if !is_root() {
        return Err(format!("{program} is missing; type: sudo {by_hand}").into());
    }
    println!("{program} is missing: {by_hand}");
    let mut install = Command::new("apt-get");
    install
        .args(["install", "--yes", "--no-install-recommends"])
        .args(packages);
    install.env("DEBIAN_FRONTEND", "noninteractive");
    // A fresh machine has no package lists yet, so a first failure is answered by fetching them.
    if !succeeds(&mut install)? {
        succeeds(Command::new("apt-get").arg("update"))?;
        succeeds(&mut install)?;
    }
    which(program)
        .map(drop)
        .ok_or_else(|| format!("{program} is still missing after: {by_hand}").into())
}

fn is_root() -> bool {
    output(Command::new("id").arg("-u")).is_ok_and(|id| id.trim() == "0")
}
