//! Who is here: logging in and out, and changing one's password.
//!
//! The site's own few lines, until it takes the accounts of a later chapter.

use crate::models::User;
use demijohn::prelude::*;
use demijohn::web::{Needs, Operation, Rejection};
use demijohn::{Principal, auth};
use serde::Deserialize;
use url::form_urlencoded;

pub(crate) fn blueprint() -> Blueprint {
    Blueprint::new("accounts")
        .route("/login/", get(login_form).post(login))
        .route("/logout/", post(logout))
        .route("/password/", get(password_form).post(change_password))
        .error_page(StatusCode::UNAUTHORIZED, to_login)
}

/// The user who is logged in; nobody is 401.
///
/// `Option<Viewer>` takes visitors along.
pub(crate) struct Viewer(pub(crate) User);

impl Extract for Viewer {
    async fn extract(request: &mut Request) -> Result<Self, Rejection> {
        let session = Session::extract(request).await?;
        let Some(id) = session.principal_id().await? else {
            return Err(Error::unauthorized("Log in first.").into());
        };
        let db = Db::extract(request).await?;
        let id: i64 = id.parse().map_err(Error::from)?;
        let user = User::objects()
            .filter(|u| u.id.eq(id))
            .first(&db)
            .await
            .map_err(Error::from)?;
        // A session that was opened by a former password, or for an account that is closed now, opens nothing any more.
        match user {
            Some(user) if session.is_of(&principal(&user)).await? => Ok(Viewer(user)),
            _ => Err(Error::unauthorized("Log in first.").into()),
        }
    }

    fn describe(operation: &mut Operation) {
        operation.statuses.push((401, "nobody is logged in"));
    }

    fn needs(needs: &mut Needs) {
        Session::needs(needs);
        Db::needs(needs);
    }
}

/// The user as sessions know them.
fn principal(user: &User) -> Principal {
    Principal::new(user.id.to_string(), auth::session_auth_hash(&user.password))
        .active(user.is_active)
        .staff(user.is_staff)
        .superuser(user.is_superuser)
}

/// Where pages send whoever is not logged in: to the form, which leads back.
pub(crate) async fn to_login(_: &Error, request: &mut Request) -> Result<Response> {
    let back = match *request.method() {
        Method::GET | Method::HEAD => request.full_path(),
        // What was to be done there is not done by going there again.
        _ => "/notes/",
    };
    let query: String = form_urlencoded::Serializer::new(String::new())
        .append_pair("next", back)
        .finish();
    Redirect::to(format!("/login/?{query}")).reply(request)
}

#[derive(Context)]
#[template("notes/login.html")]
struct LoginPage {
    viewer: Option<String>,
    username: String,
    next: String,
    failed: bool,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Login {
    username: String,
    password: String,
    next: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Next {
    next: String,
}

async fn login_form(Query(Next { next }): Query<Next>, viewer: Option<Viewer>) -> Page<LoginPage> {
    Page(LoginPage {
        viewer: viewer.map(|v| v.0.username),
        username: String::new(),
        next,
        failed: false,
    })
}

async fn login(
    Form(form): Form<Login>,
    session: Session,
    viewer: Option<Viewer>,
    passwords: Passwords,
    db: Db,
) -> Result<Either<Redirect, Page<LoginPage>>> {
    let user = User::objects()
        .filter(|u| u.username.eq(form.username.as_str()))
        .first(&db)
        .await?;
    // Verified for nobody too, and before anything is asked of the account: neither the answer nor its time tells who is
    // registered.
    let right = passwords
        .verify(&form.password, user.as_ref().map(|u| u.password.as_str()))
        .await?;
    if let Some(user) = user.filter(|user| right && user.is_active) {
        session.login(&principal(&user)).await?;
        return Ok(Either::Left(Redirect::to_or(form.next, "/notes/").see_other()));
    }
    Ok(Either::Right(Page(LoginPage {
        viewer: viewer.map(|v| v.0.username),
        username: form.username,
        next: form.next,
        failed: true,
    })))
}

async fn logout(session: Session) -> Result<Redirect> {
    session.logout().await?;
    Ok(Redirect::to("/").see_other())
}

#[derive(Context)]
#[template("notes/password.html")]
struct PasswordPage {
    viewer: Option<String>,
    fault: &'static str,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct PasswordChange {
    old_password: String,
    new_password1: String,
    new_password2: String,
}

async fn password_form(Viewer(user): Viewer) -> Page<PasswordPage> {
    Page(PasswordPage {
        viewer: Some(user.username),
        fault: "",
    })
}

async fn change_password(
    Viewer(mut user): Viewer,
    Form(form): Form<PasswordChange>,
    session: Session,
    messages: Messages,
    passwords: Passwords,
    db: Db,
) -> Result<Either<Redirect, Page<PasswordPage>>> {
    let fault = match () {
        () if form.new_password1 != form.new_password2 => "The two new passwords differ.",
        () if form.new_password1.chars().count() < 8 => "A password has at least 8 characters.",
        () if form.new_password1 == form.old_password => "That is the password you have.",
        () if !passwords.verify(&form.old_password, Some(&user.password)).await? => "The old password is not right.",
        () => {
            let hash = passwords.hash(&form.new_password1).await?;
            user.update(&db, |u| u.password.set(hash.as_str())).await?;
            user.password = hash;
            // Whoever else knew the old password is out, and this browser has a key that nobody saw before.
            session.login(&principal(&user)).await?;
            session.end_others().await?;
            messages.success("Your password is changed, and you are logged out everywhere else.");
            return Ok(Either::Left(Redirect::to("/notes/").see_other()));
        }
    };
    Ok(Either::Right(Page(PasswordPage {
        viewer: Some(user.username),
        fault,
    })))
}
