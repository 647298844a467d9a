//! Lists and single rows of a resource.

use crate::json::Row;
use crate::resource::{Exposed, RESERVED};
use demijohn_core::check::nearest;
use demijohn_core::{Error, Fault, Place, Result};
use demijohn_model::tape::{Node, Query, Statement};
use demijohn_orm::Db;
use demijohn_orm::erased::{Choice, counted, query_of, total_order};
use demijohn_web::Pairs;
use serde::Serialize;
use std::sync::Arc;

/// Fields that a list may be ordered by at once.
const MAX_ORDERING: usize = 16;

/// A part of a list.
#[derive(Serialize)]
pub(crate) struct Listed {
    count: u64,
    next: Option<String>,
    previous: Option<String>,
    results: Vec<Row>,
}

/// The rows that are asked for.
pub(crate) async fn list(exposed: &Arc<Exposed>, path: &str, asked: &Pairs, db: &Db) -> Result<Listed> {
    let asking = Asking::parse(exposed, asked)
        .map_err(|faults| Error::bad_request("The list cannot be asked for in that way.").with_faults(faults))?;
    let mut rows = query_of(exposed.meta, &exposed.fields);
    for condition in exposed.rows.iter().cloned().chain(asking.conditions) {
        rows.and(condition);
    }
    let count = Query {
        select: Vec::new(),
        unordered: true,
        ..rows.clone()
    };
    rows.order = asking.order;
    rows.limit = Some(asking.limit);
    rows.offset = Some(asking.offset);
    let mut answers = db
        .read(vec![Statement::Select(rows), Statement::Count(count)])
        .await?
        .into_iter();
    let found = answers.next().unwrap_or_default();
    let count = counted(&answers.next().unwrap_or_default());

    let Asking { limit, offset, .. } = asking;
    let link = |offset: u64| {
        let mut pairs = asked.clone();
        pairs.set("limit", limit.to_string());
        match offset {
            0 => drop(pairs.remove("offset")),
            offset => pairs.set("offset", offset.to_string()),
        }
        format!("{path}?{}", pairs.to_query())
    };
    let after = offset.saturating_add(limit);
    Ok(Listed {
        count,
        next: (after < count).then(|| link(after)),
        previous: (offset > 0).then(|| link(offset.saturating_sub(limit))),
        results: found
            .into_iter()
            .map(|values| Row::new(exposed, values))
            .collect::<Result<_>>()?,
    })
}

/// One row.
pub(crate) async fn retrieve(exposed: &Arc<Exposed>, key: &str, db: &Db) -> Result<Row> {
    let missing = || Error::not_found(format!("No {} matches the given query.", exposed.meta.name));
    let pk = Choice::field(exposed.meta, exposed.meta.pk);
    let condition = pk.is(key).filter(|_| !pk.sensitive).ok_or_else(missing)?;
    let mut query = query_of(exposed.meta, &exposed.fields);
    for condition in exposed.rows.iter().cloned().chain([condition]) {
        query.and(condition);
    }
    query.limit = Some(1);
    let mut answers = db.read(vec![Statement::Select(query)]).await?;
    let values = answers.pop().and_then(|mut rows| rows.pop()).ok_or_else(missing)?;
    Row::new(exposed, values)
}

/// What a query string asks of a list.
struct Asking {
    conditions: Vec<Node>,
    order: Vec<Node>,
    limit: u64,
    offset: u64,
}

impl Asking {
    /// Reads it, and tells everything that is wrong with it.
    fn parse(exposed: &Exposed, asked: &Pairs) -> Result<Asking, Vec<Fault>> {
        let mut faults = Vec::new();
        let mut fault = |name: &str, message: String| faults.push(Fault::new(Place::Query, name, message));
        let mut asking = Asking {
            conditions: Vec::new(),
            order: Vec::new(),
            limit: exposed.default_limit.min(exposed.max_limit).max(1),
            offset: 0,
        };
        for (name, value) in asked.iter() {
            match name {
                "limit" => match value.parse() {
                    Ok(limit @ 1..) if limit <= exposed.max_limit => asking.limit = limit,
                    _ => fault(name, format!("must be a whole number from 1 to {}", exposed.max_limit)),
                },
                "offset" => match value
                    .parse::<u64>()
                    .ok()
                    .filter(|offset| i64::try_from(*offset).is_ok())
                {
                    Some(offset) => asking.offset = offset,
                    None => fault(name, "must be a whole number that is not negative".to_owned()),
                },
                "ordering" => match order(exposed, value) {
                    Ok(order) => asking.order = order,
                    Err(message) => fault(name, message),
                },
                name => match exposed.filters.iter().find(|filter| filter.key == name) {
                    Some(filter) => match filter.is(value) {
                        Some(condition) => asking.conditions.push(condition),
                        None => fault(name, "is no value of this field".to_owned()),
                    },
                    None => {
                        let filters = exposed.filters.iter().map(|filter| filter.key.as_str());
                        fault(name, unknown(name, RESERVED.into_iter().chain(filters)));
                    }
                },
            }
        }
        // Rows that the asked order leaves equal keep one order from part to part.
        asking.order.extend(total_order(exposed.meta));
        match faults.is_empty() {
            true => Ok(asking),
            false => Err(faults),
        }
    }
}

/// `-published_at,title`
fn order(exposed: &Exposed, text: &str) -> Result<Vec<Node>, String> {
    let keys: Vec<&str> = text.split(',').filter(|key| !key.is_empty()).collect();
    if keys.len() > MAX_ORDERING {
        return Err(format!("names more than {MAX_ORDERING} fields"));
    }
    let one = |key: &&str| {
        let (name, descending) = match key.strip_prefix('-') {
            Some(name) => (name, true),
            None => (*key, false),
        };
        let field = exposed.ordering.iter().find(|field| field.key == name);
        let names = || exposed.ordering.iter().map(|field| field.key.as_str());
        field
            .map(|field| field.order(descending))
            .ok_or_else(|| unknown(name, names()))
    };
    keys.iter().map(one).collect()
}

/// The message for a name that is not on a list.
fn unknown<'n>(name: &str, names: impl Iterator<Item = &'n str>) -> String {
    let names: Vec<&str> = names.collect();
    let meant = nearest(name, names.iter().copied()).map(|near| format!("; did you mean `{near}`?"));
    let shown: String = name.chars().take(60).collect();
    format!(
        "`{shown}` is not known here{} (choices: {})",
        meant.unwrap_or_default(),
        names.join(", ")
    )
}
