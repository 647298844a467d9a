//! The string path: `author__email__icontains` resolved against the metadata into the same tape as the typed one.

use demijohn_model::meta::{FieldMeta, ModelMeta};
use demijohn_model::tape::{MAX_HOPS, Node, Op, Part, Path};
use demijohn_model::value::{Kind, Value};
use demijohn_model::{Error, Result};

/// What can follow a field.
const LOOKUPS: &[&str] = &[
    "exact",
    "iexact",
    "contains",
    "icontains",
    "startswith",
    "istartswith",
    "endswith",
    "iendswith",
    "gt",
    "gte",
    "lt",
    "lte",
    "isnull",
    "year",
    "month",
    "day",
];

/// A condition given as text, with the value of the request coerced to the field's type.
///
/// Sensitive fields are refused, also through relations. What a request may filter by at all is for the caller to
/// allow: walking relations reads other tables.
///
/// # Errors
/// When the text does not fit the model; the message names what would.
pub fn resolve(meta: &'static ModelMeta, key: &str, value: Value) -> Result<Node> {
    let target = walk(meta, key)?;
    let fail = |message: String| Error::lookup(key, message);
    let mut kind = target.field.kind;
    let mut node = Node::op(Op::Column {
        path: target.path,
        field: target.index,
    });
    let mut lookup = "exact";
    for (position, segment) in target.rest.iter().enumerate() {
        let part = match *segment {
            "year" => Some(Part::Year),
            "month" => Some(Part::Month),
            "day" => Some(Part::Day),
            _ => None,
        };
        match part {
            Some(part) if matches!(kind, Kind::DateTime | Kind::NaiveDateTime | Kind::Date) => {
                kind = Kind::Int;
                node = node.push(Op::Extract(part));
            }
            _ if position + 1 == target.rest.len() => lookup = segment,
            _ => return Err(fail(format!("\"{segment}\" is no transform of a {kind:?} field"))),
        }
    }
    let is_text = kind == Kind::Text;
    let op = match lookup {
        "exact" => Op::Eq,
        "gt" => Op::Gt,
        "gte" => Op::Ge,
        "lt" => Op::Lt,
        "lte" => Op::Le,
        "isnull" => Op::IsNull,
        "contains" | "icontains" | "startswith" | "istartswith" | "endswith" | "iendswith" | "iexact" if !is_text => {
            return Err(fail(format!("\"{lookup}\" needs a text field, this one is {kind:?}")));
        }
        "iexact" => Op::IExact,
        "contains" => Op::Contains { ignore_case: false },
        "icontains" => Op::Contains { ignore_case: true },
        "startswith" => Op::StartsWith { ignore_case: false },
        "istartswith" => Op::StartsWith { ignore_case: true },
        "endswith" => Op::EndsWith { ignore_case: false },
        "iendswith" => Op::EndsWith { ignore_case: true },
        other => {
            return Err(fail(format!(
                "\"{other}\" is neither a transform nor a lookup (choices: {})",
                LOOKUPS.join(", ")
            )));
        }
    };
    if op == Op::IsNull {
        let node = node.push(Op::IsNull);
        return match coerce(Kind::Bool, value).map_err(fail)? {
            Value::Bool(false) => Ok(node.push(Op::Not)),
            _ => Ok(node),
        };
    }
    let value = coerce(kind, value).map_err(fail)?;
    Ok(match (op, value) {
        (Op::Eq, Value::Null) => node.push(Op::IsNull),
        (op, value) => node.then(Node::param(value)).push(op),
    })
}

/// An order given as text: `-published_at`, `author__name`.
pub(crate) fn order(meta: &'static ModelMeta, key: &str) -> Result<Node> {
    let (name, op) = match key.strip_prefix('-') {
        Some(name) => (name, Op::Desc),
        None => (key, Op::Asc),
    };
    let target = walk(meta, name)?;
    match target.rest.first() {
        None => Ok(Node::op(Op::Column {
            path: target.path,
            field: target.index,
        })
        .push(op)),
        Some(extra) => Err(Error::lookup(
            key,
            format!("\"{extra}\" cannot follow a field in an order"),
        )),
    }
}

struct Target<'k> {
    path: Path,
    index: u16,
    field: &'static FieldMeta,
    rest: Vec<&'k str>,
}

