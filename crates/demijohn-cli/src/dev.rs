//! `demijohn dev`: the site in development, built and started again when a file changes.
//!
//! The running site goes on until the next one is built, and for as long as what you write does not compile.

use crate::watch::{Snapshot, Watched, compiled_from};
use crate::{Result, all};
use cargo_metadata::camino::Utf8PathBuf;
use cargo_metadata::{DependencyKind, Message, Metadata, MetadataCommand, Package};
use clap::ArgMatches;
use std::ffi::OsString;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::process::{ExitCode, Stdio};
use std::time::{Duration, SystemTime};
use tokio::process::{Child, Command};

/// How often files are looked at.
const LOOK: Duration = Duration::from_millis(250);
/// How long a site may take to end, before it is ended.
const PATIENCE: Duration = Duration::from_secs(5);

pub(crate) fn dev(call: &ArgMatches) -> Result<ExitCode> {
    let mut args: Vec<OsString> = call
        .get_many::<OsString>("args")
        .into_iter()
        .flatten()
        .cloned()
        .collect();
    if args.is_empty() {
        args.push("serve".into());
    }
    if let Some(bind) = call.get_one::<String>("bind") {
        args.extend(["--bind".into(), bind.into()]);
    }
    let mut project = Project::find(call.get_one::<String>("package").map(String::as_str))?;
    project.base.included = all(call, "include");
    project.base.excluded = all(call, "exclude");
    project.watched = project.base.clone();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| format!("the system gives nothing to run on: {error}"))?;
    runtime.block_on(watch(&mut project, &args))?;
    Ok(ExitCode::SUCCESS)
}

/// Until somebody ends it.
async fn watch(project: &mut Project, args: &[OsString]) -> Result<()> {
    let mut ended = std::pin::pin!(end());
    let mut site = Site::default();
    let mut seen = project.watched.look();
    let mut built = project.build().await?;
    loop {
        if let Some(program) = built {
            // What was edited while the compiler ran is built next; files that are watched from now on are no change.
            let edited = project.watched.look() != seen;
            project.watch_sources_of(&program);
            let latest = project.watched.look();
            site.run(&program, args, &latest, project).await?;
            if !edited {
                seen = latest;
            }
        }
        tokio::select! {
            () = &mut ended => break,
            next = next_change(&project.watched, &seen, &mut site) => seen = next,
        }
        built = tokio::select! {
            () = &mut ended => break,
            built = project.build() => built?,
        };
    }
    site.stop().await;
    Ok(())
}

/// Waits for a change, and for it to be whole: editors write several files, and version control many.
async fn next_change(watched: &Watched, seen: &Snapshot, site: &mut Site) -> Snapshot {
    let mut last = seen.clone();
    loop {
        tokio::time::sleep(LOOK).await;
        site.tell_its_end();
        let now = watched.look();
        if now == last
            && let Some(path) = now.change_since(seen)
        {
            tell(&format!("{} changed", shown(path)));
            return now;
        }
        last = now;
    }
}

/// Ctrl-C, or the signal to end.
async fn end() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut terminate) = signal(SignalKind::terminate()) {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = tokio::signal::ctrl_c() => {}
            }
            return;
        }
    }
    let _ = tokio::signal::ctrl_c().await;
}

/// On standard error: the site's own lines are on standard output.
fn tell(text: &str) {
    eprintln!("dev: {text}");
}

fn shown(path: &Path) -> String {
    let here = std::env::current_dir().unwrap_or_default();
    path.strip_prefix(here).unwrap_or(path).display().to_string()
}

/// What is built, and from what.
struct Project {
    package: String,
    watched: Watched,
    /// Files whose change starts the program anew without a build.
    settings: Vec<PathBuf>,
    /// The packages' own part of `watched`.
    base: Watched,
}

