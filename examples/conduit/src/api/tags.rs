//! Subjects.

use crate::models::*;
use demijohn::prelude::*;
use serde_json::{Value, json};

/// The tags that some article has, in alphabetical order.
pub(crate) async fn tags(db: Db) -> Result<Value> {
    let tags = Tag::objects()
        .filter(|t| t.articles().any(|a| a.id.gt(0)))
        .order_by(|t| t.name.asc())
        .values(|t| t.name)
        .all(&db)
        .await?;
    Ok(json!({ "tags": tags }))
}
