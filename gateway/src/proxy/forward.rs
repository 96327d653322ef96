//! Forwards one request and brings back the answer.

use std::rc::Rc;
use std::time::Duration;

use actix_http::{Method, StatusCode};
use bytes::{Bytes, BytesMut};
use shared::request_id::RequestId;
use tokio::time::timeout;

use crate::edge_auth::{Checker, EdgeVerify, verified};
use crate::error::GatewayError;
use crate::http1::response_head::{AnswerHead, Framing as AnswerFraming};
use crate::http1::write;
use crate::message::{Answer, Body, Framing, Head};
use crate::proxy::headers::{self, Additions, Origin};
use crate::proxy::request_body::{Held, RequestBody};
use crate::routes::Route;
use crate::upstream::{AnswerBody, ConnectionError, Pool, Reached, UpstreamConnection, reach};

/// An answer of up to this size is complete before the client sees its beginning, so that a broken one is an error
/// and not a torn page.
const WHOLE_ANSWER_BYTES: u64 = 64 * 1024;

/// A request that is to be forwarded.
pub struct Forward<'a> {
    pub route: &'a Route,
    pub head: &'a Head,
    pub origin: &'a Origin,
    pub id: &'a RequestId,
    pub additions: Additions<'a>,
}

/// One worker's way to the upstreams.
pub struct Proxy {
    pub pool: Rc<Pool>,
    pub held: Held,
}

/// A failure after the request has begun to leave: never repeated, since it may have been acted on.
enum Failure {
    Late,
    Broken(String),
    /// It is the client's.
    Request(GatewayError),
}

impl From<ConnectionError> for Failure {
    fn from(error: ConnectionError) -> Self {
        Self::Broken(error.to_string())
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::Broken(error.to_string())
    }
}

impl Proxy {
    /// # Errors
    /// What is wrong with the request's body, or with the upstream.
    pub async fn forward(
        &self,
        forward: &Forward<'_>,
        mut body: RequestBody<'_>,
        checker: &Checker,
    ) -> Result<Answer, GatewayError> {
        let Forward { route, head, .. } = forward;
        if !route.is_identity {
            return self.pass_on(forward, Outgoing::Stream(&mut body)).await;
        }
        // Read before identity-svc is bothered, so that a slow client costs the gateway's memory and nothing else.
        let whole = body.whole(&self.held).await?;
        if let Some(verify) = EdgeVerify::of(head)
            && let Some(bytes) = &whole.bytes
            && checker.is_good(&verify, bytes).await
        {
            return Ok(verified());
        }
        let failure = self.pass_on(forward, Outgoing::Whole(whole.bytes.as_ref())).await;
        failure.map_err(|error| match error {
            GatewayError::BadGateway | GatewayError::GatewayTimeout => GatewayError::Unavailable,
            other => other,
        })
    }

    async fn pass_on(
        &self,
        forward: &Forward<'_>,
        outgoing: Outgoing<'_, '_>,
    ) -> Result<Answer, GatewayError> {
        let route = forward.route;
        let Some(reached) = reach(&route.upstreams, &self.pool, route.timeout).await else {
            log::debug!(route = route.prefix.as_str(), request_id:% = forward.id; "no upstream is ready");
            return Err(GatewayError::Unavailable);
        };
        let upstream = reached.upstream.clone();
        let failure = match self.exchange(forward, outgoing, reached).await {
            Ok(answer) => {
                upstream.health.answered();
                return Ok(answer);
            }
            Err(failure) => failure,
        };
        let (told, cause) = match failure {
            Failure::Request(error) => return Err(error),
            Failure::Late => {
                upstream.counts.late.increment();
                (GatewayError::GatewayTimeout, "no answer in time".to_owned())
            }
            Failure::Broken(cause) => {
                upstream.counts.broken.increment();
                (GatewayError::BadGateway, cause)
            }
        };
        upstream.health.failed();
        log::warn!(upstream:% = upstream.url, request_id:% = forward.id; "no answer from an upstream: {cause}");
        Err(told)
    }

