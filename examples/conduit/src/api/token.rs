//! Who calls.

use super::jwt::Tokens;
use super::refusal::Refusal;
use crate::models::User;
use demijohn::prelude::*;
use demijohn::web::{Needs, Operation, Parameter, Place, Rejection};
use std::sync::Arc;

/// The user whose token came with the call; a call without a good one is refused with 401.
///
/// `Option<Token>` takes calls without one along, as nobody's.
pub(crate) struct Token(pub(crate) User);

impl Extract for Token {
    async fn extract(request: &mut Request) -> Result<Self, Rejection> {
        let token = request
            .header("authorization")
            .and_then(|header| header.strip_prefix("Token "));
        let Some(id) = token
            .and_then(|token| Some(request.provided::<Arc<Tokens>>().ok()?.user(token.trim())))
            .flatten()
        else {
            return Err(Refusal::token().into());
        };
        let db = Db::extract(request).await?;
        let user = User::objects()
            .filter(|u| u.id.eq(id))
            .first(&db)
            .await
            .map_err(Error::from)?;
        Ok(Token(user.ok_or_else(Refusal::token)?))
    }

    fn describe(operation: &mut Operation) {
        operation.parameters.push(Parameter {
            name: "Authorization".to_owned(),
            place: Place::Header,
            required: true,
            schema_type: "string",
            format: "",
        });
        operation.statuses.push((401, "no token, or one that is not good"));
    }

    fn needs(needs: &mut Needs) {
        needs.provider::<Arc<Tokens>>("mount the `api` blueprint, which makes tokens from `SECRET_KEY`");
        Db::needs(needs);
    }
}
