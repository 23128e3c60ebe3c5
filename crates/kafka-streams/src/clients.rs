//! The Kafka clients of an instance: the data plane and the group plane, each from its part of the configuration.

use std::sync::Arc;

use kafka_streams_client::admin::{KafkaAdmin, PolledAdmin};
use kafka_streams_client::data_plane::{FetchSettings, ProduceSettings, Properties, RdFetch, RdProduce, SetupError};
use kafka_streams_client::group_plane::MemberHandle;
use kafka_streams_client::network::{
    Address, Cluster, ConnectionSettings, Sasl, SaslMechanism, Secret, Security, Tls, TlsIdentity,
};
use kafka_streams_engine::port::{Batching, BrokerError, BrokerErrorKind};
use kafka_streams_group::ClassicConfig;
use kafka_streams_runtime::StreamsError;
use kafka_streams_runtime::config::{self, ClientIds, ClientSettings, ProcessingGuarantee, StreamsSettings};
use kafka_streams_runtime::port::{Clients, ClusterAdmin, GroupLeader, Waker};
use tokio::runtime::Handle;

/// Part of the memory budget that the fetch and send buffers of all stream threads together may take: one in so many.
const BUFFER_SHARE: u64 = 4;
/// A buffer is never smaller than this: less would starve the worker.
const MIN_BUFFER_BYTES: u64 = 4 << 20;
/// Nor larger: more only helps on links with a long delay, and costs memory everywhere.
const MAX_BUFFER_BYTES: u64 = 16 << 20;

/// Makes the clients of one instance. To be given to the runtime's [`Adapters`](kafka_streams_runtime::Adapters) by who
/// brings other stores than RocksDB's.
pub struct KafkaClients {
    runtime: Handle,
    application_id: String,
    exactly_once: bool,
    buffer_bytes: usize,
    main_consumer: ClientSettings,
    restore_consumer: ClientSettings,
    global_consumer: ClientSettings,
    global_client_id: String,
    producer: ClientSettings,
    membership: ConnectionSettings,
    administration: Cluster,
}

impl KafkaClients {
    /// The clients that these settings describe, whose work is done on `runtime`. Nothing is connected yet.
    ///
    /// # Errors
    /// A certificate or a key cannot be read, or is none.
    pub fn new(runtime: Handle, settings: &StreamsSettings, ids: &ClientIds) -> Result<Self, StreamsError> {
        let threads = settings.num_stream_threads.max(1) as u64;
        let buffer = settings.memory_budget_bytes / BUFFER_SHARE / threads;
        Ok(KafkaClients {
            runtime,
            application_id: settings.application_id.clone(),
            exactly_once: settings.processing_guarantee == ProcessingGuarantee::ExactlyOnceV2,
            buffer_bytes: usize::try_from(buffer.clamp(MIN_BUFFER_BYTES, MAX_BUFFER_BYTES)).unwrap_or(usize::MAX),
            main_consumer: settings.main_consumer(ids, 1),
            restore_consumer: settings.restore_consumer(ids, 1),
            global_consumer: settings.global_consumer(ids),
            global_client_id: ids.global_consumer(),
            producer: settings.producer(ids, 1),
            membership: connection(&settings.membership(ids, 1))?,
            administration: cluster(connection(&settings.administration(ids))?)?,
        })
    }

    fn fetch(
        &self,
        settings: &ClientSettings,
        client_id: String,
        read_committed: bool,
        waker: Waker,
    ) -> Result<RdFetch, BrokerError> {
        let properties = properties(settings, client_id);
        let mut settings = FetchSettings::new(properties, self.application_id.clone(), read_committed);
        settings.buffer_bytes = self.buffer_bytes;
        RdFetch::new(&settings, waker).map_err(|error| refused("make a consumer", &error))
    }
}

impl Clients for KafkaClients {
    type Fetch = RdFetch;
    type Produce = RdProduce;
    type Group = MemberHandle;
    type Admin = PolledAdmin;

    fn main_consumer(&self, thread: &str, waker: Waker) -> Result<RdFetch, BrokerError> {
        self.fetch(&self.main_consumer, format!("{thread}-consumer"), self.exactly_once, waker)
    }

    fn restore_consumer(&self, thread: &str, waker: Waker) -> Result<RdFetch, BrokerError> {
        // S8: read-committed under both guarantees.
        self.fetch(&self.restore_consumer, format!("{thread}-restore-consumer"), true, waker)
    }

    fn global_consumer(&self, waker: Waker) -> Result<RdFetch, BrokerError> {
        // S8, too.
        self.fetch(&self.global_consumer, self.global_client_id.clone(), true, waker)
    }

