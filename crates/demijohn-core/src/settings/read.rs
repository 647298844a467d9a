//! Reads a tree of values into a Rust type, and reports *all* that does not fit.
//!
//! serde stops at the first error. Here a leaf that does not fit is noted, and a stand-in of the wanted kind is handed
//! on so that the walk continues; a missing field is noted, and the walk starts again with a stand-in for it, or without the
//! field that its own type refused. The value that such a walk yields is thrown away: only its faults count.

use super::origin::Origin;
use super::tree::{self, Node, Value};
use crate::check::nearest;
use serde_core::de::{self, DeserializeOwned, DeserializeSeed, Deserializer, IntoDeserializer, Visitor};
use std::cell::{Cell, RefCell};
use std::fmt;
use std::marker::PhantomData;

/// What does not fit.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Misfit {
    /// The path, dotted.
    pub(super) name: String,
    pub(super) origin: Origin,
    pub(super) what: What,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum What {
    /// Expected this, found that.
    Wrong { expected: String, found: String },
    /// A required value is not there.
    Missing,
    /// A key that the type does not have, and the one it may mean.
    Unknown(Option<String>),
}

/// Reads `node` (or nothing) as a `T`. The second part are unknown keys, which do no harm but are worth a warning.
///
/// # Errors
/// All that does not fit.
pub(super) fn read<T: DeserializeOwned>(name: &str, node: Option<&Node>) -> Result<(T, Vec<Misfit>), Vec<Misfit>> {
    let walk = Walk::default();
    loop {
        walk.misfits.borrow_mut().clear();
        walk.unknown.borrow_mut().clear();
        walk.again.set(false);
        let reader = Reader {
            name: name.to_owned(),
            node,
            walk: &walk,
        };
        let result = reader.read_by(PhantomData::<T>);
        if walk.again.get() {
            continue;
        }
        let missing = walk.missing.borrow();
        let mut misfits: Vec<Misfit> = missing
            .iter()
            .map(|name| Misfit {
                name: name.clone(),
                origin: node.map_or(Origin::Default, |n| n.origin.clone()),
                what: What::Missing,
            })
            .collect();
        misfits.extend(walk.refused.take());
        misfits.extend(walk.misfits.take());
        return match result {
            Ok(value) if misfits.is_empty() => Ok((value, walk.unknown.take())),
            _ => {
                misfits.extend(walk.unknown.take());
                Err(misfits)
            }
        };
    }
}

#[derive(Default)]
struct Walk {
    misfits: RefCell<Vec<Misfit>>,
    unknown: RefCell<Vec<Misfit>>,
    /// Fields found missing, by path.
    missing: RefCell<Vec<String>>,
    /// Values that their own type refused, for which nothing can stand in.
    refused: RefCell<Vec<Misfit>>,
    /// Something was learnt that lets the next walk come further.
    again: Cell<bool>,
}

/// Ends a walk. `None`: the reason is noted already. `Some`: what a visitor said about a value.
#[derive(Debug)]
struct Stop(Option<String>);

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_deref().unwrap_or("does not fit"))
    }
}

impl std::error::Error for Stop {}

/// Marks the message of a missing field on its way from serde's derive to the struct that lacks it.
const MISSING: &str = "\u{0}missing ";

impl de::Error for Stop {
    fn custom<T: fmt::Display>(text: T) -> Self {
        Stop(Some(text.to_string()))
    }

    fn invalid_type(_: de::Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        Stop(Some(expected.to_string()))
    }

    fn invalid_value(_: de::Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        Stop(Some(expected.to_string()))
    }

    fn missing_field(field: &'static str) -> Self {
        Stop(Some(format!("{MISSING}{field}")))
    }
}

struct Reader<'a> {
    name: String,
    /// `None` is a stand-in: whatever is asked for is given.
    node: Option<&'a Node>,
    walk: &'a Walk,
}

