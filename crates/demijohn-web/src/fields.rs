//! From named texts or JSON to a value of the user's type, with *all* fields that are wrong.
//!
//! serde stops at the first error. So a value is read again with a stand-in for each field that was wrong (`0`, an empty
//! text), until nothing new is wrong; the value that comes out of it is thrown away.

use crate::pairs::Pairs;
use demijohn_core::{Fault, Place};
use serde_core::de::value::StrDeserializer;
use serde_core::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, EnumAccess, Error as _, IntoDeserializer, MapAccess, SeqAccess,
    VariantAccess, Visitor,
};
use serde_core::forward_to_deserialize_any;
use serde_json::Value;
use std::collections::HashMap;
use std::fmt;

/// More faults than this are not collected.
const MAX_FAULTS: usize = 20;

/// A value of named texts.
pub(crate) fn from_pairs<T: DeserializeOwned>(place: Place, pairs: &Pairs) -> Result<T, Vec<Fault>> {
    collect(place, Node::Pairs(pairs))
}

/// A value of JSON.
pub(crate) fn from_json<T: DeserializeOwned>(value: &Value) -> Result<T, Vec<Fault>> {
    collect(Place::Body, Node::Json(value))
}

fn collect<T: DeserializeOwned>(place: Place, node: Node<'_>) -> Result<T, Vec<Fault>> {
    let mut faults = Vec::new();
    let mut stand_ins: Vec<String> = Vec::new();
    loop {
        let field = Field {
            node: node.clone(),
            path: String::new(),
            stand_ins: &stand_ins,
        };
        let wrong = match T::deserialize(field) {
            Ok(value) if faults.is_empty() => return Ok(value),
            Ok(_) => return Err(faults),
            Err(wrong) => wrong,
        };
        let path = wrong.path.into_iter().rev().collect::<Vec<_>>().join(".");
        // A stand-in that is refused itself (a date, say), or the whole value: no more can be learned.
        let stuck = stand_ins.iter().any(|known| path.starts_with(known.as_str()));
        if !stuck {
            faults.push(Fault::new(place, path.clone(), wrong.message));
        }
        if stuck || path.is_empty() || faults.len() == MAX_FAULTS {
            return Err(faults);
        }
        stand_ins.push(path);
    }
}

