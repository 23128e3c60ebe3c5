//! One connection to a broker: handshakes, then requests that may be in flight together.
//!
//! ```text
//!   call ──▶ encode ──▶ bounded queue ──▶ driver task ──▶ socket
//!   call ◀── decode ◀── oneshot by correlation id ◀── driver task ◀── frame, bounded
//! ```
//!
//! Whatever goes wrong once ends the connection for all: the requests in flight get the reason as their error, and later
//! ones too. Dropping the [`Connection`] closes the socket.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use kafka_protocol::messages::{
    ApiVersionsRequest, ApiVersionsResponse, RequestHeader, ResponseHeader, SaslAuthenticateRequest,
    SaslHandshakeRequest, SaslHandshakeResponse,
};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, Request, StrBytes};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};
use tokio::task::AbortHandle;
use tokio_rustls::TlsConnector;

use super::guard::{Guarded, plain_array_fits};
use super::sasl::{Authentication, ROUNDS, Step};
use super::settings::{Address, ConnectionSettings, Sasl};
use super::tls;
use super::version::{Offered, Spoken};
use crate::error::{Error, code, code_name};

/// The longest answer that is read. The longest ones that we ask for are the metadata of a large cluster and of a large
/// group; both stay far below.
const FRAME_MAX: usize = 64 << 20;
/// Requests that wait for the socket; who has more waits for a place.
const QUEUE_MAX: usize = 64;
/// What the broker writes into its log of clients (KIP-511).
const SOFTWARE: &str = "kafka-streams-rust";
/// A session is given up when this much of its life has passed (KIP-368; the JVM's client takes 85 to 95 %).
const SESSION_USED: f64 = 0.85;

/// A connection that is ready for requests.
pub(crate) struct Connection {
    shared: Arc<Shared>,
    offered: Offered,
    /// When the broker will no longer take requests on it.
    expires: Option<Instant>,
    driver: AbortHandle,
}

/// What the callers and the driver share.
struct Shared {
    address: Address,
    client_id: StrBytes,
    next_correlation: AtomicI32,
    frames: mpsc::Sender<Bytes>,
    waiting: Mutex<Waiting>,
}

/// Where an answer goes, with its header.
type Reply = oneshot::Sender<Result<Bytes, Error>>;

/// Requests in flight.
#[derive(Default)]
struct Waiting {
    /// By correlation id: the request's name, and who waits for the answer.
    replies: BTreeMap<i32, (&'static str, Reply)>,
    /// Why no more requests are taken.
    closed: Option<Ended>,
}

/// Why a connection ended.
#[derive(Clone, Debug)]
enum Ended {
    /// It broke; the text is the operating system's or ours.
    Broken(String),
    /// The other side broke the protocol.
    Violated(Error),
}

impl Ended {
    fn error(&self, address: &Address, request: &'static str) -> Error {
        match self {
            Ended::Broken(reason) => Error::Disconnected { address: address.clone(), request, reason: reason.clone() },
            Ended::Violated(error) => error.clone(),
        }
    }
}

impl Connection {
    /// Connects, negotiates versions and authenticates, within `connect_timeout`.
    ///
    /// # Errors
    /// Whatever is not as it should be, in the order of the handshakes.
    pub(crate) async fn open(
        settings: &ConnectionSettings,
        tls: Option<&TlsConnector>,
        address: &Address,
    ) -> Result<Connection, Error> {
        let limit = settings.connect_timeout;
        tokio::time::timeout(limit, Self::set_up(settings, tls, address)).await.unwrap_or_else(|_| {
            Err(Error::Connect {
                address: address.clone(),
                reason: format!("not done within {} ms", limit.as_millis()),
            })
        })
    }

    async fn set_up(
        settings: &ConnectionSettings,
        tls: Option<&TlsConnector>,
        address: &Address,
    ) -> Result<Connection, Error> {
        let failed = |error: std::io::Error| Error::Connect { address: address.clone(), reason: error.to_string() };
        // Tries every address that the name stands for.
        let socket = TcpStream::connect((address.host.as_str(), address.port)).await.map_err(failed)?;
        socket.set_nodelay(true).map_err(failed)?;
        let mut connection = match tls {
            None => Self::start(settings, address, socket),
            Some(connector) => {
                let name = tls::server_name(&address.host)?;
                let stream = connector.connect(name, socket).await.map_err(|error| match error.get_ref() {
                    // What rustls says is about certificates and versions; all else is the network.
                    Some(inner) if inner.is::<rustls::Error>() => {
                        Error::Tls { address: address.clone(), reason: inner.to_string() }
                    }
                    _ => failed(error),
                })?;
                Self::start(settings, address, stream)
            }
        };
        connection.offered = connection.negotiate().await?;
        connection.offered.check(address)?;
        if let Some(sasl) = &settings.security.sasl {
            connection.expires = connection.authenticate(sasl).await?;
        }
        Ok(connection)
    }

