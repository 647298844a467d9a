//! How Rust values become what a template sees.

use minijinja::Value;
use minijinja::value::{Enumerator, Object};
use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// A value that templates can read.
///
/// Derive it for the structs that you hand to a template: `#[derive(Context)]`. Every field becomes a value by its own
/// `Context`, or by `serde::Serialize` where it has none.
#[diagnostic::on_unimplemented(
    message = "a template cannot read `{Self}`",
    label = "neither `Context` nor `serde::Serialize`",
    note = "put `#[derive(Context)]` on the type, or derive `serde::Serialize` for it"
)]
pub trait Context {
    /// The template's view of it.
    fn into_value(self) -> Value;
}

/// A [`Context`] that knows the template it is for: `#[derive(Context)] #[template("blog/index.html")]`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` names no template",
    label = "not a page",
    note = "put `#[derive(Context)]` and `#[template(\"blog/index.html\")]` on the struct, or use `render(\"blog/index.html\", context)`"
)]
pub trait Template: Context {
    /// The template's name.
    const NAME: &'static str;
    /// The names that it hands over, for the check of names.
    const FIELDS: &'static [&'static str];
}

macro_rules! plain {
    ($($t:ty),*) => {$(
        impl Context for $t {
            fn into_value(self) -> Value {
                Value::from(self)
            }
        }
    )*};
}

impl Context for () {
    fn into_value(self) -> Value {
        Value::from(())
    }
}

plain!(
    bool,
    char,
    u8,
    u16,
    u32,
    u64,
    u128,
    usize,
    i8,
    i16,
    i32,
    i64,
    i128,
    isize,
    f32,
    f64,
    String,
    &str,
    Cow<'_, str>,
    Arc<str>
);

impl Context for Value {
    fn into_value(self) -> Value {
        self
    }
}

impl<T: Context + Clone> Context for &T {
    fn into_value(self) -> Value {
        self.clone().into_value()
    }
}

impl<T: Context> Context for Option<T> {
    fn into_value(self) -> Value {
        self.map_or_else(|| Value::from(()), Context::into_value)
    }
}

impl<T: Context> Context for Box<T> {
    fn into_value(self) -> Value {
        (*self).into_value()
    }
}

impl<T: Context> Context for Vec<T> {
    fn into_value(self) -> Value {
        Value::from(self.into_iter().map(Context::into_value).collect::<Vec<_>>())
    }
}

impl<T: Context, const N: usize> Context for [T; N] {
    fn into_value(self) -> Value {
        Value::from(self.into_iter().map(Context::into_value).collect::<Vec<_>>())
    }
}

impl<K: Into<String>, V: Context, S> Context for HashMap<K, V, S> {
    fn into_value(self) -> Value {
        Value::from_pairs(self.into_iter().map(|(k, v)| (k.into(), v.into_value())))
    }
}

impl<K: Into<String>, V: Context> Context for BTreeMap<K, V> {
    fn into_value(self) -> Value {
        Value::from_pairs(self.into_iter().map(|(k, v)| (k.into(), v.into_value())))
    }
}

/// Values by name for a template, for sketches that do not want a struct: `context! { title => "Hello", articles }`.
///
/// Values are moved in, by [`Context`] or `serde::Serialize`.
///
/// ```
/// use demijohn_template::{Engine, context};
///
/// let tags = vec!["wine", "glass"];
/// let engine = Engine::builder().build();
/// let text = engine.render_text("{{ n }}: {{ tags | join(', ') }}", context! { n => 1 + 1, tags })?;
/// assert_eq!(text, "2: wine, glass");
/// # Ok::<(), demijohn_template::Error>(())
/// ```
#[macro_export]
macro_rules! context {
    ($($key:ident $(=> $value:expr)?),* $(,)?) => {
        $crate::__private::record(
            &[$(::core::stringify!($key)),*],
            [$($crate::__context_value!($key $(=> $value)?)),*],
        )
    };
}

/// One value of [`context!`].
#[doc(hidden)]
#[macro_export]
macro_rules! __context_value {
    ($key:ident) => {
        $crate::__context_value!($key => $key)
    };
    ($key:ident => $value:expr) => {
        match $value {
            value => {
                #[allow(unused_imports)]
                use $crate::__private::{ViaContext as _, ViaNothing as _, ViaSerialize as _};
                (&&&$crate::__private::Probe(&value)).way().convert(value)
            }
        }
    };
}

/// Fields by name, in one allocation: what a derived [`Context`] becomes.
#[derive(Debug)]
struct Record<const N: usize> {
    names: &'static [&'static str; N],
    values: [Value; N],
}

impl<const N: usize> Object for Record<N> {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.get_value_by_str(key.as_str()?)
    }

    // A struct has few fields: comparing names one after another beats hashing.
    fn get_value_by_str(self: &Arc<Self>, key: &str) -> Option<Value> {
        let at = self.names.iter().position(|name| *name == key)?;
        Some(self.values[at].clone())
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Str(self.names)
    }

    // A record without fields is still something.
    fn is_true(self: &Arc<Self>) -> bool {
        true
    }
}

/// A record of named values; called by the derive.
pub fn record<const N: usize>(names: &'static [&'static str; N], values: [Value; N]) -> Value {
    Value::from_object(Record { names, values })
}

/// Picks the way a field becomes a value: its `Context` before its `Serialize`.
///
/// The derive writes `(&&&Probe(&self.f)).way().convert(self.f)`. Method look-up tries the most referenced receiver
/// first, so the first of the three traits below whose bound holds is taken. (Rust has no specialisation; this is the
/// known way around it for concrete types.)
pub struct Probe<'a, T>(pub &'a T);

/// Through [`Context`].
pub struct ByContext;
/// Through `serde::Serialize`.
pub struct BySerialize;

/// First choice.
pub trait ViaContext {
    /// Names the way.
    fn way(&self) -> ByContext {
        ByContext
    }
}
impl<T: Context> ViaContext for &&Probe<'_, T> {}

/// Second choice.
pub trait ViaSerialize {
    /// Names the way.
    fn way(&self) -> BySerialize {
        BySerialize
    }
}
impl<T: serde::Serialize> ViaSerialize for &Probe<'_, T> {}

/// Neither holds: asks for `Context`, whose message tells the user what to write.
pub trait ViaNothing {
    /// Names the way.
    fn way(&self) -> ByContext {
        ByContext
    }
}
impl<T> ViaNothing for Probe<'_, T> {}

impl ByContext {
    /// Converts.
    pub fn convert<T: Context>(self, value: T) -> Value {
        value.into_value()
    }
}

impl BySerialize {
    /// Converts.
    pub fn convert<T: serde::Serialize>(self, value: T) -> Value {
        Value::from(minijinja::value::Serde(value))
    }
}
