//! Hooks around handlers: before, after, teardown, middleware, and the answers to errors.
//!
//! A hook is an `async fn` of the request. The traits here say which shapes fit; nobody implements them by hand.

use crate::dispatch::Next;
use demijohn_core::{BoxFuture, Error, Reply, Request, Response, Result};
use std::sync::Arc;

/// What a before hook returns: nothing, or an answer that keeps the handler from running.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the result of a before hook",
    note = "return nothing, `Option<reply>` (`Some` answers in the handler's place), or a `Result` of one of them"
)]
pub trait HookAnswer: Send {
    #[doc(hidden)]
    fn answer(self, request: &Request) -> Result<Option<Response>>;
}

impl HookAnswer for () {
    fn answer(self, _: &Request) -> Result<Option<Response>> {
        Ok(None)
    }
}

impl<R: Reply> HookAnswer for Option<R> {
    fn answer(self, request: &Request) -> Result<Option<Response>> {
        self.map(|reply| reply.reply(request)).transpose()
    }
}

impl<T: HookAnswer, E: Into<Error> + Send> HookAnswer for Result<T, E> {
    fn answer(self, request: &Request) -> Result<Option<Response>> {
        self.map_err(Into::into)?.answer(request)
    }
}

/// The shape of a hook with one argument that is borrowed for the time of the call.
///
/// A trait of ours in place of a bound on `Fn`, because the bound cannot say that the future is `Send` and borrows.
macro_rules! shape {
    ($(#[$doc:meta])* $name:ident($($arg:ident: $type:ty),+)) => {
        $(#[$doc])*
        pub trait $name<'a, R>: Send + Sync + 'static {
            #[doc(hidden)]
            type Fut: Future<Output = R> + Send + 'a;

            #[doc(hidden)]
            fn call(&self, $($arg: $type),+) -> Self::Fut;
        }

        impl<'a, R, F, Fut> $name<'a, R> for F
        where
            F: Fn($($type),+) -> Fut + Send + Sync + 'static,
            Fut: Future<Output = R> + Send + 'a,
        {
            type Fut = Fut;

            fn call(&self, $($arg: $type),+) -> Fut {
                self($($arg),+)
            }
        }
    };
}

shape! {
    /// `async fn(request: &mut Request) -> R`
    #[diagnostic::on_unimplemented(
        message = "this is not a before hook",
        note = "write `async fn hook(request: &mut Request) -> Result<()>`, or return `Option<reply>` to answer in the handler's place"
    )]
    BeforeFn(request: &'a mut Request)
}
shape! {
    /// `async fn(request: &mut Request, response: Response) -> R`
    #[diagnostic::on_unimplemented(
        message = "this is not an after hook",
        note = "write `async fn hook(request: &mut Request, response: Response) -> Response`"
    )]
    AfterFn(request: &'a mut Request, response: Response)
}
shape! {
    /// `async fn(request: &mut Request, next: Next<'_>) -> R`
    #[diagnostic::on_unimplemented(
        message = "this is not a middleware",
        note = "write `async fn middleware(request: &mut Request, next: Next<'_>) -> Response {{ next.run(request).await }}`"
    )]
    MiddlewareFn(request: &'a mut Request, next: Next<'a>)
}

/// `async fn(error: &E, request: &mut Request) -> R`
#[diagnostic::on_unimplemented(
    message = "this is not an error handler for `{E}`",
    note = "write `async fn handler(error: &{E}, request: &mut Request) -> impl Reply`"
)]
pub trait ErrorFn<'a, E: 'a, R>: Send + Sync + 'static {
    #[doc(hidden)]
    type Fut: Future<Output = R> + Send + 'a;

    #[doc(hidden)]
    fn call(&self, error: &'a E, request: &'a mut Request) -> Self::Fut;
}

impl<'a, E: 'a, R, F, Fut> ErrorFn<'a, E, R> for F
where
    F: Fn(&'a E, &'a mut Request) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = R> + Send + 'a,
{
    type Fut = Fut;

    fn call(&self, error: &'a E, request: &'a mut Request) -> Fut {
        self(error, request)
    }
}

