//! The list of a model's rows: what is asked for, and the one trip to the database that answers it.

use crate::register::{Registry, Shown};
use crate::show::{self, Cell};
use demijohn_core::{Error, Fault, Place, Result};
use demijohn_model::meta::ModelMeta;
use demijohn_model::tape::{Node, Op, Query, Statement};
use demijohn_model::value::{Kind, Value};
use demijohn_orm::Db;
use demijohn_orm::erased::{Choice, counted, query_of, total_order};
use demijohn_web::Pairs;
use serde::Serialize;

/// Rows on a page.
const PER_PAGE: u64 = 100;
/// Words of a search.
const MAX_WORDS: usize = 32;
/// Values of a filter.
const MAX_OPTIONS: u64 = 50;
/// Characters of a value.
const MAX_CHARS: usize = 90;

/// The page of a list.
#[derive(Serialize)]
pub(crate) struct Changelist {
    columns: Vec<Column>,
    rows: Vec<Row>,
    count: u64,
    page: u64,
    /// Numbers of pages with their query strings; `None` where some are left out.
    pages: Vec<Option<(u64, String)>>,
    /// Query strings of the neighbouring pages.
    before: Option<String>,
    after: Option<String>,
    filters: Vec<Filter>,
    narrowed: bool,
    /// What a new search keeps.
    kept: Vec<(String, String)>,
    q: String,
    searchable: bool,
}

#[derive(Serialize)]
struct Column {
    label: String,
    /// The query string that sorts by it, or turns its order round.
    query: String,
    /// `ascending` or `descending` where the list is sorted by it first.
    sorted: &'static str,
}

#[derive(Serialize)]
struct Row {
    cells: Vec<Cell>,
}

#[derive(Serialize)]
struct Filter {
    label: String,
    /// The query string without it.
    all: String,
    chosen: bool,
    options: Vec<FilterOption>,
    /// There are more than are offered.
    more: bool,
}

#[derive(Serialize)]
struct FilterOption {
    text: String,
    query: String,
    chosen: bool,
}

/// Reads the page that is asked for.
pub(crate) async fn changelist(shown: &Shown, registry: &Registry, asked: &Pairs, db: &Db) -> Result<Changelist> {
    let page = page_number(shown, asked)?;
    let offset = (page - 1)
        .checked_mul(PER_PAGE)
        .filter(|offset| i64::try_from(*offset).is_ok());
    let offset = offset.ok_or_else(no_such_page)?;

    let meta = shown.meta;
    let key = Choice::field(meta, meta.pk);
    let mut rows = query_of(meta, [&key].into_iter().chain(&shown.columns));
    for condition in conditions(shown, asked)? {
        rows.and(condition);
    }
    let count = Query {
        select: Vec::new(),
        unordered: true,
        ..rows.clone()
    };
    let sorting = sorting(shown, asked)?;
    let asked_for = sorting
        .iter()
        .map(|(column, descending)| shown.columns[*column].order(*descending));
    // The model's own order ends with the key, so that no two rows change places between pages.
    rows.order = asked_for
        .chain(shown.ordering.iter().cloned())
        .chain(total_order(meta))
        .collect();
    rows.limit = Some(PER_PAGE);
    rows.offset = Some(offset);

    let mut statements = vec![Statement::Select(rows), Statement::Count(count)];
    let asking = shown.filters.iter().filter_map(|filter| options(meta, filter));
    statements.extend(asking.map(Statement::Select));
    let mut answers = db.read(statements).await?.into_iter();

    let rows = answers.next().unwrap_or_default();
    let count = counted(&answers.next().unwrap_or_default());
    let pages = count.div_ceil(PER_PAGE).max(1);
    if page > pages {
        return Err(no_such_page());
    }
    let rows = rows
        .into_iter()
        .map(|values| row(shown, registry, &key, values))
        .collect::<Result<_>>()?;
    let filters = shown.filters.iter().map(|filter| {
        let found = options(meta, filter).and_then(|_| answers.next());
        offered(filter, found, asked)
    });
    Ok(Changelist {
        columns: columns(shown, asked, &sorting),
        rows,
        count,
        page,
        pages: elided(page, pages)
            .into_iter()
            .map(|page| page.map(|page| (page, with(asked, "p", &page.to_string()))))
            .collect(),
        before: (page > 1).then(|| with(asked, "p", &(page - 1).to_string())),
        after: (page < pages).then(|| with(asked, "p", &(page + 1).to_string())),
        filters: filters.collect::<Result<_>>()?,
        narrowed: asked.iter().any(|(name, _)| !matches!(name, "p" | "o")),
        kept: asked
            .iter()
            .filter(|(name, _)| !matches!(*name, "q" | "p"))
            .map(|(n, v)| (n.to_owned(), v.to_owned()))
            .collect(),
        q: asked.last("q").unwrap_or_default().to_owned(),
        searchable: !shown.search.is_empty(),
    })
}