    /// Starts the driver.
    fn start(
        settings: &ConnectionSettings,
        address: &Address,
        stream: impl AsyncRead + AsyncWrite + Send + 'static,
    ) -> Connection {
        let (frames, queue) = mpsc::channel(QUEUE_MAX);
        let shared = Arc::new(Shared {
            address: address.clone(),
            client_id: StrBytes::from_string(settings.client_id.clone()),
            next_correlation: AtomicI32::new(0),
            frames,
            waiting: Mutex::default(),
        });
        let (reader, writer) = tokio::io::split(stream);
        let driver = tokio::spawn(drive(shared.clone(), BufReader::new(reader), writer, queue)).abort_handle();
        Connection { shared, offered: Offered::default(), expires: None, driver }
    }

    /// The broker at the other end.
    pub(crate) fn address(&self) -> &Address {
        &self.shared.address
    }

    /// Whether requests are still taken, and will be for a while.
    pub(crate) fn is_usable(&self) -> bool {
        self.shared.waiting().closed.is_none() && self.expires.is_none_or(|expires| Instant::now() < expires)
    }

    /// The version of `R` that both sides speak.
    pub(crate) fn version<R: Spoken>(&self) -> Result<i16, Error> {
        self.offered.version::<R>(self.address())
    }

    /// Sends the request that `make` makes for the negotiated version, and waits for its answer. If there is none within
    /// `limit`, the connection is closed: it cannot be told whether it still works.
    ///
    /// Dropping the future forgets the answer; the request may still take effect.
    pub(crate) async fn call<R: Spoken>(
        &self,
        limit: Duration,
        make: impl FnOnce(i16) -> R,
    ) -> Result<R::Response, Error> {
        let version = self.version::<R>()?;
        self.ask(R::NAME, version, &make(version), limit).await
    }

    async fn ask<R: Request>(
        &self,
        name: &'static str,
        version: i16,
        request: &R,
        limit: Duration,
    ) -> Result<R::Response, Error> {
        let body = self.exchange(name, version, request, limit).await?;
        self.decode(name, version, R::Response::header_version(version), body)
    }

    /// Sends a request and returns the answer with its header, correlation id already checked.
    async fn exchange<R: Request>(
        &self,
        name: &'static str,
        version: i16,
        request: &R,
        limit: Duration,
    ) -> Result<Bytes, Error> {
        let correlation = self.shared.next_correlation.fetch_add(1, Ordering::Relaxed);
        let frame = encode(name, version, correlation, &self.shared.client_id, request)?;
        let (reply, answer) = oneshot::channel();
        self.shared.expect_reply(correlation, name, reply)?;
        let exchanged = async {
            // A send fails only once the driver has ended, and it has then told `answer` why.
            let _ = self.shared.frames.send(frame).await;
            answer.await
        };
        match tokio::time::timeout(limit, exchanged).await {
            Ok(Ok(body)) => body,
            Ok(Err(_)) => Err(self.shared.ended_error(name)),
            Err(_) => {
                let limit_ms = u64::try_from(limit.as_millis()).unwrap_or(u64::MAX);
                let address = self.address().clone();
                self.close(Ended::Broken(format!("{name} was not answered within {limit_ms} ms")));
                Err(Error::TimedOut { address, request: name, limit_ms })
            }
        }
    }

    fn decode<M: Decodable>(&self, request: &'static str, version: i16, header: i16, body: Bytes) -> Result<M, Error> {
        let mut rest = Guarded::new(body);
        let decoded = ResponseHeader::decode(&mut rest, header).and_then(|_| M::decode(&mut rest, version));
        let reason = match decoded {
            Ok(message) if rest.remaining() == 0 => return Ok(message),
            Ok(_) => format!("{} bytes are left over", rest.remaining()),
            Err(error) => error.to_string().trim().to_owned(),
        };
        Err(self.violated(Error::Malformed { address: self.address().clone(), request, version, reason }))
    }

    /// Closes the connection for this error, and returns it.
    fn violated(&self, error: Error) -> Error {
        self.close(Ended::Violated(error.clone()));
        error
    }

    fn close(&self, ended: Ended) {
        self.shared.end(ended);
        self.driver.abort();
    }