// The same, with their types behind the door. Two borrows of one request cannot follow each other inside one function
// whose type says `'a` for both, so each hook is a trait object that borrows the request anew.

pub(crate) type Before = Arc<dyn BeforeHook>;
pub(crate) type After = Arc<dyn AfterHook>;
pub(crate) type Middleware = Arc<dyn MiddlewareHook>;
pub(crate) type Teardown = Arc<dyn Fn(&mut Request) + Send + Sync>;

pub(crate) trait BeforeHook: Send + Sync {
    fn run<'a>(&'a self, request: &'a mut Request) -> BoxFuture<'a, Result<Option<Response>>>;
}

pub(crate) trait AfterHook: Send + Sync {
    fn run<'a>(&'a self, request: &'a mut Request, response: Response) -> BoxFuture<'a, Result<Response>>;
}

pub(crate) trait MiddlewareHook: Send + Sync {
    fn run<'a>(&'a self, request: &'a mut Request, next: Next<'a>) -> BoxFuture<'a, Result<Response>>;
}

struct Typed<F, R>(F, std::marker::PhantomData<fn() -> R>);

pub(crate) fn before<R, F>(f: F) -> Before
where
    R: HookAnswer + 'static,
    F: for<'a> BeforeFn<'a, R>,
{
    Arc::new(Typed(f, std::marker::PhantomData))
}

impl<R: HookAnswer + 'static, F: for<'a> BeforeFn<'a, R>> BeforeHook for Typed<F, R> {
    fn run<'a>(&'a self, request: &'a mut Request) -> BoxFuture<'a, Result<Option<Response>>> {
        Box::pin(async move {
            let answer = self.0.call(&mut *request).await;
            answer.answer(request)
        })
    }
}

pub(crate) fn after<R, F>(f: F) -> After
where
    R: Reply + 'static,
    F: for<'a> AfterFn<'a, R>,
{
    Arc::new(Typed(f, std::marker::PhantomData))
}

impl<R: Reply + 'static, F: for<'a> AfterFn<'a, R>> AfterHook for Typed<F, R> {
    fn run<'a>(&'a self, request: &'a mut Request, response: Response) -> BoxFuture<'a, Result<Response>> {
        Box::pin(async move {
            let reply = self.0.call(&mut *request, response).await;
            reply.reply(request)
        })
    }
}

pub(crate) fn middleware<R, F>(f: F) -> Middleware
where
    R: Reply + 'static,
    F: for<'a> MiddlewareFn<'a, R>,
{
    Arc::new(Typed(f, std::marker::PhantomData))
}

impl<R: Reply + 'static, F: for<'a> MiddlewareFn<'a, R>> MiddlewareHook for Typed<F, R> {
    fn run<'a>(&'a self, request: &'a mut Request, next: Next<'a>) -> BoxFuture<'a, Result<Response>> {
        Box::pin(async move {
            let reply = self.0.call(&mut *request, next).await;
            reply.reply(request)
        })
    }
}

/// A condition on requests of a route: a login, a permission, a token.
///
/// ```
/// use demijohn_web::{Application, BoxFuture, Error, Guard, Request, Result, get};
///
/// struct Token(&'static str);
///
/// impl Guard for Token {
///     fn check<'a>(&'a self, request: &'a mut Request) -> BoxFuture<'a, Result<()>> {
///         Box::pin(async move {
///             match request.header("x-token") == Some(self.0) {
///                 true => Ok(()),
///                 false => Err(Error::unauthorized("a token is needed")),
///             }
///         })
///     }
/// }
///
/// # demijohn_web::test::block_on(async {
/// let client = Application::new().route("/", get(async || "in").require(Token("t"))).test_client();
/// assert_eq!(client.get("/").await.status(), 401);
/// assert_eq!(client.get("/").header("x-token", "t").await.text(), "in");
/// # });
/// ```
pub trait Guard: Send + Sync + 'static {
    /// Lets the request pass, or says why not.
    ///
    /// # Errors
    /// What the client is answered; `Error::response(..)` for a redirect to a login page.
    fn check<'a>(&'a self, request: &'a mut Request) -> BoxFuture<'a, Result<()>>;
}

