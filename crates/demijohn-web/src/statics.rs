//! Static files: style sheets, scripts and pictures that belong to the program, under names that change with their content.
//!
//! `.static_files(static_files!("static"))` brings a folder, for a site or a blueprint. Templates write `{{ static_url("app.css") }}`, handlers take
//! [`Static`]. In development files are read from disk as they are asked for. In production `app.css` is
//! `/static/app.2f3a5c7d9e01.css`, which browsers keep for a year and which changes when the file does; a release build carries the files, so it runs
//! from any folder.

mod collect;
mod folder;
mod front;
mod hashed;
mod rewrite;
mod serve;

use crate::Finding;
use crate::route::get;
use crate::routes::Routing;
use demijohn_core::check::{Check, nearest};
use demijohn_core::settings::Key;
use demijohn_core::site::Phase;
use demijohn_core::storage::is_name;
use demijohn_core::{Assemble, Error, Extract, Needs, Part, Rejection, Request, Result, Settings, Site};
pub use folder::StaticFolder;
use folder::{Found, Source};
use hashed::Hashed;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use std::path::{Path, PathBuf};
use std::sync::Arc;

const URL: Key<String> = Key::new(
    "STATIC_URL",
    "/static/",
    "where static files are served; a whole URL when another server does that",
);
const ROOT: Key<PathBuf> = Key::new(
    "STATIC_ROOT",
    "",
    "where `collectstatic` puts static files; in production they are served from there when they are",
);
const DIRS: Key<Vec<String>> = Key::new(
    "STATICFILES_DIRS",
    "",
    "folders of static files before those of the site's code; `prefix=folder` puts one below a prefix",
);

/// The static files of the site, as a handler's argument: where browsers find them.
///
/// ```
/// use demijohn_web::{get, test, Application, Result, Static, StaticExt, StaticFolder};
///
/// async fn logo(files: Static) -> Result<String> {
///     files.url("logo.svg")
/// }
///
/// # test::block_on(async {
/// let folder = StaticFolder::embedded(&[("logo.svg", b"<svg/>")]);
/// let client = Application::new().static_files(folder).route("/", get(logo)).test_production_client();
/// assert_eq!(client.get("/").await.text(), "/static/logo.d4dc56669143.svg");
/// assert_eq!(client.get("/static/logo.d4dc56669143.svg").await.text(), "<svg/>");
/// # });
/// ```
#[derive(Clone, Debug)]
pub struct Static(Arc<Catalogue>);

#[derive(Debug)]
struct Catalogue {
    /// With a slash at its end.
    url: String,
    sources: Vec<Source>,
    /// In production; in development files are looked for when they are asked for.
    hashed: Option<Hashed>,
}

impl Static {
    /// Where browsers find a file: `/static/app.css` in development, a name that changes with the content in production. What follows a `?` or `#` is
    /// kept.
    ///
    /// # Errors
    /// 500 when there is no such file; `check` finds that for names in templates.
    pub fn url(&self, name: &str) -> Result<String> {
        let (name, rest) = name.split_at(name.find(['?', '#']).unwrap_or(name.len()));
        let served = match &self.0.hashed {
            Some(hashed) => hashed.by_name(name).map(|entry| entry.hashed.as_str()),
            None => self.find(name).map(|_| name),
        };
        match served {
            Some(served) => Ok(format!("{}{}{rest}", self.0.url, utf8_percent_encode(served, KEPT))),
            None => Err(Error::internal(self.missing(name))),
        }
    }

    /// True when there is a file of this name.
    pub fn has(&self, name: &str) -> bool {
        let name = name.split(['?', '#']).next().unwrap_or_default();
        match &self.0.hashed {
            Some(hashed) => hashed.by_name(name).is_some(),
            None => self.find(name).is_some(),
        }
    }