impl Project {
    fn find(package: Option<&str>) -> Result<Project> {
        // Without dependencies: their list would be fetched for every platform there is.
        let metadata = MetadataCommand::new().no_deps().exec();
        let metadata = metadata.map_err(|error| {
            let text = error.to_string();
            match text.contains("could not find `Cargo.toml`") {
                true => "there is no Cargo.toml here or above: go to the folder of a project, or make one by `demijohn new NAME`".to_owned(),
                false => format!("cargo does not understand the project: {text}"),
            }
        })?;
        let has_program = |package: &&Package| package.targets.iter().any(|target| target.is_bin());
        let mut candidates: Vec<&Package> = metadata.workspace_default_packages();
        if let Some(name) = package {
            candidates = metadata.workspace_packages();
            candidates.retain(|package| package.name.as_str() == name);
        }
        candidates.retain(has_program);
        let [package] = candidates.as_slice() else {
            let names: Vec<String> = candidates.iter().map(|package| format!("`{}`", package.name)).collect();
            return Err(match (package, names.is_empty()) {
                (Some(name), _) => format!("the workspace has no package `{name}` with a program"),
                (None, true) => "there is no package with a program here".to_owned(),
                (None, false) => format!(
                    "several packages have a program: {}; name one by `--package`",
                    names.join(", ")
                ),
            });
        };
        let settings = match std::env::var_os("DEMIJOHN_SETTINGS") {
            Some(file) => vec![PathBuf::from(file), ".env".into()],
            None => vec!["settings.toml".into(), ".env".into()],
        };
        let here = std::env::current_dir().unwrap_or_default();
        let settings: Vec<PathBuf> = settings.into_iter().map(|file| here.join(file)).collect();
        let root = metadata.workspace_root.as_std_path();
        let mut files = settings.clone();
        // Not its Cargo.lock, which building changes.
        files.push(root.join("Cargo.toml"));
        let base = Watched {
            folders: local_folders(&metadata, package),
            files,
            ..Watched::default()
        };
        Ok(Project {
            package: package.name.to_string(),
            watched: base.clone(),
            base,
            settings,
        })
    }

    /// The program; nothing when it does not compile, which the compiler tells.
    async fn build(&self) -> Result<Option<PathBuf>> {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let child = Command::new(cargo)
            .args([
                "build",
                "--message-format",
                "json-render-diagnostics",
                "--package",
                &self.package,
            ])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn();
        let child = child.map_err(|error| format!("cargo, which builds the site, cannot be run: {error}"))?;
        let output = child.wait_with_output().await;
        let output = output.map_err(|error| format!("cargo, which builds the site, cannot be heard: {error}"))?;
        if !output.status.success() {
            tell("it does not compile; waiting for the next change");
            return Ok(None);
        }
        let messages = Message::parse_stream(BufReader::new(output.stdout.as_slice()));
        let programs = messages.filter_map(|message| match message.ok()? {
            Message::CompilerArtifact(artifact) => artifact.executable,
            _ => None,
        });
        match programs.last() {
            Some(program) => Ok(Some(program.into_std_path_buf())),
            None => Err(format!("cargo built `{}`, and no program came of it", self.package)),
        }
    }

    /// Also the files that sources include, wherever they are.
    fn watch_sources_of(&mut self, program: &Path) {
        self.watched = self.base.clone();
        self.watched.files.extend(compiled_from(program));
    }
}

/// The folders of a package and of all that it depends on by a path.
fn local_folders(metadata: &Metadata, package: &Package) -> Vec<PathBuf> {
    let mut known = metadata.packages.clone();
    let mut waiting = vec![package.manifest_path.clone()];
    let mut manifests = Vec::new();
    while let Some(manifest) = waiting.pop() {
        if manifests.contains(&manifest) {
            continue;
        }
        let is_it = |package: &&Package| package.manifest_path == manifest;
        if known.iter().find(is_it).is_none() {
            let elsewhere = MetadataCommand::new().no_deps().manifest_path(&manifest).exec();
            // What cargo cannot read there it tells when it builds.
            known.extend(elsewhere.map(|metadata| metadata.packages).unwrap_or_default());
        }
        if let Some(package) = known.iter().find(is_it) {
            let used = package
                .dependencies
                .iter()
                .filter(|d| d.kind != DependencyKind::Development);
            waiting.extend(used.filter_map(|d| Some(d.path.as_ref()?.join("Cargo.toml"))));
        }
        manifests.push(manifest);
    }
    let folder = |manifest: &Utf8PathBuf| manifest.parent().map(|folder| folder.as_std_path().to_owned());
    manifests.iter().filter_map(folder).collect()
}