/// What a field is read from.
#[derive(Clone)]
enum Node<'a> {
    Pairs(&'a Pairs),
    Texts(Vec<&'a str>),
    Json(&'a Value),
    StandIn,
}

struct Field<'a> {
    node: Node<'a>,
    /// Its dotted name from the root.
    path: String,
    stand_ins: &'a [String],
}

/// Why a field was refused, and where: its name last.
#[derive(Debug)]
struct Wrong {
    path: Vec<String>,
    message: String,
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Wrong {}

impl serde_core::de::Error for Wrong {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Wrong {
            path: Vec::new(),
            message: in_plain_words(message.to_string()),
        }
    }

    fn missing_field(field: &'static str) -> Self {
        Wrong {
            path: vec![field.to_owned()],
            message: "is missing".into(),
        }
    }

    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Self {
        Wrong {
            path: vec![field.to_owned()],
            message: match expected.is_empty() {
                true => "is not expected".into(),
                false => format!("is not expected; expected are {}", expected.join(", ")),
            },
        }
    }

    fn duplicate_field(field: &'static str) -> Self {
        Wrong {
            path: vec![field.to_owned()],
            message: "is given more than once".into(),
        }
    }
}

/// serde's own messages name types of the program and repeat the value; a client is told what to send instead.
fn in_plain_words(message: String) -> String {
    let Some((wrong, expected)) = message.rsplit_once(", expected ") else {
        return message;
    };
    let of_serde = ["invalid type: ", "invalid value: ", "invalid length "];
    if !of_serde.iter().any(|start| wrong.starts_with(start)) {
        return message;
    }
    let is = |starts: &[&str]| starts.iter().any(|start| expected.starts_with(start));
    let what = match expected {
        "a boolean" => "true or false",
        "f32" | "f64" => "a number",
        _ if is(&["tuple", "a sequence", "a tuple", "fewer elements", "an array"]) => "a list of the right length",
        _ if is(&["struct", "newtype struct", "a map", "map"]) => "an object",
        _ if is(&["enum", "unit variant", "newtype variant", "variant"]) => "one of the known variants",
        _ if expected.starts_with(['i', 'u']) && expected[1..].bytes().all(|b| b.is_ascii_digit()) => "a whole number",
        other => other,
    };
    format!("must be {what}")
}

const NO_NUMBER: &str = "must be a number";

impl<'a> Field<'a> {
    fn child(&self, name: &str, node: Node<'a>) -> Field<'a> {
        let path = match self.path.as_str() {
            "" => name.to_owned(),
            parent => format!("{parent}.{name}"),
        };
        let node = match self.stand_ins.contains(&path) {
            true => Node::StandIn,
            false => node,
        };
        Field {
            node,
            path,
            stand_ins: self.stand_ins,
        }
    }

    /// The one text of a field.
    fn text(&self) -> Result<&'a str, Wrong> {
        match &self.node {
            Node::Texts(texts) => match texts[..] {
                [text] => Ok(text),
                [] => Err(Wrong::custom("is missing")),
                _ => Err(Wrong::custom("is given more than once")),
            },
            _ => Err(Wrong::custom("must be a single value")),
        }
    }

    /// A number with a fraction. What is none, or larger than all of them, would pass every check that compares (`NaN`, `inf`).
    fn number(&self) -> Result<f64, Wrong> {
        let number = match &self.node {
            Node::StandIn => Some(0.0),
            Node::Json(value) => value.as_f64(),
            _ => self.text()?.trim().parse().ok(),
        };
        number
            .filter(|number| number.is_finite())
            .ok_or_else(|| Wrong::custom(NO_NUMBER))
    }

    /// The names of a map, in the order sent, each once, then those of missing ones that have a stand-in.
    fn entries(&self) -> Vec<(String, Node<'a>)> {
        let mut entries: Vec<(String, Node<'a>)> = Vec::new();
        match &self.node {
            Node::Pairs(pairs) => {
                let pairs: &'a Pairs = pairs;
                let mut known: HashMap<&str, usize> = HashMap::new();
                for (name, value) in pairs.iter() {
                    let at = *known.entry(name).or_insert(entries.len());
                    match entries.get_mut(at) {
                        Some((_, Node::Texts(texts))) => texts.push(value),
                        _ => entries.push((name.to_owned(), Node::Texts(vec![value]))),
                    }
                }
            }
            Node::Json(Value::Object(map)) => {
                entries.extend(map.iter().map(|(name, value)| (name.clone(), Node::Json(value))));
            }
            _ => {}
        }
        let parent = match self.path.as_str() {
            "" => String::new(),
            path => format!("{path}."),
        };
        for stand_in in self.stand_ins {
            if let Some(name) = stand_in.strip_prefix(&parent).filter(|name| !name.contains('.'))
                && !entries.iter().any(|(known, _)| known == name)
            {
                entries.push((name.to_owned(), Node::StandIn));
            }
        }
        entries
    }
}

/// Numbers: parsed from text, taken from JSON, or zero.
macro_rules! numbers {
    ($($method:ident $visit:ident $type:ty, $what:literal;)+) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
            match &self.node {
                Node::StandIn => visitor.$visit(<$type>::default()),
                Node::Json(value) => value.$method(visitor).map_err(|_| Wrong::custom($what)),
                _ => match self.text()?.trim().parse::<$type>() {
                    Ok(number) => visitor.$visit(number),
                    Err(_) => Err(Wrong::custom($what)),
                },
            }
        }
    )+};
}

