//! What is found wrong with a site before it serves, all at once, each with a stable id and a mend.
//!
//! Parts and sites add checks; `check` runs them, and so does every command before it does anything: errors keep it from running.
//!
//! ```
//! use demijohn_core::check::{Checks, Finding, Report, Selection};
//! use demijohn_core::{Bag, Settings};
//!
//! let mut checks = Checks::default();
//! checks.add("shop", |_site, settings, findings| {
//!     if settings.get::<u32>("PAGE_SIZE").is_ok_and(|size| size > 1000) {
//!         findings.push(Finding::warning("shop.W001", "lists are long").on("PAGE_SIZE").hint("1000 rows are enough for anyone"));
//!     }
//! });
//! let settings = Settings::from_pairs([("PAGE_SIZE", "5000")]);
//! let report = Report::new(checks.run(&Bag::default(), &settings, &Selection::default()), &[]);
//! assert!(report.to_string().contains("PAGE_SIZE: (shop.W001) lists are long"));
//! ```

use crate::settings::Settings;
use crate::site::Bag;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// How grave a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// Worth knowing.
    Info,
    /// Will hurt some day.
    Warning,
    /// The site does not start.
    Error,
}

/// One thing that a check found, as in Django's check framework
/// (<https://docs.djangoproject.com/en/5.2/ref/checks/>).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// A stable id, `web.E003`.
    pub id: &'static str,
    /// How grave it is.
    pub level: Level,
    /// What it is about: a model, a route, a setting.
    pub object: String,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub hint: String,
}

impl Finding {
    /// An error.
    pub fn error(id: &'static str, message: impl Into<String>) -> Self {
        Finding {
            id,
            level: Level::Error,
            object: String::new(),
            message: message.into(),
            hint: String::new(),
        }
    }

    /// Something worth knowing.
    pub fn info(id: &'static str, message: impl Into<String>) -> Self {
        Finding {
            level: Level::Info,
            ..Self::error(id, message)
        }
    }

    /// A warning.
    pub fn warning(id: &'static str, message: impl Into<String>) -> Self {
        Finding {
            level: Level::Warning,
            ..Self::error(id, message)
        }
    }

    /// What it is about.
    #[must_use]
    pub fn on(mut self, object: impl Into<String>) -> Self {
        self.object = object.into();
        self
    }

    /// What to do.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = hint.into();
        self
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.object.is_empty() {
            write!(f, "{}: ", self.object)?;
        }
        write!(f, "({}) {}", self.id, self.message)?;
        if !self.hint.is_empty() {
            write!(f, "\n\tHINT: {}", self.hint)?;
        }
        Ok(())
    }
}

impl std::error::Error for Finding {}

/// The candidate that is meant most likely by a name that does not exist, if any is near: "did you mean ..?".
///
/// ```
/// use demijohn_core::check::nearest;
///
/// assert_eq!(nearest("detial", ["list", "detail"]), Some("detail"));
/// assert_eq!(nearest("xyz", ["list", "detail"]), None);
/// ```
pub fn nearest<'c>(name: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    let wanted = name.to_lowercase();
    let allowed = wanted.chars().count().div_ceil(3).min(3);
    let near = candidates.into_iter().filter_map(|candidate| {
        let distance = strsim::osa_distance(&wanted, &candidate.to_lowercase());
        (distance <= allowed).then_some((distance, candidate))
    });
    near.min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// A check: reads the built site and adds what it finds.
pub struct Check {
    /// A word to choose checks by: `models`, `security`. Checks of the tag [`DATABASE`] run only when a database is named.
    pub tag: &'static str,
    /// True for checks that only `check --deploy` runs.
    pub deploy: bool,
    /// The check itself.
    pub run: Examine,
}

/// What a check does.
pub type Examine = Box<dyn Fn(&Bag, &Settings, &mut Vec<Finding>) + Send + Sync>;

/// The tag of checks that ask a database, which `check` does only when it is told to: `check --database default`.
pub const DATABASE: &str = "database";

/// Which checks to run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// Those for production too.
    pub deploy: bool,
    /// Only those of these tags; all when empty.
    pub tags: Vec<String>,
    /// Databases that may be asked.
    pub databases: Vec<String>,
}