pub(crate) fn guard(guard: impl Guard) -> Before {
    struct Guarded<G>(G);
    impl<G: Guard> BeforeHook for Guarded<G> {
        fn run<'a>(&'a self, request: &'a mut Request) -> BoxFuture<'a, Result<Option<Response>>> {
            Box::pin(async move { self.0.check(request).await.map(|()| None) })
        }
    }
    Arc::new(Guarded(guard))
}

/// Answers to errors of one blueprint, or of the site.
#[derive(Default, Clone)]
pub(crate) struct ErrorHandlers {
    by_type: Vec<Arc<dyn TypedErrorHook>>,
    by_status: Vec<(Option<http::StatusCode>, Arc<dyn ErrorHook>)>,
}

pub(crate) trait ErrorHook: Send + Sync {
    fn run<'a>(&'a self, error: &'a Error, request: &'a mut Request) -> BoxFuture<'a, Result<Response>>;
}

pub(crate) trait TypedErrorHook: Send + Sync {
    /// `None` when `cause` is of another type.
    fn run<'a>(
        &'a self,
        cause: &'a (dyn std::error::Error + 'static),
        request: &'a mut Request,
    ) -> Option<BoxFuture<'a, Result<Response>>>;

    fn takes(&self, cause: &(dyn std::error::Error + 'static)) -> bool;
}

struct TypedError<F, E, R>(F, std::marker::PhantomData<fn(E) -> R>);

impl<F, E, R> TypedErrorHook for TypedError<F, E, R>
where
    E: std::error::Error + Send + Sync + 'static,
    R: Reply + 'static,
    F: for<'a> ErrorFn<'a, E, R>,
{
    fn run<'a>(
        &'a self,
        cause: &'a (dyn std::error::Error + 'static),
        request: &'a mut Request,
    ) -> Option<BoxFuture<'a, Result<Response>>> {
        let error: &'a E = cause.downcast_ref()?;
        Some(Box::pin(async move {
            let reply = self.0.call(error, &mut *request).await;
            reply.reply(request)
        }))
    }

    fn takes(&self, cause: &(dyn std::error::Error + 'static)) -> bool {
        cause.is::<E>()
    }
}

impl<F, R> ErrorHook for TypedError<F, Error, R>
where
    R: Reply + 'static,
    F: for<'a> ErrorFn<'a, Error, R>,
{
    fn run<'a>(&'a self, error: &'a Error, request: &'a mut Request) -> BoxFuture<'a, Result<Response>> {
        Box::pin(async move {
            let reply = self.0.call(error, &mut *request).await;
            reply.reply(request)
        })
    }
}

impl ErrorHandlers {
    pub(crate) fn add_type<E, R, F>(&mut self, f: F)
    where
        E: std::error::Error + Send + Sync + 'static,
        R: Reply + 'static,
        F: for<'a> ErrorFn<'a, E, R>,
    {
        self.by_type
            .push(Arc::new(TypedError(f, std::marker::PhantomData::<fn(E) -> R>)));
    }

    pub(crate) fn add_status<R, F>(&mut self, status: Option<http::StatusCode>, f: F)
    where
        R: Reply + 'static,
        F: for<'a> ErrorFn<'a, Error, R>,
    {
        self.by_status.push((
            status,
            Arc::new(TypedError(f, std::marker::PhantomData::<fn(Error) -> R>)),
        ));
    }

    /// The handler for this very cause; the one that was added last.
    pub(crate) fn of_cause(&self, cause: &(dyn std::error::Error + 'static)) -> Option<&dyn TypedErrorHook> {
        self.by_type
            .iter()
            .rev()
            .find(|hook| hook.takes(cause))
            .map(|hook| &**hook)
    }

    /// The page for this status: the one of the status itself before the one for all.
    pub(crate) fn of_status(&self, status: http::StatusCode) -> Option<&dyn ErrorHook> {
        let page = |wanted| self.by_status.iter().rev().find(move |(s, _)| *s == wanted);
        page(Some(status)).or_else(|| page(None)).map(|(_, hook)| &**hook)
    }
}
