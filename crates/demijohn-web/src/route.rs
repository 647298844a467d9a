//! Routes as values: which handler answers which method of a path, and what stands before it.

use crate::handler::{Endpoint, Handler};
use crate::hook::{self, After, AfterFn, Before, BeforeFn, Guard, HookAnswer, Middleware, MiddlewareFn};
use crate::shield::csp::Csp;
use crate::shield::{FrameOptions, Overrides};
use demijohn_core::{Operation, Reply};
use http::Method;
use std::sync::Arc;

/// What answers one path: a handler per method, a name for links, guards and hooks of its own.
///
/// ```
/// use demijohn_web::{get, Application};
///
/// async fn list() -> &'static str { "all" }
/// async fn create() -> &'static str { "made" }
///
/// # demijohn_web::test::block_on(async {
/// let client = Application::new().route("/items", get(list).post(create).name("items")).test_client();
/// assert_eq!(client.post("/items").await.text(), "made");
/// assert_eq!(client.put("/items").await.header("allow"), Some("GET, HEAD, OPTIONS, POST"));
/// # });
/// ```
#[derive(Clone)]
#[must_use = "a route answers nothing until it is given to `.route(path, ..)`"]
pub struct Route {
    pub(crate) name: Option<String>,
    pub(crate) arms: Vec<Arm>,
    pub(crate) before: Vec<Before>,
    pub(crate) after: Vec<After>,
    pub(crate) middleware: Vec<Middleware>,
    pub(crate) max_body_bytes: Option<usize>,
    pub(crate) summary: &'static str,
    documents: Vec<Document>,
    pub(crate) auto_options: Option<bool>,
    pub(crate) shield: Overrides,
    #[cfg(feature = "compression")]
    pub(crate) compress: Option<bool>,
    #[cfg(feature = "sessions")]
    pub(crate) csrf_exempt: bool,
}

/// Adds to the documentation of a route.
type Document = Arc<dyn Fn(&mut Operation) + Send + Sync>;

/// A handler and the methods that it answers.
#[derive(Clone)]
pub(crate) struct Arm {
    /// Empty: every method that has no arm of its own.
    pub(crate) methods: Vec<Method>,
    pub(crate) endpoint: Endpoint,
}

impl Route {
    pub(crate) fn new(arm: Arm) -> Route {
        Route {
            name: None,
            arms: vec![arm],
            before: Vec::new(),
            after: Vec::new(),
            middleware: Vec::new(),
            max_body_bytes: None,
            summary: "",
            documents: Vec::new(),
            auto_options: None,
            shield: Overrides::default(),
            #[cfg(feature = "compression")]
            compress: None,
            #[cfg(feature = "sessions")]
            csrf_exempt: false,
        }
    }

    /// The name for links and templates; in a blueprint `blog`, `detail` is `blog.detail`. Without it, a route is named as its
    /// handler's function.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// A condition that requests must meet; several are checked in order. See [`Guard`].
    pub fn require(mut self, guard: impl Guard) -> Self {
        self.before.push(hook::guard(guard));
        self
    }

