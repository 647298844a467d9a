//! `?queries=N`: whatever is sent becomes a number from 1 to 500.

use demijohn::web::{Extract, Operation, Parameter, Place, Rejection, Request};

const MOST: usize = 500;

/// `?queries=`
pub(crate) struct Queries(pub(crate) usize);

/// `?count=`
pub(crate) struct CachedCount(pub(crate) usize);

impl Extract for Queries {
    async fn extract(request: &mut Request) -> Result<Self, Rejection> {
        Ok(Queries(read(request, "queries")))
    }

    fn describe(operation: &mut Operation) {
        describe(operation, "queries");
    }
}

impl Extract for CachedCount {
    async fn extract(request: &mut Request) -> Result<Self, Rejection> {
        Ok(CachedCount(read(request, "count")))
    }

    fn describe(operation: &mut Operation) {
        describe(operation, "count");
    }
}

fn read(request: &Request, name: &str) -> usize {
    match request.query_value(name) {
        Some(text) if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) => {
            // A number that does not fit is above the most, too.
            text.parse().unwrap_or(MOST).clamp(1, MOST)
        }
        _ => 1,
    }
}

fn describe(operation: &mut Operation, name: &str) {
    operation.parameters.push(Parameter {
        name: name.to_owned(),
        place: Place::Query,
        required: false,
        schema_type: "integer",
        format: "int32",
    });
}
