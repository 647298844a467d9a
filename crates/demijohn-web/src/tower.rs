//! Layers and services of tower, among them whole routers of axum.

use crate::dispatch::Next;
use crate::handler::{Endpoint, Run};
use crate::hook::{Middleware, MiddlewareHook};
use crate::route::{Arm, Route};
use bytes::Bytes;
use demijohn_core::{Body, BoxError, BoxFuture, Error, Request, Response, Result};
use std::any::TypeId;
use std::convert::Infallible;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use tower_layer::Layer;
use tower_service::Service;

/// A service as the handler of a route. It is cloned for each request, as tower's services expect it.
struct Foreign<S> {
    service: Mutex<S>,
    /// How much of the path is left out for it, with the slash.
    prefix: String,
}

/// A route that hands every method to a service of tower. The service sees the path behind `prefix`.
pub(crate) fn service_route<S, B>(service: S, prefix: &str) -> Route
where
    S: Service<http::Request<Body>, Response = http::Response<B>> + Clone + Send + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    Route::new(Arm {
        methods: Vec::new(),
        endpoint: Endpoint {
            run: Arc::new(Foreign {
                service: Mutex::new(service),
                prefix: prefix.trim_end_matches('/').to_owned(),
            }),
            handler: TypeId::of::<S>(),
            handler_name: std::any::type_name::<S>(),
            path_args: None,
            fits_path: |_| true,
            describe: |_| {},
            needs: |_| {},
        },
    })
    .name("")
    .automatic_options(false)
}

impl<S, B> Run for Foreign<S>
where
    S: Service<http::Request<Body>, Response = http::Response<B>> + Clone + Send + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    fn run<'a>(&'a self, request: &'a mut Request) -> BoxFuture<'a, Result<Response>> {
        Box::pin(async move {
            let mut service = self.service.lock().unwrap_or_else(PoisonError::into_inner).clone();
            let body = request.take_body()?;
            let mut head = request.head().clone();
            head.uri = behind(&self.prefix, &head.uri)?;
            let failed = |error: S::Error| Error::internal("a service failed").with_source(error);
            poll_fn(|cx| service.poll_ready(cx)).await.map_err(failed)?;
            let response = service
                .call(http::Request::from_parts(head, body))
                .await
                .map_err(failed)?;
            Ok(response.map(Body::stream))
        })
    }
}

/// The target without the prefix of its path.
fn behind(prefix: &str, uri: &http::Uri) -> Result<http::Uri> {
    let target = uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
    let rest = target.strip_prefix(prefix).unwrap_or(target);
    let rest = if rest.starts_with('/') {
        rest.to_owned()
    } else {
        format!("/{rest}")
    };
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(rest.parse()?);
    Ok(http::Uri::from_parts(parts)?)
}

/// What a layer wraps: the rest of our own way, as a service. It lives for one request.
///
/// A service must own what it works on and be `'static`, and our request is borrowed. So the request travels through the
/// layers as an `http::Request`, and its head and body are put back into ours where the layers end.
#[derive(Clone)]
pub struct Inside(Arc<Mutex<Option<Passage>>>);

struct Passage {
    request: tokio::sync::oneshot::Sender<http::Request<Body>>,
    response: tokio::sync::oneshot::Receiver<Response>,
}

impl Service<http::Request<Body>> for Inside {
    type Response = Response;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let passage = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        Box::pin(async move {
            // A layer that asks twice (a retry) gets an answer once: the request's body is gone.
            let unavailable = || {
                let mut response = Response::new(Body::empty());
                *response.status_mut() = http::StatusCode::SERVICE_UNAVAILABLE;
                response
            };
            let Some(passage) = passage else {
                return Ok(unavailable());
            };
            if passage.request.send(request).is_err() {
                return Ok(unavailable());
            }
            Ok(passage.response.await.unwrap_or_else(|_| unavailable()))
        })
    }
}

struct Layered<L>(L);

/// A layer of tower as a middleware.
///
/// The layer is asked for a service anew for each request, so a layer that limits or counts across requests must share its
/// state among its services, as `GlobalConcurrencyLimitLayer` does.
pub(crate) fn layer<L, B>(layer: L) -> Middleware
where
    L: Layer<Inside> + Send + Sync + 'static,
    L::Service: Service<http::Request<Body>, Response = http::Response<B>> + Send + 'static,
    <L::Service as Service<http::Request<Body>>>::Error: Into<BoxError>,
    <L::Service as Service<http::Request<Body>>>::Future: Send,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    Arc::new(Layered(layer))
}

impl<L, B> MiddlewareHook for Layered<L>
where
    L: Layer<Inside> + Send + Sync + 'static,
    L::Service: Service<http::Request<Body>, Response = http::Response<B>> + Send + 'static,
    <L::Service as Service<http::Request<Body>>>::Error: Into<BoxError>,
    <L::Service as Service<http::Request<Body>>>::Future: Send,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    fn run<'a>(&'a self, request: &'a mut Request, next: Next<'a>) -> BoxFuture<'a, Result<Response>> {
        Box::pin(async move {
            let (to_inside, mut inside) = tokio::sync::oneshot::channel();
            let (answer, answered) = tokio::sync::oneshot::channel();
            let passage = Passage {
                request: to_inside,
                response: answered,
            };
            let mut service = self.0.layer(Inside(Arc::new(Mutex::new(Some(passage)))));
            let body = request.take_body()?;
            let outside = http::Request::from_parts(request.head().clone(), body);
            let mut around = Box::pin(async move {
                poll_fn(|cx| service.poll_ready(cx)).await?;
                service.call(outside).await
            });
            let failed = |error: <L::Service as Service<http::Request<Body>>>::Error| {
                Error::internal("a layer failed").with_source(error)
            };
            // Either the layers answer by themselves, or the request comes through them.
            let through = tokio::select! {
                biased;
                response = &mut around => return Ok(response.map_err(failed)?.map(Body::stream)),
                through = &mut inside => through,
            };
            if let Ok(through) = through {
                let (head, body) = through.into_parts();
                *request.head_mut() = head;
                request.put_body(body);
                let rest = next.run(request);
                // The layers go on beside it: one that times out answers while the handler still runs.
                let response = tokio::select! {
                    biased;
                    response = &mut around => return Ok(response.map_err(failed)?.map(Body::stream)),
                    response = rest => response,
                };
                let _ = answer.send(response);
            }
            Ok(around.await.map_err(failed)?.map(Body::stream))
        })
    }
}