    /// Asks for the versions: with 3, which every broker since 2.4 knows, or else with 0, whose answer older ones give to
    /// a version that they do not know (KIP-511). Its header is the old one in all versions.
    async fn negotiate(&self) -> Result<Offered, Error> {
        const NAME: &str = "ApiVersions";
        const UNSUPPORTED_VERSION: [u8; 2] = code::UNSUPPORTED_VERSION.to_be_bytes();
        // The limit of the whole set-up applies.
        let limit = Duration::MAX;
        let request = ApiVersionsRequest::default()
            .with_client_software_name(StrBytes::from_static_str(SOFTWARE))
            .with_client_software_version(StrBytes::from_static_str(env!("CARGO_PKG_VERSION")));
        let mut version = 3;
        let mut body = self.exchange(NAME, version, &request, limit).await?;
        // After the correlation id.
        if body.get(4..6) == Some(&UNSUPPORTED_VERSION) {
            version = 0;
            body = self.exchange(NAME, version, &ApiVersionsRequest::default(), limit).await?;
            self.check_plain_array(NAME, version, &body)?;
        }
        let reply: ApiVersionsResponse = self.decode(NAME, version, 0, body)?;
        Error::refusal(reply.error_code, || format!("ask {} for its versions", self.address()), None)?;
        Ok(Offered::new(reply.api_keys.iter().map(|api| (api.api_key, (api.min_version, api.max_version)))))
    }

    /// Returns when the broker will end the session, if it does.
    async fn authenticate(&self, sasl: &Sasl) -> Result<Option<Instant>, Error> {
        const NAME: &str = "SaslHandshake";
        const VERSION: i16 = 1;
        let limit = Duration::MAX;
        let refused = |reason| Error::Authentication {
            address: self.address().clone(),
            mechanism: sasl.mechanism.name(),
            reason,
        };
        let request = SaslHandshakeRequest::default().with_mechanism(StrBytes::from_static_str(sasl.mechanism.name()));
        let body = self.exchange(NAME, VERSION, &request, limit).await?;
        self.check_plain_array(NAME, VERSION, &body)?;
        let header = SaslHandshakeResponse::header_version(VERSION);
        let reply: SaslHandshakeResponse = self.decode(NAME, VERSION, header, body)?;
        if reply.error_code != 0 {
            let offered: Vec<&str> = reply.mechanisms.iter().map(|mechanism| mechanism.as_str()).collect();
            return Err(refused(format!("{}, it offers {}", code_name(reply.error_code), offered.join(", "))));
        }
        let mut ours = Authentication::new(sasl).map_err(refused)?;
        let mut step = ours.step(None).map_err(refused)?;
        let mut session_ms = 0;
        for _ in 0..ROUNDS {
            let Step::Send(auth_bytes) = step else {
                let life = u64::try_from(session_ms).ok().filter(|life| *life > 0).map(Duration::from_millis);
                return Ok(life.and_then(|life| Instant::now().checked_add(life.mul_f64(SESSION_USED))));
            };
            let reply = self.call(limit, |_| SaslAuthenticateRequest::default().with_auth_bytes(auth_bytes)).await?;
            if reply.error_code != 0 {
                let said = reply.error_message.filter(|text| !text.is_empty());
                return Err(refused(said.map_or_else(|| code_name(reply.error_code), |text| text.to_string())));
            }
            session_ms = reply.session_lifetime_ms;
            step = ours.step(Some(&reply.auth_bytes)).map_err(|reason| refused(format!("its answer: {reason}")))?;
        }
        Err(refused(format!("not done after {ROUNDS} rounds")))
    }

