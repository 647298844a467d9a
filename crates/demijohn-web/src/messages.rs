//! Messages that a visitor sees once: on the next page that shows them (Django's messages, Flask's `flash`).
//!
//! ```
//! use demijohn_web::{Application, Assemble, Messages, Redirect, get, post, session::SessionSupport};
//!
//! async fn save(messages: Messages) -> Redirect {
//!     messages.success("Saved.");
//!     Redirect::to("/")
//! }
//!
//! async fn index(messages: Messages) -> String {
//!     messages.take().iter().map(|message| format!("{}: {message}", message.level_tag())).collect()
//! }
//!
//! # demijohn_web::test::block_on(async {
//! let client = Application::new().with(SessionSupport).route("/", get(index)).route("/save", post(save)).test_client();
//! assert_eq!(client.post("/save").follow().await.text(), "success: Saved.");
//! assert_eq!(client.get("/").await.text(), "");
//! # });
//! ```
//!
//! Templates have them as `messages`:
//! ```jinja
//! {% for message in messages %}<li class="{{ message.tags }}">{{ message }}</li>{% endfor %}
//! ```
//!
//! They travel in a cookie of their own, signed together with the session's name, so that nobody can put words into the site's mouth. It
//! holds about 3 KB: of more than that the oldest are lost, which the log says.

use crate::cookie::Cookie;
use crate::session::{self, Session, Visit};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use demijohn_core::settings::Key;
use demijohn_core::{Extract, Needs, Rejection, Request, Result};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub(crate) const LEVEL: Key<u8> = Key::new(
    "MESSAGE_LEVEL",
    "20",
    "messages below this level are not kept: 10 debug, 20 info, 25 success, 30 warning, 40 error",
);

/// How much a message matters; Django's levels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum MessageLevel {
    /// For developers; not kept unless `MESSAGE_LEVEL` is 10.
    Debug = 10,
    /// How things are.
    Info = 20,
    /// Something was done.
    Success = 25,
    /// Something may go wrong.
    Warning = 30,
    /// Something was not done.
    Error = 40,
}

impl MessageLevel {
    /// `success` and the like: what style sheets know it by.
    pub fn tag(self) -> &'static str {
        match self {
            MessageLevel::Debug => "debug",
            MessageLevel::Info => "info",
            MessageLevel::Success => "success",
            MessageLevel::Warning => "warning",
            MessageLevel::Error => "error",
        }
    }

    fn of(number: u64) -> MessageLevel {
        match number {
            ..20 => MessageLevel::Debug,
            20..25 => MessageLevel::Info,
            25..30 => MessageLevel::Success,
            30..40 => MessageLevel::Warning,
            40.. => MessageLevel::Error,
        }
    }
}

/// One message. It is shown as its text, which templates escape.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Message {
    /// How much it matters.
    pub level: MessageLevel,
    /// What it says.
    pub text: String,
    /// Tags of the site's own, with blanks between them; empty for none.
    pub extra_tags: String,
}

impl Message {
    /// The tag of its level.
    pub fn level_tag(&self) -> &'static str {
        self.level.tag()
    }

    /// The extra tags, then that of the level: for `class="{{ message.tags }}"`.
    pub fn tags(&self) -> String {
        match self.extra_tags.as_str() {
            "" => self.level_tag().to_owned(),
            extra => format!("{extra} {}", self.level_tag()),
        }
    }
}

impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// The messages of the visitor: those to show, and those to show next.
#[derive(Clone)]
pub struct Messages(Arc<Visit>);

impl fmt::Debug for Messages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Messages(..)")
    }
}

impl Messages {
    /// The messages of a request, for hooks and middleware.
    ///
    /// # Errors
    /// 500 in a site without sessions.
    pub fn of(request: &Request) -> Result<Messages> {
        Session::of(request).map(|session| Messages(session.into_visit()))
    }

    /// Says something on the next page that shows messages; nothing when the level is below `MESSAGE_LEVEL`.
    pub fn add(&self, level: MessageLevel, text: impl Into<String>) {
        self.add_tagged(level, text, "");
    }

    /// The same with tags of the site's own.
    pub fn add_tagged(&self, level: MessageLevel, text: impl Into<String>, extra_tags: impl Into<String>) {
        if level as u8 >= self.0.support.message_level {
            self.0.messages.state().added.push(Message {
                level,
                text: text.into(),
                extra_tags: extra_tags.into(),
            });
        }
    }

    /// A message of level debug.
    pub fn debug(&self, text: impl Into<String>) {
        self.add(MessageLevel::Debug, text);
    }

