//! `?page=2`, and the row of numbers under a list.

use demijohn::prelude::*;
use demijohn::web::{Fault, Operation, Place, Rejection};

/// The page that is asked for; 1 when none is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PageNumber(u64);

impl Extract for PageNumber {
    async fn extract(request: &mut Request) -> Result<Self, Rejection> {
        let Some(text) = request.query_value("page").filter(|text| !text.is_empty()) else {
            return Ok(PageNumber(1));
        };
        match text.parse() {
            Ok(number) if number > 0 => Ok(PageNumber(number)),
            // To a reader this is an address like any other that leads nowhere.
            _ => Err(Error::not_found("no such page")
                .with_faults(vec![Fault::new(Place::Query, "page", "must be a positive number")])
                .into()),
        }
    }

    fn describe(operation: &mut Operation) {
        operation.parameters.push(demijohn::web::Parameter {
            name: "page".to_owned(),
            place: Place::Query,
            required: false,
            schema_type: "integer",
            format: "int64",
        });
    }
}

/// Where one is in a list, and the ways on.
#[derive(Context)]
pub(crate) struct Pager {
    number: u64,
    last: u64,
    total: i64,
    previous: Option<String>,
    next: Option<String>,
    steps: Vec<Step>,
}

/// A number of the row; one without an address is the gap.
#[derive(Context)]
struct Step {
    number: u64,
    url: Option<String>,
}

impl Pager {
    /// The pager of a list of `total` at the address `here`.
    ///
    /// # Errors
    /// 404 beyond the last page.
    pub(crate) fn new(here: String, PageNumber(number): PageNumber, total: i64, per_page: u64) -> Result<Self> {
        let last = u64::try_from(total).unwrap_or(0).div_ceil(per_page).max(1);
        if number > last {
            return Err(Error::not_found("no such page"));
        }
        let address = |page: u64| match page {
            1 => here.clone(),
            page => format!("{here}?page={page}"),
        };
        let mut steps: Vec<Step> = Vec::new();
        for page in 1..=last {
            let is_near = page.abs_diff(number) <= 1 || page == 1 || page == last;
            if is_near {
                steps.push(Step {
                    number: page,
                    url: Some(address(page)),
                });
            } else if steps.last().is_some_and(|step| step.url.is_some()) {
                steps.push(Step { number: 0, url: None });
            }
        }
        Ok(Pager {
            previous: (number > 1).then(|| address(number - 1)),
            next: (number < last).then(|| address(number + 1)),
            number,
            last,
            total,
            steps,
        })
    }

    /// The rows of this page of a list.
    pub(crate) fn window<M: Model, O: Send + 'static>(&self, list: QuerySet<M, O>, per_page: u64) -> QuerySet<M, O> {
        list.limit(per_page).offset((self.number - 1) * per_page)
    }
}

#[cfg(test)]
mod tests {
    use super::{PageNumber, Pager};

    fn row(number: u64, total: i64) -> String {
        let pager = Pager::new("/".into(), PageNumber(number), total, 10).expect("there is such a page");
        let steps = pager.steps.iter().map(|step| match &step.url {
            None => "..".to_owned(),
            Some(_) => step.number.to_string(),
        });
        steps.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn the_row_shows_the_ends_and_the_neighbours() {
        assert_eq!(row(1, 0), "1");
        assert_eq!(row(1, 11), "1 2");
        assert_eq!(row(1, 200), "1 2 .. 20");
        assert_eq!(row(10, 200), "1 .. 9 10 11 .. 20");
        assert_eq!(row(20, 200), "1 .. 19 20");
        assert!(Pager::new("/".into(), PageNumber(3), 20, 10).is_err());
    }
}