impl<'a> Reader<'a> {
    fn child(&self, key: &str, node: Option<&'a Node>) -> Reader<'a> {
        Reader {
            name: match self.name.is_empty() {
                true => key.to_owned(),
                false => format!("{}.{key}", self.name),
            },
            node,
            walk: self.walk,
        }
    }

    fn wrong(&self, node: &Node, expected: String) -> Misfit {
        Misfit {
            name: self.name.clone(),
            origin: node.origin.clone(),
            what: What::Wrong {
                expected,
                found: match &node.value {
                    Value::String(text) | Value::Loose(text) => format!("\"{text}\""),
                    Value::List(_) | Value::Table(_) => node.kind().to_owned(),
                    _ => node.shown(),
                },
            },
        }
    }

    /// Notes a value that does not fit; a stand-in takes its place.
    fn misfit(&self, expected: impl Into<String>) {
        if let Some(node) = self.node {
            let misfit = self.wrong(node, expected.into());
            self.walk.misfits.borrow_mut().push(misfit);
        }
    }

    /// Notes a value that does not fit and has no stand-in: this walk ends, the next one does without the field.
    fn refused(&self, expected: String) -> Stop {
        let mut refused = self.walk.refused.borrow_mut();
        if let Some(node) = self
            .node
            .filter(|_| !refused.iter().any(|misfit| misfit.name == self.name))
        {
            refused.push(self.wrong(node, expected));
            self.walk.again.set(true);
        }
        Stop(None)
    }

    /// Hands this value to its type. What the type says after it has read (a text that is no address) is noted here.
    fn read_by<'de, S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, Stop> {
        let twin = Reader {
            name: self.name.clone(),
            ..self
        };
        let result = seed.deserialize(self);
        match &result {
            // A missing field goes up to the struct that lacks it.
            Err(Stop(Some(text))) if text.starts_with(MISSING) => result,
            _ => twin.told(result),
        }
    }

    fn is_refused(&self, name: &str) -> bool {
        self.walk.refused.borrow().iter().any(|misfit| misfit.name == name)
    }

    /// Notes what a visitor said about the value of this node.
    fn told<T>(&self, result: Result<T, Stop>) -> Result<T, Stop> {
        match result {
            Err(Stop(Some(text))) if self.node.is_some() => Err(self.refused(text)),
            Err(_) if self.node.is_none() => Err(Stop(None)),
            other => other,
        }
    }

    fn text(&self) -> Option<&'a str> {
        match &self.node?.value {
            Value::String(text) | Value::Loose(text) => Some(text),
            _ => None,
        }
    }

    /// The text of the environment, which may be read as anything.
    fn loose(&self) -> Option<&'a str> {
        match &self.node?.value {
            Value::Loose(text) => Some(text.trim()),
            _ => None,
        }
    }

    /// The text of the environment as JSON, when it is such.
    fn json(&self) -> Option<Node> {
        let node = self.node?;
        let json = serde_json::from_str(self.loose()?).ok()?;
        Some(Node::from_json(json, &node.origin))
    }

    fn bool(&self) -> Option<bool> {
        match &self.node?.value {
            Value::Bool(b) => Some(*b),
            Value::Loose(text) => match text.trim().to_ascii_lowercase().as_str() {
                "true" | "1" | "yes" | "on" => Some(true),
                "false" | "0" | "no" | "off" | "" => Some(false),
                _ => None,
            },
            _ => None,
        }
    }

    fn whole<N: TryFrom<i128>>(&self) -> Option<N> {
        let number = match &self.node?.value {
            Value::Number(n) => n.as_i128()?,
            Value::Loose(text) => text.trim().parse().ok()?,
            _ => return None,
        };
        N::try_from(number).ok()
    }

    fn float(&self) -> Option<f64> {
        match &self.node?.value {
            Value::Number(n) => n.as_f64(),
            Value::Loose(text) => text.trim().parse().ok(),
            _ => None,
        }
    }
}

macro_rules! whole_numbers {
    ($($method:ident $visit:ident $type:ty),+) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stop> {
            let number = self.whole::<$type>();
            if number.is_none() {
                // Who counts in 64 bits has no bound in mind.
                self.misfit(match (<$type>::MIN, <$type>::BITS) {
                    (0, 64..) => "a whole number, 0 or more".to_owned(),
                    (_, 64..) => "a whole number".to_owned(),
                    (min, _) => format!("a whole number of {min} to {}", <$type>::MAX),
                });
            }
            let result = visitor.$visit(number.unwrap_or_default());
            match number {
                Some(_) => self.told(result),
                None => result.map_err(|_: Stop| Stop(None)),
            }
        }
    )+};
}