    /// Says that there is no file of this name, and which was meant.
    pub(crate) fn missing(&self, name: &str) -> String {
        let names: Vec<String> = match &self.0.hashed {
            Some(hashed) => hashed.names().map(str::to_owned).collect(),
            None => folder::all(&self.0.sources).map_or_else(|_| Vec::new(), |all| all.into_keys().collect()),
        };
        let meant = nearest(name, names.iter().map(String::as_str)).map(|near| format!("; did you mean `{near}`?"));
        format!("no static file `{name}`{}", meant.unwrap_or_default())
    }

    fn find(&self, name: &str) -> Option<Found> {
        let name = Some(name).filter(|name| is_name(name))?;
        self.0.sources.iter().find_map(|source| source.find(name))
    }
}

const KEPT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'/');

impl Extract for Static {
    async fn extract(request: &mut Request) -> Result<Self, Rejection> {
        Ok(request.provided::<Static>()?.clone())
    }

    fn needs(needs: &mut Needs) {
        needs.provider::<Static>("bring a folder of static files: `.static_files(static_files!(\"static\"))`");
    }
}

/// Static files for a site or a blueprint. The prelude brings it.
pub trait StaticExt: Assemble {
    /// Brings a folder of static files, `static_files!("static")`. All folders make one: a file of the site hides one of the same name of a blueprint,
    /// so blueprints keep theirs in a folder of their own name.
    #[must_use]
    fn static_files(self, folder: StaticFolder) -> Self {
        self.with(Bring(folder))
    }

    /// Serves a front end that other tools built (`npm run build`), at the path of the site or of the blueprint: `front_end(static_files!("dist"))`. All
    /// other routes win. Whoever goes to an address without a file gets `index.html`, where the front end's own routing takes over; a file
    /// that is asked for and not there is 404.
    #[must_use]
    fn front_end(self, folder: StaticFolder) -> Self {
        self.with(front::FrontEnd(folder))
    }
}

impl<T: Assemble> StaticExt for T {}

struct Bring(StaticFolder);

#[derive(Default)]
struct Parts {
    of_site: Vec<Source>,
    of_blueprints: Vec<Source>,
}

impl Part for Bring {
    fn install(self: Box<Self>, site: &mut Site) {
        let of_site = site.scope().blueprint.is_empty();
        let parts: &mut Parts = site.entry();
        match of_site {
            true => parts.of_site.push(self.0.into()),
            false => parts.of_blueprints.push(self.0.into()),
        }
    }
}

/// Declares settings and commands, and serves what parts bring.
pub(crate) fn install(site: &mut Site) {
    let settings = site.settings_mut();
    settings.declare(&URL);
    settings.declare(&ROOT);
    settings.declare(&DIRS);
    site.commands.add_from("demijohn", collect::collectstatic());
    site.commands.add_from("demijohn", collect::findstatic());
    site.checks.0.push(Check {
        tag: "staticfiles",
        deploy: false,
        run: Box::new(|bag, settings, findings| {
            if let Some(files) = bag.get::<Static>() {
                check(files, settings, findings);
            }
        }),
    });
    site.on_build(Phase::Provide, |site| {
        let parts = std::mem::take(site.entry::<Parts>());
        let settings = site.settings();
        let url = url(settings)?;
        let (mut sources, root) = (Vec::new(), settings.value(&ROOT)?);
        for folder in settings.value(&DIRS)? {
            sources.push(Source::of_setting(&folder)?);
        }
        sources.extend(parts.of_site);
        sources.extend(parts.of_blueprints);
        let collected = root.join(hashed::MANIFEST);
        let is_collected = !root.as_os_str().is_empty() && collected.is_file();
        let hashed = match (settings.debug(), is_collected) {
            (true, _) => None,
            (false, true) => Some(Hashed::of_manifest(&root)?),
            (false, false) => Some(Hashed::of(&sources, &url)?),
        };
        let is_here = url.starts_with('/');
        let is_empty = sources.is_empty() && hashed.as_ref().is_none_or(Hashed::is_empty);
        if is_here && !is_empty {
            site.route(&format!("{url}{{*filename}}"), get(serve::serve).name("static"));
        }
        site.bag_mut()
            .insert(Static(Arc::new(Catalogue { url, sources, hashed })));
        Ok(())
    });
}

