//! Handlers: asynchronous functions whose arguments are extractors and whose result is a reply.

use crate::current;
use demijohn_core::extract::Need;
use demijohn_core::{BoxFuture, Error, Extract, Needs, Operation, Rejection, Reply, Request, Response, Result};
use std::any::TypeId;
use std::sync::Arc;

/// An asynchronous function or closure that answers a route.
///
/// It takes up to twelve arguments, each an [`Extract`], and returns a [`Reply`]. Nothing has to be implemented by
/// hand: `async fn detail(Path(id): Path<i64>, db: Db) -> Result<Json<Article>>` is one.
///
/// The future must be `Send`, as requests may move between threads: do not hold an `Rc`, a `RefCell`'s guard or a
/// `std::sync::MutexGuard` across an `.await`.
#[diagnostic::on_unimplemented(
    message = "this is not a handler: `{Self}`",
    label = "not a handler",
    note = "a handler is an `async fn` (or `async` closure) of at most 12 arguments, each of them an extractor (`Path<T>`, `Query<T>`, `Json<T>`, `Form<T>`, `State<T>`, `Db`, ..), all of them imported from `demijohn`",
    note = "what it returns must be a reply: text, `Html(..)`, `Json(..)`, `Page(..)`, `Redirect`, a `StatusCode`, `Response`, or a `Result` of one",
    note = "its future must be `Send`: no `Rc`, no `std::sync::MutexGuard` across an `.await`"
)]
pub trait Handler<Args>: Send + Sync + 'static {
    /// How many parameters of the path the arguments take.
    #[doc(hidden)]
    const PATH_ARGS: usize;

    /// Runs the extractors, then the function, then makes the response.
    #[doc(hidden)]
    fn call<'a>(&'a self, request: &'a mut Request) -> BoxFuture<'a, Result<Response>>;

    /// True when these values of the path can be taken.
    #[doc(hidden)]
    fn fits_path(values: &[String]) -> bool;

    /// What the documentation says of it.
    #[doc(hidden)]
    fn describe(operation: &mut Operation);

    /// What must be provided for it.
    #[doc(hidden)]
    fn needs(needs: &mut Needs);
}

macro_rules! handler {
    ($($arg:ident)*) => {
        impl<F, Fut, R, $($arg,)*> Handler<($($arg,)*)> for F
        where
            F: Fn($($arg),*) -> Fut + Send + Sync + 'static,
            Fut: Future<Output = R> + Send,
            R: Reply,
            $($arg: Extract,)*
        {
            const PATH_ARGS: usize = 0 $(+ $arg::PATH_ARGS)*;

            #[allow(non_snake_case, unused_mut, reason = "variables are named as their types; no argument, nothing refused")]
            fn call<'a>(&'a self, request: &'a mut Request) -> BoxFuture<'a, Result<Response>> {
                Box::pin(async move {
                    let mut refused: Vec<Rejection> = Vec::new();
                    $(
                        let $arg = match $arg::extract(request).await {
                            Ok(value) => Some(value),
                            Err(rejection) => {
                                refused.push(rejection);
                                None
                            }
                        };
                    )*
                    // Each is `Some` unless it was refused, so the pattern fails exactly when something was.
                    let ($(Some($arg),)*) = ($($arg,)*) else {
                        return Err(refusal(refused));
                    };
                    current::lend(request, self($($arg),*)).await.reply(request)
                })
            }

            fn fits_path(values: &[String]) -> bool {
                let _ = values;
                true $(&& $arg::fits_path(values))*
            }

            fn describe(operation: &mut Operation) {
                $($arg::describe(operation);)*
                R::describe(operation);
            }

            fn needs(needs: &mut Needs) {
                let _ = &needs;
                $($arg::needs(needs);)*
            }
        }
    };
}

/// The function without arguments has nothing that could be refused.
impl<F, Fut, R> Handler<()> for F
where
    F: Fn() -> Fut + Send + Sync + 'static,
    Fut: Future<Output = R> + Send,
    R: Reply,
{
    const PATH_ARGS: usize = 0;

    fn call<'a>(&'a self, request: &'a mut Request) -> BoxFuture<'a, Result<Response>> {
        Box::pin(async move { current::lend(request, self()).await.reply(request) })
    }

    fn fits_path(_: &[String]) -> bool {
        true
    }

    fn describe(operation: &mut Operation) {
        R::describe(operation);
    }

    fn needs(_: &mut Needs) {}
}

handler!(A1);
handler!(A1 A2);
handler!(A1 A2 A3);
handler!(A1 A2 A3 A4);
handler!(A1 A2 A3 A4 A5);
handler!(A1 A2 A3 A4 A5 A6);
handler!(A1 A2 A3 A4 A5 A6 A7);
handler!(A1 A2 A3 A4 A5 A6 A7 A8);
handler!(A1 A2 A3 A4 A5 A6 A7 A8 A9);
handler!(A1 A2 A3 A4 A5 A6 A7 A8 A9 A10);
handler!(A1 A2 A3 A4 A5 A6 A7 A8 A9 A10 A11);
handler!(A1 A2 A3 A4 A5 A6 A7 A8 A9 A10 A11 A12);

#[cold]
fn refusal(refused: Vec<Rejection>) -> Error {
    Rejection::merge(refused).unwrap_or_else(|| Error::internal("an argument is missing and nothing refused it"))
}

/// What runs a request, without its type.
pub(crate) trait Run: Send + Sync {
    fn run<'a>(&'a self, request: &'a mut Request) -> BoxFuture<'a, Result<Response>>;
}

/// A handler behind its door: its type is known by id and name only.
#[derive(Clone)]
pub(crate) struct Endpoint {
    pub(crate) run: Arc<dyn Run>,
    /// The function's own type: how `url_to` finds its route.
    pub(crate) handler: TypeId,
    /// The function's path in the program, `shop::blog::detail`.
    pub(crate) handler_name: &'static str,
    /// Parameters of the path that it takes; `None` for a service that takes what it likes.
    pub(crate) path_args: Option<usize>,
    pub(crate) fits_path: fn(&[String]) -> bool,
    pub(crate) describe: fn(&mut Operation),
    pub(crate) needs: fn(&mut Needs),
}

impl Endpoint {
    pub(crate) fn of<Args: 'static, H: Handler<Args>>(handler: H) -> Endpoint {
        struct Typed<H, Args>(H, std::marker::PhantomData<fn(Args)>);
        impl<Args: 'static, H: Handler<Args>> Run for Typed<H, Args> {
            fn run<'a>(&'a self, request: &'a mut Request) -> BoxFuture<'a, Result<Response>> {
                self.0.call(request)
            }
        }
        Endpoint {
            run: Arc::new(Typed(handler, std::marker::PhantomData)),
            handler: TypeId::of::<H>(),
            handler_name: std::any::type_name::<H>(),
            path_args: Some(H::PATH_ARGS),
            fits_path: H::fits_path,
            describe: H::describe,
            needs: H::needs,
        }
    }

    pub(crate) fn missing(&self, bag: &demijohn_core::Bag) -> Vec<Need> {
        let mut needs = Needs::default();
        (self.needs)(&mut needs);
        needs.into_missing(bag)
    }
}
