//! The log of a running site: one line an event, readable in development, JSON in production.
//!
//! Lines go to standard error through a buffer that a thread empties, so a slow disk or terminal never holds a
//! request up; what comes faster than it can be written is counted and dropped.

use demijohn_core::Settings;
use demijohn_core::command::Console;
use demijohn_core::settings::{Key, Origin};
use serde_core::{Deserialize, Deserializer, de};
use std::fmt::{self, Write as _};
use std::io::{self, IsTerminal, Write};
use std::panic::PanicHookInfo;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, MakeWriter};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;

/// What is logged.
pub(crate) const LOG: Key<Levels> = Key::new(
    "LOG",
    "info",
    "what is logged: a level, or levels by target as in `warn,demijohn::request=info,my_site=debug`; RUST_LOG wins over it; unless it is set, a site in development logs its own crate at `debug`",
);

/// How it is written.
pub(crate) const LOG_FORMAT: Key<LogFormat> = Key::new(
    "LOG_FORMAT",
    "auto",
    "how log lines are written: `plain`, `json`, or `auto`: plain in development and on a terminal, else JSON",
);

/// A level, or levels by target.
pub(crate) struct Levels(String);

// By hand, as below.
impl<'de> Deserialize<'de> for Levels {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        // A bare word that is no level would be a target, of which everything is logged, and of all others nothing.
        let is_told = |part: &str| match part.split_once('=') {
            Some((target, level)) => !target.trim().is_empty() && level.trim().parse::<LevelFilter>().is_ok(),
            None => part.parse::<LevelFilter>().is_ok(),
        };
        match text
            .split(',')
            .map(str::trim)
            .filter(|part| !part.is_empty())
            .all(is_told)
        {
            true => Ok(Levels(text)),
            false => Err(de::Error::custom(
                "a level (`off`, `error`, `warn`, `info`, `debug`, `trace`) or levels by target, such as `warn,my_site=debug`",
            )),
        }
    }
}

#[derive(Clone, Copy, PartialEq)]
pub(crate) enum LogFormat {
    Auto,
    Plain,
    Json,
}

// By hand, so that the smallest site compiles no derive.
impl<'de> Deserialize<'de> for LogFormat {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match String::deserialize(deserializer)?.trim() {
            "auto" => Ok(LogFormat::Auto),
            "plain" => Ok(LogFormat::Plain),
            "json" => Ok(LogFormat::Json),
            _ => Err(de::Error::custom("`auto`, `plain` or `json`")),
        }
    }
}

/// A log that was set up; finish it to write what is left.
pub(crate) struct Log(Option<Lines>);

impl Log {
    /// Writes what is left.
    pub(crate) fn finish(self) {
        if let Some(lines) = self.0 {
            lines.finish();
        }
    }
}

/// Sets the log up, unless the program did so before.
pub(crate) fn start(settings: &Settings, console: &Console, program: &str) -> Log {
    std::panic::set_hook(Box::new(panicked));
    let rust_log = settings.get::<String>("RUST_LOG").ok().filter(|text| !text.is_empty());
    let text = rust_log.unwrap_or_else(|| by_setting(settings, program));
    let targets: Targets = text.parse().unwrap_or_else(|error| {
        console.error(&format!(
            "`{text}` does not say what to log: {error}; write a level or levels by target, such as `info` or `warn,my_site=debug`"
        ));
        Targets::new().with_default(Level::INFO)
    });
    let terminal = io::stderr().is_terminal();
    let json = match settings.value(&LOG_FORMAT) {
        Ok(LogFormat::Json) => true,
        Ok(LogFormat::Plain) => false,
        _ => !settings.debug() && !terminal,
    };
    let Ok(lines) = Lines::start() else { return Log(None) };
    let layer = tracing_subscriber::fmt::layer()
        .event_format(Format {
            json,
            color: terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()),
        })
        .with_writer(lines.clone());
    match tracing_subscriber::registry().with(targets).with(layer).try_init() {
        Ok(()) => Log(Some(lines)),
        Err(_) => Log(None),
    }
}

/// The setting; in development a site tells more of itself, unless somebody said otherwise.
fn by_setting(settings: &Settings, program: &str) -> String {
    let text = settings
        .value(&LOG)
        .map_or_else(|_| "info".to_owned(), |levels| levels.0);
    let is_default = settings
        .origin(LOG.name())
        .is_none_or(|origin| *origin == Origin::Default);
    match is_default && settings.debug() {
        // Its library has the program's name, as a rule, and tells what it does under that.
        true => format!("{text},{}=debug", program.replace('-', "_")),
        false => text,
    }
}

