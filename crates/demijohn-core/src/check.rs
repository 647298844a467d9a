//! What is found wrong with a site before it serves, all at once, each with a stable id and a mend.

use crate::settings::Settings;
use crate::site::Bag;
use std::fmt;

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
            write!(f, "\n\tmend: {}", self.hint)?;
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
    /// A word to choose checks by: `models`, `security`.
    pub tag: &'static str,
    /// True for checks that only `check --deploy` runs.
    pub deploy: bool,
    /// The check itself.
    pub run: Examine,
}

/// What a check does.
pub type Examine = Box<dyn Fn(&Bag, &Settings, &mut Vec<Finding>) + Send + Sync>;

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
}
