//! Trouble with the broker: it is down, or it refuses.

use std::time::Duration;

use kafka_streams_tests::reference::Moments;
use kafka_streams_tests::{Broker, BrokerFile, Isolation, Jvm, OwnBroker, Program, WordCount, reference};

/// What every such error says.
const AUTHORIZATION: &str = "AUTHORIZATION";

fn says(text: &str, parts: &[&str]) -> anyhow::Result<()> {
    for part in parts {
        anyhow::ensure!(text.to_uppercase().contains(&part.to_uppercase()), "`{part}` is not in: {text}");
    }
    Ok(())
}

/// The broker is down when the program starts, and again while it works.
async fn down_and_up(name: &str, exactly_once: bool) -> anyhow::Result<()> {
    let Some(own) = OwnBroker::start(name)? else { return Ok(()) };
    let broker = &own.broker;
    let dir = tempfile::tempdir()?;
    let word_count = WordCount::new(broker, dir.path(), 2, exactly_once).await?;
    let mut all = reference::text(20_000, 71);
    broker.write_lines(&word_count.input, all.iter().map(String::as_str))?;
    own.down()?;
    let mut program = word_count.start("one")?;
    program.wait_for_log("cannot reach the cluster yet")?;
    own.up()?;
    word_count.expect_counts(broker, &reference::count(all.iter().map(String::as_str)))?;

    // In the middle, with records in flight.
    let more = reference::text(400_000, 72);
    broker.write_lines(&word_count.input, more.iter().map(String::as_str))?;
    all.extend(more);
    // Not killed: a single broker of 4.3 that comes back without having stopped may skip the abort markers of what was open
    // ("Couldn't find leader endpoint", TransactionMarkerChannelManager), and so commits it with the next transaction.
    own.down()?;
    std::thread::sleep(Duration::from_secs(3));
    anyhow::ensure!(program.is_running()?, "the program has ended:\n{}", program.own_log()?);
    own.up()?;
    let expected = reference::count(all.iter().map(String::as_str));
    let counted = match exactly_once {
        true => word_count.expect_counts(broker, &expected),
        false => word_count.expect_at_least(broker, &expected),
    };
    if let Err(error) = counted {
        anyhow::bail!("{error:#}; the log:\n{}", program.own_log()?);
    }
    anyhow::ensure!(program.stop()?.success());
    if exactly_once {
        reference::counts_only_grow(&broker.read(&word_count.output, Isolation::ReadCommitted)?)?;
    }
    Ok(())
}

#[tokio::test]
async fn a_broker_that_is_down_is_waited_for_at_the_start_and_in_the_middle_exactly_once() -> anyhow::Result<()> {
    down_and_up("down-and-up-exactly-once", true).await
}

#[tokio::test]
async fn a_broker_that_is_down_is_waited_for_at_the_start_and_in_the_middle_at_least_once() -> anyhow::Result<()> {
    down_and_up("down-and-up-at-least-once", false).await
}

/// The broker is restarted again and again under two instances with work to do.
async fn restarts(name: &str, exactly_once: bool) -> anyhow::Result<()> {
    let rounds: u64 = std::env::var("KAFKA_STREAMS_TEST_RESTARTS").ok().and_then(|text| text.parse().ok()).unwrap_or(3);
    let Some(own) = OwnBroker::start(name)? else { return Ok(()) };
    let broker = &own.broker;
    let dir = tempfile::tempdir()?;
    let word_count = WordCount::new(broker, dir.path(), 2, exactly_once).await?;
    let programs = [word_count.start("one")?, word_count.start("two")?];
    let mut moments = Moments::new(97);
    let mut all = Vec::new();
    for round in 0..rounds {
        let more = reference::text(100_000, 200 + round);
        broker.write_lines(&word_count.input, more.iter().map(String::as_str))?;
        all.extend(more);
        std::thread::sleep(Duration::from_millis(moments.below(1_500)));
        own.down()?;
        std::thread::sleep(Duration::from_millis(moments.below(8_000)));
        own.up()?;
    }
    let expected = reference::count(all.iter().map(String::as_str));
    match exactly_once {
        true => word_count.expect_counts(broker, &expected)?,
        false => word_count.expect_at_least(broker, &expected)?,
    }
    for program in programs {
        anyhow::ensure!(program.stop()?.success());
    }
    if exactly_once {
        reference::counts_only_grow(&broker.read(&word_count.output, Isolation::ReadCommitted)?)?;
    }
    Ok(())
}

#[tokio::test]
async fn restarts_of_the_broker_are_survived_exactly_once() -> anyhow::Result<()> {
    restarts("restarts-exactly-once", true).await
}

