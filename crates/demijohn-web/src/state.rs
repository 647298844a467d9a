//! Values of the site as handler arguments.

use demijohn_core::{Error, Extract, Needs, Rejection, Request};
use std::ops::Deref;
use std::sync::Arc;

/// A value that the site was given by `Application::state`, shared by all requests.
///
/// ```
/// use demijohn_web::{get, Application, State};
/// use std::sync::atomic::{AtomicU64, Ordering};
///
/// #[derive(Default)]
/// struct Visits(AtomicU64);
///
/// async fn count(State(visits): State<Visits>) -> String {
///     visits.0.fetch_add(1, Ordering::Relaxed).to_string()
/// }
///
/// # demijohn_web::test::block_on(async {
/// let client = Application::new().state(Visits::default()).route("/", get(count)).test_client();
/// assert_eq!(client.get("/").await.text(), "0");
/// assert_eq!(client.get("/").await.text(), "1");
/// # });
/// ```
///
/// Hooks find it by `request.provided::<Arc<Visits>>()`. A site whose handlers ask for a state that nobody gives does not
/// start.
#[derive(Debug)]
pub struct State<T>(pub Arc<T>);

impl<T> Clone for State<T> {
    fn clone(&self) -> Self {
        State(Arc::clone(&self.0))
    }
}

impl<T> Deref for State<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: Send + Sync + 'static> Extract for State<T> {
    async fn extract(request: &mut Request) -> Result<Self, Rejection> {
        match request.site().get::<Arc<T>>() {
            Some(value) => Ok(State(Arc::clone(value))),
            None => Err(Error::internal(format!("no state of type `{}`", std::any::type_name::<T>())).into()),
        }
    }

    fn needs(needs: &mut Needs) {
        let name = std::any::type_name::<T>();
        needs.provider::<Arc<T>>(format!("give the site one by `.state(..)`: a value of type `{name}`"));
    }
}