/// The values of one row's columns, the first of them a link to the row.
fn row(shown: &Shown, registry: &Registry, key: &Choice, values: Vec<Value>) -> Result<Row> {
    let mut values = values.into_iter();
    let own = values.next().filter(|_| !key.sensitive).as_ref().and_then(show::key);
    let mut cells = cells(&shown.columns, values, registry, MAX_CHARS)?;
    if let (Some(first), Some(own)) = (cells.first_mut(), own) {
        if matches!(first.text.trim(), "" | "–") {
            first.text = format!("({own})");
        }
        first.link = Some((shown.blueprint.clone(), shown.name(), own));
    }
    Ok(Row { cells })
}

/// Values of choices as a page shows them; foreign keys lead to their rows.
pub(crate) fn cells(
    choices: &[Choice],
    values: impl Iterator<Item = Value>,
    registry: &Registry,
    max_chars: usize,
) -> Result<Vec<Cell>> {
    let cell = |(choice, value): (&Choice, Value)| {
        let value = choice.read(value)?;
        let target = choice.leads_to.and_then(|meta| registry.of(meta));
        let link = target.and_then(|target| Some((target.blueprint.clone(), target.name(), show::key(&value)?)));
        Ok(Cell {
            link,
            ..Cell::new(&choice.label, &value, max_chars)
        })
    };
    choices.iter().zip(values).map(cell).collect()
}

fn no_such_page() -> Error {
    Error::not_found("There is no such page.")
}

/// The page that is asked for; also refuses names that the list does not know.
fn page_number(shown: &Shown, asked: &Pairs) -> Result<u64> {
    let known = |name: &str| matches!(name, "q" | "p" | "o") || shown.filters.iter().any(|filter| filter.key == name);
    if let Some((name, _)) = asked.iter().find(|(name, _)| !known(name)) {
        let names = shown.filters.iter().map(|filter| filter.key.as_str());
        let choices: Vec<&str> = ["q", "p", "o"].into_iter().chain(names).collect();
        return Err(refused(
            name,
            format!("is nothing that this list knows (choices: {})", choices.join(", ")),
        ));
    }
    match asked.last("p").map(str::parse) {
        None => Ok(1),
        Some(Ok(page @ 1..)) => Ok(page),
        Some(_) => Err(refused("p", "must be the number of a page".to_owned())),
    }
}

/// `?o=-1.2`: by the first column from high to low, then by the second. Columns with whether they go down.
fn sorting(shown: &Shown, asked: &Pairs) -> Result<Vec<(usize, bool)>> {
    let mut sorting: Vec<(usize, bool)> = Vec::new();
    for part in asked
        .last("o")
        .unwrap_or_default()
        .split('.')
        .filter(|part| !part.is_empty())
    {
        let number: Option<i32> = part.parse().ok();
        let column = number.and_then(|number| usize::try_from(number.unsigned_abs()).ok()?.checked_sub(1));
        match (number, column.filter(|column| *column < shown.columns.len())) {
            (Some(number), Some(column)) => {
                if !sorting.iter().any(|(known, _)| *known == column) {
                    sorting.push((column, number < 0));
                }
            }
            _ => {
                return Err(refused(
                    "o",
                    format!("has numbers of columns, 1 to {}", shown.columns.len()),
                ));
            }
        }
    }
    Ok(sorting)
}

/// The headings. One that is pressed becomes the first order; pressed again, it turns round.
fn columns(shown: &Shown, asked: &Pairs, sorting: &[(usize, bool)]) -> Vec<Column> {
    let column = |(i, column): (usize, &Choice)| {
        let first = sorting.first().filter(|(first, _)| *first == i);
        let down = first.is_some_and(|(_, descending)| !descending);
        let others = sorting.iter().filter(|(other, _)| *other != i);
        let order: Vec<String> = [(i, down)]
            .iter()
            .chain(others)
            .map(|(column, down)| format!("{}{}", if *down { "-" } else { "" }, column + 1))
            .collect();
        Column {
            label: column.label.clone(),
            query: with(asked, "o", &order.join(".")),
            sorted: match first {
                None => "",
                Some((_, false)) => "ascending",
                Some((_, true)) => "descending",
            },
        }
    };
    shown.columns.iter().enumerate().map(column).collect()
}

/// Numbers of pages, three on each side of the one that is shown and two at the ends; `None` for those left out.
fn elided(page: u64, pages: u64) -> Vec<Option<u64>> {
    let mut numbers: Vec<Option<u64>> = Vec::new();
    let ends = [
        1..=2.min(pages),
        page.saturating_sub(3).max(1)..=(page + 3).min(pages),
        pages.saturating_sub(1).max(1)..=pages,
    ];
    for number in ends.into_iter().flatten() {
        match numbers.last().copied().flatten() {
            Some(last) if number <= last => continue,
            // A gap of one page is shorter as its number.
            Some(last) if number == last + 2 => numbers.push(Some(last + 1)),
            Some(last) if number > last + 1 => numbers.push(None),
            _ => {}
        }
        numbers.push(Some(number));
    }
    numbers
}