/// One line in the log, and no backtrace.
fn panicked(info: &PanicHookInfo<'_>) {
    let text = info.payload_as_str().unwrap_or("it did not say why");
    match info.location() {
        Some(at) => tracing::error!(target: "demijohn::panic", "panicked at {}:{}: {text}", at.file(), at.line()),
        None => tracing::error!(target: "demijohn::panic", "panicked: {text}"),
    }
}

struct Format {
    json: bool,
    color: bool,
}

impl<S, N> FormatEvent<S, N> for Format
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, cx: &FmtContext<'_, S, N>, mut out: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let mut spans = Vec::new();
        if let Some(scope) = cx.event_scope() {
            spans.extend(scope.from_root().map(|span| span.name()));
        }
        let mut time = String::new();
        SystemTime.format_time(&mut Writer::new(&mut time))?;
        let meta = event.metadata();
        match self.json {
            true => json(&mut out, &time, meta.level(), meta.target(), &spans, &fields),
            false => {
                // The day is known to whoever looks at a terminal.
                let clock = time.get(11..19).unwrap_or(&time);
                match meta.target() {
                    "demijohn::request" => self.request(&mut out, clock, &fields),
                    target => self.plain(&mut out, clock, meta.level(), target, &spans, &fields),
                }
            }
        }
    }
}

impl Format {
    fn paint(&self, out: &mut Writer<'_>, code: &str, text: fmt::Arguments<'_>) -> fmt::Result {
        match self.color {
            true => write!(out, "\u{1b}[{code}m{text}\u{1b}[0m"),
            false => out.write_fmt(text),
        }
    }

    /// `12:30:01 200 GET /post/7 1.2 ms`
    fn request(&self, out: &mut Writer<'_>, clock: &str, fields: &Fields) -> fmt::Result {
        let status = fields.get("status");
        let color = match status.as_bytes().first() {
            Some(b'5') => "31",
            Some(b'4') => "33",
            Some(b'3') => "36",
            _ => "32",
        };
        write!(out, "{clock} ")?;
        self.paint(out, color, format_args!("{status}"))?;
        write!(out, " {} {}", fields.get("method"), fields.get("path"))?;
        if let Ok(us) = fields.get("us").parse::<u64>() {
            write!(out, " {}.{} ms", us / 1000, us % 1000 / 100)?;
        }
        let error = fields.get("error");
        if !error.is_empty() {
            write!(out, " ")?;
            self.paint(out, "31", format_args!("{error}"))?;
        }
        writeln!(out)
    }

    fn plain(
        &self,
        out: &mut Writer<'_>,
        clock: &str,
        level: &Level,
        target: &str,
        spans: &[&str],
        fields: &Fields,
    ) -> fmt::Result {
        let color = match *level {
            Level::ERROR => "31",
            Level::WARN => "33",
            _ => "2",
        };
        write!(out, "{clock} ")?;
        self.paint(out, color, format_args!("{level:5}"))?;
        write!(out, " {target}: ")?;
        for span in spans {
            write!(out, "{span}: ")?;
        }
        write!(out, "{}", fields.get("message"))?;
        for (name, value, _) in fields.0.iter().filter(|(name, ..)| *name != "message") {
            write!(out, " {name}={value}")?;
        }
        writeln!(out)
    }
}

fn json(out: &mut Writer<'_>, time: &str, level: &Level, target: &str, spans: &[&str], fields: &Fields) -> fmt::Result {
    write!(
        out,
        "{{\"time\":\"{time}\",\"level\":\"{level}\",\"target\":{}",
        Quoted(target)
    )?;
    if !spans.is_empty() {
        let spans: Vec<String> = spans.iter().map(|span| Quoted(span).to_string()).collect();
        write!(out, ",\"spans\":[{}]", spans.join(","))?;
    }
    for (name, value, bare) in &fields.0 {
        match bare {
            true => write!(out, ",{}:{value}", Quoted(name))?,
            false => write!(out, ",{}:{}", Quoted(name), Quoted(value))?,
        }
    }
    out.write_str("}\n")
}

/// A text as a JSON string.
struct Quoted<'t>(&'t str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&serde_json::to_string(self.0).map_err(|_| fmt::Error)?)
    }
}

