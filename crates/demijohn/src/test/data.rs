//! Data that many tests share, and none of them can spoil.

use super::{TemporaryFolder, TestClient, block_on};
use crate::app::App;
use demijohn_core::check::{Finding, Report};
use demijohn_core::settings::Sources;
use demijohn_core::site::Lifecycle;
use demijohn_core::{BoxFuture, Result};
use demijohn_orm::Db;
use demijohn_web::Ready;
use std::ops::Deref;
use std::path::Path;
use std::sync::OnceLock;

/// A site with data: made once, and each test has a copy of it (Django's `TestCase` with its `setUpTestData`).
///
/// What one test changes, no other sees, whether they run one after another or at the same time: each works on a database of its own.
/// Nothing has to be cleaned up, and transactions are real ones.
///
/// ```
/// use demijohn::prelude::*;
/// use demijohn::test::{TestData, block_on};
///
/// #[model]
/// #[derive(Clone, Debug)]
/// struct Bottle {
///     id: i64,
///     #[field(max_length = 50)]
///     label: String,
/// }
///
/// async fn count(db: Db) -> Result<String> {
///     Ok(Bottle::objects().count(&db).await?.to_string())
/// }
///
/// fn app() -> App {
///     App::new().models(models![Bottle]).route("/", get(count))
/// }
///
/// static CELLAR: TestData = TestData::new(app, |db| Box::pin(async move {
///     for label in ["Merlot", "Syrah"] {
///         new!(Bottle { label }).save(&db).await?;
///     }
///     Ok(())
/// }));
///
/// # block_on(async {
/// let site = CELLAR.site();
/// site.get("/").await.assert_contains("2");
/// Bottle::objects().delete(site.db()).await.unwrap();
/// site.get("/").await.assert_contains("0");
///
/// CELLAR.site().get("/").await.assert_contains("2");
/// # });
/// ```
pub struct TestData {
    app: fn() -> App,
    fill: fn(Db) -> BoxFuture<'static, Result<()>>,
    sources: fn() -> Sources,
    /// The database as a file's bytes, so that nothing is left behind when the tests are over.
    template: OnceLock<Vec<u8>>,
}

/// A copy of the data with a site on it, for one test. It is a [`TestClient`] too.
pub struct TestSite {
    client: TestClient,
    ready: Ready,
    folder: TemporaryFolder,
}

impl TestData {
    /// Data that `fill` puts into the database of the site.
    pub const fn new(app: fn() -> App, fill: fn(Db) -> BoxFuture<'static, Result<()>>) -> Self {
        TestData {
            app,
            fill,
            sources: Sources::none,
            template: OnceLock::new(),
        }
    }

    /// Builds the site with these settings. `DATABASE_URL` is the copy's own.
    #[must_use]
    pub const fn sources(mut self, sources: fn() -> Sources) -> Self {
        self.sources = sources;
        self
    }

    /// A copy for a test.
    ///
    /// # Panics
    /// When the site has errors, or the data cannot be made; the message says why.
    #[track_caller]
    pub fn site(&self) -> TestSite {
        let site = self.build();
        let template = self.template.get_or_init(|| self.make());
        written(&site.folder.path().join(FILE), template);
        site
    }

    /// A site on a file that is not there yet.
    #[track_caller]
    fn build(&self) -> TestSite {
        let folder = TemporaryFolder::make().unwrap_or_else(|error| panic!("no folder for a database: {error}"));
        let url = format!("sqlite://{}", folder.path().join(FILE).display());
        let built = (self.app)().build((self.sources)().var("DATABASE_URL", url));
        let ready = built.unwrap_or_else(|findings: Vec<Finding>| panic!("{}", Report::new(findings, &[])));
        TestSite {
            client: ready.test_client(),
            ready,
            folder,
        }
    }

    fn make(&self) -> Vec<u8> {
        let site = self.build();
        let copy = site.folder.path().join("copy.sqlite3");
        let work = async {
            Lifecycle::start(site.ready.site()).await?;
            (self.fill)(site.db().clone()).await?;
            // The file alone, without what is still in its log.
            let name = copy.display().to_string().replace('\'', "''");
            site.db().execute_script(format!("VACUUM INTO '{name}'")).await?;
            Ok(())
        };
        // A test may be inside of a runtime already, which waits for no other.
        let made: std::thread::Result<Result<()>> = std::thread::scope(|scope| scope.spawn(|| block_on(work)).join());
        match made {
            Ok(Ok(())) => {}
            Ok(Err(error)) => panic!("the data cannot be made: {error}"),
            Err(panic) => std::panic::resume_unwind(panic),
        }
        std::fs::read(&copy).unwrap_or_else(|error| panic!("`{}` cannot be read: {error}", copy.display()))
    }
}

const FILE: &str = "db.sqlite3";

fn written(path: &Path, content: &[u8]) {
    std::fs::write(path, content).unwrap_or_else(|error| panic!("`{}` cannot be written: {error}", path.display()));
}

impl TestSite {
    /// The built site: its settings, commands and links.
    pub fn ready(&self) -> &Ready {
        &self.ready
    }

    /// The copy.
    ///
    /// # Panics
    /// When the site has no models.
    #[track_caller]
    pub fn db(&self) -> &Db {
        let db = self.ready.site().get::<Db>();
        db.unwrap_or_else(|| panic!("the site has no database: register models, `.models(models![..])`"))
    }
}

impl Deref for TestSite {
    type Target = TestClient;

    fn deref(&self) -> &TestClient {
        &self.client
    }
}
