//! The values of settings as a tree whose every leaf knows its origin.

use super::origin::Origin;
use std::collections::BTreeMap;

/// A value, or a table or list of values.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Node {
    pub(super) value: Value,
    pub(super) origin: Origin,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Null,
    Bool(bool),
    Number(serde_json::Number),
    /// A text of a file or of code: a string and nothing else.
    String(String),
    /// A text of the environment: becomes what the reader wants.
    Loose(String),
    List(Vec<Node>),
    Table(Table),
}

pub(super) type Table = BTreeMap<String, Node>;

impl Node {
    pub(super) fn loose(text: impl Into<String>, origin: Origin) -> Self {
        Node {
            value: Value::Loose(text.into()),
            origin,
        }
    }

    pub(super) fn table(origin: Origin) -> Self {
        Node {
            value: Value::Table(Table::new()),
            origin,
        }
    }

    pub(super) fn from_json(json: serde_json::Value, origin: &Origin) -> Self {
        use serde_json::Value as Json;
        let value = match json {
            Json::Null => Value::Null,
            Json::Bool(b) => Value::Bool(b),
            Json::Number(n) => Value::Number(n),
            Json::String(s) => Value::String(s),
            Json::Array(items) => Value::List(items.into_iter().map(|item| Node::from_json(item, origin)).collect()),
            Json::Object(map) => Value::Table(
                map.into_iter()
                    .map(|(key, item)| (key, Node::from_json(item, origin)))
                    .collect(),
            ),
        };
        Node {
            value,
            origin: origin.clone(),
        }
    }

    pub(super) fn as_table(&self) -> Option<&Table> {
        match &self.value {
            Value::Table(table) => Some(table),
            _ => None,
        }
    }

    /// The node at a path of keys; names ignore case where no key is spelt exactly so.
    pub(super) fn at(&self, path: &[String]) -> Option<&Node> {
        path.iter().try_fold(self, |node, key| {
            let table = node.as_table()?;
            find(table, key).map(|key| &table[key])
        })
    }

    /// Lays `over` on this node: tables are joined key by key, all else is replaced.
    pub(super) fn merge(&mut self, over: &Node) {
        match (&mut self.value, &over.value) {
            (Value::Table(below), Value::Table(above)) => {
                for (key, node) in above {
                    let key = find(below, key).unwrap_or(key).to_owned();
                    match below.get_mut(&key) {
                        Some(old) => old.merge(node),
                        None => {
                            below.insert(key, node.clone());
                        }
                    }
                }
            }
            // A variable such as PATH or USER that has the name of a section means something else, unless it is a JSON object.
            (Value::Table(_), Value::Loose(text)) => {
                if let Ok(json @ serde_json::Value::Object(_)) = serde_json::from_str(text) {
                    self.merge(&Node::from_json(json, &over.origin));
                }
            }
            _ => *self = over.clone(),
        }
    }

    /// Puts a node at a path, making the tables on the way.
    pub(super) fn put(&mut self, path: &[String], node: Node) {
        match path {
            [] => self.merge(&node),
            [key, rest @ ..] => {
                if self.as_table().is_none() {
                    self.value = Value::Table(Table::new());
                }
                if let Value::Table(table) = &mut self.value {
                    let key = find(table, key).unwrap_or(key).to_owned();
                    let origin = node.origin.clone();
                    match (table.get_mut(&key), rest) {
                        (Some(old), []) => *old = node,
                        (Some(old), _) => old.put(rest, node),
                        (None, []) => {
                            table.insert(key, node);
                        }
                        (None, _) => table.entry(key).or_insert_with(|| Node::table(origin)).put(rest, node),
                    }
                }
            }
        }
    }

    /// The value in words, for messages and lists: JSON without quotes around a lone text.
    pub(super) fn shown(&self) -> String {
        match &self.value {
            Value::String(text) | Value::Loose(text) => text.clone(),
            _ => self.to_json().to_string(),
        }
    }

    pub(super) fn to_json(&self) -> serde_json::Value {
        use serde_json::Value as Json;
        match &self.value {
            Value::Null => Json::Null,
            Value::Bool(b) => Json::Bool(*b),
            Value::Number(n) => Json::Number(n.clone()),
            Value::String(s) | Value::Loose(s) => Json::String(s.clone()),
            Value::List(items) => Json::Array(items.iter().map(Node::to_json).collect()),
            Value::Table(table) => Json::Object(table.iter().map(|(k, v)| (k.clone(), v.to_json())).collect()),
        }
    }

    /// What kind of value it is, in words.
    pub(super) fn kind(&self) -> &'static str {
        match &self.value {
            Value::Null => "nothing",
            Value::Bool(_) => "true or false",
            Value::Number(_) => "a number",
            Value::String(_) | Value::Loose(_) => "a text",
            Value::List(_) => "a list",
            Value::Table(_) => "a table",
        }
    }
}

/// The key of a table that is `key`, or is it but for case.
pub(super) fn find<'t>(table: &'t Table, key: &str) -> Option<&'t str> {
    match table.get_key_value(key) {
        Some((exact, _)) => Some(exact),
        None => table.keys().find(|k| k.eq_ignore_ascii_case(key)).map(String::as_str),
    }
}

/// The path of a name: `SHOP__CURRENCY` and `shop.currency` are the same setting.
pub(super) fn path(name: &str) -> Vec<String> {
    let parts = name.split("__").flat_map(|part| part.split('.'));
    parts.map(str::to_ascii_lowercase).collect()
}
