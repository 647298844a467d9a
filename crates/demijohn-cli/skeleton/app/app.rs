//! {{ app_name }}.

use demijohn::prelude::*;

/// What `/{{ app_name }}` is made of.
pub fn blueprint() -> Blueprint {
    Blueprint::new("{{ app_name }}")
        .models(models![{{ AppName }}Item])
        .route("/", get(index).name("index"))
        .admin(ModelAdmin::<{{ AppName }}Item>::new().list_display(|i| (i.name, i.created_at)))
}

#[model(app = "{{ app_name }}", ordering = "-created_at")]
#[derive(Clone, Debug)]
pub struct {{ AppName }}Item {
    pub id: i64,
    #[field(max_length = 200)]
    pub name: String,
    #[field(auto_now_add)]
    pub created_at: DateTime,
}

#[derive(Context)]
#[template("{{ app_name }}/index.html")]
struct Index {
    items: Vec<String>,
}

async fn index(db: Db) -> Result<Page<Index>> {
    let items = {{ AppName }}Item::objects().limit(50).all(&db).await?;
    Ok(Page(Index {
        items: items.into_iter().map(|item| item.name).collect(),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use demijohn::settings::Sources;
    use demijohn::test::block_on;

    #[test]
    fn the_list_shows_what_the_database_holds() {
        block_on(async {
            let site = crate::app()
                .build(Sources::none().var("DATABASE_URL", "sqlite::memory:"))
                .unwrap_or_else(|findings| panic!("{findings:#?}"));
            let client = site.test_client();
            client.get("/{{ app_name }}/").await.assert_contains("Nothing yet");
            let db = client.site().get::<Db>().expect("a site with models has a database");
            let item = new!({{ AppName }}Item { name: "First".to_owned() });
            item.save(db).await.expect("an item can be saved");
            client.get("/{{ app_name }}/").await.assert_contains("First");
        });
    }
}