    fn check_plain_array(&self, request: &'static str, version: i16, body: &Bytes) -> Result<(), Error> {
        // After the correlation id.
        if plain_array_fits(body.get(4..).unwrap_or_default()) {
            return Ok(());
        }
        let reason = "it is cut short, or has an impossible length".to_owned();
        Err(self.violated(Error::Malformed { address: self.address().clone(), request, version, reason }))
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl Shared {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        // A panic elsewhere cannot leave the table half-changed.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn expect_reply(&self, correlation: i32, request: &'static str, reply: Reply) -> Result<(), Error> {
        let mut waiting = self.waiting();
        if let Some(ended) = &waiting.closed {
            return Err(ended.error(&self.address, request));
        }
        waiting.replies.insert(correlation, (request, reply));
        Ok(())
    }

    fn ended_error(&self, request: &'static str) -> Error {
        let waiting = self.waiting();
        let ended = waiting.closed.clone().unwrap_or(Ended::Broken("the client was shut down".to_owned()));
        ended.error(&self.address, request)
    }

    /// Tells all requests in flight, and all that will come. The first reason stays.
    fn end(&self, ended: Ended) {
        let mut waiting = self.waiting();
        let replies = std::mem::take(&mut waiting.replies);
        let ended = waiting.closed.get_or_insert(ended).clone();
        drop(waiting);
        for (request, reply) in replies.into_values() {
            let _ = reply.send(Err(ended.error(&self.address, request)));
        }
    }

    /// Hands an answer to who waits for it.
    fn dispatch(&self, frame: Bytes) -> Result<(), Ended> {
        let correlation = frame.get(..4).and_then(|bytes| <[u8; 4]>::try_from(bytes).ok()).map(i32::from_be_bytes);
        let Some(correlation) = correlation else {
            return Err(Ended::Broken("an answer is shorter than its correlation id".to_owned()));
        };
        match self.waiting().replies.remove(&correlation) {
            Some((_, reply)) => {
                // Who no longer waits has dropped the other end.
                let _ = reply.send(Ok(frame));
                Ok(())
            }
            None => {
                Err(Ended::Broken(format!("an answer has the correlation id {correlation}, which nobody waits for")))
            }
        }
    }
}

fn encode<R: Request>(
    request: &'static str,
    version: i16,
    correlation: i32,
    client_id: &StrBytes,
    body: &R,
) -> Result<Bytes, Error> {
    let cannot = |reason: String| Error::Encode { request, version, reason };
    let header = RequestHeader::default()
        .with_request_api_key(R::KEY)
        .with_request_api_version(version)
        .with_correlation_id(correlation)
        .with_client_id(Some(client_id.clone()));
    let mut content = BytesMut::new();
    header
        .encode(&mut content, R::header_version(version))
        .and_then(|()| body.encode(&mut content, version))
        .map_err(|error| cannot(error.to_string()))?;
    let length = i32::try_from(content.len()).map_err(|_| cannot(format!("it has {} bytes", content.len())))?;
    let mut frame = BytesMut::with_capacity(content.len() + 4);
    frame.put_i32(length);
    frame.put(content);
    Ok(frame.freeze())
}

/// Writes what is queued and reads what comes, until either fails or nobody needs the connection any more.
async fn drive(
    shared: Arc<Shared>,
    mut reader: impl AsyncRead + Unpin,
    mut writer: impl AsyncWrite + Unpin,
    mut queue: mpsc::Receiver<Bytes>,
) {
    let write = async {
        while let Some(frame) = queue.recv().await {
            if let Err(error) = write_frame(&mut writer, &frame).await {
                return Ended::Broken(error.to_string());
            }
        }
        Ended::Broken("the client was shut down".to_owned())
    };
    let read = async {
        loop {
            let outcome = match read_frame(&mut reader, &shared.address).await {
                Ok(frame) => shared.dispatch(frame),
                Err(ended) => Err(ended),
            };
            if let Err(ended) = outcome {
                return ended;
            }
        }
    };
    let ended = tokio::select! {
        ended = write => ended,
        ended = read => ended,
    };
    shared.end(ended);
}

async fn write_frame(writer: &mut (impl AsyncWrite + Unpin), frame: &[u8]) -> std::io::Result<()> {
    writer.write_all(frame).await?;
    writer.flush().await
}

async fn read_frame(reader: &mut (impl AsyncRead + Unpin), address: &Address) -> Result<Bytes, Ended> {
    let broken = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::UnexpectedEof => Ended::Broken("end of stream".to_owned()),
        _ => Ended::Broken(error.to_string()),
    };
    let size = reader.read_i32().await.map_err(broken)?;
    let length = usize::try_from(size).ok().filter(|length| (4..=FRAME_MAX).contains(length)).ok_or_else(|| {
        Ended::Violated(Error::FrameSize { address: address.clone(), size, limit: FRAME_MAX, hint: hint(size) })
    })?;
    // Grows as bytes come in: the length alone allocates nothing.
    let mut frame = Vec::new();
    reader.take(length as u64).read_to_end(&mut frame).await.map_err(broken)?;
    if frame.len() < length {
        return Err(Ended::Broken(format!("end of stream after {} of {length} bytes of an answer", frame.len())));
    }
    Ok(Bytes::from(frame))
}

/// What the first four bytes of something else look like.
fn hint(size: i32) -> &'static str {
    match size.to_be_bytes() {
        [0x15 | 0x16, 0x03, ..] => ": it speaks TLS, set security.protocol to SSL or SASL_SSL",
        [b'H', b'T', b'T', b'P'] => ": it is a web server",
        _ => ": it is no Kafka broker",
    }
}
