//! A broker on loopback that does what a test's script says, and by default just enough to be taken for one.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use kafka_protocol::messages::api_versions_response::ApiVersion;
use kafka_protocol::messages::find_coordinator_response::Coordinator;
use kafka_protocol::messages::metadata_response::MetadataResponseBroker;
use kafka_protocol::messages::{
    ApiVersionsResponse, BrokerId, FindCoordinatorRequest, FindCoordinatorResponse, MetadataResponse, RequestHeader,
    ResponseHeader,
};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, Request, StrBytes};
use kafka_streams_client::network::{Address, Cluster, ConnectionSettings};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::{Notify, watch};
use tokio_rustls::TlsAcceptor;

/// A request as it arrived.
pub(crate) struct Asked {
    /// The connection's number, from 0.
    pub(crate) connection: usize,
    pub(crate) key: i16,
    pub(crate) version: i16,
    pub(crate) correlation: i32,
    body: Bytes,
}

impl Asked {
    /// Reads the body; everything must be used up.
    pub(crate) fn read<R: Request>(&self) -> R {
        assert_eq!(self.key, R::KEY);
        let mut body = self.body.clone();
        let request = R::decode(&mut body, self.version).unwrap();
        assert!(body.is_empty(), "{} bytes are left over of key {} v{}", body.len(), self.key, self.version);
        request
    }

    /// A well-formed answer.
    pub(crate) fn reply<M: Encodable + HeaderVersion>(&self, message: &M) -> Reaction {
        self.reply_as(message, self.version, M::header_version(self.version))
    }

    /// An answer in another version.
    pub(crate) fn reply_as<M: Encodable>(&self, message: &M, version: i16, header_version: i16) -> Reaction {
        let mut frame = BytesMut::new();
        let header = ResponseHeader::default().with_correlation_id(self.correlation);
        header.encode(&mut frame, header_version).unwrap();
        message.encode(&mut frame, version).unwrap();
        Reaction::Frame(frame.freeze())
    }
}

/// What the broker does with a request.
pub(crate) enum Reaction {
    /// Sends this with its length before it.
    Frame(Bytes),
    /// Sends these bytes as they are.
    Raw(Bytes),
    /// Sends these bytes, then closes.
    RawThenClose(Bytes),
    /// Closes the connection.
    Close,
    /// Does not answer, and goes on reading.
    Silence,
    /// Waits, during which the connection serves nothing else, as a parked JoinGroup does.
    After(Arc<Notify>, Box<Reaction>),
}

/// `None`: do the default thing.
pub(crate) type Script = Arc<dyn Fn(&Asked) -> Option<Reaction> + Send + Sync>;

/// A request that was seen: connection, API key, version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) connection: usize,
    pub(crate) key: i16,
    pub(crate) version: i16,
}

pub(crate) struct FakeBroker {
    pub(crate) address: Address,
    seen: watch::Sender<Vec<Seen>>,
    task: tokio::task::JoinHandle<()>,
}

impl FakeBroker {
    pub(crate) async fn start(script: impl Fn(&Asked) -> Option<Reaction> + Send + Sync + 'static) -> FakeBroker {
        FakeBroker::start_with(None, script).await
    }

    pub(crate) async fn start_with(
        tls: Option<TlsAcceptor>,
        script: impl Fn(&Asked) -> Option<Reaction> + Send + Sync + 'static,
    ) -> FakeBroker {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = Address::new("127.0.0.1", listener.local_addr().unwrap().port());
        let seen = watch::Sender::new(Vec::new());
        let (script, log, own) = (Arc::new(script) as Script, seen.clone(), address.clone());
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            for connection in 0.. {
                let (socket, _) = listener.accept().await.unwrap();
                let (script, log, own, tls) = (script.clone(), log.clone(), own.clone(), tls.clone());
                connections.spawn(async move {
                    match tls {
                        None => serve(socket, connection, script, log, own).await,
                        Some(tls) => {
                            // A failed handshake is the client's to report.
                            if let Ok(stream) = tls.accept(socket).await {
                                serve(stream, connection, script, log, own).await;
                            }
                        }
                    }
                });
            }
        });
        FakeBroker { address, seen, task }
    }

    /// Everything that was asked so far.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.borrow().clone()
    }

    /// The versions in which requests of this key came.
    pub(crate) fn versions(&self, key: i16) -> Vec<i16> {
        self.seen.borrow().iter().filter(|seen| seen.key == key).map(|seen| seen.version).collect()
    }

    /// Waits until the log of requests is as wanted.
    pub(crate) async fn wait_for(&self, wanted: impl FnMut(&Vec<Seen>) -> bool) {
        let mut receiver = self.seen.subscribe();
        let waited = tokio::time::timeout(PATIENCE, receiver.wait_for(wanted)).await;
        assert!(waited.is_ok(), "waited in vain, seen: {:?}", self.seen());
    }

    /// Waits for the `count`th request of this key.
    pub(crate) async fn wait_for_key(&self, key: i16, count: usize) {
        self.wait_for(|seen| seen.iter().filter(|seen| seen.key == key).count() >= count).await;
    }

    pub(crate) fn settings(&self) -> ConnectionSettings {
        ConnectionSettings::new(vec![self.address.clone()], "test")
    }

    pub(crate) fn cluster(&self) -> Cluster {
        Cluster::new(self.settings()).unwrap()
    }
}

