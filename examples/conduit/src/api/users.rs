//! Registration, login, and one's own account.

use super::jwt::Tokens;
use super::{Input, Refusal, Token};
use crate::models::*;
use demijohn::prelude::*;
use serde_json::{Value, json};

const EMAIL_CHARS: usize = 254;
const NAME_CHARS: usize = 100;
const ABOUT_CHARS: usize = 10_000;

pub(crate) async fn register(
    input: Input,
    db: Db,
    passwords: Passwords,
    State(tokens): State<Tokens>,
) -> Result<(StatusCode, Value)> {
    let mut fields = input.object("user")?;
    let username = fields.required("username", NAME_CHARS);
    let email = fields.required("email", EMAIL_CHARS);
    let password = fields.required_password("password");
    fields.finish()?;

    // Before the hash, which is slow on purpose, and again after it, where the database decides.
    refuse_taken(&db, None, Some(&username), Some(&email)).await?;
    let password = passwords.hash(&password).await?;
    let draft = new!(User {
        username: username.as_str(),
        email: email.as_str(),
        password
    });
    match draft.save(&db).await {
        Ok(user) => Ok((StatusCode::CREATED, view(&user, &tokens)?)),
        Err(error) if error.is_unique() => {
            refuse_taken(&db, None, Some(&username), Some(&email)).await?;
            Err(error.into())
        }
        Err(error) => Err(error.into()),
    }
}

pub(crate) async fn login(input: Input, db: Db, passwords: Passwords, State(tokens): State<Tokens>) -> Result<Value> {
    let mut fields = input.object("user")?;
    let email = fields.required("email", EMAIL_CHARS);
    let password = fields.required_password("password");
    fields.finish()?;

    let user = User::objects().filter(|u| u.email.eq(email)).first(&db).await?;
    let hash = user.as_ref().map(|user| user.password.as_str());
    match (passwords.verify(&password, hash).await?, user) {
        (true, Some(user)) => view(&user, &tokens),
        _ => Err(Refusal::credentials()),
    }
}

pub(crate) async fn current(Token(user): Token, State(tokens): State<Tokens>) -> Result<Value> {
    view(&user, &tokens)
}

pub(crate) async fn change(
    Token(mut user): Token,
    input: Input,
    db: Db,
    passwords: Passwords,
    State(tokens): State<Tokens>,
) -> Result<Value> {
    let mut fields = input.object("user")?;
    let username = fields.changed("username", NAME_CHARS);
    let email = fields.changed("email", EMAIL_CHARS);
    let password = fields.password("password");
    let bio = fields.clearable("bio", ABOUT_CHARS);
    let image = fields.clearable("image", ABOUT_CHARS);
    fields.finish()?;

    refuse_taken(&db, Some(user.id), username.as_deref(), email.as_deref()).await?;
    let password = match password {
        Some(password) => Some(passwords.hash(&password).await?),
        None => None,
    };
    let u = User::fields();
    let mut sets = Vec::new();
    sets.extend(username.as_deref().map(|name| u.username.set(name)));
    sets.extend(email.as_deref().map(|email| u.email.set(email)));
    sets.extend(password.map(|hash| u.password.set(hash)));
    sets.extend(bio.map(|bio| u.bio.set_opt(bio)));
    sets.extend(image.map(|image| u.image.set_opt(image)));
    if !sets.is_empty()
        && let Err(error) = user.update(&db, |_| sets).await
    {
        if error.is_unique() {
            refuse_taken(&db, Some(user.id), username.as_deref(), email.as_deref()).await?;
        }
        return Err(error.into());
    }
    view(&user, &tokens)
}

/// 409 when somebody other than `user` has this name or this address.
async fn refuse_taken(db: &Db, user: Option<i64>, username: Option<&str>, email: Option<&str>) -> Result<()> {
    let others = || User::objects().exclude(|u| u.id.eq(user.unwrap_or(0)));
    let mut taken = Vec::new();
    if let Some(name) = username
        && others().filter(|u| u.username.eq(name)).exists(db).await?
    {
        taken.push("username");
    }
    if let Some(email) = email
        && others().filter(|u| u.email.eq(email)).exists(db).await?
    {
        taken.push("email");
    }
    match taken.is_empty() {
        true => Ok(()),
        false => Err(Refusal::taken(taken)),
    }
}

fn view(user: &User, tokens: &Tokens) -> Result<Value> {
    Ok(json!({"user": {
        "email": user.email,
        "token": tokens.issue(user.id)?,
        "username": user.username,
        "bio": user.bio,
        "image": user.image,
    }}))
}