/// Follows relations to a field; what comes after it are transforms and the lookup.
fn walk<'k>(meta: &'static ModelMeta, key: &'k str) -> Result<Target<'k>> {
    let fail = |message: String| Error::lookup(key, message);
    let (mut model, mut path) = (meta, Path::ROOT);
    let mut segments = key.split("__").peekable();
    while let Some(segment) = segments.next() {
        let relation = model.relations.iter().find(|r| r.name == segment);
        // A foreign key's own name is its column too; it is the relation when a field of the target follows.
        let goes_on = relation.is_some_and(|relation| {
            segments.peek().is_some_and(|next| {
                let target = (relation.target)();
                target.field(next).is_some() || target.relations.iter().any(|r| r.name == *next)
            })
        });
        if let (Some(relation), true) = (relation, goes_on) {
            if path.len() == MAX_HOPS {
                return Err(fail(format!("crosses more than {MAX_HOPS} relations")));
            }
            path = path.hop(relation.hop);
            model = (relation.target)();
            continue;
        }
        // Neither a field of the target nor something that can be done with the key: a misspelt field.
        if let (Some(relation), Some(next)) = (relation, segments.peek())
            && !LOOKUPS.contains(next)
        {
            return Err(fail(unknown(&(relation.target)(), next)));
        }
        if let Some((index, field)) = model.field(segment) {
            if field.sensitive {
                let message = format!(
                    "field \"{segment}\" of {} is sensitive and cannot be asked for by text",
                    model.name
                );
                return Err(fail(message));
            }
            return Ok(Target {
                path,
                index,
                field,
                rest: segments.collect(),
            });
        }
        if relation.is_some() {
            return Err(fail(format!(
                "ends at the relation \"{segment}\" of {}; name a field of it",
                model.name
            )));
        }
        return Err(fail(unknown(&model, segment)));
    }
    Err(fail("is empty".to_owned()))
}

fn unknown(model: &&'static ModelMeta, name: &str) -> String {
    let relations = model
        .relations
        .iter()
        .map(|r| r.name)
        .filter(|r| model.field(r).is_none());
    let names: Vec<&str> = model
        .fields
        .iter()
        .filter(|f| !f.sensitive)
        .map(|f| f.name)
        .chain(relations)
        .collect();
    let near = demijohn_core::check::nearest(name, names.iter().copied());
    let hint = near
        .map(|near| format!("; did you mean \"{near}\"?"))
        .unwrap_or_default();
    format!(
        "{} has no field or relation \"{name}\"{hint} (choices: {})",
        model.name,
        names.join(", ")
    )
}

/// The value of a request as a value of the field's type.
pub(crate) fn coerce(kind: Kind, value: Value) -> Result<Value, String> {
    let Value::Text(text) = value else { return Ok(value) };
    fn parse<T: std::str::FromStr>(text: &str, what: &str) -> Result<T, String> {
        text.trim()
            .parse()
            .map_err(|_| format!("\"{}\" is not {what}", text.chars().take(60).collect::<String>()))
    }
    match kind {
        Kind::Text => match text.contains('\0') {
            true => Err("the value contains a NUL character".to_owned()),
            false => Ok(Value::Text(text)),
        },
        Kind::Int | Kind::BigInt => parse(&text, "a whole number").map(Value::Int),
        Kind::Float => match parse::<f64>(&text, "a number")? {
            x if x.is_finite() => Ok(Value::Float(x)),
            _ => Err(format!("\"{text}\" is not a number")),
        },
        Kind::Bool => match text.trim().to_ascii_lowercase().as_str() {
            "true" | "1" | "on" | "yes" => Ok(Value::Bool(true)),
            "false" | "0" | "off" | "no" => Ok(Value::Bool(false)),
            _ => Err(format!("\"{text}\" is not true or false")),
        },
        Kind::DateTime => parse(&text, "a date and time (2026-01-02T03:04:05Z)").map(Value::DateTime),
        Kind::NaiveDateTime => parse(&text, "a date and time (2026-01-02T03:04:05)").map(Value::NaiveDateTime),
        Kind::Date => parse(&text, "a date (2026-01-02)").map(Value::Date),
        Kind::Time => parse(&text, "a time (03:04:05)").map(Value::Time),
        Kind::Bytes => Err("bytes cannot be asked for by text".to_owned()),
    }
}