    /// A message of level info.
    pub fn info(&self, text: impl Into<String>) {
        self.add(MessageLevel::Info, text);
    }

    /// A message of level success.
    pub fn success(&self, text: impl Into<String>) {
        self.add(MessageLevel::Success, text);
    }

    /// A message of level warning.
    pub fn warning(&self, text: impl Into<String>) {
        self.add(MessageLevel::Warning, text);
    }

    /// A message of level error.
    pub fn error(&self, text: impl Into<String>) {
        self.add(MessageLevel::Error, text);
    }

    /// All that there are, for showing them now: they are gone once this answer has gone out well.
    pub fn take(&self) -> Vec<Message> {
        self.0.messages.take(&self.0)
    }
}

impl Extract for Messages {
    async fn extract(request: &mut Request) -> Result<Self, Rejection> {
        Ok(Messages::of(request)?)
    }

    fn needs(needs: &mut Needs) {
        session::support::need(needs);
    }
}

/// The messages of a request, from its cookie to that of the answer.
pub(crate) struct Pending {
    cookie: Option<String>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    added: Vec<Message>,
    /// Those of the cookie were taken.
    taken: bool,
    shown: bool,
}

/// A cookie's value is no longer than this.
const MAX_BYTES: usize = 3500;

impl Pending {
    pub(crate) fn new(cookie: Option<String>) -> Self {
        Pending {
            cookie,
            state: Mutex::default(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// True when the answer shows some.
    pub(crate) fn were_shown(&self) -> bool {
        self.state().shown
    }

    /// What came with the request. What somebody else wrote is nothing.
    fn sent(&self, visit: &Visit) -> Vec<Message> {
        let read = |cookie: &String| {
            let payload = visit.support.message_signer.unseal(cookie, visit.binding()).ok()??;
            let list: Vec<(u64, String, String)> = serde_json::from_slice(&BASE64.decode(payload).ok()?).ok()?;
            Some(list)
        };
        let list = self.cookie.as_ref().and_then(read).unwrap_or_default();
        let message = |(level, text, extra_tags)| Message {
            level: MessageLevel::of(level),
            text,
            extra_tags,
        };
        list.into_iter().map(message).collect()
    }

    pub(crate) fn take(&self, visit: &Visit) -> Vec<Message> {
        let mut state = self.state();
        let mut all = match state.taken {
            true => Vec::new(),
            false => self.sent(visit),
        };
        all.append(&mut state.added);
        state.taken = true;
        state.shown |= !all.is_empty();
        all
    }

    /// How many would be taken.
    #[cfg(feature = "template")]
    pub(crate) fn len(&self, visit: &Visit) -> usize {
        let state = self.state();
        let sent = if state.taken { 0 } else { self.sent(visit).len() };
        sent + state.added.len()
    }

    /// The cookie of the answer, where it is another than that of the request. `binding` is the session's new name; who only asks for
    /// the headers has seen nothing.
    pub(crate) fn cookie(&self, visit: &Visit, binding: Option<&str>, is_seen: bool) -> Result<Option<Cookie>> {
        let mut state = self.state();
        state.taken &= is_seen;
        let moved = self.cookie.is_some() && binding.is_some_and(|binding| binding != visit.binding());
        let taken = state.taken && self.cookie.is_some();
        if state.added.is_empty() && !taken && !moved {
            return Ok(None);
        }
        let mut left = match state.taken {
            true => Vec::new(),
            false => self.sent(visit),
        };
        left.extend(state.added.iter().cloned());
        let mut lost = 0;
        while !left.is_empty() {
            let list: Vec<(u8, &str, &str)> = left
                .iter()
                .map(|message| (message.level as u8, message.text.as_str(), message.extra_tags.as_str()))
                .collect();
            let payload = BASE64.encode(serde_json::to_vec(&list)?);
            if payload.len() <= MAX_BYTES {
                let binding = binding.unwrap_or(visit.binding());
                let sealed = visit.support.message_signer.seal(&payload, binding)?;
                tell_lost(lost);
                return Ok(Some(visit.messages_cookie(Some(sealed))));
            }
            left.remove(0);
            lost += 1;
        }
        tell_lost(lost);
        Ok(self.cookie.is_some().then(|| visit.messages_cookie(None)))
    }
}

fn tell_lost(lost: usize) {
    if lost > 0 {
        tracing::warn!(target: "demijohn::messages", lost, "messages that no cookie has room for were lost");
    }
}