impl<'de, 'a: 'de> Deserializer<'de> for Field<'a> {
    type Error = Wrong;

    numbers! {
        deserialize_i8 visit_i8 i8, "must be a whole number from -128 to 127";
        deserialize_i16 visit_i16 i16, "must be a whole number from -32768 to 32767";
        deserialize_i32 visit_i32 i32, "must be a whole number";
        deserialize_i64 visit_i64 i64, "must be a whole number";
        deserialize_i128 visit_i128 i128, "must be a whole number";
        deserialize_u8 visit_u8 u8, "must be a whole number from 0 to 255";
        deserialize_u16 visit_u16 u16, "must be a whole number from 0 to 65535";
        deserialize_u32 visit_u32 u32, "must be a whole number, 0 or more";
        deserialize_u64 visit_u64 u64, "must be a whole number, 0 or more";
        deserialize_u128 visit_u128 u128, "must be a whole number, 0 or more";
    }

    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        let number = self.number()? as f32;
        match number.is_finite() {
            true => visitor.visit_f32(number),
            false => Err(Wrong::custom(NO_NUMBER)),
        }
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        visitor.visit_f64(self.number()?)
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        match &self.node {
            Node::StandIn => visitor.visit_unit(),
            Node::Pairs(_) | Node::Json(Value::Object(_)) => self.deserialize_map(visitor),
            Node::Json(Value::Array(_)) => self.deserialize_seq(visitor),
            Node::Json(value) => value.deserialize_any(visitor).map_err(Wrong::custom),
            Node::Texts(texts) if texts.len() > 1 => self.deserialize_seq(visitor),
            Node::Texts(_) => visitor.visit_borrowed_str(self.text()?),
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        match &self.node {
            Node::StandIn => visitor.visit_bool(false),
            Node::Json(value) => value.deserialize_bool(visitor).map_err(Wrong::custom),
            _ => match self.text()? {
                // A checked box of a form says `on`.
                "true" | "1" | "on" => visitor.visit_bool(true),
                "false" | "0" | "off" | "" => visitor.visit_bool(false),
                _ => Err(Wrong::custom("must be true or false")),
            },
        }
    }

    fn deserialize_char<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        self.deserialize_str(visitor)
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        match &self.node {
            Node::StandIn => visitor.visit_borrowed_str(""),
            Node::Json(value) => value.deserialize_str(visitor).map_err(Wrong::custom),
            _ => visitor.visit_borrowed_str(self.text()?),
        }
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        self.deserialize_str(visitor)
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        self.deserialize_str(visitor)
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        match &self.node {
            Node::StandIn | Node::Json(Value::Null) => visitor.visit_none(),
            // A field of a form that was left empty.
            Node::Texts(texts) if texts[..] == [""] => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        visitor.visit_unit()
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Wrong> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        let items: Vec<Node<'a>> = match &self.node {
            Node::StandIn => Vec::new(),
            Node::Texts(texts) => texts.iter().map(|text| Node::Texts(vec![text])).collect(),
            Node::Json(Value::Array(items)) => items.iter().map(Node::Json).collect(),
            Node::Json(value) => return value.deserialize_seq(visitor).map_err(Wrong::custom),
            Node::Pairs(_) => return Err(Wrong::custom("is no list")),
        };
        visitor.visit_seq(Items {
            parent: &self,
            items: items.into_iter().enumerate(),
        })
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, Wrong> {
        match &self.node {
            Node::StandIn => visitor.visit_seq(Items {
                parent: &self,
                items: vec![Node::StandIn; len].into_iter().enumerate(),
            }),
            _ => self.deserialize_seq(visitor),
        }
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, Wrong> {
        self.deserialize_tuple(len, visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        match &self.node {
            Node::Json(value) if !value.is_object() => value.deserialize_map(visitor).map_err(Wrong::custom),
            Node::Texts(_) => Err(Wrong::custom("must not be a single value")),
            _ => visitor.visit_map(Entries {
                entries: self.entries().into_iter(),
                parent: &self,
                current: None,
            }),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Wrong> {
        match &self.node {
            Node::StandIn => visitor.visit_map(Entries {
                entries: fields
                    .iter()
                    .map(|field| ((*field).to_owned(), Node::StandIn))
                    .collect::<Vec<_>>()
                    .into_iter(),
                parent: &self,
                current: None,
            }),
            _ => self.deserialize_map(visitor),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Wrong> {
        match &self.node {
            Node::StandIn => visitor.visit_enum(Choice(variants.first().copied().unwrap_or_default())),
            Node::Json(value) => value.deserialize_enum(name, variants, visitor).map_err(Wrong::custom),
            _ => visitor.visit_enum(Choice(self.text()?)),
        }
        .map_err(|mut wrong| {
            wrong.path.clear();
            if !matches!(self.node, Node::Json(_)) {
                wrong.message = format!("must be one of {}", variants.join(", "));
            }
            wrong
        })
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        self.deserialize_str(visitor)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        visitor.visit_unit()
    }

    forward_to_deserialize_any! { unit_struct }
}

struct Items<'p, 'a> {
    parent: &'p Field<'a>,
    items: std::iter::Enumerate<std::vec::IntoIter<Node<'a>>>,
}

impl<'de, 'a: 'de> SeqAccess<'de> for Items<'_, 'a> {
    type Error = Wrong;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Wrong> {
        let Some((index, node)) = self.items.next() else {
            return Ok(None);
        };
        let name = index.to_string();
        // Texts of one name are one field for the client, whichever of them is wrong.
        let field = match matches!(node, Node::Texts(_)) {
            true => Field {
                node,
                path: self.parent.path.clone(),
                stand_ins: self.parent.stand_ins,
            },
            false => self.parent.child(&name, node),
        };
        let numbered = !matches!(field.node, Node::Texts(_));
        seed.deserialize(field).map(Some).map_err(|mut wrong| {
            if numbered {
                wrong.path.push(name);
            }
            wrong
        })
    }
}

struct Entries<'p, 'a> {
    parent: &'p Field<'a>,
    entries: std::vec::IntoIter<(String, Node<'a>)>,
    current: Option<(String, Node<'a>)>,
}

impl<'de, 'a: 'de> MapAccess<'de> for Entries<'_, 'a> {
    type Error = Wrong;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Wrong> {
        self.current = self.entries.next();
        let Some((name, _)) = &self.current else {
            return Ok(None);
        };
        let key: StrDeserializer<'_, Wrong> = name.as_str().into_deserializer();
        seed.deserialize(key).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Wrong> {
        let (name, node) = self
            .current
            .take()
            .ok_or_else(|| Wrong::custom("a value without its name"))?;
        seed.deserialize(self.parent.child(&name, node)).map_err(|mut wrong| {
            wrong.path.push(name);
            wrong
        })
    }
}

/// A variant by its name alone.
struct Choice<'a>(&'a str);

impl<'de> EnumAccess<'de> for Choice<'_> {
    type Error = Wrong;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self), Wrong> {
        let name: StrDeserializer<'_, Wrong> = self.0.into_deserializer();
        Ok((seed.deserialize(name)?, self))
    }
}

impl<'de> VariantAccess<'de> for Choice<'_> {
    type Error = Wrong;

    fn unit_variant(self) -> Result<(), Wrong> {
        Ok(())
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, _: T) -> Result<T::Value, Wrong> {
        Err(Wrong::custom("must be a plain choice"))
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, _: V) -> Result<V::Value, Wrong> {
        Err(Wrong::custom("must be a plain choice"))
    }

    fn struct_variant<V: Visitor<'de>>(self, _: &'static [&'static str], _: V) -> Result<V::Value, Wrong> {
        Err(Wrong::custom("must be a plain choice"))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::{from_json, from_pairs};
    use crate::pairs::Pairs;
    use demijohn_core::Place;
    use serde::Deserialize;

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(rename_all = "lowercase")]
    enum Order {
        Up,
        Down,
    }

    #[derive(Debug, Deserialize, PartialEq)]
    struct Search {
        q: String,
        page: Option<u32>,
        #[serde(default)]
        tag: Vec<u8>,
        order: Order,
        #[serde(default)]
        exact: bool,
    }

    #[track_caller]
    fn check(query: &str, expected: &[&str]) {
        let result: Result<Search, _> = from_pairs(Place::Query, &Pairs::parse(query).unwrap());
        let faults: Vec<String> = result
            .err()
            .unwrap_or_default()
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(faults, expected, "{query}");
    }

    #[test]
    fn every_field_that_is_wrong_is_named() {
        check("q=a&order=up", &[]);
        check("q=a&order=up&tag=1&tag=2&page=&exact=on", &[]);
        check(
            "q=a&order=up&page=x&tag=1&tag=300&exact=maybe",
            &[
                "query.page: must be a whole number, 0 or more",
                "query.tag: must be a whole number from 0 to 255",
                "query.exact: must be true or false",
            ],
        );
        check(
            "order=left&page=x",
            &[
                "query.order: must be one of up, down",
                "query.page: must be a whole number, 0 or more",
                "query.q: is missing",
            ],
        );
        check(
            "q=a&q=b",
            &["query.q: is given more than once", "query.order: is missing"],
        );
        check("", &["query.q: is missing", "query.order: is missing"]);
    }

    #[test]
    fn json_too_down_to_items_of_lists() {
        #[derive(Debug, Deserialize)]
        #[allow(dead_code)]
        struct Item {
            price: u8,
            name: String,
        }
        #[derive(Debug, Deserialize)]
        #[allow(dead_code)]
        struct Order {
            items: Vec<Item>,
            note: Option<String>,
        }
        let value = serde_json::json!({"items": [{"price": 300, "name": "a"}, {"price": 1}], "note": 7});
        let faults: Vec<String> = from_json::<Order>(&value)
            .unwrap_err()
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(
            faults,
            [
                "body.items.0.price: must be a whole number from 0 to 255",
                "body.items.1.name: is missing",
                "body.note: must be a string",
            ]
        );
        let whole = from_json::<Order>(&serde_json::json!([1])).unwrap_err();
        assert!(!whole[0].to_string().contains("Order"), "{whole:?}");
    }
}