/// The running site.
#[derive(Default)]
struct Site {
    child: Option<Child>,
    /// Its program's time, and its settings.
    version: Option<(Option<SystemTime>, Snapshot)>,
}

impl Site {
    /// Starts the program, unless it runs already as it is: with this program, these settings, these files that were asked to be watched.
    async fn run(&mut self, program: &Path, args: &[OsString], now: &Snapshot, project: &Project) -> Result<()> {
        let modified = std::fs::metadata(program).and_then(|data| data.modified()).ok();
        let version = Some((
            modified,
            now.only(|path| project.settings.iter().any(|file| file == path) || project.base.includes(path)),
        ));
        self.tell_its_end();
        if self.child.is_some() && self.version == version {
            tell("nothing of it concerns the program");
            return Ok(());
        }
        self.stop().await;
        let mut command = Command::new(program);
        command.args(args).stdin(Stdio::null()).kill_on_drop(true);
        // Development, whatever the settings file says; and a restart waits for nobody.
        for (name, value) in [("DEBUG", "true"), ("GRACE_SECONDS", "2")] {
            if std::env::var_os(name).is_none() {
                command.env(name, value);
            }
        }
        let child = command
            .spawn()
            .map_err(|error| format!("`{}` cannot be run: {error}", program.display()))?;
        self.child = Some(child);
        self.version = version;
        Ok(())
    }

    fn tell_its_end(&mut self) {
        if let Some(Ok(Some(status))) = self.child.as_mut().map(Child::try_wait) {
            tell(&format!("the site ended ({status}); waiting for a change"));
            self.child = None;
        }
    }

    /// Asks it to end, and ends it when it does not.
    async fn stop(&mut self) {
        let Some(mut child) = self.child.take() else { return };
        #[cfg(unix)]
        if let Some(pid) = child
            .id()
            .and_then(|id| rustix::process::Pid::from_raw(id.cast_signed()))
        {
            // It may have ended by itself a moment ago.
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
            if tokio::time::timeout(PATIENCE, child.wait()).await.is_ok() {
                return;
            }
        }
        let _ = child.kill().await;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::{MetadataCommand, local_folders};
    use std::fs;

    #[test]
    fn what_a_package_depends_on_by_a_path_is_watched_with_it() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        for (name, dependencies) in [
            (
                "site/app",
                "[dependencies]\nnear.path = \"../near\"\nfar.path = \"../../far\"\n[dev-dependencies]\ntools.path = \"../tools\"",
            ),
            ("site/near", ""),
            ("site/tools", ""),
            ("site/other", ""),
            ("far", "[dependencies]\nbelow.path = \"below\"\n[workspace]"),
            ("far/below", ""),
        ] {
            let (place, package) = (root.join(name), name.rsplit('/').next().unwrap());
            fs::create_dir_all(place.join("src")).unwrap();
            fs::write(place.join("src/lib.rs"), "").unwrap();
            let manifest = format!("[package]\nname = \"{package}\"\nedition = \"2024\"\n{dependencies}\n");
            fs::write(place.join("Cargo.toml"), manifest).unwrap();
        }
        fs::write(
            root.join("site/Cargo.toml"),
            "[workspace]\nmembers = [\"*\"]\nresolver = \"3\"",
        )
        .unwrap();
        let metadata = MetadataCommand::new()
            .no_deps()
            .current_dir(root.join("site"))
            .exec()
            .unwrap();
        let app = metadata.packages.iter().find(|package| package.name == "app").unwrap();
        let mut found = local_folders(&metadata, app);
        found.sort();
        let wanted = ["far", "far/below", "site/app", "site/near"];
        assert_eq!(found, wanted.map(|name| root.join(name)));
    }
}