fn url(settings: &Settings) -> Result<String, Finding> {
    let mut url = settings.value(&URL)?;
    if !url.ends_with('/') {
        url.push('/');
    }
    let is_elsewhere = url.starts_with("https://") || url.starts_with("http://");
    let is_path = url.starts_with('/') && !url.starts_with("//") && url != "/" && !url.contains(['{', '}', '\\']);
    match is_elsewhere || is_path {
        true => Ok(url),
        false => {
            let finding = Finding::error("staticfiles.E006", format!("STATIC_URL is `{url}`"));
            Err(finding.hint("write a path with a slash at both ends, as in `/static/`, or a whole URL"))
        }
    }
}

fn check(files: &Static, settings: &Settings, findings: &mut Vec<Finding>) {
    let root = settings.value(&ROOT).unwrap_or_default();
    for source in &files.0.sources {
        let Some(folder) = source.folder() else { continue };
        if !folder.is_dir() {
            findings.push(
                Finding::warning("staticfiles.W004", "the folder of static files is not there")
                    .on(folder.display().to_string())
                    .hint("make it, or take it out of STATICFILES_DIRS or `.static_files(..)`"),
            );
        }
        if !root.as_os_str().is_empty() && overlap(&root, folder) {
            findings.push(
                Finding::error(
                    "staticfiles.E002",
                    "STATIC_ROOT and a folder of static files lie in each other",
                )
                .on(folder.display().to_string())
                .hint("collect into a folder of its own: what is collected would be collected again"),
            );
        }
    }
    #[cfg(feature = "storage")]
    media_apart(files, settings, findings);
    let made = match files.0.hashed {
        Some(_) => None,
        None => Hashed::of(&files.0.sources, &files.0.url).ok(),
    };
    for broken in files.0.hashed.iter().chain(&made).flat_map(|hashed| &hashed.broken) {
        findings.push(
            Finding::warning(
                "staticfiles.W001",
                format!("it refers to `{}`, which is not there", broken.reference),
            )
            .on(broken.file.as_str())
            .hint("correct the reference, or add the file"),
        );
    }
}

/// What strangers upload must never come out among the files that the site trusts.
#[cfg(feature = "storage")]
fn media_apart(files: &Static, settings: &Settings, findings: &mut Vec<Finding>) {
    let (root, url) = crate::storage::place(settings);
    if root.as_os_str().is_empty() {
        return;
    }
    let collected = settings.value(&ROOT).unwrap_or_default();
    let folders = files.0.sources.iter().filter_map(Source::folder);
    let mut folders = folders.chain((!collected.as_os_str().is_empty()).then_some(collected.as_path()));
    if let Some(folder) = folders.find(|folder| overlap(&root, folder)) {
        findings.push(
            Finding::error(
                "staticfiles.E008",
                "MEDIA_ROOT and a folder of static files lie in each other",
            )
            .on(folder.display().to_string())
            .hint("keep uploads in a folder of their own: static files are served as the site's own"),
        );
    }
    let is_below = |a: &str, b: &str| !a.is_empty() && b.starts_with(a);
    if is_below(&url, &files.0.url) || is_below(&files.0.url, &url) {
        findings.push(
            Finding::error("staticfiles.E009", "MEDIA_URL and STATIC_URL lie in each other")
                .hint("give them paths of their own, as in `/media/` and `/static/`"),
        );
    }
}

fn overlap(a: &Path, b: &Path) -> bool {
    let whole = |path: &Path| {
        path.canonicalize()
            .or_else(|_| std::path::absolute(path))
            .unwrap_or_default()
    };
    let (a, b) = (whole(a), whole(b));
    a.starts_with(&b) || b.starts_with(&a)
}
