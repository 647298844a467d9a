//! Files that users keep here.

use crate::accounts::{Viewer, to_login};
use crate::models::*;
use demijohn::prelude::*;

/// The largest file that is taken, in bytes; the form around it needs some room too.
const MAX_BYTES: usize = 5 << 20;
const FORM_BYTES: usize = MAX_BYTES + (64 << 10);

pub(crate) fn blueprint() -> Blueprint {
    Blueprint::new("files")
        .route("/upload/", get(upload_form).post(upload).max_body_bytes(FORM_BYTES))
        .error_page(StatusCode::UNAUTHORIZED, to_login)
}

#[derive(Context)]
#[template("notes/files.html")]
struct FilesPage {
    viewer: Option<String>,
    fault: &'static str,
    files: Vec<Kept>,
}

/// A file in the list.
#[derive(Context)]
struct Kept {
    name: String,
    url: String,
    size: String,
}

async fn page(user: User, fault: &'static str, media: &Media, db: &Db) -> Result<Page<FilesPage>> {
    let kept = user.attachments().order_by(|a| a.id.desc()).limit(100).all(db).await?;
    let kept = kept.into_iter().map(|file| {
        Ok(Kept {
            url: media.url(&file.stored)?,
            name: file.name,
            size: match file.size {
                bytes @ 0..1024 => format!("{bytes} bytes"),
                bytes => format!("{} KB", bytes / 1024),
            },
        })
    });
    Ok(Page(FilesPage {
        viewer: Some(user.username),
        fault,
        files: kept.collect::<Result<_>>()?,
    }))
}

async fn upload_form(Viewer(user): Viewer, media: Media, db: Db) -> Result<Page<FilesPage>> {
    page(user, "", &media, &db).await
}

async fn upload(
    Viewer(user): Viewer,
    files: Files,
    media: Media,
    messages: Messages,
    db: Db,
) -> Result<Either<Redirect, Page<FilesPage>>> {
    let file = match files.get("file") {
        None => return Ok(Either::Right(page(user, "Choose a file.", &media, &db).await?)),
        Some(file) if file.len() > MAX_BYTES as u64 => {
            return Ok(Either::Right(
                page(user, "The file is larger than 5 MB.", &media, &db).await?,
            ));
        }
        Some(file) => file,
    };
    let stored = media.save_upload("files", file).await?;
    let row = new!(Attachment {
        owner: &user,
        name: shown_name(file.file_name()),
        stored: stored.as_str(),
        size: file.len() as i64,
    });
    if let Err(error) = row.save(&db).await {
        // A file that no row knows would stay for good. But the row may be there and only the answer lost.
        let rows = Attachment::objects().filter(|a| a.stored.eq(stored.as_str()));
        if let Ok(false) = rows.exists(&db).await {
            media.delete(&stored).await?;
        }
        return Err(error.into());
    }
    messages.success("Kept.");
    Ok(Either::Left(Redirect::route(upload_form, ()).see_other()))
}

/// The client's name for a file, as far as a list shows it.
fn shown_name(name: &str) -> String {
    let name: String = name.chars().filter(|c| !c.is_control()).take(255).collect();
    match name.trim() {
        "" => "unnamed".to_owned(),
        name => name.to_owned(),
    }
}