fn refused(name: &str, message: String) -> Error {
    Error::bad_request("This list cannot be shown in that way.").with_faults(vec![Fault::new(
        Place::Query,
        name,
        message,
    )])
}

/// What the rows must satisfy: each chosen filter, and each word of the search in one of the fields.
fn conditions(shown: &Shown, asked: &Pairs) -> Result<Vec<Node>> {
    let mut conditions = Vec::new();
    for filter in &shown.filters {
        if let Some(text) = asked.last(&filter.key) {
            let condition = filter.is(text);
            conditions.push(condition.ok_or_else(|| refused(&filter.key, "is no value of this field".to_owned()))?);
        }
    }
    let words: Vec<&str> = asked.last("q").unwrap_or_default().split_whitespace().collect();
    if words.len() > MAX_WORDS {
        return Err(refused("q", format!("has more than {MAX_WORDS} words")));
    }
    for word in words {
        let mut fields = shown.search.iter().map(|field| field.icontains(word));
        if let Some(first) = fields.next() {
            conditions.push(fields.fold(first, |any, field| any.then(field).push(Op::Or)));
        }
    }
    Ok(conditions)
}

/// The query for what a filter offers: its value, then what it is called where that is another.
fn options(meta: &'static ModelMeta, filter: &Choice) -> Option<Query> {
    if filter.kind == Some(Kind::Bool) {
        return None;
    }
    let mut query = match filter.leads_to {
        Some(target) => {
            let (key, name) = (Choice::field(target, target.pk), name_of(target));
            let mut query = query_of(target, [&key, &name]);
            query.order = vec![name.order(false), key.order(false)];
            query
        }
        None => {
            let mut query = query_of(meta, [filter]);
            query.distinct = true;
            // The latest year first.
            query.order = vec![filter.order(filter.key.ends_with("__year"))];
            query
        }
    };
    query.limit = Some(MAX_OPTIONS + 1);
    Some(query)
}

/// What rows of a model are called: their first short text, or their key.
pub(crate) fn name_of(meta: &'static ModelMeta) -> Choice {
    let mut fields = meta.fields.iter().zip(0..);
    let text = fields.find(|(field, _)| field.kind == Kind::Text && !field.multiline && !field.sensitive);
    Choice::field(meta, text.map_or(meta.pk, |(_, index)| index))
}

fn offered(filter: &Choice, found: Option<Vec<Vec<Value>>>, asked: &Pairs) -> Result<Filter> {
    let mut values: Vec<(String, String)> = Vec::new();
    match found {
        None => values.extend([("true", "Yes"), ("false", "No")].map(|(key, text)| (key.to_owned(), text.to_owned()))),
        Some(found) => {
            for mut row in found {
                let name = row.get(1).map(show::text);
                let value = filter.read(row.swap_remove(0))?;
                if let Some(key) = show::key(&value) {
                    values.push((key, name.unwrap_or_else(|| show::text(&value))));
                }
            }
        }
    }
    let more = values.len() as u64 > MAX_OPTIONS;
    values.truncate(MAX_OPTIONS as usize);
    let chosen = asked.last(&filter.key);
    let options = values.into_iter().map(|(key, text)| FilterOption {
        query: with(asked, &filter.key, &key),
        chosen: chosen == Some(key.as_str()),
        text,
    });
    let mut without = asked.clone();
    without.remove("p");
    without.remove(&filter.key);
    Ok(Filter {
        label: filter.label.clone(),
        all: without.to_query(),
        chosen: chosen.is_some(),
        options: options.collect(),
        more,
    })
}

/// The query string with one name set; a new filter begins at the first page.
fn with(asked: &Pairs, name: &str, value: &str) -> String {
    let mut pairs = asked.clone();
    pairs.remove("p");
    pairs.set(name, value);
    pairs.to_query()
}

#[cfg(test)]
mod tests {
    use super::elided;

    #[track_caller]
    fn check(page: u64, pages: u64, expected: &str) {
        let shown = elided(page, pages).into_iter();
        let shown: Vec<String> = shown
            .map(|number| number.map_or_else(|| "..".to_owned(), |n| n.to_string()))
            .collect();
        assert_eq!(shown.join(" "), expected);
    }

    #[test]
    fn numbers_of_pages_leave_out_what_is_far() {
        check(1, 1, "1");
        check(2, 3, "1 2 3");
        check(1, 20, "1 2 3 4 .. 19 20");
        check(10, 20, "1 2 .. 7 8 9 10 11 12 13 .. 19 20");
        check(7, 20, "1 2 3 4 5 6 7 8 9 10 .. 19 20");
        check(20, 20, "1 2 .. 17 18 19 20");
    }
}