impl Drop for FakeBroker {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Longer than anything takes, unless it never happens.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

async fn serve(
    stream: impl AsyncRead + AsyncWrite,
    connection: usize,
    script: Script,
    log: watch::Sender<Vec<Seen>>,
    own: Address,
) {
    let (mut reader, mut writer) = tokio::io::split(stream);
    while let Ok(length) = reader.read_i32().await {
        let Ok(length) = usize::try_from(length) else { return };
        if length > 1 << 20 {
            return;
        }
        let mut frame = vec![0; length];
        if reader.read_exact(&mut frame).await.is_err() {
            return;
        }
        let asked = read_request(connection, Bytes::from(frame));
        let seen = Seen { connection, key: asked.key, version: asked.version };
        log.send_modify(|log| log.push(seen));
        let mut reaction = script(&asked).or_else(|| default_reaction(&asked, &own)).unwrap_or(Reaction::Silence);
        while let Reaction::After(notify, then) = reaction {
            notify.notified().await;
            reaction = *then;
        }
        match reaction {
            Reaction::Frame(frame) => {
                let mut bytes = BytesMut::new();
                bytes.put_i32(i32::try_from(frame.len()).unwrap());
                bytes.put(frame);
                if writer.write_all(&bytes).await.is_err() || writer.flush().await.is_err() {
                    return;
                }
            }
            Reaction::Raw(bytes) => {
                if writer.write_all(&bytes).await.is_err() || writer.flush().await.is_err() {
                    return;
                }
            }
            Reaction::RawThenClose(bytes) => {
                let _ = writer.write_all(&bytes).await;
                let _ = writer.shutdown().await;
                return;
            }
            Reaction::Close => return,
            Reaction::Silence | Reaction::After(..) => {}
        }
    }
}

fn read_request(connection: usize, mut frame: Bytes) -> Asked {
    let (key, version) = ((&frame[0..2]).get_i16(), (&frame[2..4]).get_i16());
    // Every request is flexible but SaslHandshake and ApiVersions 0 to 2.
    let flexible = key != 17 && (key != 18 || version >= 3);
    let header = RequestHeader::decode(&mut frame, if flexible { 2 } else { 1 }).unwrap();
    Asked { connection, key, version, correlation: header.correlation_id, body: frame }
}

/// The ranges of a 4.3 broker, as far as they matter.
pub(crate) const RANGES: [(i16, i16, i16); 16] = [
    (2, 1, 11),
    (3, 0, 13),
    (8, 2, 10),
    (9, 1, 10),
    (10, 0, 6),
    (11, 2, 9),
    (12, 0, 4),
    (13, 0, 5),
    (14, 0, 5),
    (17, 0, 1),
    (18, 0, 4),
    (19, 2, 7),
    (21, 0, 2),
    (23, 2, 4),
    (32, 1, 4),
    (36, 0, 2),
];

pub(crate) fn api_versions(ranges: &[(i16, i16, i16)]) -> ApiVersionsResponse {
    let api = |(key, min, max): &(i16, i16, i16)| {
        ApiVersion::default().with_api_key(*key).with_min_version(*min).with_max_version(*max)
    };
    ApiVersionsResponse::default().with_api_keys(ranges.iter().map(api).collect())
}

/// The ranges of 4.3 with some changed.
pub(crate) fn ranges_with(changes: &[(i16, i16, i16)]) -> Vec<(i16, i16, i16)> {
    let changed =
        |range: &(i16, i16, i16)| changes.iter().find(|change| change.0 == range.0).copied().unwrap_or(*range);
    RANGES.iter().map(changed).collect()
}

/// Metadata of a cluster of these brokers, by id.
pub(crate) fn metadata(brokers: &[(i32, &Address)]) -> MetadataResponse {
    let broker = |(id, address): &(i32, &Address)| {
        MetadataResponseBroker::default()
            .with_node_id(BrokerId(*id))
            .with_host(text(&address.host))
            .with_port(i32::from(address.port))
    };
    MetadataResponse::default()
        .with_cluster_id(Some(text("fake")))
        .with_controller_id(BrokerId(brokers.first().map_or(-1, |(id, _)| *id)))
        .with_brokers(brokers.iter().map(broker).collect())
}

/// The answer that this broker coordinates the group asked for.
pub(crate) fn coordinator_is(asked: &Asked, address: &Address) -> Reaction {
    let request: FindCoordinatorRequest = asked.read();
    let found = Coordinator::default()
        .with_key(request.coordinator_keys[0].clone())
        .with_node_id(BrokerId(1))
        .with_host(text(&address.host))
        .with_port(i32::from(address.port));
    asked.reply(&FindCoordinatorResponse::default().with_coordinators(vec![found]))
}

fn default_reaction(asked: &Asked, own: &Address) -> Option<Reaction> {
    match asked.key {
        // ApiVersions answers have the old header in every version.
        18 => Some(asked.reply_as(&api_versions(&RANGES), asked.version, 0)),
        3 => Some(asked.reply(&metadata(&[(1, own)]))),
        10 => Some(coordinator_is(asked, own)),
        _ => None,
    }
}

pub(crate) fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}
