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
///
/// An `async` closure that captures a value is no `Fn` in Rust. Give the value to the site and take it as
/// [`State`](crate::State), or write `move || { let value = value.clone(); async move { .. } }`.
#[diagnostic::on_unimplemented(
    message = "this is not a handler: `{Self}`",
    label = "not an `async fn` of at most 12 arguments",
    note = "a handler is an `async fn` or an `async` closure that captures nothing; its arguments are extractors, such as `Path<T>`, `Query<T>`, `Json<T>`, `State<T>`"
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

/// One impl for all numbers of arguments, with what it asks for in parts: so the compiler names the argument that is no
/// extractor, the result that is no reply, or the value that makes the future not `Send`, and not the whole function.
impl<F, Args> Handler<Args> for F
where
    F: AsyncFunction<Args, Future: Send, Output: Reply> + Send + Sync + 'static,
    Args: Arguments,
{
    const PATH_ARGS: usize = Args::PATH_ARGS;

    fn call<'a>(&'a self, request: &'a mut Request) -> BoxFuture<'a, Result<Response>> {
        Box::pin(async move {
            let args = Args::extract(request).await?;
            current::lend(request, self.call_with(args)).await.reply(request)
        })
    }

    fn fits_path(values: &[String]) -> bool {
        Args::fits_path(values)
    }

    fn describe(operation: &mut Operation) {
        Args::describe(operation);
        F::Output::describe(operation);
    }

    fn needs(needs: &mut Needs) {
        Args::needs(needs);
    }
}

/// Functions that return a future, whatever their arguments.
#[doc(hidden)]
#[diagnostic::on_unimplemented(
    message = "this is not an `async fn` of at most 12 arguments",
    label = "not an `async fn` of at most 12 arguments"
)]
pub trait AsyncFunction<Args> {
    type Output;
    type Future: Future<Output = Self::Output>;
    fn call_with(&self, args: Args) -> Self::Future;
}

/// Tuples of extractors.
#[doc(hidden)]
pub trait Arguments: Sized + Send {
    const PATH_ARGS: usize;
    fn extract(request: &mut Request) -> impl Future<Output = Result<Self>> + Send;
    fn fits_path(values: &[String]) -> bool;
    fn describe(operation: &mut Operation);
    fn needs(needs: &mut Needs);
}

macro_rules! arguments {
    ($($arg:ident)*) => {
        #[allow(non_snake_case, reason = "variables are named as their types")]
        impl<F, Fut, $($arg,)*> AsyncFunction<($($arg,)*)> for F
        where
            F: Fn($($arg),*) -> Fut,
            Fut: Future,
        {
            type Output = Fut::Output;
            type Future = Fut;

            fn call_with(&self, ($($arg,)*): ($($arg,)*)) -> Fut {
                self($($arg),*)
            }
        }

        #[allow(non_snake_case, unused_mut, unused_variables, reason = "without arguments nothing is refused")]
        impl<$($arg: Extract,)*> Arguments for ($($arg,)*) {
            const PATH_ARGS: usize = 0 $(+ $arg::PATH_ARGS)*;

            async fn extract(request: &mut Request) -> Result<Self> {
                // All of them run, so that all that is wrong is told at once.
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
                // Each is `Some` unless it was refused.
                match ($($arg,)*) {
                    ($(Some($arg),)*) => Ok(($($arg,)*)),
                    #[allow(unreachable_patterns, reason = "without arguments nothing is refused")]
                    _ => Err(refusal(refused)),
                }
            }

            fn fits_path(values: &[String]) -> bool {
                true $(&& $arg::fits_path(values))*
            }

            fn describe(operation: &mut Operation) {
                $($arg::describe(operation);)*
            }

            fn needs(needs: &mut Needs) {
                $($arg::needs(needs);)*
            }
        }
    };
}

arguments!();
arguments!(A1);
arguments!(A1 A2);
arguments!(A1 A2 A3);
arguments!(A1 A2 A3 A4);
arguments!(A1 A2 A3 A4 A5);
arguments!(A1 A2 A3 A4 A5 A6);
arguments!(A1 A2 A3 A4 A5 A6 A7);
arguments!(A1 A2 A3 A4 A5 A6 A7 A8);
arguments!(A1 A2 A3 A4 A5 A6 A7 A8 A9);
arguments!(A1 A2 A3 A4 A5 A6 A7 A8 A9 A10);
arguments!(A1 A2 A3 A4 A5 A6 A7 A8 A9 A10 A11);
arguments!(A1 A2 A3 A4 A5 A6 A7 A8 A9 A10 A11 A12);

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