impl<'de, 'a> Deserializer<'de> for Reader<'a> {
    type Error = Stop;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stop> {
        let Some(node) = self.node else {
            return visitor.visit_unit();
        };
        if let Some(json) = self.json() {
            let reader = Reader {
                name: self.name.clone(),
                node: Some(&json),
                walk: self.walk,
            };
            return reader.deserialize_any(visitor);
        }
        match &node.value {
            Value::Null => self.told(visitor.visit_unit()),
            Value::Bool(b) => self.told(visitor.visit_bool(*b)),
            Value::Number(n) => self.told(match (n.as_u64(), n.as_i64()) {
                (Some(n), _) => visitor.visit_u64(n),
                (_, Some(n)) => visitor.visit_i64(n),
                _ => visitor.visit_f64(n.as_f64().unwrap_or(f64::NAN)),
            }),
            Value::String(text) | Value::Loose(text) => self.told(visitor.visit_str(text)),
            Value::List(_) => self.deserialize_seq(visitor),
            Value::Table(_) => self.deserialize_map(visitor),
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stop> {
        let value = self.bool();
        if value.is_none() {
            self.misfit("true or false");
        }
        self.told(visitor.visit_bool(value.unwrap_or_default()))
    }

    whole_numbers! {
        deserialize_i8 visit_i8 i8, deserialize_i16 visit_i16 i16, deserialize_i32 visit_i32 i32,
        deserialize_i64 visit_i64 i64, deserialize_u8 visit_u8 u8, deserialize_u16 visit_u16 u16,
        deserialize_u32 visit_u32 u32, deserialize_u64 visit_u64 u64
    }

    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stop> {
        self.deserialize_f64(visitor)
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stop> {
        let number = self.float();
        if number.is_none() {
            self.misfit("a number");
        }
        self.told(visitor.visit_f64(number.unwrap_or_default()))
    }

    fn deserialize_char<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stop> {
        let mut chars = self.text().unwrap_or("").chars();
        match (chars.next(), chars.next()) {
            (Some(c), None) => self.told(visitor.visit_char(c)),
            _ => {
                self.misfit("one character");
                visitor.visit_char('?')
            }
        }
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stop> {
        match self.text() {
            Some(text) => self.told(visitor.visit_str(text)),
            None => {
                self.misfit("a text");
                visitor.visit_str("").map_err(|_: Stop| Stop(None))
            }
        }
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stop> {
        self.deserialize_str(visitor)
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stop> {
        self.deserialize_str(visitor)
    }

    /// An empty variable means that it is not set.
    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stop> {
        match self.node.map(|node| &node.value) {
            None | Some(Value::Null) => visitor.visit_none(),
            Some(Value::Loose(text)) if text.trim().is_empty() => visitor.visit_none(),
            Some(_) => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Stop> {
        visitor.visit_newtype_struct(self)
    }

    /// A list; of a text of the environment, a JSON array or what stands between commas.
    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stop> {
        let split: Vec<Node>;
        let json = self.json();
        let items = match self.node.map(|node| (&node.value, &node.origin)) {
            Some((Value::List(items), _)) => items.as_slice(),
            Some((Value::Loose(text), origin)) => match &json {
                Some(Node {
                    value: Value::List(items),
                    ..
                }) => items.as_slice(),
                _ => {
                    let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
                    split = parts.map(|part| Node::loose(part, origin.clone())).collect();
                    &split
                }
            },
            _ => {
                self.misfit("a list");
                &[]
            }
        };
        let list = List {
            items: items.iter(),
            at: 0,
            parent: Reader {
                name: self.name.clone(),
                ..self
            },
        };
        let result = visitor.visit_seq(list);
        self.told(result)
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Stop> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, Stop> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stop> {
        let json = self.json();
        let empty = tree::Table::new();
        let table = match (
            self.node.and_then(Node::as_table),
            json.as_ref().and_then(Node::as_table),
        ) {
            (Some(table), _) | (_, Some(table)) => table,
            _ => {
                self.misfit("a table");
                &empty
            }
        };
        let pairs = table.iter().map(|(key, node)| (key.as_str(), Some(node))).collect();
        let result = visitor.visit_map(Pairs::new(pairs, &self));
        self.told(result)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Stop> {
        let json = self.json();
        let empty = tree::Table::new();
        let table = match (
            self.node.map(|node| &node.value),
            json.as_ref().and_then(Node::as_table),
        ) {
            (Some(Value::Table(table)), _) | (_, Some(table)) => table,
            (None, _) => &empty,
            _ => {
                // Its fields cannot be looked at, so they are not missing too.
                return Err(self.refused("a table".to_owned()));
            }
        };
        let mut pairs: Vec<(&str, Option<&Node>)> = Vec::new();
        for (key, node) in table {
            let field = fields.iter().find(|field| *field == key);
            match field.or_else(|| fields.iter().find(|field| field.eq_ignore_ascii_case(key))) {
                Some(field) if pairs.iter().any(|(seen, _)| seen == field) => {}
                Some(field) if self.is_refused(&self.child(field, None).name) => {}
                Some(field) => pairs.push((field, Some(node))),
                None => {
                    let unknown = Misfit {
                        name: self.child(key, None).name,
                        origin: node.origin.clone(),
                        what: What::Unknown(nearest(key, fields.iter().copied()).map(str::to_owned)),
                    };
                    self.walk.unknown.borrow_mut().push(unknown);
                }
            }
        }
        for field in fields {
            let name = self.child(field, None).name;
            if self.walk.missing.borrow().contains(&name) && !pairs.iter().any(|(seen, _)| seen == field) {
                pairs.push((field, None));
            }
        }
        let result = visitor.visit_map(Pairs::new(pairs, &self));
        if let Err(Stop(Some(text))) = &result
            && let Some(field) = text.strip_prefix(MISSING)
        {
            let name = self.child(field, None).name;
            let mut missing = self.walk.missing.borrow_mut();
            if !missing.contains(&name) && !self.is_refused(&name) {
                missing.push(name);
                self.walk.again.set(true);
            }
            return Err(Stop(None));
        }
        self.told(result)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Stop> {
        if let Some(json) = self.json().filter(|json| json.as_table().is_some()) {
            let reader = Reader {
                name: self.name.clone(),
                node: Some(&json),
                walk: self.walk,
            };
            return reader.deserialize_enum("", variants, visitor);
        }
        let (word, node) = match self.node.map(|node| &node.value) {
            Some(Value::Table(table)) if table.len() == 1 => match table.iter().next() {
                Some((key, node)) => (key.as_str(), Some(node)),
                None => ("", None),
            },
            _ => (self.text().unwrap_or("").trim(), None),
        };
        let exact = variants.iter().find(|variant| **variant == word);
        let Some(variant) = exact.or_else(|| variants.iter().find(|variant| variant.eq_ignore_ascii_case(word))) else {
            self.misfit(format!("one of {}", variants.join(", ")));
            let Some(variant) = variants.first() else {
                return Err(Stop(None));
            };
            let inside = Reader { node: None, ..self };
            return visitor
                .visit_enum(Variant { word: variant, inside })
                .map_err(|_| Stop(None));
        };
        let chosen = Variant {
            word: variant,
            inside: Reader {
                name: self.name.clone(),
                node: node.or(self.node),
                walk: self.walk,
            },
        };
        let result = visitor.visit_enum(chosen);
        self.told(result)
    }

    serde_core::forward_to_deserialize_any! { i128 u128 bytes byte_buf unit unit_struct ignored_any }
}

struct List<'i, 'a> {
    items: std::slice::Iter<'i, Node>,
    at: usize,
    parent: Reader<'a>,
}

impl<'de> de::SeqAccess<'de> for List<'_, '_> {
    type Error = Stop;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Stop> {
        let Some(node) = self.items.next() else { return Ok(None) };
        let reader = Reader {
            name: format!("{}.{}", self.parent.name, self.at),
            node: Some(node),
            walk: self.parent.walk,
        };
        self.at += 1;
        reader.read_by(seed).map(Some)
    }
}

struct Pairs<'n> {
    pairs: std::vec::IntoIter<(&'n str, Option<&'n Node>)>,
    next: Option<(&'n str, Option<&'n Node>)>,
    name: String,
    walk: &'n Walk,
}

impl<'n> Pairs<'n> {
    fn new<'a: 'n>(pairs: Vec<(&'n str, Option<&'n Node>)>, parent: &Reader<'a>) -> Self {
        Pairs {
            pairs: pairs.into_iter(),
            next: None,
            name: parent.name.clone(),
            walk: parent.walk,
        }
    }
}

impl<'de> de::MapAccess<'de> for Pairs<'_> {
    type Error = Stop;

    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Stop> {
        self.next = self.pairs.next();
        let Some((key, _)) = self.next else { return Ok(None) };
        // A key of a map may be a number or an enum: it is read as loosely as the environment.
        let key = Node::loose(key, Origin::Default);
        let reader = Reader {
            name: self.name.clone(),
            node: Some(&key),
            walk: self.walk,
        };
        seed.deserialize(reader).map(Some)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Stop> {
        let (key, node) = self.next.take().unwrap_or_default();
        let parent = Reader {
            name: self.name.clone(),
            node: None,
            walk: self.walk,
        };
        parent.child(key, node).read_by(seed)
    }
}

struct Variant<'a> {
    word: &'static str,
    inside: Reader<'a>,
}

impl<'de, 'a> de::EnumAccess<'de> for Variant<'a> {
    type Error = Stop;
    type Variant = Reader<'a>;

    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, Reader<'a>), Stop> {
        let word: de::value::StrDeserializer<'_, Stop> = self.word.into_deserializer();
        Ok((seed.deserialize(word)?, self.inside))
    }
}

impl<'de> de::VariantAccess<'de> for Reader<'_> {
    type Error = Stop;

    fn unit_variant(self) -> Result<(), Stop> {
        Ok(())
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, Stop> {
        seed.deserialize(self)
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Stop> {
        self.deserialize_seq(visitor)
    }

    fn struct_variant<V: Visitor<'de>>(self, fields: &'static [&'static str], visitor: V) -> Result<V::Value, Stop> {
        self.deserialize_struct("", fields, visitor)
    }
}