    fn producer(
        &self,
        thread: &str,
        transactional_id: Option<&str>,
        batching: Batching,
        waker: Waker,
    ) -> Result<RdProduce, BrokerError> {
        let properties = properties(&self.producer, format!("{thread}-producer"));
        let mut settings = ProduceSettings::new(properties, transactional_id.map(str::to_owned));
        settings.buffer_bytes = self.buffer_bytes;
        settings.batching = batching;
        RdProduce::new(&settings, waker).map_err(|error| refused("make a producer", &error))
    }

    fn join_group(
        &self,
        thread: &str,
        config: ClassicConfig,
        leader: Arc<dyn GroupLeader>,
        waker: Waker,
    ) -> MemberHandle {
        // A connection of its own for each member: JoinGroup is parked on the broker.
        let settings = ConnectionSettings { client_id: format!("{thread}-consumer"), ..self.membership.clone() };
        let cluster = cluster(settings).unwrap_or_else(|_| self.administration.clone());
        MemberHandle::spawn(cluster, config, leader, &self.runtime, waker)
    }

    fn admin(&self, group_id: &str, waker: Waker) -> PolledAdmin {
        PolledAdmin::new(self.administration.clone(), group_id, self.runtime.clone(), waker)
    }

    fn cluster(&self) -> Arc<dyn ClusterAdmin> {
        Arc::new(KafkaAdmin::new(self.administration.clone(), self.runtime.clone()))
    }
}

fn properties(settings: &ClientSettings, client_id: String) -> Properties {
    // The port decides about transactions and isolation; a property of that name would only repeat it.
    const DECIDED: [&str; 2] = ["transactional.id", "isolation.level"];
    let kept = settings.librdkafka.iter().filter(|(key, _)| !DECIDED.contains(key) && *key != "client.id");
    kept.map(|(key, value)| (key.to_owned(), value.to_owned())).chain([("client.id".to_owned(), client_id)]).collect()
}

pub(crate) fn cluster(settings: ConnectionSettings) -> Result<Cluster, StreamsError> {
    Cluster::new(settings).map_err(|error| {
        let message = error.to_string();
        StreamsError::Broker(BrokerError {
            kind: BrokerErrorKind::Fatal,
            action: "set up connections".to_owned(),
            message,
        })
    })
}

pub(crate) fn connection(settings: &config::ConnectionSettings) -> Result<ConnectionSettings, StreamsError> {
    let bootstrap = settings.bootstrap.iter().map(|address| Address::new(address.host.clone(), address.port)).collect();
    let mut connection = ConnectionSettings::new(bootstrap, settings.client_id.clone());
    connection.request_timeout = settings.request_timeout;
    connection.connect_timeout = settings.connection_setup_timeout;
    connection.reconnect_backoff = settings.reconnect_backoff;
    connection.reconnect_backoff_max = settings.reconnect_backoff_max;
    connection.jitter_seed = u64::from(std::process::id());
    connection.security = security(&settings.security)?;
    Ok(connection)
}

fn security(security: &config::Security) -> Result<Security, StreamsError> {
    let tls = security.tls.as_ref().map(|tls| {
        let identity = tls.identity.as_ref().map(|identity| {
            Ok::<_, StreamsError>(TlsIdentity {
                certificates: load(&identity.certificate_chain)?,
                key: Secret::new(load(&identity.key)?),
                key_password: identity.key_password.as_ref().map(|password| Secret::new(password.expose())),
            })
        });
        Ok::<_, StreamsError>(Tls {
            authorities: tls.ca.as_ref().map(load).transpose()?,
            identity: identity.transpose()?,
            verify_host: tls.check_hostname,
        })
    });
    let sasl = security.sasl.as_ref().map(|sasl| Sasl {
        mechanism: match sasl.mechanism {
            config::SaslMechanism::Plain => SaslMechanism::Plain,
            config::SaslMechanism::ScramSha256 => SaslMechanism::ScramSha256,
            config::SaslMechanism::ScramSha512 => SaslMechanism::ScramSha512,
        },
        username: sasl.username.clone(),
        password: Secret::new(sasl.password.expose()),
    });
    Ok(Security { tls: tls.transpose()?, sasl })
}

fn load(pem: &config::Pem) -> Result<String, StreamsError> {
    pem.load().map(|text| text.expose().to_owned()).map_err(|error| {
        let message = format!("a PEM file cannot be read: {error}");
        StreamsError::Broker(BrokerError {
            kind: BrokerErrorKind::Fatal,
            action: "set up connections".to_owned(),
            message,
        })
    })
}

fn refused(action: &str, error: &SetupError) -> BrokerError {
    BrokerError { kind: BrokerErrorKind::Fatal, action: action.to_owned(), message: error.to_string() }
}