#[tokio::test]
async fn restarts_of_the_broker_are_survived_at_least_once() -> anyhow::Result<()> {
    restarts("restarts-at-least-once", false).await
}

#[tokio::test]
async fn a_program_whose_broker_is_down_stops_when_asked_to() -> anyhow::Result<()> {
    let Some(broker) = Broker::get() else { return Ok(()) };
    let dir = tempfile::tempdir()?;
    let mut word_count = WordCount::new(&broker, dir.path(), 1, true).await?;
    // Nobody listens at the port of a listener that was just closed.
    word_count.bootstrap = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string();
    let mut program = word_count.start("one")?;
    program.wait_for_log("cannot reach the cluster yet")?;
    anyhow::ensure!(program.stop_within(Duration::from_secs(5))?.success());
    Ok(())
}

/// A word count of the user `nobody`, who may do what the test allows.
struct Restricted {
    broker: Broker,
    jvm: Jvm,
    word_count: WordCount,
    _dir: tempfile::TempDir,
}

impl Restricted {
    async fn new() -> anyhow::Result<Option<Restricted>> {
        let (Some(broker), Some(file), Some(jvm)) = (Broker::get(), BrokerFile::get()?, Jvm::get()) else {
            return Ok(None);
        };
        let dir = tempfile::tempdir()?;
        let jaas = format!(
            "org.apache.kafka.common.security.plain.PlainLoginModule required username=\"nobody\" password=\"{}\";",
            file.password("nobody")?
        );
        let mut word_count = WordCount::new(&broker, dir.path(), 1, true)
            .await?
            .with("security.protocol", "SASL_PLAINTEXT")
            .with("sasl.mechanism", "PLAIN")
            .with("sasl.jaas.config", &jaas);
        word_count.bootstrap = file.listener("sasl_plaintext")?;
        Ok(Some(Restricted { broker, jvm, word_count, _dir: dir }))
    }

    fn allow(&self, resource: &str, name: &str, operations: &[&str]) -> anyhow::Result<()> {
        self.acl("allow", resource, name, operations)
    }

    fn acl(&self, what: &str, resource: &str, name: &str, operations: &[&str]) -> anyhow::Result<()> {
        self.jvm.acl(&self.broker.bootstrap, what, "nobody", (resource, name), operations)
    }

    fn start(&self) -> anyhow::Result<Program> {
        self.word_count.start("one")
    }
}

#[tokio::test]
async fn a_missing_right_is_an_error_that_names_the_resource() -> anyhow::Result<()> {
    let Some(restricted) = Restricted::new().await? else { return Ok(()) };
    let WordCount { input, output, application_id, .. } = &restricted.word_count;
    let text = reference::text(3_000, 73);
    restricted.broker.write_lines(input, text.iter().map(String::as_str))?;
    let own = format!("{application_id}-*");

    // Right after right is given, and the next one that is missing is named.
    says(&restricted.start()?.failure()?, &[AUTHORIZATION, application_id])?;
    restricted.allow("TRANSACTIONAL_ID", &own, &["WRITE", "DESCRIBE"])?;
    says(&restricted.start()?.failure()?, &["GROUP_AUTHORIZATION_FAILED", &format!("group {application_id}")])?;
    restricted.allow("GROUP", application_id, &["READ", "DESCRIBE"])?;
    says(&restricted.start()?.failure()?, &[AUTHORIZATION, input])?;
    restricted.allow("TOPIC", input, &["READ", "DESCRIBE"])?;
    says(&restricted.start()?.failure()?, &[AUTHORIZATION, &format!("{application_id}-")])?;
    restricted.allow("TOPIC", &own, &["CREATE", "READ", "WRITE", "DESCRIBE", "DELETE"])?;
    says(&restricted.start()?.failure()?, &[AUTHORIZATION, output])?;
    restricted.allow("TOPIC", output, &["WRITE", "DESCRIBE"])?;
    restricted.acl("remove", "TRANSACTIONAL_ID", &own, &["WRITE"])?;
    says(&restricted.start()?.failure()?, &["TRANSACTIONAL_ID_AUTHORIZATION_FAILED", application_id])?;
    restricted.allow("TRANSACTIONAL_ID", &own, &["WRITE"])?;
    let program = restricted.start()?;
    restricted.word_count.expect_counts(&restricted.broker, &reference::count(text.iter().map(String::as_str)))?;
    anyhow::ensure!(program.stop()?.success());
    reference::counts_only_grow(&restricted.broker.read(output, Isolation::ReadCommitted)?)
}