/// The fields of an event as texts; the third part is true for what is a number or a bool.
#[derive(Default)]
struct Fields(Vec<(&'static str, String, bool)>);

impl Fields {
    fn get(&self, name: &str) -> &str {
        self.0
            .iter()
            .find(|(n, ..)| *n == name)
            .map_or("", |(_, value, _)| value)
    }

    /// Control characters in a text could forge lines or drive a terminal.
    fn text(&mut self, field: &Field, text: &str) {
        let mut clean = String::with_capacity(text.len());
        for c in text.chars() {
            match c.is_control() {
                true => clean.extend(c.escape_default()),
                false => clean.push(c),
            }
        }
        self.0.push((field.name(), clean, false));
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let mut text = String::new();
        let _ = write!(text, "{value:?}");
        // A text that was recorded by `?` is escaped already; its quotes say nothing.
        match text.strip_prefix('"').and_then(|t| t.strip_suffix('"')) {
            Some(inner) => self.text(field, inner),
            None => self.text(field, &text),
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.text(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.0.push((field.name(), value.to_string(), true));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.0.push((field.name(), value.to_string(), true));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.0.push((field.name(), value.to_string(), true));
    }
}

/// Lines on their way to standard error.
#[derive(Clone)]
struct Lines(Arc<Shared>);

struct Shared {
    state: Mutex<Waiting>,
    changed: Condvar,
}

#[derive(Default)]
struct Waiting {
    bytes: Vec<u8>,
    dropped: u64,
    writing: bool,
    /// The program ends: what waits is written at once.
    closing: bool,
}

/// What may wait; a line more is dropped.
const MAX_WAITING_BYTES: usize = 1 << 20;
/// What is written without waiting for more.
const GATHERED_BYTES: usize = 64 << 10;
/// How long a line waits for others. Short enough for whoever watches the terminal.
const GATHER: Duration = Duration::from_millis(20);

impl Lines {
    fn start() -> io::Result<Self> {
        let lines = Lines(Arc::new(Shared {
            state: Mutex::default(),
            changed: Condvar::new(),
        }));
        let shared = Arc::clone(&lines.0);
        std::thread::Builder::new()
            .name("log".to_owned())
            .stack_size(64 << 10)
            .spawn(move || shared.write_on())?;
        Ok(lines)
    }

    /// Waits until everything is written, but not for ever: the other end may have stopped reading.
    fn finish(&self) {
        let mut state = self.0.lock();
        state.closing = true;
        self.0.changed.notify_all();
        let _ = self
            .0
            .changed
            .wait_timeout_while(state, Duration::from_secs(1), |state| {
                state.writing || !state.bytes.is_empty()
            });
    }
}

impl Shared {
    fn lock(&self) -> std::sync::MutexGuard<'_, Waiting> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_on(&self) {
        let mut bytes = Vec::new();
        loop {
            let mut state = self.lock();
            state.writing = false;
            self.changed.notify_all();
            while state.bytes.is_empty() {
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
            // Under load lines come by the thousand: one write for those of a moment, instead of a wake-up for each.
            let gathering = |state: &mut Waiting| !state.closing && state.bytes.len() < GATHERED_BYTES;
            let gathered = self.changed.wait_timeout_while(state, GATHER, gathering);
            state = gathered.unwrap_or_else(PoisonError::into_inner).0;
            state.writing = true;
            std::mem::swap(&mut bytes, &mut state.bytes);
            let dropped = std::mem::take(&mut state.dropped);
            drop(state);
            // Nobody can be told that standard error is gone.
            let _ = io::stderr().write_all(&bytes);
            if dropped > 0 {
                let _ = writeln!(io::stderr(), "{dropped} lines of log came too fast and were dropped");
            }
            bytes.clear();
            bytes.shrink_to(64 << 10);
        }
    }
}

impl Write for &Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut state = self.0.lock();
        match state.bytes.len() + bytes.len() > MAX_WAITING_BYTES {
            true => state.dropped += 1,
            false => {
                let before = state.bytes.len();
                state.bytes.extend_from_slice(bytes);
                let full = before < GATHERED_BYTES && state.bytes.len() >= GATHERED_BYTES;
                if before == 0 || full {
                    self.0.changed.notify_all();
                }
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'l> MakeWriter<'l> for Lines {
    type Writer = &'l Lines;

    fn make_writer(&'l self) -> &'l Lines {
        self
    }
}
