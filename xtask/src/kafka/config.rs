//! `server.properties` of a one-node KRaft broker for development and tests.

use std::fmt::Write;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::security::Security;

/// The ports of a broker, all on loopback.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Ports {
    /// Plaintext, for clients and the broker itself.
    pub(crate) plaintext: u16,
    /// The controller's.
    pub(crate) controller: u16,
    /// SASL_PLAINTEXT, SASL_SSL, SSL.
    pub(crate) secured: [u16; 3],
}

/// The address that everything listens on.
pub(crate) const HOST: &str = "127.0.0.1";

/// Settings that one node needs, and that make tests quick or deterministic; each with its reason.
const FIXED: &str = "\
process.roles=broker,controller
node.id=1
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
# One node holds every copy.
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
# Fewer partitions of the internal topics: the first group and the first transaction start sooner.
offsets.topic.num.partitions=8
transaction.state.log.num.partitions=8
share.coordinator.state.topic.num.partitions=1
# A group's first member is not kept waiting for others.
group.initial.rebalance.delay.ms=0
# Tests of lost members use session timeouts below the default minimum of 6 s.
group.min.session.timeout.ms=500
# A transaction whose producer was killed ends soon after its timeout (default: looked at every 10 s).
transaction.abort.timed.out.transaction.cleanup.interval.ms=500
# Records with old timestamps stay.
log.retention.ms=-1
# A missing topic is missing, as on most production clusters.
auto.create.topics.enable=false
# Small memory: the cleaner's default buffer alone takes 128 MiB.
log.cleaner.dedupe.buffer.size=33554432
# Tests of compacted topics see them compacted soon (default: looked at every 15 s).
log.cleaner.backoff.ms=500
";

/// The text of `server.properties`.
pub(crate) fn server_properties(data: &Path, ports: Ports, security: Option<&Security>) -> String {
    let [sasl_plaintext, sasl_ssl, ssl] = ports.secured;
    let mut clients = format!("PLAINTEXT://{HOST}:{}", ports.plaintext);
    if security.is_some() {
        // Writing to a String cannot fail.
        let _ = write!(
            clients,
            ",SASL_PLAINTEXT://{HOST}:{sasl_plaintext},SASL_SSL://{HOST}:{sasl_ssl},SSL://{HOST}:{ssl}"
        );
    }
    let mut text = FIXED.to_owned();
    let _ = write!(
        text,
        "\
controller.quorum.voters=1@{HOST}:{controller}
listeners={clients},CONTROLLER://{HOST}:{controller}
advertised.listeners={clients}
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SASL_PLAINTEXT:SASL_PLAINTEXT,SASL_SSL:SASL_SSL,SSL:SSL
log.dirs={data}
",
        controller = ports.controller,
        data = data.display(),
    );
    if let Some(security) = security {
        text.push_str(&security.server_properties());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_listener_is_on_loopback() {
        let ports = Ports { plaintext: 1, controller: 2, secured: [3, 4, 5] };
        let text = server_properties(Path::new("data"), ports, None);
        let listeners = text.lines().find(|line| line.starts_with("listeners=")).unwrap();
        assert_eq!(listeners, "listeners=PLAINTEXT://127.0.0.1:1,CONTROLLER://127.0.0.1:2");
        assert!(!text.contains("0.0.0.0") && !text.contains("authorizer"));
    }
}