    async fn exchange(
        &self,
        forward: &Forward<'_>,
        outgoing: Outgoing<'_, '_>,
        reached: Reached,
    ) -> Result<Answer, Failure> {
        let Reached {
            upstream,
            mut connection,
            place,
        } = reached;
        let Forward { route, head, .. } = forward;
        let out = write_head(forward, upstream.url.authority(), &outgoing);
        let (answer, is_sent) = match outgoing {
            Outgoing::Whole(_) => {
                let exchange = async {
                    connection.send(&out).await?;
                    Ok::<_, Failure>(connection.answer_head(&head.method).await?)
                };
                (
                    timeout(route.timeout, exchange)
                        .await
                        .map_err(|_| Failure::Late)??,
                    true,
                )
            }
            Outgoing::Stream(body) => {
                let is_sent = send_stream(&mut connection, &out, body).await?;
                let answer = timeout(route.timeout, connection.answer_head(&head.method));
                (answer.await.map_err(|_| Failure::Late)??, is_sent)
            }
        };
        let mut answered = Answer::new(answer.status, Body::None);
        answered.fields = headers::from_upstream(&answer.fields);
        let is_head = head.method == Method::HEAD;
        // After a HEAD, a service that wrongly sends a body would have it taken for its next answer.
        let how = (answer.framing, answer.keeps_alive && is_sent && !is_head);
        answered.body = match answer.framing {
            _ if answer.status == StatusCode::SWITCHING_PROTOCOLS => {
                if !head.is_websocket {
                    return Err(Failure::Broken(
                        "it switches protocols and nobody asked".to_owned(),
                    ));
                }
                Body::Tunnel(Box::new(connection))
            }
            _ if is_head => Body::HeadOf(answer.length),
            framing => {
                let pool = self.pool.clone();
                let body = AnswerBody::new(connection, how, route.pause, upstream, pool, place);
                self.body(framing, body, &answer, route.timeout).await?
            }
        };
        Ok(answered)
    }

    async fn body(
        &self,
        framing: AnswerFraming,
        mut body: AnswerBody,
        answer: &AnswerHead,
        wait: Duration,
    ) -> Result<Body, Failure> {
        match framing {
            AnswerFraming::NoBody => {
                // Gives the connection back.
                body.next().await.map_err(Failure::Broken)?;
                let has_none = matches!(answer.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
                Ok(if has_none {
                    Body::None
                } else {
                    Body::Whole(Bytes::new())
                })
            }
            AnswerFraming::Length(length) if length <= WHOLE_ANSWER_BYTES => {
                let whole = timeout(wait, body.whole()).await.map_err(|_| Failure::Late)?;
                Ok(Body::Whole(whole.map_err(Failure::Broken)?))
            }
            _ => Ok(Body::Upstream(Box::new(body))),
        }
    }
}

/// The body that goes out.
enum Outgoing<'a, 'b> {
    Whole(Option<&'a Bytes>),
    Stream(&'a mut RequestBody<'b>),
}

/// The head for the upstream, and the body with it when it is whole.
fn write_head(forward: &Forward<'_>, host: &str, outgoing: &Outgoing<'_, '_>) -> BytesMut {
    let Forward {
        route,
        head,
        origin,
        id,
        additions,
    } = forward;
    let body_bytes = match outgoing {
        Outgoing::Whole(Some(bytes)) => bytes.len(),
        _ => 0,
    };
    let mut out = BytesMut::with_capacity(1024 + body_bytes);
    out.extend_from_slice(head.method.as_str().as_bytes());
    out.extend_from_slice(b" ");
    out.extend_from_slice(route.upstream_path(head.path()).as_bytes());
    out.extend_from_slice(head.query().as_bytes());
    out.extend_from_slice(b" HTTP/1.1\r\n");
    write::line(&mut out, b"host", host.as_bytes());
    headers::to_upstream(&mut out, head, origin, id, additions);
    if head.is_websocket {
        write::line(&mut out, b"connection", b"upgrade");
        write::line(&mut out, b"upgrade", b"websocket");
    }
    let length = match outgoing {
        Outgoing::Whole(bytes) => bytes.map(|bytes| u64::try_from(bytes.len()).unwrap_or(u64::MAX)),
        Outgoing::Stream(body) => match body.framing() {
            Framing::NoBody => None,
            Framing::Length(length) => Some(length),
            Framing::Unknown => {
                write::line(&mut out, b"transfer-encoding", b"chunked");
                None
            }
        },
    };
    if let Some(length) = length {
        write::number_line(&mut out, b"content-length", length);
    }
    out.extend_from_slice(b"\r\n");
    if let Outgoing::Whole(Some(bytes)) = outgoing {
        out.extend_from_slice(bytes);
    }
    out
}

/// Sends head and body piece by piece, in constant memory. Returns whether all of it was sent: an upstream may answer
/// before that, and then nobody needs the rest.
async fn send_stream(
    connection: &mut UpstreamConnection,
    head: &[u8],
    body: &mut RequestBody<'_>,
) -> Result<bool, Failure> {
    connection.send(head).await?;
    if body.framing() == Framing::NoBody {
        return Ok(true);
    }
    let is_chunked = body.framing() == Framing::Unknown;
    let mut out = BytesMut::new();
    let mut first = [0];
    loop {
        let piece = tokio::select! {
            biased;
            piece = body.next_of_many() => piece.map_err(Failure::Request)?,
            _ = connection.socket.peek(&mut first) => return Ok(false),
        };
        match piece {
            Some(piece) if is_chunked => {
                out.clear();
                write::chunk(&mut out, &piece);
                connection.send(&out).await?;
            }
            Some(piece) => connection.send(&piece).await?,
            None => break,
        }
    }
    if is_chunked {
        out.clear();
        write::last_chunk(&mut out);
        connection.send(&out).await?;
    }
    Ok(true)
}