/// All checks of a site.
#[derive(Default)]
pub struct Checks(pub Vec<Check>);

impl Checks {
    /// Adds a check that always runs.
    pub fn add(&mut self, tag: &'static str, run: impl Fn(&Bag, &Settings, &mut Vec<Finding>) + Send + Sync + 'static) {
        self.0.push(Check {
            tag,
            deploy: false,
            run: Box::new(run),
        });
    }

    /// Adds a check that only `check --deploy` runs.
    pub fn add_deploy(
        &mut self,
        tag: &'static str,
        run: impl Fn(&Bag, &Settings, &mut Vec<Finding>) + Send + Sync + 'static,
    ) {
        self.0.push(Check {
            tag,
            deploy: true,
            run: Box::new(run),
        });
    }

    /// The tags there are, in alphabetical order.
    pub fn tags(&self, deploy: bool) -> Vec<&'static str> {
        let checks = self.0.iter().filter(|check| deploy || !check.deploy);
        let mut tags: Vec<&'static str> = checks.map(|check| check.tag).collect();
        tags.sort_unstable();
        tags.dedup();
        tags
    }

    /// Runs the chosen checks. One that panics is a finding.
    pub fn run(&self, site: &Bag, settings: &Settings, selection: &Selection) -> Vec<Finding> {
        let chosen = self.0.iter().filter(|check| {
            let tagged = selection.tags.is_empty() || selection.tags.iter().any(|tag| tag == check.tag);
            let asks = check.tag == DATABASE && selection.databases.is_empty();
            tagged && !asks && (selection.deploy || !check.deploy)
        });
        let mut findings = Vec::new();
        for check in chosen {
            let mut found = Vec::new();
            let ran = catch_unwind(AssertUnwindSafe(|| (check.run)(site, settings, &mut found)));
            findings.append(&mut found);
            if let Err(panic) = ran {
                findings.push(
                    Finding::error(
                        "checks.E001",
                        format!("a check panicked: {}", crate::command::panic_text(&*panic)),
                    )
                    .on(check.tag)
                    .hint("this is a fault of the check itself"),
                );
            }
        }
        findings
    }
}

/// Findings as `check` prints them, the gravest first.
#[derive(Clone, Debug, Default)]
pub struct Report {
    findings: Vec<Finding>,
    silenced: usize,
}

impl Report {
    /// A report; ids in `silenced` are left out, but for errors. What was found twice is told once.
    pub fn new(findings: Vec<Finding>, silenced: &[String]) -> Self {
        let mut kept: Vec<Finding> = Vec::new();
        let mut hidden = 0;
        for finding in findings {
            if finding.level < Level::Error && silenced.iter().any(|id| id == finding.id) {
                hidden += 1;
            } else if !kept.contains(&finding) {
                kept.push(finding);
            }
        }
        kept.sort_by_key(|finding| std::cmp::Reverse(finding.level));
        Report {
            findings: kept,
            silenced: hidden,
        }
    }

    /// True when something is as grave as this.
    pub fn fails(&self, level: Level) -> bool {
        self.findings.iter().any(|finding| finding.level >= level)
    }

    /// What is told, the gravest first.
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.findings.is_empty() {
            f.write_str("System check identified some issues:\n")?;
        }
        for (level, title) in [
            (Level::Error, "ERRORS"),
            (Level::Warning, "WARNINGS"),
            (Level::Info, "INFOS"),
        ] {
            let mut of_level = self.findings.iter().filter(|finding| finding.level == level).peekable();
            if of_level.peek().is_some() {
                writeln!(f, "\n{title}:")?;
            }
            for finding in of_level {
                writeln!(f, "{finding}")?;
            }
        }
        if !self.findings.is_empty() {
            f.write_str("\n")?;
        }
        match self.findings.len() {
            0 => f.write_str("System check identified no issues")?,
            1 => f.write_str("System check identified 1 issue")?,
            n => write!(f, "System check identified {n} issues")?,
        }
        write!(f, " ({} silenced).", self.silenced)
    }
}
