//! `demijohn add NAME`: a blueprint in the project of the working folder.

use crate::fill::{Files, Words};
use crate::{Result, name};
use cargo_metadata::MetadataCommand;
use clap::ArgMatches;
use std::path::Path;
use std::process::ExitCode;

pub(crate) fn add(call: &ArgMatches) -> Result<ExitCode> {
    let word = call.get_one::<String>("name").map(String::as_str).unwrap_or_default();
    let module = name::of_module(word)?;
    let here = std::env::current_dir().map_err(|error| format!("the working folder cannot be read: {error}"))?;
    let found = here.ancestors().find(|folder| folder.join("Cargo.toml").is_file());
    let Some(folder) = found else {
        return Err(
            "there is no Cargo.toml here or above: go to the folder of a project, or make one by `demijohn new NAME`"
                .to_owned(),
        );
    };
    clashes(folder, &module)?;
    let words = Words(vec![("app_name", module.clone()), ("AppName", camel(&module))]);
    let mut files = Files::default();
    files.add(
        format!("src/{module}.rs"),
        words.fill(include_str!("../skeleton/app/app.rs")),
    );
    files.add(
        format!("templates/{module}/index.html"),
        words.fill(include_str!("../skeleton/app/index.html")),
    );
    files.write(folder)?;
    println!("Made src/{module}.rs and templates/{module}/index.html. Two lines of src/lib.rs take it in:\n");
    println!("  pub mod {module};");
    println!("  .mount(\"/{module}\", {module}::blueprint())     // in `app()`");
    Ok(ExitCode::SUCCESS)
}

/// A module hides a crate of its name, and two modules cannot share one.
fn clashes(folder: &Path, module: &str) -> Result<()> {
    for path in [format!("src/{module}.rs"), format!("src/{module}")] {
        if folder.join(&path).exists() {
            return Err(format!(
                "the project has a module `{module}` already: {path}; choose another name"
            ));
        }
    }
    let metadata = MetadataCommand::new()
        .manifest_path(folder.join("Cargo.toml"))
        .no_deps()
        .exec()
        .map_err(|error| {
            format!(
                "`{}` cannot be understood: {error}",
                folder.join("Cargo.toml").display()
            )
        })?;
    let manifest = folder.join("Cargo.toml");
    let package = metadata
        .packages
        .iter()
        .find(|package| package.manifest_path.as_std_path() == manifest);
    let Some(package) = package else {
        return Err(format!(
            "`{}` is no package but a workspace: go to the folder of a package",
            manifest.display()
        ));
    };
    let is_clash = |other: &str| other.replace('-', "_") == module;
    let dependency = package
        .dependencies
        .iter()
        .find(|d| is_clash(d.rename.as_deref().unwrap_or(&d.name)));
    if let Some(dependency) = dependency {
        return Err(format!(
            "`{module}` is the name of a crate that the project uses ({}); choose another",
            dependency.name
        ));
    }
    if is_clash(&package.name) {
        return Err(format!("`{module}` is the name of the project itself; choose another"));
    }
    Ok(())
}

/// `my_shop` as the name of a struct.
fn camel(module: &str) -> String {
    let mut name = String::new();
    for part in module.split('_') {
        let mut chars = part.chars();
        name.extend(chars.next().map(|c| c.to_ascii_uppercase()));
        name.push_str(chars.as_str());
    }
    name
}
