//! The workspace as cargo tells it, and the ways to start programs.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::Result;

/// What `cargo metadata` says of the workspace, as far as the tasks ask.
pub(crate) struct Workspace {
    /// The folder of the root manifest.
    pub(crate) root: PathBuf,
    /// Where cargo builds to, wherever the user put that.
    pub(crate) target: PathBuf,
    metadata: Value,
}

impl Workspace {
    /// Asks `cargo metadata`; the root is the parent of xtask's own folder.
    pub(crate) fn load() -> Result<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"))
            .parent()
            .ok_or("xtask lies in no folder")?
            .to_owned();
        let mut ask = cargo();
        ask.args(["metadata", "--format-version", "1", "--no-deps"])
            .current_dir(&root);
        let metadata: Value = serde_json::from_str(&output(&mut ask)?)?;
        let target = metadata["target_directory"]
            .as_str()
            .ok_or("`cargo metadata` names no target_directory")?
            .into();
        Ok(Self { root, target, metadata })
    }

    /// A cargo command in the root folder.
    pub(crate) fn cargo(&self) -> Command {
        let mut command = cargo();
        command.current_dir(&self.root);
        command
    }

    /// The folder of xtask's own files in the target folder, made if need be.
    pub(crate) fn scratch(&self, name: &str) -> Result<PathBuf> {
        let folder = self.target.join("xtask").join(name);
        std::fs::create_dir_all(&folder).map_err(|error| format!("cannot make {}: {error}", folder.display()))?;
        Ok(folder)
    }

    /// The features that a member declares, `default` aside, in the order of their names.
    pub(crate) fn features(&self, package: &str) -> Result<Vec<String>> {
        let packages = self.metadata["packages"]
            .as_array()
            .ok_or("`cargo metadata` lists no packages")?;
        let found = packages
            .iter()
            .find(|p| p["name"] == package)
            .ok_or_else(|| format!("no package {package}"))?;
        let features = found["features"].as_object().into_iter().flatten();
        Ok(features
            .map(|(name, _)| name.clone())
            .filter(|name| name != "default")
            .collect())
    }
}

/// The cargo that runs us.
pub(crate) fn cargo() -> Command {
    Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// Runs a command to its end and gives what it wrote to standard output; its errors go to ours.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let run = command.stdin(Stdio::null()).stderr(Stdio::inherit()).output();
    let run = run.map_err(|error| format!("cannot start {}: {error}", shown(command)))?;
    if !run.status.success() {
        return Err(format!("{} ended with {}", shown(command), run.status).into());
    }
    Ok(String::from_utf8_lossy(&run.stdout).into_owned())
}

/// Runs a command that writes to our terminal; whether it ended well.
pub(crate) fn succeeds(command: &mut Command) -> Result<bool> {
    let status = command.stdin(Stdio::null()).status();
    Ok(status
        .map_err(|error| format!("cannot start {}: {error}", shown(command)))?
        .success())
}

/// Whether a command can be started and ends well; what it writes is dropped.
pub(crate) fn answers(command: &mut Command) -> bool {
    let quiet = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    quiet.status().is_ok_and(|status| status.success())
}

/// The file that a program's name starts, looked up in `PATH`.
pub(crate) fn which(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|folder| folder.join(program))
        .find(|file| file.is_file())
}

/// A command as a person would type it.
pub(crate) fn shown(command: &Command) -> String {
    let program = Path::new(command.get_program())
        .file_name()
        .unwrap_or(command.get_program());
    let words = std::iter::once(program).chain(command.get_args());
    words
        .map(|word| word.to_string_lossy().into_owned())
        .collect::<Vec<_>>()
        .join(" ")
}