    /// Runs before the handlers of this route; see `Application::before`.
    pub fn before<R: HookAnswer + 'static>(mut self, f: impl for<'a> BeforeFn<'a, R>) -> Self {
        self.before.push(hook::before(f));
        self
    }

    /// Runs after the handlers of this route; see `Application::after`.
    pub fn after<R: Reply + 'static>(mut self, f: impl for<'a> AfterFn<'a, R>) -> Self {
        self.after.push(hook::after(f));
        self
    }

    /// Runs around the handlers of this route; see `Application::middleware`.
    pub fn middleware<R: Reply + 'static>(mut self, f: impl for<'a> MiddlewareFn<'a, R>) -> Self {
        self.middleware.push(hook::middleware(f));
        self
    }

    /// How much body this route reads before it answers 413, in place of the site's limit.
    pub fn max_body_bytes(mut self, max_bytes: usize) -> Self {
        self.max_body_bytes = Some(max_bytes);
        self
    }

    /// One line on what the route does, for the API's documentation.
    pub fn summary(mut self, summary: &'static str) -> Self {
        self.summary = summary;
        self
    }

    /// Adds to the API's documentation of the route what its types do not tell: parameters that are known only as the
    /// site is built, what a status means here.
    pub fn document(mut self, document: impl Fn(&mut Operation) + Send + Sync + 'static) -> Self {
        self.documents.push(Arc::new(document));
        self
    }

    /// The content security policy of this route's answers, in place of the site's; [`Csp::none`] for none.
    pub fn csp(mut self, policy: Csp) -> Self {
        self.shield.csp = Some(policy);
        self
    }

    /// A policy whose breaches are reported and not kept from happening; [`Csp::none`] for none, whatever the site says.
    pub fn csp_report_only(mut self, policy: Csp) -> Self {
        self.shield.csp_report_only = Some(policy);
        self
    }

    /// Who may put this route's pages into a frame, in place of nobody.
    pub fn frame_options(mut self, frames: FrameOptions) -> Self {
        self.shield.frame_options = Some(frames);
        self
    }

    /// Whether answers are compressed. Unless set they are when they are text, large enough, and not personal: a page with a secret and
    /// something that a visitor's browser was made to send tells the secret by its length (BREACH). With `true` personal ones are
    /// compressed too, padded, which `check --deploy` tells; with `false` none is.
    #[cfg(feature = "compression")]
    pub fn compress(mut self, on: bool) -> Self {
        self.compress = Some(on);
        self
    }

    /// Takes forms of other sites, and requests without a token: for webhooks, and other routes where no cookie says who is asking. It is the
    /// one opt-out of that protection, and `check --deploy` tells it.
    #[cfg(feature = "sessions")]
    pub fn csrf_exempt(mut self) -> Self {
        self.csrf_exempt = true;
        self
    }

    /// Whether OPTIONS is answered with the list of methods; it is unless the site says otherwise.
    pub fn automatic_options(mut self, on: bool) -> Self {
        self.auto_options = Some(on);
        self
    }

    /// Another handler for these methods of the same path.
    pub fn on<Args: 'static>(mut self, methods: impl Into<Vec<Method>>, handler: impl Handler<Args>) -> Self {
        self.arms.push(Arm {
            methods: methods.into(),
            endpoint: Endpoint::of(handler),
        });
        self
    }

    /// The documentation of each handler: its method (`None` for any), its function's path in the program, and what it
    /// takes and gives.
    pub fn operations(&self) -> Vec<(Option<Method>, &'static str, Operation)> {
        let mut operations = Vec::new();
        for arm in &self.arms {
            let mut operation = Operation {
                summary: self.summary.to_owned(),
                ..Operation::default()
            };
            (arm.endpoint.describe)(&mut operation);
            self.documents.iter().for_each(|document| document(&mut operation));
            let name = arm.endpoint.handler_name;
            match arm.methods.is_empty() {
                true => operations.push((None, name, operation)),
                false => {
                    operations.extend(arm.methods.iter().map(|m| (Some(m.clone()), name, operation.clone())));
                }
            }
        }
        operations
    }
}

macro_rules! methods {
    ($($name:ident $method:ident),+ $(,)?) => {
        $(
            #[doc = concat!("A route whose handler answers ", stringify!($method), ".")]
            pub fn $name<Args: 'static>(handler: impl Handler<Args>) -> Route {
                methods([Method::$method], handler)
            }
        )+

        impl Route {
            $(
                #[doc = concat!("Another handler, for ", stringify!($method), " on the same path.")]
                pub fn $name<Args: 'static>(self, handler: impl Handler<Args>) -> Self {
                    self.on([Method::$method], handler)
                }
            )+
        }
    };
}

methods! { get GET, post POST, put PUT, patch PATCH, delete DELETE, head HEAD, options OPTIONS }

/// A route whose handler answers these methods.
pub fn methods<Args: 'static>(methods: impl Into<Vec<Method>>, handler: impl Handler<Args>) -> Route {
    Route::new(Arm {
        methods: methods.into(),
        endpoint: Endpoint::of(handler),
    })
}

/// A route whose handler answers every method (but TRACE and CONNECT, which nothing answers).
pub fn any<Args: 'static>(handler: impl Handler<Args>) -> Route {
    methods([], handler)
}

/// The routes of handlers that were declared by attributes, `#[get("/")]`, for `Application::routes` and `Blueprint::routes`.
#[macro_export]
macro_rules! routes {
    ($($($handler:ident)::+),* $(,)?) => {
        [$($($handler::)+route()),*]
    };
}
